"""Budget curves for a terminal, in Markdown and as JSON."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from lcma.db import QueryResult
from lcma.harness.results.board import ENOUGH, list_settings, name_unit
from lcma.harness.results.budgets import (
    BudgetCurve,
    BudgetRow,
    CurveKey,
    SmallestBudget,
    compute_cost_shares,
    worse_interval,
)
from lcma.harness.results.lookup import label_options
from lcma.harness.results.statistics import MOST_ADVISED, PairedTest
from lcma.harness.show.tables import (
    Table,
    TableColumn,
    flag_as_stored,
    make_table,
    render_table,
)
from lcma.harness.text import (
    format_duration,
    format_number,
    printable,
    short_id,
)
from lcma.sweeps.factorizations import is_word
from lcma.sweeps.measures import HOLDOUT

BUDGETS = (0, 30, 100, 300, 1000)
"""What is proposed where there is one budget alone."""

_HEADINGS = ("budget", "n", "{}", "sd", "test", "- conventional", "- longest")
_COSTS = ("budget", "pretraining", "with training", "images", "saved", "front", "by seed")
_COST_TITLE = "What a trial costs by itself, and the Pareto front"
_COST_NUMBERS = (
    *("pretraining_seconds", "pretraining_images", "seconds", "images", "saved"),
    *("front_seeds", "front_of"),
)
_PAIR_NUMBERS = ("n", "mean", "low", "high", "t_p")
_MAP_HEADINGS = ("budget", "split", "n", "rank corr.", "overlap", "by chance", "mask share", "tied")


def render_budgets(curves: Sequence[BudgetCurve]) -> RenderableType:
    """Return the curves for a terminal of 80 columns or more."""
    parts: list[RenderableType] = []
    for curve in curves:
        answer, *more = list_sentences(curve)
        values, costs, *maps = list_tables(curve)
        parts += [
            Text(curve_title(curve.key), style="bold"),
            Text(describe_curve_key(curve.key), style="dim"),
            render_table(values, compact=True),
            Text(answer, style="bold"),
            *map(Text, more),
            Text(),
            render_table(costs, compact=True),
            *(part for table in maps for part in (Text(), render_table(table, compact=True))),
        ]
        parts += [*(Text(note, style="dim") for note in [*_legend(curve), *curve.notes]), Text()]
    return Lines(*parts)


def budgets_as_records(curves: Sequence[BudgetCurve]) -> list[dict[str, Any]]:
    """Return all numbers in full, with the sentences, for JSON."""
    found = []
    for curve in curves:
        record = asdict(curve) | {"sentences": list_sentences(curve)}
        del record["recipe"]
        found.append(record)
    return found


def budget_table(curves: Sequence[BudgetCurve]) -> Table:
    """Return a row for each budget of each curve, and for the conventional one beside them."""
    key = [one.name for one in fields(CurveKey)]
    own = ("budget", "n", "holdout", "deviation", "half_width", "test", *_COST_NUMBERS)
    flags = ("on_front", "knee")
    tests = ("from_longest", "from_conventional")
    rows = []
    for curve in curves:
        enough = None if curve.smallest is None else curve.smallest.budget
        for row in list_rows(curve):
            pairs = [getattr(row, name) for name in tests]
            rows.append(
                (
                    *(getattr(curve.key, name) for name in key),
                    *(getattr(row, name) for name in own),
                    *(flag_as_stored(getattr(row, name)) for name in flags),
                    flag_as_stored(row.budget is not None and row.budget == enough),
                    *(
                        None if pair is None else getattr(pair, name)
                        for pair in pairs
                        for name in _PAIR_NUMBERS
                    ),
                    curve.measure,
                    curve.unit,
                    curve.chosen_by,
                )
            )
    names = (*key, *own, *flags, "smallest_enough")
    names += tuple(f"{test}_{name}" for test in tests for name in _PAIR_NUMBERS)
    names += ("measure", "unit", "chosen_by")
    return make_table(QueryResult(names, tuple(rows), truncated=False), "Budgets")


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


def name_choice(curve: BudgetCurve) -> str:
    """Return the heading of what budgets are chosen by."""
    return "holdout" if curve.chosen_by != curve.measure else printable(curve.measure)


def name_axis(curve: BudgetCurve) -> str:
    """Return what budgets are chosen by, with its unit or part."""
    if curve.chosen_by == HOLDOUT:
        return "bits/dim on holdout"
    return f"{printable(curve.chosen_by)}, {name_unit(curve.unit)}"


def list_rows(curve: BudgetCurve) -> list[BudgetRow]:
    """Return the rows by budget, and the conventional one at the end."""
    return [*curve.rows, *([] if curve.conventional is None else [curve.conventional])]


def list_sentences(curve: BudgetCurve) -> list[str]:
    """Return which budget is enough, in one sentence, and the sentences that belong to it."""
    found, unit = curve.smallest, name_unit(curve.unit)
    longest = f"{curve.rows[-1].budget} steps"
    sentences = []
    if len(curve.rows) == 1:
        command = suggest_launch(curve)
        more = "" if command is None else f" Next: {command}"
        sentences.append(f"One budget cannot be compared.{more}")
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


def suggest_launch(curve: BudgetCurve) -> str | None:
    """Return the launch of other budgets of `low` and `high`, None for other rules."""
    key, overrides = curve.key, curve.overrides
    ends = is_word(key.factorization) and len(set(key.factorization)) == 1
    if overrides is None or key.map_options is not None or not ends:
        return None
    budgets = sorted({*BUDGETS, *(row.budget or 0 for row in curve.rows)})
    words = ["lcma", "launch", "flows", "--flow", key.flow, "--dataset", curve.set_name]
    words += ["--profile", key.profile.split(", ")[0], "--seeds", str(ENOUGH)]
    words += ["--budget", ",".join(map(str, budgets)), *list_settings(overrides)]
    return shlex.join(map(printable, words))


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


def _compare(test: PairedTest, direction: str | None) -> str:
    least, most = worse_interval(test, direction)
    if test.n < ENOUGH or least is None or most is None:
        return f"not yet (fewer than {ENOUGH} seeds) told apart from"
    if least <= 0 <= most:
        return "not told apart from"
    return "better than" if most < 0 else "worse than"


def _describe(test: PairedTest, unit: str) -> str:
    return f"{_difference(test)} {unit} (n = {test.n})"


def _difference(test: PairedTest | None) -> str:
    if test is None:
        return "-"
    mean = format_number(test.mean, sign=True)
    if test.standard_error is None:
        return mean
    return f"{mean} ± {format_number(test.half_width)}"


def list_tables(curve: BudgetCurve) -> list[Table]:
    """Return a curve's values, its costs, and where they are known how its maps change."""
    rows, choice = list_rows(curve), name_choice(curve)
    found = [
        _table([heading.format(choice) for heading in _HEADINGS], map(_list_values, rows)),
        _table(_COSTS, map(_list_costs, rows), _COST_TITLE),
    ]
    if curve.stability:
        title = f"The map against that of {curve.stability[0].longest} steps, mean over seeds"
        found.append(_table(_MAP_HEADINGS, _list_stability(curve), title))
    return found


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]], above: str = "") -> Table:
    columns = tuple(TableColumn(heading, kind="number") for heading in headings)
    return Table(columns, tuple(map(tuple, lines)), under=above)


