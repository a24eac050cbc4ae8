"""Budget curves in words: for a terminal, and as JSON."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from rich import box
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lcma.harness.results.budget_fit import LEAST_BUDGETS, LEAST_SEEDS, Fit
from lcma.harness.results.budgets import BudgetCurve, CurveKey, Row, Spread
from lcma.harness.text import format_duration, format_number, printable, short_id

WIDE = 4
"""Times that a range may span before it is called too wide to buy by."""

_HEADINGS = ("budget", "n", "holdout", "sd", "test", "- conventional", "± 95 %")
_COSTS = ("budget", "pretraining", "with training", "images", "saved", "front", "by seed")
_MAP_HEADINGS = ("budget", "split", "n", "rank corr.", "overlap", "by chance", "mask share", "tied")


def render_budgets(curves: Sequence[BudgetCurve]) -> RenderableType:
    """For a terminal of 80 columns or more."""
    parts: list[RenderableType] = []
    for curve in curves:
        parts += [
            Text(curve_title(curve.key), style="bold"),
            Text(describe_curve_key(curve.key), style="dim"),
            _table(_HEADINGS, [_texts(row) for row in every_row(curve)]),
            Text(recommendation(curve), style="bold"),
            *(Text(line) for line in recommendation_details(curve)),
            Text(),
            Text("What a trial costs by itself, and the Pareto front"),
            _table(_COSTS, [_costs(row) for row in every_row(curve)]),
        ]
        if curve.stability:
            longest = curve.stability[0].longest
            parts += [Text(), Text(f"The map against that of {longest} steps, mean over seeds")]
            parts.append(_table(_MAP_HEADINGS, _map_lines(curve)))
        parts += [*(Text(note, style="dim") for note in [*_legend(curve), *curve.notes]), Text()]
    return Lines(*parts)


def budgets_as_records(curves: Sequence[BudgetCurve]) -> list[dict[str, Any]]:
    """For JSON: all numbers in full, with the sentences."""
    return [
        asdict(curve)
        | {"recommendation": recommendation(curve), "more": list(recommendation_details(curve))}
        for curve in curves
    ]


def curve_title(key: CurveKey) -> str:
    """What a curve is of."""
    options = "" if key.map_options is None else f" {printable(key.map_options)}"
    return (
        f"{printable(key.dataset)} ({printable(key.variant)}), {printable(key.flow)}, "
        f"{printable(key.profile)}: "
        f"{printable(key.label)}{options}, {key.steps} training steps"
    )


def describe_curve_key(key: CurveKey) -> str:
    """What exactly keeps other results out of it."""
    return (
        f"data {short_id(key.data_digest)}, recipe {short_id(key.recipe_id)}, "
        f"protocol {printable(key.protocol)}, {printable(key.precision)}"
    )


def every_row(curve: BudgetCurve) -> list[Row]:
    """The rows by budget, and the conventional one at the end."""
    return [*curve.rows, *([] if curve.conventional is None else [curve.conventional])]


def recommendation(curve: BudgetCurve) -> str:
    """How much pretraining is worth buying, or that nobody can say."""
    fit = curve.fit
    if fit.verdict == "few" or fit.gain is None:
        return _too_few(curve)
    first, longest = fit.budgets[0], fit.budgets[-1]
    if fit.verdict == "recommended" and fit.recommended is not None:
        part, whole = share_of_cost(curve, fit.recommended)
        cost = "" if part is None else f" at {_percent(part)} of the cost of pretraining {longest}"
        with_it = "" if whole is None else f", {_percent(whole)} with training"
        gained = f"{_share(fit)} of the gain of {fit.gain.value:.4f} bits/dim{cost}{with_it}"
        return (
            f"Recommended budget: {fit.recommended} steps ({gained}; n = {fit.seeds}, "
            f"range {fit.low} to {fit.high})."
        )
    if fit.verdict == "worse":
        return (
            f"No recommendation: more pretraining makes it worse. {longest} steps have "
            f"{-fit.gain.value:.4f} bits/dim more than {first} (n = {fit.seeds})."
        )
    if fit.verdict == "unlike":
        return (
            f"No recommendation: the means do not fall along a saturating curve. The lowest is at "
            f"{fit.best} steps (n = {fit.seeds})."
        )
    within = f"within {fit.resolution:.4f} bits/dim (n = {fit.seeds})"
    if fit.differ:
        return (
            f"No recommendation: budgets differ, but {longest} steps are no better than {first} "
            f"{within}. The lowest mean is at {fit.best} steps."
        )
    return f"No recommendation: no budget is better than another {within}."


def recommendation_details(curve: BudgetCurve) -> Iterable[str]:
    """What belongs to the recommendation."""
    fit = curve.fit
    if fit.verdict == "recommended" and fit.recommended is not None:
        if fit.high is not None and fit.low is not None and fit.high >= WIDE * max(fit.low, 1):
            yield (
                f"The range spans a factor of {WIDE} or more: too wide to buy by; more seeds, or "
                "budgets in between, narrow it."
            )
        if fit.falling:
            yield (
                f"The curve still falls at {fit.budgets[-1]} steps: add longer budgets before you "
                "believe it."
            )
        if fit.early:
            off = ", ".join(str(b) for b in fit.budgets[: fit.early])
            yield f"Not monotone, or not yet falling: {off} steps most likely lie off the curve."
    worst = max(curve.rows, key=lambda row: row.holdout)
    if fit.differ and worst.budget not in (curve.rows[0].budget, curve.rows[-1].budget):
        yield (
            f"The worst mean is at {worst.budget} steps: a short pretraining can be worse than "
            "none."
        )
    last = curve.rows[-1]
    if last.from_conventional is not None:
        of = last.from_conventional
        half = (of.high - of.low) / 2
        side = "not told apart from" if of.low <= 0 <= of.high else "worse than"
        side = "better than" if of.high < 0 else side
        yield (
            f"At {last.budget} steps it is {side} conventional: {of.value:+.4f} ± {half:.4f} "
            "bits/dim on holdout, paired by seed."
        )


def share_of_cost(curve: BudgetCurve, budget: int) -> tuple[float | None, float | None]:
    """What a budget costs of what the longest costs: its pretraining, and with the training.

    Between budgets that were tried a cost is on the line between its neighbours. None where the
    longest costs nothing, or costs are not known.
    """
    parts: list[float | None] = []
    for name in (f"pretraining_{curve.cost}", curve.cost):
        values = [getattr(row, name) for row in curve.rows]
        if any(value is None for value in values) or not values[-1]:
            parts.append(None)
            continue
        at = np.interp(budget, [row.budget or 0 for row in curve.rows], values)
        parts.append(float(at / values[-1]))
    return parts[0], parts[1]


def _too_few(curve: BudgetCurve) -> str:
    fit = curve.fit
    budgets, seeds = len(fit.budgets), fit.seeds
    counted = f"{budgets} budgets of {seeds} seed{'s' * (seeds != 1)}"
    have = counted if seeds else "no seed has two budgets"
    return (
        f"No fit: {have}, and a curve needs {LEAST_BUDGETS} budgets and {LEAST_SEEDS} seeds that "
        "share them. Next: lcma launch SPEC --budget 0,30,100,300,1000 --seeds 6"
    )


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1))
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for texts in lines:
        table.add_row(*(Text(text) for text in texts))
    return table


def _texts(row: Row) -> list[str]:
    of = row.from_conventional if row.budget is not None else None
    return [
        _budget(row),
        str(row.n),
        format_number(row.holdout),
        format_number(row.deviation),
        format_number(row.test),
        "-" if of is None else format_number(of.value, sign=True),
        "-" if of is None else format_number((of.high - of.low) / 2),
    ]


def _costs(row: Row) -> list[str]:
    before = None if row.budget is None else row.pretraining_seconds
    return [
        _budget(row),
        *(
            "-" if seconds is None else format_duration(seconds)
            for seconds in (before, row.seconds)
        ),
        "-" if row.images is None else _count(row.images),
        "-" if row.saved is None else format_duration(row.saved),
        "knee" if row.knee else "yes" if row.on_front else "-",
        f"{row.front_seeds}/{row.front_of}" if row.front_of else "-",
    ]


def _budget(row: Row) -> str:
    return "conventional" if row.budget is None else str(row.budget)


def _map_lines(curve: BudgetCurve) -> Iterable[list[str]]:
    for one in curve.stability:
        yield [
            str(one.budget),
            str(one.split),
            str(one.seeds),
            *(_mean(of) for of in (one.rank_correlation, one.overlap)),
            format_number(one.by_chance, 3),
            _mean(one.mask_share),
            "-" if one.tied is None else f"{one.tied.mean:.1%}",
        ]


def _legend(curve: BudgetCurve) -> Iterable[str]:
    yield (
        "Bits/dim; holdout chooses, test is only told. Differences are on holdout, paired by seed."
    )
    yield (
        "Times are device seconds, and images training images, means over seeds, each pretraining "
        "counted whole; saved: by sharing pretrainings, all seeds together."
    )
    yield (
        f"front: no row is at most as costly in {curve.cost} and as high; by seed: in how many "
        "seeds' own results."
    )


def _mean(of: Spread | None) -> str:
    return "-" if of is None else format_number(of.mean, 3)


def _share(fit: Fit) -> str:
    return f"{100 * fit.share:g} %"


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %" if part < 0.1 else f"{100 * part:.0f} %"


def _count(images: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if images >= size:
            return f"{images / size:.3g}{unit}"
    return f"{images:.0f}"
