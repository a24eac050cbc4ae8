"""The board for a terminal, and as JSON, Markdown, LaTeX and CSV."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from lcma.db import QueryResult
from lcma.harness.results.board import (
    COMPARABLE,
    MIN_SEEDS,
    Board,
    BoardRow,
    Group,
    name_measure,
    name_unit,
)
from lcma.harness.results.claims import find_low
from lcma.harness.results.statistics import Summary
from lcma.harness.show.notes import find_failed_controls, list_notes
from lcma.harness.show.tables import (
    Table,
    TableColumn,
    flag_as_stored,
    make_table,
    render_table,
    table_as_markdown,
    tables_as_latex,
    tabulate,
)
from lcma.harness.text import (
    escape_markdown,
    format_count,
    format_number,
    printable,
    short_id,
    to_json,
)
from lcma.sweeps.measures import BITS_PER_DIM

FEW_IMAGES = 1000
"""Test images below which a sentence on a group says how many they are."""


# A group as people read it


def _mark_name(row: BoardRow) -> str:
    marks = (row.label, "*" * row.reference, "†" * (row.cleared is False), row.options_label)
    return " ".join(filter(None, marks))


def _word(row: BoardRow) -> str:
    return "neither" if row.than_reference == "not told apart" else row.than_reference or ""


def _format_published(row: BoardRow, *, sources: bool = True) -> str | None:
    texts = [f"{n.bits_per_dim:.2f}{f' ({n.where})' * sources}" for n in row.published]
    return ", ".join(texts if sources else dict.fromkeys(texts)) or None


COLUMNS = (
    TableColumn("factorization", of=_mark_name),
    TableColumn(
        "budget",
        kind="number",
        meaning="Training steps of the pretraining from which the rule's map was taken; none for a "
        "rule that reads no map.",
    ),
    TableColumn(
        "n",
        kind="number",
        of=lambda row: row.n if row.difference is None else row.difference.n,
        meaning="Seeds with a result, of a difference those that both rows have. Nothing is "
        f"decided with fewer than {MIN_SEEDS}.",
    ),
    TableColumn("mean", kind="number", places=4, meaning="Mean over seeds."),
    TableColumn(
        "sd",
        kind="number",
        places=4,
        of="deviation",
        meaning="Sample standard deviation of the results over seeds.",
    ),
    TableColumn(
        "difference",
        kind="number",
        places=4,
        sign=True,
        of="difference.mean",
        meaning="Mean over seeds of one row minus another, on the leaderboard minus the row marked "
        "*. Seeds that both have are subtracted in pairs, as was fixed before any result: they "
        "share weights at the start, images and noise. That is valid whether or not their results "
        "rise and fall together over seeds; in the reference they hardly do, so that it narrows "
        "the intervals little.",
    ),
    TableColumn(
        "half_width",
        "± 95 %",
        kind="number",
        places=4,
        of="difference.half_width",
        meaning="Half of the 95 % t-interval of the mean difference. Of many rows some have an "
        "interval without zero by chance: `lcma verdicts` allows for that.",
    ),
    TableColumn(
        "than",
        "than *",
        of=lambda row: " ".join(filter(None, (_word(row), "best" * row.best))) or None,
        meaning="Better or worse than the row marked *, by the 95 % interval of the difference; or "
        f"not told apart from it. Nothing with fewer than {MIN_SEEDS} pairs. It is of this pair "
        "alone: `lcma verdicts` judges claims on several.",
    ),
)
"""What people read of a row, beside printed numbers where there are any."""

PRINTED = TableColumn(
    "published",
    "printed",
    right=True,
    of=_format_published,
    meaning="What papers printed for such a row, in bits/dim. Their training is longer.",
)


def group_table(group: Group, *, sources: bool = True) -> Table:
    """Return a group as people read it: the reference, then the others by their differences.

    Beside a printed number stands where it is printed, unless there are to be no ``sources``.
    """
    measure = name_measure(group.measure)
    columns = [replace(one, heading=measure) if one.name == "mean" else one for one in COLUMNS]
    if any(row.published for row in group.rows):
        columns.append(replace(PRINTED, of=partial(_format_published, sources=sources)))
    rows = sorted(group.rows, key=lambda row: _place(row, group.direction))
    told = any(row.n >= MIN_SEEDS and not row.near_best for row in rows)
    near = [i for i, row in enumerate(rows) if row.near_best and told]
    title, under = format_titles(group)
    return tabulate(
        rows,
        *columns,
        title=title,
        under=under,
        notes=tuple(_list_lines_below(group)),
        styles={(0, j): "bold" for j in range(len(columns)) if rows and rows[0].reference},
        bold=frozenset((i, j) for i in near for j in (0, 3)),
    )


def _place(row: BoardRow, direction: str | None) -> tuple[bool, bool, float]:
    value = row.mean if row.difference is None else row.difference.mean
    if value is None:
        value = math.inf
    return not row.reference, row.difference is None, -value if direction == "higher" else value


def format_titles(group: Group) -> tuple[str, str]:
    """Return what a group is of, and what exactly keeps others out of it."""
    settings = f"; {printable(group.settings)}" if group.settings else ""
    images = "" if group.images is None else f"{format_count(group.images, 'test image')}, "
    under = (
        f"data {short_id(group.data_digest)}, {images}recipe {short_id(group.recipe_id)}, "
        f"protocol {printable(group.protocol)}, {printable(group.precision)}"
    )
    return f"{name_group(group)}{settings}", under


def name_group(group: Group) -> str:
    """Return what a group is of, but for the settings that tell it from others."""
    ours = group.profile == "paper" and not group.published_recipe
    return (
        f"{printable(group.dataset)} ({printable(group.variant)}), {printable(group.flow)}, "
        f"{printable(group.profile)}{' (recipe: ours)' if ours else ''}: {group.steps} steps, "
        f"{format_count(group.splits, 'split')}"
    )


def _list_lines_below(group: Group) -> Iterator[str]:
    against = printable(group.against)
    if group.reference is None:
        yield f"* {against}: no results of it here, so there are no differences."
    else:
        yield (
            f"* {against}. Differences from it in {name_unit(group.unit)}, paired by seed; "
            f"{'above' if group.direction == 'higher' else 'below'} 0: better than "
            f"{printable(group.reference)}. ± 95 %: half of the t-interval."
        )
    if bars := _list_bars(group):
        yield f"B{bars[1:]}."
    yield from list_notes(group)
    yield f"Made with {'; '.join(map(printable, group.made_with))}."


def _list_bars(group: Group) -> str:
    """Return what rows have to be below."""
    bars = sorted(
        (bar.bits_per_dim, bar.name) for bar in group.bars if bar.bits_per_dim is not None
    )
    names = ", ".join(f"{printable(name)} {format_number(bits, 3)}" for bits, name in bars)
    return f"bars: {names}" if names else ""


def fails_controls(group: Group) -> bool:
    """Return whether a group's measure fails its controls on the data set."""
    return bool(find_failed_controls(group.measure, group.sample_controls))


