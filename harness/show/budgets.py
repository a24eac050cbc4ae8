"""Budget curves as tables, sentences and JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from lcma.db import QueryResult
from lcma.harness.results.board import name_unit
from lcma.harness.results.budgets import BudgetCurve, BudgetRow, SmallestBudget
from lcma.harness.results.lookup import label_options
from lcma.harness.results.statistics import MAX_ADVISED, Summary
from lcma.harness.show.tables import (
    Table,
    TableColumn,
    flag_as_stored,
    make_table,
    render_table,
    tabulate,
)
from lcma.harness.text import format_duration, format_number, printable, short_id
from lcma.sweeps.measures import HOLDOUT


def render_budgets(curves: Sequence[BudgetCurve]) -> RenderableType:
    """Return the curves for a terminal of 80 columns or more."""
    tables = (table for curve in curves for table in list_tables(curve))
    return Lines(*(part for t in tables for part in (render_table(t, compact=True), Text())))


def budgets_as_records(curves: Sequence[BudgetCurve]) -> list[dict[str, Any]]:
    """Return all numbers in full, with the answer in words, for JSON."""
    return [asdict(curve) | {"answer": describe_answer(curve)} for curve in curves]


def budget_table(curves: Sequence[BudgetCurve]) -> Table:
    """Return a row for each budget of each curve, and for the conventional rule."""
    records = [_flatten(curve, row) for curve in curves for row in list_rows(curve)]
    names = tuple(records[0]) if records else ()
    rows = tuple(tuple(map(flag_as_stored, record.values())) for record in records)
    return make_table(QueryResult(names, rows, truncated=False), "Budgets")


def _flatten(curve: BudgetCurve, row: BudgetRow) -> dict[str, Any]:
    enough = None if curve.smallest is None else curve.smallest.budget
    record = asdict(row) | {"smallest_enough": row.budget is not None and row.budget == enough}
    del record["by_seed"]
    for name in ("from_longest", "from_conventional"):
        test = record.pop(name) or {}
        record |= {f"{name}_{part}": test.get(part) for part in ("n", "mean", "low", "high")}
    measured = {name: getattr(curve, name) for name in ("measure", "unit", "chosen_by")}
    return {**curve.key, **record, **measured}


def curve_title(key: Mapping[str, Any]) -> str:
    """Return the title of a curve with these facts."""
    rule = "{dataset} ({variant}), {flow}, {profile}: {label}".format_map(key)
    options = "" if key["map_options"] is None else f" {label_options(key['map_options'])}"
    return printable(f"{rule}{options}, {key['steps']} training steps")


def describe_curve_key(key: Mapping[str, Any]) -> str:
    """Return a line with the facts that separate a curve from others."""
    data, recipe = short_id(key["data_digest"]), short_id(key["recipe_id"])
    return printable(
        f"data {data}, recipe {recipe}, protocol {key['protocol']}, {key['precision']}"
    )


def name_axis(curve: BudgetCurve) -> str:
    """Return the name of the measure that budgets are chosen by, with its unit or part."""
    if curve.chosen_by == HOLDOUT:
        return "bits/dim on holdout"
    return f"{printable(curve.chosen_by)}, {name_unit(curve.unit)}"


def name_row(row: BudgetRow) -> str:
    return "conventional" if row.budget is None else str(row.budget)


def list_rows(curve: BudgetCurve) -> list[BudgetRow]:
    """Return the rows by budget, and the conventional row last."""
    return [*curve.rows, *([] if curve.conventional is None else [curve.conventional])]


def describe_answer(curve: BudgetCurve) -> str:
    """Return in one sentence which budget is enough, or why none is shown to be."""
    smallest, unit = curve.smallest, name_unit(curve.unit)
    longest = f"{curve.rows[-1].budget} steps"
    if len(curve.rows) == 1:
        return "One budget cannot be compared: launch others too, such as `--budget 0,100`."
    if smallest is None:
        return (
            "Which budget is enough depends on how much worse it may be: `lcma budgets --by "
            f"{printable(curve.measure)} --margin NUMBER`, in {unit}."
        )
    if smallest.budget is None:
        return (
            f"No budget below {longest} is shown to be enough within {smallest.margin:g} {unit}: "
            f"{_describe_failure(smallest, unit)}."
        )
    tests = [row.from_longest for row in curve.rows if (row.budget or 0) >= smallest.budget]
    n = min(test.n for test in tests if test is not None)
    return (
        f"{smallest.budget} steps are enough: from there on no budget is worse than {longest} by "
        f"more than {smallest.margin:g} {unit} (95 %, n = {n})."
    )


def _describe_failure(smallest: SmallestBudget, unit: str) -> str:
    """Return why the longest of the budgets that are not shown to be enough is not."""
    test, failed = smallest.test, f"{smallest.failed} steps"
    if test is None:
        return f"{failed} have no seed in common with {smallest.longest}"
    difference = f"{_difference(test)} {unit} (n = {test.n})"
    if smallest.worse:
        return f"{failed} are worse by more than that, {difference}"
    text = f"{failed} differ by {difference}"
    if smallest.seeds is None or smallest.seeds > MAX_ADVISED:
        return f"{text}, and deciding it takes more than {MAX_ADVISED} seeds"
    return (
        f"{text}, and deciding it takes {smallest.seeds} seeds" if smallest.seeds > test.n else text
    )


def _list_notes(curve: BudgetCurve) -> Iterator[str]:
    yield describe_curve_key(curve.key)
    test = "" if curve.chosen_by == curve.measure else "; test is only reported"
    yield (
        f"Budgets are chosen by {name_axis(curve)}: {curve.direction} is better{test}. Differences "
        "are paired by seed, with 95 % t-intervals."
    )
    yield (
        "Costs are device seconds (GPU or CPU) and training images of one trial with a whole "
        f"pretraining of its own; front: on the Pareto front over {curve.cost}."
    )
    if len({frozenset(row.by_seed) for row in curve.rows}) > 1:
        yield "Budgets have different seeds: compare the paired differences, not the means."


# Tables


def list_tables(curve: BudgetCurve) -> list[Table]:
    """Return tables of a curve's values, its costs and, where known, the stability of its maps."""
    rows = list_rows(curve)
    chosen_by = "holdout" if curve.chosen_by != curve.measure else curve.measure
    values = tabulate(
        rows,
        _number("budget", of=name_row),
        _number("n"),
        _number(chosen_by, 4, of="holdout"),
        _number("sd", 4, of="deviation"),
        _number("test", 4),
        _number("minus conventional", of=lambda row: _difference(row.from_conventional)),
        _number("minus longest", of=lambda row: _difference(row.from_longest)),
        title=describe_answer(curve),
        subtitle=curve_title(curve.key),
        notes=tuple(_list_notes(curve)),
    )
    costs = tabulate(rows, *COSTS, subtitle="Costs of a trial, and the Pareto front")
    if not curve.stability:
        return [values, costs]
    subtitle = f"Maps compared with those of {curve.stability[0].longest} steps, mean over seeds"
    return [values, costs, tabulate(curve.stability, *MAPS, subtitle=subtitle)]


