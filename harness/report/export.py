"""One export: what is asked for, in a form, as bytes. The same database gives the same bytes."""

# Which results are asked for: KEY=VALUE of columns, bound as parameters and never as SQL
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version
from typing import Any

from lcma.db import QueryResult, Store
from lcma.db.schema import REVISIONS, views
from lcma.harness.report.board import (
    board_as_latex,
    board_as_markdown,
    board_json_parts,
    board_rows,
)
from lcma.harness.report.paper import paper_as_text, paper_rows
from lcma.harness.report.tables import (
    latex_of_rows,
    parquet_of_rows,
    rows_as_csv,
    rows_as_json,
    rows_as_markdown,
)
from lcma.harness.report.verdicts import verdict_rows, verdicts_as_dict, verdicts_as_markdown
from lcma.harness.results.board import Board, ColumnValue, no_garbage_collection, read_board
from lcma.harness.results.grouping import DEFAULT, group_rows
from lcma.harness.results.lookup import require_results
from lcma.harness.results.paper import compare_with_paper
from lcma.harness.results.verdicts import Verdicts, read_verdicts
from lcma.harness.text import printable, to_json
from lcma.sweeps.errors import UserError

NULL = "null"


def parse_filters(assignments: Sequence[str], view: str = "trial_results") -> dict[str, Any]:
    """`["flow=glow", "seed=0", "seed=1"]` as `{"flow": ("glow",), "seed": (0, 1)}`.

    Values have the type of their column, `null` is null, and a column that is named several times
    may have any of the values. Raises UserError for another column, or a value it cannot have.
    """
    columns = views.tables[view].c
    found: dict[str, tuple[ColumnValue, ...]] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        name = name.strip()
        if not equals:
            raise UserError(
                f"--where {printable(assignment)!r}: give KEY=VALUE such as flow=realnvp"
            )
        if name not in columns:
            raise UserError(
                f"--where {printable(name)!r}: no such column; choose among "
                f"{', '.join(columns.keys())}"
            )
        kind = columns[name].type.python_type
        found[name] = (*found.get(name, ()), _value(name, text, kind))
    return dict(found)


def _value(name: str, text: str, kind: type) -> ColumnValue:
    if text == NULL:
        return None
    if kind is str:
        return text
    try:
        return int(text) if kind is int else float(text)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise UserError(f"--where {name}={printable(text)}: {name} is {wanted}") from None


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
        return _rows(store.view_rows("trial_results", **where), form, "Results")
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


# What an export was made of, for whoever finds the file: stored beside it

SUFFIX = ".manifest.json"


def make_manifest(content: bytes, query: Mapping[str, Any]) -> str:
    """JSON with the schema of the database, the query, the version of lcma, and the digest.

    Nothing in it depends on when or where the export was made.
    """
    return (
        to_json(
            {
                "generator": f"lcma {version('lcma')}",
                "schema": REVISIONS[-1],
                "query": dict(query),
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        )
        + "\n"
    )