def describe_lost(board: Board) -> list[str]:
    """Return how many trials were lost; nothing where there are none."""
    if not board.diverged and not board.failed:
        return []
    diverged = format_count(board.diverged, "trial")
    return [f"{diverged} diverged, {board.failed} failed: `lcma status` says why."]


def _list_ending(board: Board) -> list[str]:
    empty = [] if board.groups else ["No results yet."]
    return [*empty, *describe_lost(board)]


def render_board(board: Board, *, notes: bool = True) -> RenderableType:
    """Return the board for a terminal of 80 columns or more, with the lines below its tables or a
    legend in their place.
    """
    parts: list[RenderableType] = []
    for group in board.groups:
        table = group_table(group, sources=notes)
        if not notes:
            table = replace(table, notes=(_describe_marks(group),))
        parts += [render_table(table, compact=True), Text()]
    return Lines(*parts, *map(Text, _list_ending(board)))


def _describe_marks(group: Group) -> str:
    marks = {
        _list_bars(group): True,
        "* compared with": True,
        "neither: not told apart from it": True,
        "† misses a bar": any(row.cleared is False for row in group.rows),
        "! fails its controls": fails_controls(group),
        "printed: in a paper": any(row.published for row in group.rows),
    }
    return ", ".join(mark for mark, there in marks.items() if mark and there)


def board_as_markdown(board: Board) -> str:
    """Return one GitHub table for each group."""
    parts = [table_as_markdown(group_table(group)) for group in board.groups]
    parts.append("".join(f"{escape_markdown(line)}\n" for line in _list_ending(board)))
    return "\n".join(parts).rstrip("\n") + "\n"


def board_as_latex(board: Board) -> str:
    """Return a table for each group.

    The best row is bold, with those that are not told apart from it by their pair alone, where any
    row is. A caption says so, and where the measure fails its controls.
    """
    tables = []
    for group in board.groups:
        table = group_table(group)
        bold = "; bold: the best mean, and what its pair alone does not tell from it"
        fails = f"; ! {group.measure} fails its controls on this data set"
        caption = f"{bold * bool(table.bold)}{fails * fails_controls(group)}"
        tables.append(replace(table, under=f"{table.under}{caption}"))
    return tables_as_latex(tables, _list_ending(board))


# For programs

