"""One export: what is asked for, in a form, as bytes. The same database gives the same bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lcma.db import QueryResult, Store
from lcma.harness.report.board import (
    board_as_latex,
    board_as_markdown,
    board_json_parts,
    board_rows,
    read_board,
)
from lcma.harness.report.choices import require_results
from lcma.harness.report.filters import parse_filters
from lcma.harness.report.grouping import DEFAULT, group_rows
from lcma.harness.report.latex import latex_of_rows
from lcma.harness.report.memory import no_garbage_collection
from lcma.harness.report.paper import compare_with_paper, paper_as_text, paper_rows
from lcma.harness.report.parquet import parquet_of_rows
from lcma.harness.report.ranking import Board
from lcma.harness.report.rows import rows_as_csv, rows_as_json, rows_as_markdown
from lcma.harness.report.text import to_json
from lcma.harness.report.verdicts.collecting import Verdicts, read_verdicts
from lcma.harness.report.verdicts.showing import (
    verdict_rows,
    verdicts_as_dict,
    verdicts_as_markdown,
)
from lcma.sweeps.errors import UserError


class What(StrEnum):
    """What is exported."""

    board = "board"
    results = "results"
    verdicts = "verdicts"


class Format(StrEnum):
    """In which form."""

    csv = "csv"
    json = "json"
    md = "md"
    latex = "latex"
    parquet = "parquet"


@dataclass(frozen=True)
class Query:
    """``where`` are KEY=VALUE of columns of `trial_results`. ``by`` are columns to sum results up
    by, with these ``statistics``. ``paper`` is the number of a table of the paper."""

    what: What = What.board
    where: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    statistics: tuple[str, ...] = ()
    paper: str | None = None

    def as_dict(self, form: Format) -> dict[str, Any]:
        """For a manifest."""
        return {
            "what": str(self.what),
            "format": str(form),
            "where": list(self.where),
            "by": list(self.by),
            "stat": list(self.statistics),
            "paper": self.paper,
        }


def make_export(store: Store, query: Query, form: Format) -> bytes:
    """The export. Raises UserError where parts of the query do not go together."""
    with no_garbage_collection():
        return _made(store, query, form)


def _made(store: Store, query: Query, form: Format) -> bytes:
    where = parse_filters(query.where)
    require_results(store, None, where, "--where {name}=")
    if query.statistics and not query.by:
        raise UserError("--stat says what --by COLUMNS is to sum up: give that too")
    if query.by and query.paper:
        raise UserError("--by and --paper are two tables: give one of them")
    if query.paper:
        table = compare_with_paper(read_board(store, **where), query.paper)
        for_people = form in (Format.md, Format.latex)
        found = paper_as_text(table) if for_people else paper_rows(table)
        return _rows(found, form, table.title)
    if query.by:
        frame = store.results(**where)
        statistics = query.statistics or DEFAULT
        summed = group_rows(frame, query.by, statistics)
        return _rows(summed, form, f"Results by {', '.join(query.by)}")
    if query.what is What.results:
        return _rows(store.rows("trial_results", **where), form, "Results")
    if query.what is What.verdicts:
        return _verdicts(read_verdicts(store, **where), form)
    return _board(read_board(store, **where), form)


def _board(board: Board, form: Format) -> bytes:
    if form is Format.json:
        return b"".join([*(part.encode() for part in board_json_parts(board)), b"\n"])
    if form is Format.md:
        return board_as_markdown(board).encode()
    if form is Format.latex:
        return board_as_latex(board).encode()
    return _rows(board_rows(board), form, "Board")


def _verdicts(found: Verdicts, form: Format) -> bytes:
    if form is Format.json:
        return _json(verdicts_as_dict(found))
    if form is Format.md:
        return verdicts_as_markdown(found).encode()
    return _rows(verdict_rows(found), form, "Verdicts")


def _rows(found: QueryResult, form: Format, title: str) -> bytes:
    if form is Format.parquet:
        return parquet_of_rows(found)
    if form is Format.latex:
        return latex_of_rows(found, title).encode()
    if form is Format.json:
        return (rows_as_json(found) + "\n").encode()
    return (rows_as_markdown(found) if form is Format.md else rows_as_csv(found)).encode()


def _json(content: Mapping[str, Any]) -> bytes:
    return (to_json(content) + "\n").encode()


def split_list(texts: Sequence[str]) -> tuple[str, ...]:
    """`["a,b", "c"]` as `("a", "b", "c")`."""
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())
