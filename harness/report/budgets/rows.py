"""The rows of a budget curve: means over seeds, costs, the front and what to keep in mind."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from lcma.harness.report.budgets.curve import Interval
from lcma.harness.report.budgets.front import find_knee, pareto_front
from lcma.harness.report.budgets.records import CostOf, Row, SeedResult, Stability
from lcma.harness.report.ranking import paired_difference
from lcma.harness.report.text import printable

DECIDE = 6
"""Seeds below which nothing is decided."""


def make_rows(
    by_budget: Mapping[int, Sequence[SeedResult]],
    conventional: Sequence[SeedResult],
    saved: Mapping[int, float | None],
    cost: CostOf,
) -> tuple[tuple[Row, ...], Row | None, CostOf]:
    """The rows by budget, the conventional one, and what the front is over.

    That is images where seconds are asked for and not all known.
    """
    base = _row(None, conventional, (), None) if conventional else None
    rows = [
        _row(budget, results, conventional, saved.get(budget))
        for budget, results in sorted(by_budget.items())
    ]
    every = [*rows, *([] if base is None else [base])]
    if cost == "seconds" and any(row.seconds is None for row in every):
        cost = "images"
    if all(_cost(row, cost) is not None for row in every):
        every = _with_front(every, cost)
    return tuple(every[: len(rows)]), every[len(rows)] if base else None, cost


def difference_of_sums(
    values: Sequence[float | None], less: Sequence[float | None]
) -> float | None:
    """Sum less sum, at least 0; None where one of them is not known."""
    plus, minus = _total(values), _total(less)
    return None if plus is None or minus is None else max(0.0, plus - minus)


def budget_notes(
    rows: Sequence[Row],
    over: CostOf,
    asked: CostOf,
    stable: Sequence[Stability],
    devices: Sequence[str],
    lost: int,
) -> Iterable[str]:
    """What to keep in mind, in sentences."""
    seeds = [{one.seed for one in row.results} for row in rows]
    if len({frozenset(some) for some in seeds}) > 1:
        yield (
            "Budgets have different seeds: means of different seeds are not to be compared; the "
            "fit takes the seeds' offsets out."
        )
    if min(map(len, seeds)) < DECIDE:
        yield f"Fewer than {DECIDE} seeds decide nothing: this is a first look."
    fresh = [s.tied.mean for s in stable if s.budget == 0 and s.split == 1 and s.tied is not None]
    if fresh:
        ties = f"{fresh[0]:.0%} of its windows at the first split are tied"
        decides = ", and there the order of the positions decides" if fresh[0] else ""
        yield f"Budget 0 is the map of a fresh flow: {ties}{decides}."
    if over != asked:
        yield "Seconds are not all known: the front is over images."
    if len(devices) > 1:
        yield (
            f"Seconds are of {len(devices)} kinds of device ({', '.join(map(printable, devices))}): "
            "images can be compared, seconds cannot."
        )
    if lost:
        yield f"{lost} results are no finite number and are left out."


def _row(
    budget: int | None,
    results: Sequence[SeedResult],
    conventional: Sequence[SeedResult],
    saved: float | None,
) -> Row:
    ordered = tuple(sorted(results, key=lambda one: one.seed))
    values = [one.holdout for one in ordered]
    paired = paired_difference(
        {one.seed: one.holdout for one in ordered},
        {one.seed: one.holdout for one in conventional},
    )
    interval = None
    if paired is not None and paired.low is not None and paired.high is not None:
        interval = Interval(paired.mean, paired.low, paired.high)
    return Row(
        budget=budget,
        results=ordered,
        holdout=statistics.fmean(values),
        deviation=statistics.stdev(values) if len(values) > 1 else None,
        test=statistics.fmean(one.test for one in ordered),
        from_conventional=interval,
        pretraining_seconds=_mean([one.pretraining_seconds for one in ordered]),
        pretraining_images=_mean([one.pretraining_images for one in ordered]),
        seconds=_mean([one.seconds for one in ordered]),
        images=_mean([one.images for one in ordered]),
        saved=saved,
    )


def _with_front(rows: Sequence[Row], cost: CostOf) -> list[Row]:
    points = [(_cost(row, cost) or 0.0, row.holdout) for row in rows]
    on, bend = pareto_front(points), find_knee(points)
    common = set.intersection(*({one.seed for one in row.results} for row in rows))
    counts = [0] * len(rows)
    for seed in common:
        own = [next(one for one in row.results if one.seed == seed) for row in rows]
        for k, is_on in enumerate(
            pareto_front([(_cost(one, cost) or 0.0, one.holdout) for one in own])
        ):
            counts[k] += is_on
    return [
        replace(row, on_front=on[k], knee=k == bend, front_seeds=counts[k], front_of=len(common))
        for k, row in enumerate(rows)
    ]


def _cost(of: Row | SeedResult, cost: CostOf) -> float | None:
    return of.seconds if cost == "seconds" else of.images


def _mean(values: Sequence[float | None]) -> float | None:
    total = _total(values)
    return None if total is None or not values else total / len(values)


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) if len(known) == len(values) else None
