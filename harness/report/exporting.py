"""One export: what is asked for, in a form, as bytes. The same database gives the same bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lcma.db import QueryResult, Store
from lcma.harness.report import board as boards
from lcma.harness.report import filters, grouping, latex, paper, parquet, rows, verdicts
from lcma.harness.report.choices import require_results
from lcma.harness.report.memory import uncollected
from lcma.harness.report.text import to_json
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


def make(store: Store, query: Query, form: Format) -> bytes:
    """The export. Raises UserError where parts of the query do not go together."""
    with uncollected():
        return _made(store, query, form)


def _made(store: Store, query: Query, form: Format) -> bytes:
    where = filters.parse(query.where)
    require_results(store, None, where, "--where {name}=")
    if query.statistics and not query.by:
        raise UserError("--stat says what --by COLUMNS is to sum up: give that too")
    if query.by and query.paper:
        raise UserError("--by and --paper are two tables: give one of them")
    if query.paper:
        table = paper.of(boards.read(store, **where), query.paper)
        for_people = form in (Format.md, Format.latex)
        found = paper.as_text(table) if for_people else paper.as_rows(table)
        return _rows(found, form, table.title)
    if query.by:
        frame = store.results(**where)
        statistics = query.statistics or grouping.DEFAULT
        summed = grouping.group(frame, query.by, statistics)
        return _rows(summed, form, f"Results by {', '.join(query.by)}")
    if query.what is What.results:
        return _rows(store.view_rows("trial_results", **where), form, "Results")
    if query.what is What.verdicts:
        return _verdicts(verdicts.read(store, **where), form)
    return _board(boards.read(store, **where), form)


def _board(board: boards.Board, form: Format) -> bytes:
    if form is Format.json:
        return b"".join([*(part.encode() for part in boards.json_parts(board)), b"\n"])
    if form is Format.md:
        return boards.as_markdown(board).encode()
    if form is Format.latex:
        return boards.as_latex(board).encode()
    return _rows(boards.as_rows(board), form, "Board")


def _verdicts(found: verdicts.Verdicts, form: Format) -> bytes:
    if form is Format.json:
        return _json(verdicts.as_dict(found))
    if form is Format.md:
        return verdicts.as_markdown(found).encode()
    return _rows(verdicts.as_rows(found), form, "Verdicts")


def _rows(found: QueryResult, form: Format, title: str) -> bytes:
    if form is Format.parquet:
        return parquet.of_rows(found)
    if form is Format.latex:
        return latex.of_rows(found, title).encode()
    if form is Format.json:
        return (rows.as_json(found) + "\n").encode()
    return (rows.as_markdown(found) if form is Format.md else rows.as_csv(found)).encode()


def _json(content: Mapping[str, Any]) -> bytes:
    return (to_json(content) + "\n").encode()


def listed(texts: Sequence[str]) -> tuple[str, ...]:
    """`["a,b", "c"]` as `("a", "b", "c")`."""
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())