_OF_GROUP = (
    *COMPARABLE,
    *("profile", "splits", "size", "steps", "images", "clusters", "standard_error", "reference"),
    *("settings", "against", "whole", "measure", "unit", "direction"),
)
_OF_ROW = {
    **{name: name for name in ("factorization", "label", "budget", "map_options", "conventional")},
    **{"n": "n", "mean": "mean", "standard_deviation": "deviation"},
    **{"difference": "difference.mean", "difference_standard_error": "difference.standard_error"},
    **{"pairs": "difference.n", "low": "difference.low", "high": "difference.high"},
    "half_width": "difference.half_width",
    **{name: name for name in ("diverged", "failed", "cleared", "published")},
    **{"mean_low": "low", "mean_high": "high", "than_reference": "than_reference", "best": "best"},
}
"""Columns of a row, and where they stand in it."""


def board_table(board: Board) -> Table:
    """Return a row for each row of each group, and for each bar.

    Each has all that makes it comparable.
    """
    rows: list[tuple[Any, ...]] = []
    for group in board.groups:
        shared = [flag_as_stored(getattr(group, name)) for name in _OF_GROUP]
        lines = list(map(_read_row, group.rows))
        lines += [
            {"label": f"bar: {bar.name}", "conventional": 0, "mean": bar.bits_per_dim}
            for bar in group.bars
        ]
        rows += [(*shared, *map(line.get, _OF_ROW)) for line in lines]
    return make_table(QueryResult((*_OF_GROUP, *_OF_ROW), tuple(rows), False), "Board")


def _read_row(row: BoardRow) -> dict[str, Any]:
    found = {
        name: flag_as_stored(TableColumn(name, of=of).read(row)) for name, of in _OF_ROW.items()
    }
    return found | {"published": _format_published(row) or "", "pairs": found["pairs"] or 0}


def board_as_json(board: Board) -> str:
    """Return all numbers in full; a missing one is null."""
    groups = [
        {name: getattr(group, name) for name in (*_OF_GROUP, "made_with")}
        | {
            "notes": list_notes(group),
            "bars": list(map(asdict, group.bars)),
            "rows": list(map(_row_as_dict, group.rows)),
        }
        for group in board.groups
    ]
    lost = {"diverged": board.diverged, "failed": board.failed}
    return to_json({"groups": groups, **lost})


def _row_as_dict(row: BoardRow) -> dict[str, Any]:
    own = {name: TableColumn(name, of=of).read(row) for name, of in _OF_ROW.items()}
    own |= {name: getattr(row, name) for name in ("reference", "seeds", "values")}
    return own | {"published": list(map(asdict, row.published))}


# What a group says, in sentences


def name_row(row: BoardRow) -> str:
    """Return what tells a row from all others of its group."""
    budget = "" if row.budget is None else f" @{row.budget}"
    options = "" if row.options_label is None else f" {row.options_label}"
    return printable(f"{row.label}{budget}{options}")


def short_settings(group: Group) -> str:
    """Return what a group's recipe differs in, without the sections of the recipe."""
    return re.sub(r"(?:\w+\.)+(?=\w+=)", "", group.settings)


def name_setting(group: Group) -> str:
    """Return data set and flow of a group, with the settings that tell it from others."""
    settings = f" {short_settings(group)}" if group.settings else ""
    return printable(f"{group.set_name} {group.flow}{settings}")


def has_few_images(group: Group) -> bool:
    """Return whether a group has fewer than `FEW_IMAGES` test images."""
    # Of a measure of samples the number is of samples.
    own = group.measure == BITS_PER_DIM
    return own and group.images is not None and group.images < FEW_IMAGES


def format_pair(pair: Summary) -> str:
    """Return a difference with its interval, such as '-0.100 ± 0.015'."""
    mean, half = format_number(pair.mean, 3, sign=True), pair.half_width
    return mean if half is None else f"{mean} ± {format_number(half, 3)}"


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
        says = (
            f"{format_count(found.n, 'seed')} cannot tell {rule} ({MIN_SEEDS} are the least) from"
        )
    settings = f"{printable(short_settings(group))}, " if group.settings else ""
    few = ""
    if group.images is not None and has_few_images(group):
        few = f", on {format_count(group.images, 'test image')} alone"
    return short, (
        f"With {printable(group.flow)} on {printable(group.set_name)}, {group.steps} steps, "
        f"{settings}{says} {printable(group.reference or '')}, {format_pair(found)} "
        f"{name_unit(group.unit)} over {format_count(found.n, 'seed')}{few}."
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
    return f"against the flow's own rule{by}, in {len(judged)} settings: {', '.join(parts)}."


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
        line: tuple[Any, ...] = (None,) * 4
        if low is not None and (pair := low.difference) is not None:
            few = " †" * has_few_images(group)
            line = (pair.n, format_pair(pair), _draw_interval(pair, widest), f"{_word(low)}{few}")
        rows.append((number, name_setting(group), group.steps, own, *line))
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


def _draw_interval(difference: Summary, widest: float) -> str:
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