def _list_values(row: BudgetRow) -> list[str]:
    numbers = (format_number(value) for value in (row.holdout, row.deviation, row.test))
    tests = (row.from_conventional, row.from_longest)
    return [name_row(row), str(row.n), *numbers, *map(_difference, tests)]


def _list_costs(row: BudgetRow) -> list[str]:
    pretraining = None if row.budget is None else row.pretraining_seconds
    before, whole, saved = (
        "-" if seconds is None else format_duration(seconds)
        for seconds in (pretraining, row.seconds, row.saved)
    )
    return [
        *(name_row(row), before, whole),
        "-" if row.images is None else _count(row.images),
        saved,
        "knee" if row.knee else "yes" if row.on_front else "-",
        f"{row.front_seeds}/{row.front_of}" if row.front_of else "-",
    ]


def name_row(row: BudgetRow) -> str:
    """Return the budget of a row, or that it is the conventional one."""
    return "conventional" if row.budget is None else str(row.budget)


def _list_stability(curve: BudgetCurve) -> Iterable[list[str]]:
    for one in curve.stability:
        numbers = (one.rank_correlation, one.overlap, one.by_chance, one.mask_share)
        yield [
            *(str(one.budget), str(one.split), str(one.seeds)),
            *(format_number(number, 3) for number in numbers),
            "-" if one.tied is None else f"{one.tied:.1%}",
        ]


def _legend(curve: BudgetCurve) -> Iterable[str]:
    name = "Bits/dim"
    if curve.chosen_by != HOLDOUT:
        name = f"{printable(curve.measure)} in {name_unit(curve.unit)}, {curve.direction} is better"
    parts, on = "; holdout chooses, test is only reported", " on holdout"
    if curve.chosen_by == curve.measure:
        parts, on = "", f" of {name_choice(curve)}"
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


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %" if part < 0.1 else f"{100 * part:.0f} %"


def _count(images: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if images >= size:
            return f"{images / size:.3g}{unit}"
    return f"{images:.0f}"
