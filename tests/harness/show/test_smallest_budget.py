"""The smallest budget that is enough, on trainers whose levels are known."""

from collections import Counter

import numpy as np

from lcma.harness.results.budgets import BudgetRow, find_smallest_budget, make_curve
from lcma.harness.results.statistics import find_detectable, seeds_needed
from lcma.harness.show.budgets import describe_answer

MARGIN = 0.01
LEVELS = {0: 0.06, 10: 0.09, 30: 0.02, 100: 0.0, 300: 0.0, 1000: 0.0}
"""By how much each budget is truly worse than the longest; 100 steps are enough."""


def train(levels=LEVELS, *, seeds=6, error=0.002, repeat=0):
    """Return bits/dim by budget and seed; seeds differ by far more than the error."""
    generator = np.random.default_rng(repeat)
    offsets = 3.2 + 0.05 * generator.standard_normal(seeds)
    return {
        budget: dict(enumerate(offsets + level + error * generator.standard_normal(seeds)))
        for budget, level in levels.items()
    }


def count_named(levels, repeats, **options):
    """Return how often each budget is named."""
    return Counter(
        find_smallest_budget(train(levels, repeat=repeat, **options), MARGIN).budget
        for repeat in range(repeats)
    )


def test_a_budget_worse_by_the_margin_is_rarely_named() -> None:
    """Each test errs in 2.5 % at the edge, and that of the second longest budget decides."""
    edge = dict.fromkeys((0, 10, 15, 20, 30, 50, 70, 100, 150, 200), MARGIN) | {300: 0.0, 1000: 0.0}
    named = count_named(edge, 2000)
    wrong = sum(count for budget, count in named.items() if budget is not None and budget < 300)
    assert 0.015 * 2000 <= wrong <= 0.035 * 2000
    assert named[300] > 0.9 * 2000


def test_a_budget_counts_only_if_every_longer_one_is_enough() -> None:
    """A very short pretraining can be worse than none."""
    answer = find_smallest_budget(train(LEVELS | {0: 0.0}), MARGIN)
    assert (answer.budget, answer.failed) == (100, 30)
    answer = find_smallest_budget(train(LEVELS | {0: 0.0, 30: 0.0, 300: 0.05}), MARGIN)
    assert (answer.budget, answer.failed) == (None, 300)


def test_a_difference_of_exactly_the_margin_is_enough() -> None:
    exact = {10: dict.fromkeys(range(6), 0.5), 30: dict.fromkeys(range(6), 0.0)}
    assert find_smallest_budget(exact, 0.5).budget == 10
    assert find_smallest_budget(exact, 0.4999).budget is None
    equal = {budget: dict.fromkeys(range(6), 3.0) for budget in LEVELS}
    answer = find_smallest_budget(equal, MARGIN)
    assert (answer.budget, answer.failed, answer.test) == (0, None, None), "the shortest"


def test_a_budget_that_lacks_seeds_is_compared_on_its_own_seeds() -> None:
    results = train(seeds=8)
    for seed in (0, 5):
        del results[300][seed]
    assert find_smallest_budget(results, MARGIN).budget == 100
    del results[300][1]
    answer = find_smallest_budget(results, MARGIN)
    assert (answer.budget, answer.failed, answer.test.n) == (None, 300, 5)
    del results[100][3]
    results[300] = {seed + 100: value for seed, value in results[300].items()}
    answer = find_smallest_budget(results, MARGIN)
    assert (answer.budget, answer.failed, answer.test, answer.seeds) == (None, 300, None, None)


def test_the_advised_number_of_seeds_shows_the_margin() -> None:
    levels, error = {100: 0.0, 1000: 0.0}, 0.008
    few = find_smallest_budget(train(levels, error=error), MARGIN)
    assert few.budget is None
    assert find_detectable(few.test.n, few.test.deviation) > MARGIN
    needed = seeds_needed(MARGIN, error * np.sqrt(2))
    assert needed / 3 < few.seeds < needed * 3  # from the spread of six
    named = count_named(levels, 300, seeds=needed, error=error)
    assert 0.74 * 300 < named[100] < 0.88 * 300  # a power of 80 %


def describe(results, margin=MARGIN) -> str:
    rows = [
        BudgetRow(budget, by_seed, len(by_seed), float(np.mean([*by_seed.values()])))
        for budget, by_seed in sorted(results.items())
    ]
    return describe_answer(make_curve(rows, margin))


def test_the_answer_names_the_budget_that_is_enough() -> None:
    assert describe(train()) == (
        "100 steps are enough: from there on no budget is worse than 1000 steps by more than 0.01 "
        "bits/dim (95 %, n = 6)."
    )
    assert "0.5 bits/dim" in describe(train(), margin=0.5)
    text = describe(train({0: 0.09, 100: 0.06, 1000: 0.0}))
    assert "No budget below 1000 steps is shown to be enough within 0.01 bits/dim: 100" in text
    assert "100 steps are worse by more than that, +0.0" in text


def test_an_open_answer_says_how_many_seeds_would_decide() -> None:
    answer = find_smallest_budget(train(error=0.02), MARGIN)
    text = describe(train(error=0.02))
    assert f"bits/dim (n = 6), and deciding it takes {answer.seeds} seeds." in text, "48 or fewer"
    assert "(n = 3), and deciding it takes 6 seeds." in describe(train(seeds=3))
    assert "deciding it takes more than 48 seeds." in describe(train(error=9.0))
    assert "(n = 1), and deciding it takes 6 seeds." in describe({100: {0: 3.0}, 1000: {0: 3.1}})
    assert "have no seed in common" in describe({100: {0: 3.0}, 1000: {1: 3.1}})
    assert describe({100: {0: 3.0}}).startswith("One budget cannot be compared: launch others")