def _number(name: str, places: int | None = None, **more: Any) -> TableColumn:
    return TableColumn(name, kind="number", places=places, **more)


def _difference(test: Summary | None) -> str | None:
    if test is None:
        return None
    mean = format_number(test.mean, sign=True)
    return mean if test.high is None else f"{mean} ± {format_number(test.half_width)}"


def _duration(seconds: float | None) -> str | None:
    return None if seconds is None else format_duration(seconds)


COSTS = (
    _number("budget", of=name_row),
    _number(
        "pretraining",
        of=lambda row: None if row.budget is None else _duration(row.pretraining_seconds),
    ),
    _number("with training", of=lambda row: _duration(row.seconds)),
    _number("images"),
    _number(
        "front",
        of=lambda row: "yes" if row.on_front else None,
        meaning="On the Pareto front: no other row is as cheap and as good, and better in one of "
        "both.",
    ),
)
"""Columns of costs."""

MAPS = (
    _number("budget"),
    _number("split"),
    _number("n", of="seeds"),
    _number(
        "rank_correlation",
        3,
        heading="rank corr.",
        meaning="Spearman's rank correlation of the map with that of the longest budget, over all "
        "dimensions; mean over seeds.",
    ),
    _number(
        "overlap",
        3,
        meaning="Intersection over union of what the rule keeps after the split, by this map and "
        "by that of the longest budget.",
    ),
    _number(
        "by_chance", 3, heading="by chance", meaning="Approximate overlap of unrelated tables."
    ),
    _number(
        "mask_share",
        3,
        heading="mask share",
        meaning="Share of the map's variance within windows that is explained by one pattern, the "
        "same in every window.",
    ),
    _number(
        "tied",
        of=lambda stability: None if stability.tied is None else f"{stability.tied:.1%}",
        meaning="Share of windows in which the map does not say which two dimensions stay.",
    ),
)
"""Columns of `Stability`."""
