"""The board for a terminal, and as JSON, Markdown, LaTeX and CSV."""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from rich import box
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lcma.db import Bar, QueryResult
from lcma.harness.report.tables import LatexTable, flag_as_stored, latex_document, rows_as_csv
from lcma.harness.results.board import (
    ENOUGH,
    Board,
    BoardRow,
    Group,
    factorization_label,
)
from lcma.harness.results.statistics import PairedTest
from lcma.harness.terminal import text_cell
from lcma.harness.text import escape_markdown, format_number, printable, short_id

HEADINGS = (
    "factorization",
    "budget",
    "n",
    "bits/dim",
    "sd",
    "difference",
    "± 95 %",
    "pairs",
    "rank",
)

_NOT_IN_CSV = ("rows", "notes", "made_with", "bars")


def render_board(board: Board) -> RenderableType:
    """Return the board for a terminal of 80 columns or more."""
    parts: list[RenderableType] = []
    for group in board.groups:
        title, under = format_titles(group)
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=0)
        table.add_column(HEADINGS[0], overflow="fold")
        for heading in _headings(group)[1:]:
            # Printed numbers take several lines before any number of ours is cut short.
            printed = heading == "published"
            table.add_column(heading, justify="right", no_wrap=not printed, min_width=4 * printed)
        for style, texts in _format_lines(group):
            table.add_row(*(Text(text, style=style) for text in texts))
        notes = [Text(note, style="dim") for note in list_lines_below(group)]
        parts += [Text(title, style="bold"), Text(under, style="dim"), table, *notes, Text()]
    parts += [Text(line) for line in _ending(board)]
    return Lines(*parts)


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
_GROUP = tuple(f.name for f in fields(Group) if f.name != "rows")
_ROW = (
    "factorization",
    "label",
    "budget",
    "map_options",
    "conventional",
    "seeds",
    "bits_per_dim",
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
    "rank",
)
_TEST = (
    "standard_error",
    "low",
    "high",
    "t_p",
    "sign_flip_p",
    "holm_p",
    "detectable",
)


def _row_dict(row: BoardRow) -> dict[str, Any]:
    found = {name: getattr(row, name) for name in _ROW}
    found["published"] = [asdict(number) for number in row.published]
    test = row.difference
    if test is not None:
        tests = {name: getattr(test, name) for name in _TEST}
        pairs = {"mean": test.mean, "standard_error": test.standard_error, "pairs": test.n}
        found["difference"] = pairs | tests
    return found


def board_as_markdown(board: Board) -> str:
    """Return one GitHub table for each group."""
    lines: list[str] = []
    for group in board.groups:
        title, under = format_titles(group)
        lines += [f"### {escape_markdown(title)}", "", escape_markdown(under), ""]
        headings = _headings(group)
        lines.append("| " + " | ".join(headings) + " |")
        lines.append("| --- |" + " ---: |" * (len(headings) - 1))
        for _, texts in _format_lines(group):
            lines.append("| " + " | ".join(escape_markdown(text) for text in texts) + " |")
        lines += ["", *(f"- {escape_markdown(note)}" for note in list_lines_below(group)), ""]
    lines += [escape_markdown(line) for line in _ending(board)]
    return "\n".join(lines).rstrip("\n") + "\n"


def board_as_latex(board: Board) -> str:
    """Return a document with a table for each group.

    Rows of rank 1 are bold where any row has another rank, so that a test says what is best.
    """
    sections = []
    for group in board.groups:
        lines = _format_lines(group)
        ranks = [row.rank for row in group.rows if row.rank is not None]
        best = {_format_row(row)[0] + str(row.budget) for row in group.rows if row.rank == 1}
        at = HEADINGS.index("bits/dim")
        bold = frozenset(
            (i, j)
            for i, (_, texts) in enumerate(lines)
            if max(ranks, default=1) > 1 and texts[0] + texts[1].replace("-", "None") in best
            for j in (0, at)
        )
        title, under = format_titles(group)
        sections.append(
            LatexTable(
                title=f"{title} ({under})",
                headings=_headings(group),
                rows=[texts for _, texts in lines],
                notes=list_lines_below(group),
                bold=bold,
            )
        )
    return latex_document(sections, _ending(board))


def board_as_csv(board: Board) -> str:
    """Return one line for each row of each group, with all that makes it comparable."""
    return rows_as_csv(board_rows(board))


def board_rows(board: Board) -> QueryResult:
    """Return a row for each row of each group, and for each bar.

    Each has all that makes it comparable.
    """
    of_group = [f.name for f in fields(Group) if f.name not in _NOT_IN_CSV]
    of_row = (
        "factorization",
        "label",
        "budget",
        "map_options",
        "conventional",
        "n",
        "bits_per_dim",
        "standard_deviation",
        "difference",
        "difference_standard_error",
        "pairs",
        "low",
        "high",
        "diverged",
        "failed",
        "cleared",
        "published",
        "t_p",
        "sign_flip_p",
        "holm_p",
        "detectable",
        "mean_low",
        "mean_high",
        "rank",
    )
    found: list[tuple[Any, ...]] = []
    for group in board.groups:
        values = tuple(flag_as_stored(getattr(group, name)) for name in of_group)
        found += [(*values, *_row_values(row)) for row in group.rows]
        for bar in group.bars:
            cells = (None, f"bar: {bar.name}", None, None, 0, None, bar.bits_per_dim)
            found.append((*values, *cells, *(None,) * (len(of_row) - len(cells))))
    return QueryResult((*of_group, *of_row), tuple(found), truncated=False)


