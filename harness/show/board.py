"""The board for a terminal, and as JSON, Markdown, LaTeX and CSV."""

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from lcma.db import QueryResult
from lcma.harness.results.board import (
    COMPARABLE_FACTS,
    MIN_SEEDS,
    Board,
    BoardRow,
    Group,
    Holdout,
    name_measure,
    name_unit,
)
from lcma.harness.results.claims import find_low, list_budgets
from lcma.harness.results.statistics import Summary
from lcma.harness.show.notes import find_failed_controls, list_notes, name_image
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
"""With fewer test images a group is marked."""

PAIRS_MARK = "n: pairs of seeds / seeds behind the mean"


# A group as people read it


def _mark_name(row: BoardRow) -> str:
    marks = (row.label, "*" * row.reference, "†" * (row.cleared is False), row.options_label)
    return " ".join(filter(None, marks))


def _format_published(row: BoardRow, *, sources: bool = True) -> str | None:
    texts = [f"{n.bits_per_dim:.2f}{f' ({n.where})' * sources}" for n in row.published]
    return ", ".join(texts if sources else dict.fromkeys(texts)) or None


def _count_pairs(row: BoardRow) -> int:
    """Return how many seeds decide a row's word: those of its difference, else all of its own."""
    return row.n if row.difference is None else row.difference.n


def _format_seeds(row: BoardRow) -> str:
    pairs = _count_pairs(row)
    return str(row.n) if pairs == row.n else f"{pairs}/{row.n}"


def _format_standing(row: BoardRow) -> str | None:
    best = row.best and _count_pairs(row) >= MIN_SEEDS
    return " ".join(filter(None, (row.than_reference, "best" * best))) or None


COLUMNS = (
    TableColumn("factorization", of=_mark_name),
    TableColumn(
        "budget",
        kind="number",
        meaning="Training steps of the pretraining that made the rule's map; none for a rule that "
        "reads no map.",
    ),
    TableColumn(
        "n",
        kind="number",
        of=_format_seeds,
        meaning="Seeds with a result; 12/28 if only 12 of 28 are shared with the other row of a "
        f"difference. Fewer than {MIN_SEEDS} decide nothing.",
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
        meaning="Mean over seeds of one row minus another; on the leaderboard, minus the row "
        "marked *. Results are subtracted in pairs of one seed, as was fixed before any result: a "
        "seed gives all rows the same initial weights, images and noise. That is valid whether or "
        "not results of a seed rise and fall together. In the reference they hardly do, so pairing "
        "narrows most intervals little.",
    ),
    TableColumn(
        "half_width",
        "± 95 %",
        kind="number",
        places=4,
        of="difference.half_width",
        meaning="Half of the 95 % t-interval of the mean difference. Among many rows some "
        "intervals exclude zero by chance: `lcma verdicts` allows for that.",
    ),
    TableColumn(
        "than",
        "than *",
        of=_format_standing,
        meaning="Better or worse than the row marked *, by the 95 % interval of the difference; "
        f"neither if it contains zero; empty with fewer than {MIN_SEEDS} pairs. It compares only "
        "this pair: `lcma verdicts` judges claims about several.",
    ),
)
"""Columns for people, without the printed numbers, which are added where there are any."""

PRINTED_COLUMN = TableColumn(
    "published",
    "printed",
    right=True,
    of=_format_published,
    meaning="What papers print for such a row, in bits/dim. Their trainings are longer.",
)


def group_table(group: Group, *, sources: bool = True) -> Table:
    """Return a group for people: the reference, then the other rows by their differences.

    With ``sources``, each printed number has the place where it is printed.
    """
    measure = name_measure(group.measure)
    columns = [replace(c, heading=measure) if c.name == "mean" else c for c in COLUMNS]
    if any(row.published for row in group.rows):
        columns.append(replace(PRINTED_COLUMN, of=partial(_format_published, sources=sources)))
    rows = sorted(group.rows, key=lambda row: _rank_row(row, group.direction))
    any_worse = any(row.n >= MIN_SEEDS and not row.near_best for row in rows)
    near = [i for i, row in enumerate(rows) if row.near_best and any_worse]
    title, subtitle = format_titles(group)
    return tabulate(
        rows,
        *columns,
        title=title,
        subtitle=subtitle,
        notes=tuple(_list_footnotes(group)),
        styles={(0, j): "bold" for j in range(len(columns)) if rows and rows[0].reference},
        bold=frozenset((i, j) for i in near for j in (0, 3)),
    )


