"""Budget curves as tables, sentences and JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from lcma.db import QueryResult
from lcma.harness.results.board import ENOUGH, name_unit
from lcma.harness.results.budgets import (
    BudgetCurve,
    BudgetRow,
    CurveKey,
    SmallestBudget,
    compute_cost_shares,
    worse_interval,
)
from lcma.harness.results.lookup import label_options
from lcma.harness.results.statistics import MOST_ADVISED, Summary
from lcma.harness.show.tables import (
    Table,
    TableColumn,
    flag_as_stored,
    make_table,
    render_table,
    tabulate,
)
from lcma.harness.text import (
    format_count,
    format_duration,
    format_number,
    printable,
    short_id,
)
from lcma.sweeps.measures import HOLDOUT


def render_budgets(curves: Sequence[BudgetCurve]) -> RenderableType:
    """Return the curves for a terminal of 80 columns or more."""
    parts: list[RenderableType] = []
    for curve in curves:
        answer, *more = list_sentences(curve)
        values, *others = list_tables(curve)
        parts += [
            Text(curve_title(curve.key), style="bold"),
            Text(describe_curve_key(curve.key), style="dim"),
            render_table(values, compact=True),
            Text(answer, style="bold"),
            *map(Text, more),
            *(part for table in others for part in (Text(), render_table(table, compact=True))),
            *(Text(note, style="dim") for note in [*_legend(curve), *list_notes(curve)]),
            Text(),
        ]
    return Lines(*parts)


def budgets_as_records(curves: Sequence[BudgetCurve]) -> list[dict[str, Any]]:
    """Return all numbers in full, with the sentences, for JSON."""
    return [
        asdict(curve) | {"sentences": list_sentences(curve), "notes": list(list_notes(curve))}
        for curve in curves
    ]


def budget_table(curves: Sequence[BudgetCurve]) -> Table:
    """Return a row for each budget of each curve, and for the conventional one beside them."""
    records = [_flatten(curve, row) for curve in curves for row in list_rows(curve)]
    names = tuple(records[0]) if records else ()
    rows = tuple(tuple(record.values()) for record in records)
    return make_table(QueryResult(names, rows, truncated=False), "Budgets")


def _flatten(curve: BudgetCurve, row: BudgetRow) -> dict[str, Any]:
    enough = None if curve.smallest is None else curve.smallest.budget
    own = ("budget", "n", "holdout", "deviation", "half_width", "test")
    costs = ("pretraining_seconds", "pretraining_images", "seconds", "images", "saved")
    fronts = ("front_seeds", "front_of", "on_front", "knee")
    return {
        **asdict(curve.key),
        **{name: flag_as_stored(getattr(row, name)) for name in (*own, *costs, *fronts)},
        "smallest_enough": flag_as_stored(row.budget is not None and row.budget == enough),
        **{
            f"{test}_{name}": getattr(getattr(row, test), name, None)
            for test in ("from_longest", "from_conventional")
            for name in ("n", "mean", "low", "high")
        },
        **{name: getattr(curve, name) for name in ("measure", "unit", "chosen_by")},
    }


def curve_title(key: CurveKey) -> str:
    """Return what a curve is of."""
    options = "" if key.map_options is None else f" {printable(label_options(key.map_options))}"
    return (
        f"{printable(key.dataset)} ({printable(key.variant)}), {printable(key.flow)}, "
        f"{printable(key.profile)}: "
        f"{printable(key.label)}{options}, {key.steps} training steps"
    )


def describe_curve_key(key: CurveKey) -> str:
    """Return what exactly keeps other results out of a curve."""
    return (
        f"data {short_id(key.data_digest)}, recipe {short_id(key.recipe_id)}, "
        f"protocol {printable(key.protocol)}, {printable(key.precision)}"
    )


def name_axis(curve: BudgetCurve) -> str:
    """Return what budgets are chosen by, with its unit or part."""
    if curve.chosen_by == HOLDOUT:
        return "bits/dim on holdout"
    return f"{printable(curve.chosen_by)}, {name_unit(curve.unit)}"


def name_row(row: BudgetRow) -> str:
    """Return the budget of a row, or that it is the conventional one."""
    return "conventional" if row.budget is None else str(row.budget)


def list_rows(curve: BudgetCurve) -> list[BudgetRow]:
    """Return the rows by budget, and the conventional one at the end."""
    return [*curve.rows, *([] if curve.conventional is None else [curve.conventional])]


# Sentences


def list_sentences(curve: BudgetCurve) -> list[str]:
    """Return which budget is enough, in one sentence, and the sentences that belong to it."""
    found, unit = curve.smallest, name_unit(curve.unit)
    longest = f"{curve.rows[-1].budget} steps"
    sentences = []
    if len(curve.rows) == 1:
        sentences.append(
            "One budget cannot be compared: launch others too, such as `--budget 0,100`."
        )
    elif found is None:
        sentences.append(
            f"Which budget is enough depends on how much worse it may be: `lcma budgets --by "
            f"{printable(curve.measure)} --margin NUMBER`, in {unit}."
        )
    elif found.budget is None:
        sentences.append(
            f"No budget below {longest} is shown to be enough within {found.margin:g} {unit}: "
            f"{_describe_failure(curve, found)}"
        )
    else:
        tests = [row.from_longest for row in curve.rows if (row.budget or 0) >= found.budget]
        n = min(test.n for test in tests if test is not None)
        sentences.append(
            f"{found.budget} steps are enough: from there on no budget is worse than {longest} by "
            f"more than {found.margin:g} {unit} (95 %, n = {n})."
        )
        part, whole = compute_cost_shares(curve, found.budget)
        if part is not None:
            training = "" if whole is None else f", {_percent(whole)} with training"
            sentences.append(
                f"They cost {_percent(part)} of the {curve.cost} of the pretraining of "
                f"{longest}{training}."
            )
        if found.failed is not None:
            sentences.append(f"Below that, {_describe_failure(curve, found)}")
        elif found.budget:
            sentences.append("No shorter budget was tried.")
    test = curve.rows[-1].from_conventional
    if test is not None:
        sentences.append(
            f"At {longest} {printable(curve.key.label)} is {_compare(test, curve.direction)} "
            f"conventional: {_describe(test, unit)}."
        )
    return sentences


def _describe_failure(curve: BudgetCurve, found: SmallestBudget) -> str:
    """Return why the longest budget that is not shown to be enough is not."""
    test, failed, unit = found.test, f"{found.failed} steps", name_unit(curve.unit)
    if test is None:
        return f"{failed} have no seed in common with {found.longest}."
    least, _ = worse_interval(test, curve.direction)
    if test.n >= ENOUGH and least is not None and least > found.margin:
        longer = "" if found.budget is not None else " Longer budgets may be better still."
        return f"{failed} are worse by more than that, {_describe(test, unit)}.{longer}"
    text = f"{failed} differ by {_describe(test, unit)}"
    if test.n < ENOUGH:
        text += f", and fewer than {ENOUGH} seeds decide nothing"
    if test.detectable is None or (test.n >= ENOUGH and test.detectable <= found.margin):
        return f"{text}."
    many = found.seeds is None or found.seeds > MOST_ADVISED
    needed = f"{f'more than {MOST_ADVISED}' if many else found.seeds} seeds"
    return (
        f"{text}. At this spread {test.n} seeds can show a margin of "
        f"{format_number(test.detectable)}; {found.margin:g} takes {needed}."
    )


def _compare(test: Summary, direction: str | None) -> str:
    least, most = worse_interval(test, direction)
    if test.n < ENOUGH or least is None or most is None:
        return f"not yet (fewer than {ENOUGH} seeds) told apart from"
    if least <= 0 <= most:
        return "not told apart from"
    return "better than" if most < 0 else "worse than"


def _describe(test: Summary, unit: str) -> str:
    return f"{_difference(test)} {unit} (n = {test.n})"


def list_notes(curve: BudgetCurve) -> Iterator[str]:
    """Yield what to keep in mind of a curve."""
    if len({frozenset(row.by_seed) for row in curve.rows}) > 1:
        yield "Budgets have different seeds: compare the differences, which are paired, not means."
    first = next(iter(curve.stability), None)
    if first is not None and first.budget == 0 and first.tied is not None:
        decides = ", and there the order of the positions decides" if first.tied else ""
        yield (
            f"Budget 0 is the map of a fresh flow: {first.tied:.0%} of its windows at the first "
            f"split are tied{decides}."
        )
    if len(curve.devices) > 1:
        kinds = ", ".join(map(printable, curve.devices))
        yield (
            f"Seconds are of {len(curve.devices)} kinds of device ({kinds}): shares of cost and "
            "the front are of images, not seconds."
        )
    elif curve.cost == "images" and any(row.seconds is None for row in list_rows(curve)):
        yield "Seconds are not all known: the front is over images."
    if curve.lost:
        have, are = ("has", "is") if curve.lost == 1 else ("have", "are")
        yield (
            f"{format_count(curve.lost, 'result')} {have} no finite number of this measure and "
            f"{are} left out."
        )


def _legend(curve: BudgetCurve) -> Iterator[str]:
    name, parts, on = "Bits/dim", "; holdout chooses, test is only reported", " on holdout"
    if curve.chosen_by != HOLDOUT:
        name = f"{printable(curve.measure)} in {name_unit(curve.unit)}, {curve.direction} is better"
    if curve.chosen_by == curve.measure:
        parts, on = "", f" of {printable(curve.measure)}"
    yield (
        f"{name}{parts}. Differences are{on}, paired by "
        "seed, with 95 % t-intervals. Budgets are tested from the longest down, until one fails."
    )
    yield (
        "Times are device seconds (GPU or CPU seconds), and images training images, means over "
        "seeds, each pretraining counted whole; saved: by sharing pretrainings, all seeds together."
    )
    yield (
        f"front: no row is at most as costly in {curve.cost} and as "
        f"{'good' if curve.direction == 'higher' else 'high'}; by seed: in how many "
        "seeds' own results."
    )


# Tables


def list_tables(curve: BudgetCurve) -> list[Table]:
    """Return a curve's values, its costs, and where they are known how its maps change."""
    rows = list_rows(curve)
    chosen_by = "holdout" if curve.chosen_by != curve.measure else curve.measure
    values = tabulate(
        rows,
        _number("budget", of=name_row),
        _number("n"),
        _number(chosen_by, 4, of="holdout"),
        _number("sd", 4, of="deviation"),
        _number("test", 4),
        _number("- conventional", of=lambda row: _difference(row.from_conventional)),
        _number("- longest", of=lambda row: _difference(row.from_longest)),
    )
    costs = tabulate(rows, *COSTS, under="What a trial costs by itself, and the Pareto front")
    if not curve.stability:
        return [values, costs]
    under = f"The map against that of {curve.stability[0].longest} steps, mean over seeds"
    return [values, costs, tabulate(curve.stability, *MAPS, under=under)]


