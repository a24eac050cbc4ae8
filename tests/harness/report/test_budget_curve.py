"""The fit of the budget curve, on trainers whose curve is known."""

import numpy as np
import pytest

from lcma.harness.results.budget_fit import BudgetResult, fit_curve

BUDGETS = (0, 10, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000)
SPARSE = (0, 20, 50, 100, 200, 500, 1000, 2000)
REPEATS = 20
GAIN = 0.05


def exponential(scale, power=1.0):
    return lambda n: GAIN * np.exp(-((n / scale) ** power))


def hill(scale, power):
    return lambda n: GAIN / (1 + (n / scale) ** power)


def short_is_worse(curve, until=20, by=0.03):
    """A very short pretraining gives nearly the opposite map."""
    return lambda n: curve(n) + by * (0 < n <= until)


def train(curve, budgets=BUDGETS, seeds=6, error=0.001, repeat=0, without=()):
    """Results of a trainer: each seed has an offset that is far larger than the error."""
    generator = np.random.default_rng(repeat)
    found = []
    for seed in range(seeds):
        offset = 3.2 + generator.normal() * 0.05
        for budget in budgets:
            bits = offset + curve(budget) + generator.normal() * error
            if (seed, budget) not in without:
                found.append(BudgetResult(seed, budget, float(bits)))
    return found


def known_budget(curve, budgets, share=0.99):
    """The least number of steps from which on the curve has that share of its gain."""
    steps = np.arange(budgets[-1] + 1)
    values = np.array([curve(n) for n in steps])
    target = values[-1] + (1 - share) * (values[0] - values[-1])
    return int(steps[values > target][-1]) + 1


@pytest.mark.slow_on("sparse, ")
@pytest.mark.parametrize(
    ("curve", "budgets"),
    [
        (exponential(60), BUDGETS),
        (short_is_worse(exponential(80, 0.8)), BUDGETS),
        (hill(30, 1.2), BUDGETS),
        (exponential(60), SPARSE),
        (short_is_worse(exponential(150)), SPARSE),
        (short_is_worse(hill(60, 2)), SPARSE),
    ],
    ids=["exponential", "stretched", "long tail", "sparse", "sparse, slow", "sparse, hill"],
)
def test_the_budget_of_a_known_curve_is_in_a_narrow_range(curve, budgets) -> None:
    truth = known_budget(curve, budgets)
    right, factors = 0, []
    for repeat in range(REPEATS):
        found = fit_curve(train(curve, budgets, error=0.0005, repeat=repeat))
        assert found.verdict == "recommended"
        assert found.low <= found.recommended <= found.high
        right += found.low <= truth <= found.high
        factors.append(found.high / found.low)
    assert right >= 19
    assert max(factors) < 4


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95])
def test_a_smaller_share_of_the_gain_needs_less(share) -> None:
    curve = exponential(100)
    truth = known_budget(curve, BUDGETS, share)
    results = [fit_curve(train(curve, repeat=repeat), share) for repeat in range(REPEATS)]
    assert sum(found.low <= truth <= found.high for found in results) >= 19
    assert max(found.recommended for found in results) <= fit_curve(train(curve)).recommended


def test_offsets_of_the_seeds_do_not_matter() -> None:
    results = train(exponential(60))
    moved = [BudgetResult(one.seed, one.budget, one.bits_per_dim + one.seed**2) for one in results]
    one, other = fit_curve(results), fit_curve(moved)
    assert (one.recommended, one.low, one.high) == (other.recommended, other.low, other.high)
    assert one.gain.value == pytest.approx(other.gain.value)


def test_results_that_are_missing_are_not_held_against_the_others() -> None:
    curve = exponential(60)
    lost = {(0, 2000), (1, 0), (2, 10), (3, 50), (3, 100), (5, 1500)}
    truth = known_budget(curve, BUDGETS)
    found = [fit_curve(train(curve, error=5e-4, repeat=k, without=lost)) for k in range(REPEATS)]
    assert sum(one.low <= truth <= one.high for one in found) >= 19


def test_the_same_results_in_any_order_give_the_same_answer() -> None:
    results = train(exponential(60))
    assert fit_curve(results) == fit_curve(results[::-1]) == fit_curve(results)


def test_the_band_holds_the_curve() -> None:
    curve = short_is_worse(exponential(60))
    found = fit_curve(train(curve))
    assert found.early in (2, 3)
    band = found.band
    offset = np.mean([one.bits_per_dim - curve(one.budget) for one in train(curve, error=0.0)])
    at = [band.budgets.index(budget) for budget in BUDGETS]
    inside = [
        band.low[i] - 1e-3 <= offset + curve(band.budgets[i]) <= band.high[i] + 1e-3 for i in at
    ]
    assert all(inside)
    assert band.middle[band.budgets.index(10)] > band.middle[0] + 0.01


def test_no_gain_is_no_recommendation() -> None:
    found = [fit_curve(train(lambda n: 0.0, repeat=repeat)) for repeat in range(REPEATS)]
    assert sum(one.verdict == "flat" for one in found) >= 19
    flat = next(one for one in found if one.verdict == "flat")
    assert flat.recommended is None
    assert flat.band is None
    # The largest of means of six by an error of 0.001 is about that far off.
    assert 0.0008 < flat.resolution < 0.0016


def test_more_that_makes_it_worse_is_said() -> None:
    for repeat in range(REPEATS):
        found = fit_curve(train(lambda n: -exponential(60)(n), repeat=repeat))
        assert (found.verdict, found.recommended) == ("worse", None)
        assert found.gain.value == pytest.approx(-GAIN, abs=0.003)
        assert found.best == 0


def test_a_bump_without_a_gain_is_no_gain() -> None:
    found = [fit_curve(train(short_is_worse(lambda n: 0.0), repeat=k)) for k in range(REPEATS)]
    assert all(one.differ for one in found)
    assert sum(one.verdict == "flat" for one in found) >= 19


def test_a_curve_that_turns_is_none_of_ours() -> None:
    for repeat in range(REPEATS):
        found = fit_curve(train(lambda n: exponential(60)(n) + 1e-5 * n, repeat=repeat))
        assert found.verdict == "unlike"
        assert found.recommended is None
        assert 100 <= found.best <= 300


def test_a_curve_that_still_falls_is_said_to() -> None:
    found = fit_curve(train(exponential(1500)))
    assert found.verdict == "recommended"
    assert found.falling
    assert not fit_curve(train(exponential(60))).falling


@pytest.mark.parametrize(
    "results",
    [
        [],
        train(exponential(60), budgets=(0, 100)),
        train(exponential(60), seeds=1),
        [BudgetResult(seed, budget, 3.0) for seed, budget in ((0, 0), (1, 10), (2, 100))],
        # Two pairs of seeds that have no budget in common.
        [BudgetResult(s, b, 3.0) for s, b in ((0, 0), (0, 10), (1, 0), (1, 10), (2, 50), (2, 70))],
    ],
    ids=["none", "two budgets", "one seed", "no pairs", "apart"],
)
def test_too_little_is_no_fit(results) -> None:
    found = fit_curve(results)
    assert found.verdict == "few"
    assert found.gain is found.recommended is found.band is None


def test_results_without_any_error_do_not_break_it() -> None:
    found = fit_curve(train(exponential(60), error=0.0))
    assert found.low <= known_budget(exponential(60), BUDGETS) <= found.high
    assert fit_curve([BudgetResult(s, b, 3.0) for s in range(3) for b in BUDGETS]).verdict == "flat"
