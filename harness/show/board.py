"""The board for a terminal, and as JSON, Markdown, LaTeX and CSV."""

import json
import math
import re
import statistics
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from lcma.db import QueryResult
from lcma.harness.results.board import (
    ENOUGH,
    Board,
    BoardRow,
    Group,
    name_measure,
    name_unit,
)
from lcma.harness.results.claims import find_low
from lcma.harness.results.statistics import PairedTest, t_quantile
from lcma.harness.show.tables import (
    Table,
    TableColumn,
    flag_as_stored,
    make_table,
    render_table,
    table_as_markdown,
    tables_as_latex,
)
from lcma.harness.text import escape_markdown, format_count, format_number, printable, short_id
from lcma.sweeps.measures import BITS_PER_DIM

COLUMNS: tuple[TableColumn, ...] = (
    TableColumn("factorization"),
    TableColumn("budget", kind="number"),
    TableColumn("n", kind="number"),
    TableColumn("bits/dim", kind="number", places=4),
    TableColumn("sd", kind="number", places=4),
    TableColumn("difference", kind="number", places=4, sign=True),
    TableColumn("± 95 %", kind="number", places=4),
    TableColumn("than *"),
)
"""What people read of a row, beside printed numbers where there are any."""


NARROWER = 0.9
"""Part of a paired interval below which an unpaired one is shown beside it."""

FEW_IMAGES = 1000
"""Test images below which a sentence on a group says how many they are."""


def render_board(
    board: Board, *, notes: bool = True, holdout: Mapping[str, Group] | None = None
) -> RenderableType:
    """Return the board for a terminal of 80 columns or more, with the lines below its tables or a
    legend in their place.

    With what `read_holdout` returns it says where pairs of `low` and its reference are no gain.
    """
    parts: list[RenderableType] = []
    for group in board.groups:
        table = group_table(group, sources=notes)
        if not notes:
            table = replace(table, notes=(_describe_marks(group),))
        if holdout is not None and (line := _say_unpaired(group, holdout)):
            table = replace(table, notes=(*table.notes, line))
        parts += [render_table(table, compact=True), Text()]
    return Lines(*parts, *map(Text, _ending(board)))


def _describe_marks(group: Group) -> str:
    marks = [*_bar_line(group), "* compared with", "neither: not told apart from it"]
    marks += ["† misses a bar"] if any(row.cleared is False for row in group.rows) else []
    marks += ["! fails its controls"] if fails_controls(group) else []
    marks += ["printed: in a paper"] if any(row.published for row in group.rows) else []
    return ", ".join(marks)


def _say_unpaired(group: Group, holdout: Mapping[str, Group]) -> str | None:
    """Return what `low` minus the reference is unpaired, where its interval is narrower by that."""
    low = find_low(group, holdout)
    own = next((row for row in group.rows if row.reference), None)
    if low is None or own is None or (paired := low.difference) is None or paired.n < ENOUGH:
        return None
    seeds = sorted(low.by_seed.keys() & own.by_seed.keys())
    samples = [[row.by_seed[seed] for seed in seeds] for row in (low, own)]
    spread = sum(map(statistics.variance, samples))
    half = t_quantile(2 * paired.n - 2) * math.sqrt(spread / paired.n)
    if half >= NARROWER * (paired.half_width or 0.0):
        return None
    correlation = statistics.correlation(*samples)
    return (
        f"Unpaired, {name_row(low)} - {name_row(own)} is {format_number(paired.mean, 3, sign=True)}"
        f" ± {format_number(half, 3)}: over seeds these rows do not go together (correlation "
        f"{format_number(correlation, 2, sign=True)})."
    )


def _bar_line(group: Group) -> list[str]:
    """Return what rows have to be below."""
    bars = [one for one in group.bars if one.bits_per_dim is not None]
    bars.sort(key=lambda one: one.bits_per_dim or 0.0)
    names = (f"{printable(one.name)} {format_number(one.bits_per_dim or 0.0, 3)}" for one in bars)
    return [f"bars: {', '.join(names)}"] if bars else []


def fails_controls(group: Group) -> bool:
    """Return whether a group's measure fails its controls on the data set."""
    return any(note.startswith("!") for note in group.notes)