def _number(name: str, places: int | None = None, **more: Any) -> TableColumn:
    return TableColumn(name, kind="number", places=places, **more)


def _difference(test: Summary | None) -> str | None:
    if test is None:
        return None
    mean = format_number(test.mean, sign=True)
    return mean if test.high is None else f"{mean} ± {format_number(test.half_width)}"


def _duration(seconds: float | None) -> str | None:
    return None if seconds is None else format_duration(seconds)


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %" if part < 0.1 else f"{100 * part:.0f} %"


def _count(images: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if images >= size:
            return f"{images / size:.3g}{unit}"
    return f"{images:.0f}"


COSTS = (
    _number("budget", of=name_row),
    _number(
        "pretraining",
        of=lambda row: None if row.budget is None else _duration(row.pretraining_seconds),
    ),
    _number("with training", of=lambda row: _duration(row.seconds)),
    _number("images", of=lambda row: None if row.images is None else _count(row.images)),
    _number("saved", of=lambda row: _duration(row.saved)),
    _number(
        "front",
        of=lambda row: "knee" if row.knee else "yes" if row.on_front else None,
        meaning="On the Pareto front: no other row is at most as costly and as good, and better in "
        "one. At the knee more cost begins to gain less.",
    ),
    _number(
        "by seed", of=lambda row: f"{row.front_seeds}/{row.front_of}" if row.front_of else None
    ),
)
"""What a row costs."""

MAPS = (
    _number("budget"),
    _number("split"),
    _number("n", of="seeds"),
    _number(
        "rank_correlation",
        3,
        heading="rank corr.",
        meaning="Spearman's rank correlation of the map with that of the longest budget, over all "
        "dimensions, mean over seeds.",
    ),
    _number(
        "overlap",
        3,
        meaning="Intersection over union of what the rule keeps after the split, by this map and "
        "by that of the longest budget.",
    ),
    _number("by_chance", 3, heading="by chance", meaning="About the overlap of unrelated tables."),
    _number(
        "mask_share",
        3,
        heading="mask share",
        meaning="Share of the map's variance within windows that one pattern, the same in every "
        "window, explains.",
    ),
    _number(
        "tied",
        of=lambda one: None if one.tied is None else f"{one.tied:.1%}",
        meaning="Share of windows in which the map does not say which two dimensions stay.",
    ),
)
"""How the maps of a budget compare with those of the longest."""