def _row_values(row: BoardRow) -> tuple[Any, ...]:
    found = row.difference or PairedTest(0, 0.0)
    mean = None if row.difference is None else found.mean
    return (
        row.factorization,
        row.label,
        row.budget,
        row.map_options,
        flag_as_stored(row.conventional),
        row.n,
        row.mean,
        row.deviation,
        mean,
        found.standard_error,
        found.n,
        found.low,
        found.high,
        row.diverged,
        row.failed,
        flag_as_stored(row.cleared),
        _format_published(row),
        found.t_p,
        found.sign_flip_p,
        found.holm_p,
        found.detectable,
        row.low,
        row.high,
        row.rank,
    )


def format_titles(group: Group) -> tuple[str, str]:
    """Return what a group is of, and what exactly keeps others out of it."""
    title = (
        f"{printable(group.dataset)} ({printable(group.variant)}), {printable(group.flow)}, "
        f"{printable(group.profile)}{_mark_own_recipe(group)}: {group.steps} steps, "
        f"{group.splits} splits"
    )
    if group.settings:
        title += f"; {printable(group.settings)}"
    under = (
        f"data {short_id(group.data_digest)}, recipe {short_id(group.recipe_id)}, "
        f"protocol {printable(group.protocol)}, {printable(group.precision)}"
    )
    return title, under


def _headings(group: Group) -> tuple[str, ...]:
    return HEADINGS + (("published",) if any(row.published for row in group.rows) else ())


def _format_lines(group: Group) -> list[tuple[str, list[str]]]:
    """Return style and texts of every line: rows, with the bars among them by bits/dim."""
    lines = []
    bars = [bar for bar in group.bars if bar.bits_per_dim is not None]
    bars.sort(key=lambda bar: bar.bits_per_dim or 0.0)
    blank = ["-"] * (len(_headings(group)) - 4)
    for row in group.rows:
        while bars and (row.mean is None or (bars[0].bits_per_dim or 0.0) <= row.mean):
            lines.append(("dim italic", _bar_texts(bars.pop(0), blank)))
        texts = _format_row(row)
        if len(blank) + 4 > len(HEADINGS):
            texts.append(_format_published(row) or "-")
        lines.append(("bold" if row.reference else "", texts))
    return lines + [("dim italic", _bar_texts(bar, blank)) for bar in bars]


def _bar_texts(bar: Bar, blank: list[str]) -> list[str]:
    return [f"[{printable(bar.name)}]", "-", "-", format_number(bar.bits_per_dim), *blank]


def _format_published(row: BoardRow) -> str:
    return ", ".join(f"{n.bits_per_dim:.2f} ({n.where})" for n in row.published)


def _mark_own_recipe(group: Group) -> str:
    """Return a mark for a recipe of profile `paper` that no publication has."""
    ours = group.profile == "paper" and not group.published_recipe
    return " (recipe: ours)" if ours else ""


def _format_row(row: BoardRow) -> list[str]:
    name = printable(row.label) + (" *" if row.reference else "")
    name += " †" if row.cleared is False else ""
    if row.map_options is not None:
        name += f" {printable(row.map_options)}"
    found = row.difference
    return [
        name,
        "-" if row.budget is None else str(row.budget),
        str(row.n),
        format_number(row.mean),
        format_number(row.deviation),
        format_number(None if found is None else found.mean, sign=True),
        format_number(None if found is None else found.half_width),
        "-" if found is None else str(found.n),
        "-" if row.rank is None else str(row.rank),
    ]


def list_lines_below(group: Group) -> list[str]:
    """Return the lines below a group's table."""
    if group.reference is None:
        requested = printable(group.against)
        first = f"* {requested}: no results of it here, so there are no differences."
    else:
        first = (
            f"* {printable(group.against)}. Differences from it in bits/dim, paired by "
            "seed; below 0: "
            f"fewer bits than {printable(group.reference)}. ± 95 %: half of the t-interval."
        )
    ranks = (
        "Rank: 1 + the rows with fewer bits by test (paired t, 5 %, Holm over all pairs, "
        f"{ENOUGH} common seeds at least); rows of one rank are not told apart."
    )
    return [
        first,
        ranks,
        *group.notes,
        "Made with " + "; ".join(map(printable, group.made_with)) + ".",
    ]


def _ending(board: Board) -> list[str]:
    lines = []
    if not board.groups:
        lines.append("No results yet.")
    lines += board.apart
    if board.diverged or board.failed:
        lines.append(
            f"{board.diverged} trials diverged, {board.failed} failed"
            f"{format_outcomes(board.lost)}: `lcma status` says why."
        )
    return lines


def format_outcomes(lost: Sequence[tuple[str, int]]) -> str:
    """Return how often each outcome ended lost trials, in brackets."""
    return f" ({', '.join(f'{printable(name)} {count}' for name, count in lost)})" if lost else ""


# The short form of a board with too many tables to read

_HEADINGS = ("data set", "flow", "profile", "steps", "recipe", "lowest mean", "n", "bits/dim")


def render_contents(rows: list[dict[str, Any]]) -> RenderableType:
    """Return a line for each table, for a terminal."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in _HEADINGS:
        right = heading in ("steps", "n", "bits/dim")
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for row in rows:
        best = factorization_label(row["factorization"])
        if row["budget"] is not None:
            best += f" @{row['budget']}"
        table.add_row(
            text_cell(f"{row['dataset']} ({row['variant']})"),
            text_cell(row["flow"]),
            text_cell(row["profile"]),
            str(row["steps"]),
            short_id(row["recipe_id"]),
            text_cell(best),
            str(row["n"]),
            format_number(row["mean"]),
        )
    hint = (
        f"{len(rows)} tables are too many to show at once: this is a line for each, with the "
        "lowest mean in it, which is no test. --flow, --dataset, --profile or --sweep choose; "
        "`lcma export` has them all."
    )
    return Lines(table, Text(hint))