def summarize_group(group: Group) -> tuple[str, str]:
    """Return two sentences: what was compared, and the differences with their intervals."""
    measured = [row for row in group.rows if row.n]
    seeds = sorted({row.n for row in measured})
    each = "-".join(map(str, dict.fromkeys((seeds[0], seeds[-1])))) if seeds else "0"
    of_each = f"{each} seed{'' if each == '1' else 's'} each"
    undertrained = [row for row in measured if row.cleared is False]
    bars = [bar.bits_per_dim for bar in group.bars if bar.bits_per_dim is not None]
    cleared = ""
    if undertrained:
        cleared = f"; {format_count(len(undertrained), 'row')} undertrained, above a bar"
    elif bars and any(row.cleared for row in measured):
        cleared = f"; all below the lowest bar, {min(bars):.3f}"
    rules = format_count(len({row.label for row in measured}), "rule")
    of = f"{printable(group.flow)} on {printable(group.set_name)}, {group.steps} steps"
    compared = f"Compared: {rules} of {of}, {of_each}{cleared}."
    differences = [(row, row.difference) for row in measured if row.difference is not None]
    if group.reference is None:
        return compared, f"No differences: {printable(group.against)} has no results here."
    if not differences:
        why = "no other row shares a seed with it" if len(measured) > 1 else "no other rule has any"
        return compared, f"No differences from {printable(group.reference)}: {why}."
    named = ", ".join(
        f"{name_row(row)} {format_number(found.mean, 3, sign=True)}"
        f"{'' if found.half_width is None else f' ± {format_number(found.half_width, 3)}'}"
        for row, found in differences
    )
    return compared, (
        f"Differences from {printable(group.reference)}, in {name_unit(group.unit)} with 95 % "
        "intervals: "
        f"{named}."
    )


def name_row(row: BoardRow) -> str:
    """Return what tells a row from all others of its group."""
    budget = "" if row.budget is None else f" @{row.budget}"
    options = "" if row.options_label is None else f" {row.options_label}"
    return printable(f"{row.label}{budget}{options}")


def short_settings(group: Group) -> str:
    """Return what a group's recipe differs in, without the sections of the recipe."""
    return re.sub(r"(?:\w+\.)+(?=\w+=)", "", group.settings)


def judge_low(group: Group, holdout: Mapping[str, Group]) -> tuple[str, str] | None:
    """Return how the paper's rule does in a group, in short and in a sentence.

    None where it has no difference. It is of the budget that verdicts take, by `read_holdout`.
    """
    row = find_low(group, holdout)
    if row is None or (found := row.difference) is None or found.half_width is None:
        return None
    rule = "low"
    if row.budget is not None:
        rule += f" (after {format_count(row.budget, 'pretraining step')})"
    short = row.than_reference or "too few seeds"
    says = f"{rule} is {short} {'from' if short == 'not told apart' else 'than'}"
    if row.than_reference is None:
        says = f"{format_count(found.n, 'seed')} cannot tell {rule} ({ENOUGH} are the least) from"
    settings = f"{printable(short_settings(group))}, " if group.settings else ""
    few = ""
    if group.images is not None and has_few_images(group):
        few = f", on {format_count(group.images, 'test image')} alone"
    return short, (
        f"With {printable(group.flow)} on {printable(group.set_name)}, {group.steps} steps, "
        f"{settings}{says} "
        f"{printable(group.reference or '')}, {format_number(found.mean, 3, sign=True)} ± "
        f"{format_number(found.half_width, 3)} {name_unit(group.unit)} over "
        f"{format_count(found.n, 'seed')}{few}."
    )


def sum_up_low(board: Board, holdout: Mapping[str, Group]) -> str | None:
    """Return in how many groups the paper's rule is better, worse or neither.

    None where fewer than two say anything of it.
    """
    judged = [(found[0], one) for one in board.groups if (found := judge_low(one, holdout))]
    if len(judged) < 2:
        return None
    parts = []
    for short in ("better", "worse", "not told apart", "too few seeds"):
        if groups := [group for name, group in judged if name == short]:
            few = sum(map(has_few_images, groups))
            note = f" ({few} on fewer than {FEW_IMAGES:,} test images)" if few else ""
            parts.append(f"{short} in {len(groups)}{note}")
    measure = judged[0][1].measure
    by = "" if measure == BITS_PER_DIM else f" by {printable(measure)}"
    return f"against the usual rule{by}, in {len(judged)} settings: {', '.join(parts)}."