def _rank_row(row: BoardRow, direction: str | None) -> tuple[bool, bool, float]:
    value = row.mean if row.difference is None else row.difference.mean
    if value is None:
        value = math.inf
    elif direction == "higher":
        value = -value
    return not row.reference, row.difference is None, value


def format_titles(group: Group) -> tuple[str, str]:
    """Return a group's title, and a line with the facts that separate it from others."""
    settings = f"; {printable(group.settings)}" if group.settings else ""
    images = "" if group.images is None else f"{format_count(group.images, name_image(group))}, "
    subtitle = (
        f"data {short_id(group.data_digest)}, {images}recipe {short_id(group.recipe_id)}, "
        f"protocol {printable(group.protocol)}, {printable(group.precision)}"
    )
    return f"{name_group(group)}{settings}", subtitle


def name_group(group: Group) -> str:
    """Return a group's title without the settings in which groups differ."""
    ours = group.profile == "paper" and not group.published_recipe
    return (
        f"{printable(group.dataset)} ({printable(group.variant)}), {printable(group.flow)}, "
        f"{printable(group.profile)}{' (recipe: ours)' if ours else ''}: {group.steps} steps, "
        f"{format_count(group.splits, 'split')}"
    )


def _list_footnotes(group: Group) -> Iterator[str]:
    against = printable(group.against)
    own = [row for row in group.rows if row.conventional]
    if group.reference is None and group.against == "conventional" and len(own) > 1:
        yield "*: the flow's own rule has several rows here: name one with --against and --where."
    elif group.reference is None:
        yield f"*: {against} has no results here, so there are no differences."
    else:
        rule = ", the flow's own rule" if against == "conventional" else ""
        yield (
            f"*: {printable(group.reference)}{rule}. Differences are from this row, in "
            f"{name_unit(group.unit)}, paired by seed; "
            f"{'above' if group.direction == 'higher' else 'below'} 0 is better. ± 95 %: half of "
            "the t-interval."
        )
    if _has_partly_shared_seeds(group):
        yield f"{PAIRS_MARK}."
    if bars := _list_bars(group):
        yield f"Bars: {bars}."
    yield from list_notes(group)
    yield f"Made with {'; '.join(map(printable, group.made_with))}."


def _has_partly_shared_seeds(group: Group) -> bool:
    return any(_count_pairs(row) != row.n for row in group.rows)


def _list_bars(group: Group) -> str:
    """Return the bits/dim that a row has to be below, each with its name."""
    bars = sorted(
        (bar.bits_per_dim, bar.name) for bar in group.bars if bar.bits_per_dim is not None
    )
    return ", ".join(f"{printable(name)} {format_number(bits, 3)}" for bits, name in bars)


def fails_controls(group: Group) -> bool:
    return bool(find_failed_controls(group.measure, group.sample_controls))


def describe_lost(board: Board) -> list[str]:
    """Return a line on the number of lost trials, or no line."""
    if not board.diverged and not board.failed:
        return []
    diverged = format_count(board.diverged, "trial")
    return [f"{diverged} diverged, {board.failed} failed: `lcma status` says why."]


def _list_ending(board: Board) -> list[str]:
    empty = [] if board.groups else ["No results yet."]
    return [*empty, *describe_lost(board)]


def render_board(board: Board, *, notes: bool = True) -> RenderableType:
    """Return the board for a terminal of 80 columns or more, with all notes or only a legend."""
    parts: list[RenderableType] = []
    for group in board.groups:
        table = group_table(group, sources=notes)
        if not notes:
            table = replace(table, notes=tuple(filter(None, (_describe_marks(group),))))
        parts += [render_table(table, compact=True), Text()]
    return Lines(*parts, *map(Text, _list_ending(board)))


def _describe_marks(group: Group) -> str:
    bars = _list_bars(group)
    marks = {
        "*: the row that differences are from": any(row.reference for row in group.rows),
        PAIRS_MARK: _has_partly_shared_seeds(group),
        "neither: no significant difference": any(
            row.than_reference == "neither" for row in group.rows
        ),
        f"bars: {bars}": bool(bars),
        "†: above a bar": any(row.cleared is False for row in group.rows),
        "!: the measure fails its controls": fails_controls(group),
        "printed: in a paper": any(row.published for row in group.rows),
    }
    return "; ".join(mark for mark, applies in marks.items() if applies)


def board_as_markdown(board: Board) -> str:
    """Return one GitHub table for each group."""
    parts = [table_as_markdown(group_table(group)) for group in board.groups]
    parts.append("".join(f"{escape_markdown(line)}\n" for line in _list_ending(board)))
    return "\n".join(parts).rstrip("\n") + "\n"