def has_few_images(group: Group) -> bool:
    """Return whether a group has fewer than `FEW_IMAGES` test images."""
    # Of a measure of samples the number is of samples.
    own = group.measure == BITS_PER_DIM
    return own and group.images is not None and group.images < FEW_IMAGES


def board_as_markdown(board: Board) -> str:
    """Return one GitHub table for each group."""
    parts = [table_as_markdown(group_table(group)) for group in board.groups]
    parts.append("".join(f"{escape_markdown(line)}\n" for line in _ending(board)))
    return "\n".join(parts).rstrip("\n") + "\n"


def board_as_latex(board: Board, *, whole: bool = True) -> str:
    """Return a document with a table for each group, or else the tables alone.

    The best row is bold, with those that are not told apart from it by their pair alone, where any
    row is. A caption says so, and where the measure fails its controls.
    """
    tables = [
        replace(table, under=f"{table.under}{_caption(table, group)}")
        for group in board.groups
        for table in [group_table(group)]
    ]
    return tables_as_latex(tables, _ending(board), whole=whole)


def _caption(table: Table, group: Group) -> str:
    bold = "; bold: the best mean, and what its pair alone does not tell from it"
    fails = f"; ! {group.measure} fails its controls on this data set"
    return f"{bold if table.bold else ''}{fails if fails_controls(group) else ''}"


def group_table(group: Group, *, sources: bool = True) -> Table:
    """Return a group as people read it: the reference, then the others by their differences.

    Beside a printed number stands where it is printed, unless there are to be no ``sources``.
    """
    columns = tuple(
        replace(one, name=name_measure(group.measure)) if one.name == "bits/dim" else one
        for one in COLUMNS
    )
    if any(row.published for row in group.rows):
        columns += (TableColumn("published", "printed", right=True),)
    lines = sorted(group.rows, key=lambda row: _place(row, group.direction))
    near = [i for i, one in enumerate(lines) if one.near_best]
    told = any(row.n >= ENOUGH and not row.near_best for row in group.rows)
    title, under = format_titles(group)
    return Table(
        columns=columns,
        rows=tuple(_show_line(one, sources)[: len(columns)] for one in lines),
        title=title,
        under=under,
        notes=tuple(list_lines_below(group)),
        styles={(0, j): "bold" for j in range(len(columns)) if lines and lines[0].reference},
        bold=frozenset((i, j) for i in near for j in (0, 3) if told),
    )


def describe_direction(board: Board) -> str:
    """Return which values are better, in a sentence."""
    first = board.groups[0] if board.groups else None
    if first is None or first.measure == BITS_PER_DIM:
        return "fewer bits per dimension are better."
    return f"ranked by {name_measure(first.measure)}, {first.direction} is better."


def _place(row: BoardRow, direction: str | None) -> tuple[bool, bool, float]:
    value = row.mean if row.difference is None else row.difference.mean
    if value is None:
        value = math.inf
    return not row.reference, row.difference is None, -value if direction == "higher" else value


def _show_line(line: BoardRow, sources: bool) -> tuple[Any, ...]:
    name = line.label + (" *" if line.reference else "")
    name += " †" if line.cleared is False else ""
    name += "" if line.options_label is None else f" {line.options_label}"
    found = line.difference
    return (
        name,
        line.budget,
        line.n if found is None else found.n,
        line.mean,
        line.deviation,
        None if found is None else found.mean,
        None if found is None else found.half_width,
        " ".join([*([_than(line)] if _than(line) else []), *["best"] * line.best]) or None,
        _format_published(line, sources) or None,
    )


def _than(row: BoardRow) -> str:
    return "neither" if row.than_reference == "not told apart" else row.than_reference or ""


def board_as_json(board: Board) -> str:
    """Return all numbers in full, a line for each row; a missing one is null."""
    groups = []
    for group in board.groups:
        facts = {name: getattr(group, name) for name in _GROUP}
        facts["bars"] = [asdict(bar) for bar in group.bars]
        lines = [f"\n      {_JSON(name)}: {_JSON(value)}," for name, value in facts.items()]
        rows = ",".join(f"\n        {_JSON(_row_dict(row))}" for row in group.rows)
        groups.append(f'\n    {{{"".join(lines)}\n      "rows": [{rows}\n      ]\n    }}')
    rest = [
        f",\n  {_JSON(name)}: {_JSON(getattr(board, name))}"
        for name in ("diverged", "failed", "lost", "apart")
    ]
    end = "\n  ]" if groups else "]"
    return f'{{\n  "groups": [{",".join(groups)}{end}{"".join(rest)}\n}}'


_JSON = json.JSONEncoder(allow_nan=False).encode
_BODIES = ("recipe", "protocol_body")
_GROUP = tuple(f.name for f in fields(Group) if f.name not in ("rows", *_BODIES))
_ROW = (
    "factorization",
    "label",
    "budget",
    "map_options",
    "conventional",
    "seeds",
    "values",
    "mean",
    "deviation",
    "difference",
    "diverged",
    "failed",
    "published",
    "cleared",
    "reference",
    "low",
    "high",
    "than_reference",
    "best",
)
_TEST = {
    "mean": "mean",
    "standard_error": "standard_error",
    "pairs": "n",
    "low": "low",
    "high": "high",
    "t_p": "t_p",
    "sign_flip_p": "sign_flip_p",
    "holm_p": "holm_p",
    "detectable": "detectable",
}


def _row_dict(row: BoardRow) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in _ROW}
    found["published"] = [asdict(number) for number in row.published]
    if row.difference is not None:
        found["difference"] = {name: getattr(row.difference, at) for name, at in _TEST.items()}
    return found


_ROW_IN_FULL = {
    "factorization": "factorization",
    "label": "label",
    "budget": "budget",
    "map_options": "map_options",
    "conventional": "conventional",
    "n": "n",
    "mean": "mean",
    "standard_deviation": "deviation",
    "difference": "difference.mean",
    "difference_standard_error": "difference.standard_error",
    "pairs": "difference.n",
    "low": "difference.low",
    "high": "difference.high",
    "diverged": "diverged",
    "failed": "failed",
    "cleared": "cleared",
    "published": "published",
    "t_p": "difference.t_p",
    "sign_flip_p": "difference.sign_flip_p",
    "holm_p": "difference.holm_p",
    "detectable": "difference.detectable",
    "mean_low": "low",
    "mean_high": "high",
    "than_reference": "than_reference",
    "best": "best",
}
"""Columns of a row in full, and where they stand in it."""


def board_table(board: Board) -> Table:
    """Return a row for each row of each group, and for each bar.

    Each has all that makes it comparable.
    """
    of_group = [
        f.name
        for f in fields(Group)
        if f.name not in ("rows", "notes", "made_with", "bars", *_BODIES)
    ]
    found: list[tuple[Any, ...]] = []
    for group in board.groups:
        shared = [flag_as_stored(getattr(group, name)) for name in of_group]
        lines = list(map(_row_in_full, group.rows))
        lines += [
            {"label": f"bar: {bar.name}", "conventional": 0, "mean": bar.bits_per_dim}
            for bar in group.bars
        ]
        found += [(*shared, *map(line.get, _ROW_IN_FULL)) for line in lines]
    return make_table(QueryResult((*of_group, *_ROW_IN_FULL), tuple(found), False), "Board")


def _row_in_full(row: BoardRow) -> dict[str, Any]:
    found = {}
    for name, path in _ROW_IN_FULL.items():
        of_test = path.removeprefix("difference.")
        one: Any = row if of_test == path else row.difference
        found[name] = None if one is None else flag_as_stored(getattr(one, of_test))
    return found | {"published": _format_published(row), "pairs": found["pairs"] or 0}


def format_titles(group: Group) -> tuple[str, str]:
    """Return what a group is of, and what exactly keeps others out of it."""
    ours = group.profile == "paper" and not group.published_recipe
    title = (
        f"{printable(group.dataset)} ({printable(group.variant)}), {printable(group.flow)}, "
        f"{printable(group.profile)}{' (recipe: ours)' if ours else ''}: {group.steps} steps, "
        f"{format_count(group.splits, 'split')}"
    )
    if group.settings:
        title += f"; {printable(group.settings)}"
    images = "" if group.images is None else f"{format_count(group.images, 'test image')}, "
    under = (
        f"data {short_id(group.data_digest)}, {images}recipe {short_id(group.recipe_id)}, "
        f"protocol {printable(group.protocol)}, {printable(group.precision)}"
    )
    return title, under


def _format_published(row: BoardRow, sources: bool = True) -> str:
    if sources:
        return ", ".join(f"{n.bits_per_dim:.2f} ({n.where})" for n in row.published)
    return ", ".join(dict.fromkeys(f"{n.bits_per_dim:.2f}" for n in row.published))