def board_as_latex(board: Board) -> str:
    """Return a table for each group.

    If any row is worse than the best, the best and those that do not differ from it significantly
    are bold. The caption says so, and whether the measure fails its controls.
    """
    tables = []
    for group in board.groups:
        table = group_table(group)
        bold = "; bold: the best mean, and rows whose difference from it is not significant"
        fails = f"; ! {group.measure} fails its controls on this data set"
        caption = f"{bold * bool(table.bold)}{fails * fails_controls(group)}"
        tables.append(replace(table, subtitle=f"{table.subtitle}{caption}"))
    return tables_as_latex(tables, _list_ending(board))


# For programs

_GROUP_COLUMNS = (
    *COMPARABLE_FACTS,
    *("profile", "splits", "size", "steps", "images", "clusters", "standard_error", "reference"),
    *("settings", "against", "whole", "measure", "unit", "direction"),
)
_ROW_COLUMNS = {
    **{name: name for name in ("factorization", "label", "budget", "map_options", "conventional")},
    **{"n": "n", "mean": "mean", "standard_deviation": "deviation"},
    **{"difference": "difference.mean", "difference_standard_error": "difference.standard_error"},
    **{"pairs": "difference.n", "low": "difference.low", "high": "difference.high"},
    "half_width": "difference.half_width",
    **{name: name for name in ("diverged", "failed", "cleared", "published")},
    **{"mean_low": "low", "mean_high": "high", "than_reference": "than_reference", "best": "best"},
}
"""Columns of a row, and where each is read."""


def board_table(board: Board) -> Table:
    """Return a row for each row and each bar of each group, with the facts of the group."""
    rows: list[tuple[Any, ...]] = []
    for group in board.groups:
        shared = [flag_as_stored(getattr(group, name)) for name in _GROUP_COLUMNS]
        lines = list(map(_read_row, group.rows))
        lines += [
            {"label": f"bar: {bar.name}", "conventional": 0, "mean": bar.bits_per_dim}
            for bar in group.bars
        ]
        rows += [(*shared, *map(line.get, _ROW_COLUMNS)) for line in lines]
    return make_table(QueryResult((*_GROUP_COLUMNS, *_ROW_COLUMNS), tuple(rows), False), "Board")


def _read_row(row: BoardRow) -> dict[str, Any]:
    values = {
        name: flag_as_stored(TableColumn(name, of=path).read(row))
        for name, path in _ROW_COLUMNS.items()
    }
    return values | {"published": _format_published(row) or "", "pairs": values["pairs"] or 0}


def board_as_json(board: Board) -> str:
    """Return all numbers in full; a missing one is null."""
    groups = [
        {name: getattr(group, name) for name in (*_GROUP_COLUMNS, "made_with")}
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
    values = {name: TableColumn(name, of=path).read(row) for name, path in _ROW_COLUMNS.items()}
    values |= {name: getattr(row, name) for name in ("reference", "seeds", "values")}
    return values | {"published": list(map(asdict, row.published))}


# Sentences about a group


def name_row(row: BoardRow) -> str:
    """Return a name for a row that no other row of its group has."""
    budget = "" if row.budget is None else f" @{row.budget}"
    options = "" if row.options_label is None else f" {row.options_label}"
    return printable(f"{row.label}{budget}{options}")


def short_settings(group: Group) -> str:
    """Return a group's differing settings, without the sections of the recipe."""
    return re.sub(r"(?:\w+\.)+(?=\w+=)", "", group.settings)


def name_setting(group: Group) -> str:
    """Return data set and flow of a group, with its differing settings."""
    settings = f" {short_settings(group)}" if group.settings else ""
    protocol = f" {group.protocol}" if group.protocol == "published" else ""
    return printable(f"{group.set_name} {group.flow}{settings}{protocol}")


def has_few_images(group: Group) -> bool:
    """Return whether a group has fewer than `FEW_IMAGES` test images."""
    # For a measure of samples, `images` counts samples.
    is_bits = group.measure == BITS_PER_DIM
    return is_bits and group.images is not None and group.images < FEW_IMAGES


def format_pair(pair: Summary) -> str:
    """Return a difference with its interval, such as '-0.100 ± 0.015'."""
    half = pair.half_width
    places = 1 - math.floor(math.log10(half)) if half and half < 0.0005 else 3
    mean = format_number(pair.mean, places, sign=True)
    return mean if half is None else f"{mean} ± {format_number(half, places)}"


def judge_low(group: Group, holdout: Holdout) -> str | None:
    """Return the standing of the paper's rule in a group, a key of `STANDINGS`.

    The rule is taken at the budget that verdicts use. None where it has no difference.
    """
    row = find_low(group, holdout)
    if row is None or row.difference is None or row.difference.half_width is None:
        return None
    return row.than_reference or "too few seeds"


STANDINGS = {
    "better": "better",
    "worse": "worse",
    "neither": "not significantly different",
    "too few seeds": "short of seeds",
}
"""The words of a summary for what `judge_low` says, in order."""


def summarize_low(board: Board, holdout: Holdout) -> str | None:
    """Return in how many groups the paper's rule is better, worse or neither.

    None where fewer than two groups compare it.
    """
    judged = [(low, group) for group in board.groups if (low := judge_low(group, holdout))]
    if len(judged) < 2:
        return None
    parts = []
    for standing, words in STANDINGS.items():
        if groups := [group for name, group in judged if name == standing]:
            few = sum(map(has_few_images, groups))
            note = f" ({few} on fewer than {FEW_IMAGES:,} test images)" if few else ""
            parts.append(f"{words} in {len(groups)}{note}")
    measure = judged[0][1].measure
    by = "" if measure == BITS_PER_DIM else f" by {printable(measure)}"
    return f"against the flow's own rule{by}, in {len(judged)} settings: {', '.join(parts)}."


# A line for each of several tables

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

INTERVAL_WIDTH = 13
"""Characters of an interval drawn in text, with zero in the middle."""


def render_overview(board: Board, holdout: Holdout) -> RenderableType:
    """Return a line for each group, for a terminal: its own rule, and the paper's rule minus it.

    The paper's rule is taken at its best budget by the holdout part, as for verdicts.
    """
    lows = [(group, find_low(group, holdout)) for group in board.groups]
    pairs = [low.difference for _, low in lows if low is not None and low.difference]
    ends = [abs(end) for pair in pairs for end in (pair.low, pair.high) if end is not None]
    widest = max(ends, default=0.0) or 1.0
    profiles = defaultdict[tuple[str, int], set[str]](set)
    for group in board.groups:
        profiles[name_setting(group), group.steps].add(group.profile)
    rows = []
    for number, (group, low) in enumerate(lows, 1):
        own_mean = next((row.mean for row in group.rows if row.reference), None)
        line: tuple[Any, ...] = (None,) * 4
        if low is not None and (pair := low.difference) is not None:
            few = "†" * has_few_images(group)
            words = (low.than_reference, format_chosen_budget(group, low), few)
            standing = " ".join(filter(None, words))
            line = (pair.n, format_pair(pair), _draw_interval(pair, widest), standing)
        name = name_setting(group)
        name += f" {printable(group.profile)}" if len(profiles[name, group.steps]) > 1 else ""
        rows.append((number, name, group.steps, own_mean, *line))
    parts: list[RenderableType] = []
    if (summary := summarize_low(board, holdout)) is not None:
        parts += [Text(f"low {summary}"), Text()]
    parts.append(render_table(Table(OVERVIEW, tuple(rows)), compact=True))
    if pairs:
        measure = name_measure(board.groups[0].measure)
        notes = [f"own: {measure} of the flow's own rule", "n: pairs of seeds"]
        notes.append(f"intervals are drawn from {-widest:.2g} to {widest:+.2g}")
        if any(low.than_reference == "neither" for _, low in lows if low is not None):
            notes.append("neither: no significant difference")
        if any(format_chosen_budget(group, low) for group, low in lows if low is not None):
            notes.append(
                "@: budget of low, the best on the holdout part by seeds 0 to 5, else the longest"
            )
        if any(has_few_images(group) for group, low in lows if low is not None):
            notes.append(f"†: fewer than {FEW_IMAGES:,} test images")
        parts.append(Text("; ".join(notes)))
    parts.append(Text("With NUMBER this command shows one table, with --notes all tables."))
    return Lines(*parts, *map(Text, describe_lost(board)))


def format_chosen_budget(group: Group, low: BoardRow) -> str:
    """Return the budget of a row of `low`, such as '@200'; empty where there is no other."""
    return f"@{low.budget}" if len(list_budgets(group)) > 1 else ""


def _draw_interval(difference: Summary, widest: float) -> str:
    """Return a line of characters: `-` for the interval, `o` for the mean and `|` for zero."""
    middle = INTERVAL_WIDTH // 2

    def at(value: float) -> int:
        return middle + round(middle * max(-1.0, min(1.0, value / widest)))

    cells = [" "] * INTERVAL_WIDTH
    if difference.low is not None and difference.high is not None:
        for k in range(at(difference.low), at(difference.high) + 1):
            cells[k] = "-"
    cells[middle] = "|"
    cells[at(difference.mean)] = "o"
    return "".join(cells)