def list_lines_below(group: Group) -> list[str]:
    """Return the lines below a group's table."""
    if group.reference is None:
        requested = printable(group.against)
        first = f"* {requested}: no results of it here, so there are no differences."
    else:
        first = (
            f"* {printable(group.against)}. Differences from it in {name_unit(group.unit)}, paired "
            f"by seed; {'above' if group.direction == 'higher' else 'below'} 0: "
            f"better than {printable(group.reference)}. ± 95 %: half of the t-interval."
        )
    return [
        first,
        *(f"{line[0].upper()}{line[1:]}." for line in _bar_line(group)),
        *group.notes,
        "Made with " + "; ".join(map(printable, group.made_with)) + ".",
    ]


def _ending(board: Board) -> list[str]:
    empty = [] if board.groups else ["No results yet."]
    return [*empty, *board.apart, *describe_lost(board)]


def describe_lost(board: Board) -> list[str]:
    """Return how many trials were lost and by which outcomes; nothing where there are none."""
    if not board.diverged and not board.failed:
        return []
    outcomes = ", ".join(f"{printable(name)} {count}" for name, count in board.lost)
    return [
        f"{format_count(board.diverged, 'trial')} diverged, {board.failed} failed"
        f"{f' ({outcomes})' if outcomes else ''}: `lcma status` says why."
    ]


# The short form of a board of several tables

OVERVIEW = (
    TableColumn("", kind="number"),
    TableColumn("setting"),
    TableColumn("steps", kind="number"),
    TableColumn("own", kind="number", places=3),
    TableColumn("n", kind="number"),
    TableColumn("low - own ± 95 %", right=True),
    TableColumn("-     0     +"),
    TableColumn("low is"),
)

BAR = 13
"""Characters of a text interval, with the zero in the middle."""


def render_overview(board: Board, holdout: Mapping[str, Group]) -> RenderableType:
    """Return a line for each group: its own rule, and the paper's minus it, for a terminal.

    ``low`` is that of the best budget by the holdout part, as for verdicts.
    """
    found = [(group, find_low(group, holdout)) for group in board.groups]
    differences = [low.difference for _, low in found if low is not None and low.difference]
    ends = [abs(end) for one in differences for end in (one.low, one.high) if end is not None]
    widest = max(ends, default=0.0) or 1.0
    rows = []
    for number, (group, low) in enumerate(found, 1):
        own = next((row.mean for row in group.rows if row.reference), None)
        line: tuple[Any, ...] = (number, name_setting(group), group.steps, own)
        if low is not None and (difference := low.difference) is not None:
            half = difference.half_width
            mean = format_number(difference.mean, 3, sign=True)
            line += (
                difference.n,
                mean if half is None else f"{mean} ± {format_number(half, 3)}",
                _draw_interval(difference, widest),
                f"{_than(low)}{' †' if has_few_images(group) else ''}",
            )
        rows.append(line + (None,) * (len(OVERVIEW) - len(line)))
    parts: list[RenderableType] = []
    if (tally := sum_up_low(board, holdout)) is not None:
        parts += [Text(f"low {tally}"), Text()]
    parts.append(render_table(Table(OVERVIEW, tuple(rows)), compact=True))
    if differences:
        notes = [f"from {-widest:.2g} over 0 to {widest:+.2g}", "neither: not told apart"]
        if any(has_few_images(group) for group, low in found if low is not None):
            notes.append(f"† on fewer than {FEW_IMAGES:,} test images")
        parts.append(Text("; ".join(notes)))
    parts.append(Text("`lcma board NUMBER` shows one table, `lcma board --notes` all of them."))
    return Lines(*parts, *map(Text, describe_lost(board)))


def name_setting(group: Group) -> str:
    """Return data set and flow of a group, with the settings that tell it from others."""
    settings = f" {short_settings(group)}" if group.settings else ""
    return printable(f"{group.set_name} {group.flow}{settings}")


def _draw_interval(difference: PairedTest, widest: float) -> str:
    """Return a line of characters: `-` for the interval, `o` for the mean and `|` for zero."""
    middle = BAR // 2

    def at(value: float) -> int:
        return middle + round(middle * max(-1.0, min(1.0, value / widest)))

    cells = [" "] * BAR
    if difference.low is not None and difference.high is not None:
        for k in range(at(difference.low), at(difference.high) + 1):
            cells[k] = "-"
    cells[middle] = "|"
    cells[at(difference.mean)] = "o"
    return "".join(cells)
