"""One export, in one format, as bytes. The same database gives the same bytes."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.metadata import version
from typing import Any

from lcma.db import QueryResult, Store, select_view
from lcma.db.migrate import current_version
from lcma.harness.results.board import Board, filter_board, read_board
from lcma.harness.results.filters import complete_ids, parse_filters
from lcma.harness.results.grouping import DEFAULT_STATISTICS, group_rows
from lcma.harness.results.lookup import find_sweep, require_results
from lcma.harness.results.paper import PaperTable, PaperValue, compare_with_paper
from lcma.harness.results.verdicts import Verdicts, read_verdicts
from lcma.harness.show.board import (
    board_as_json,
    board_as_latex,
    board_as_markdown,
    board_table,
)
from lcma.harness.show.tables import (
    Table,
    TableColumn,
    make_table,
    table_as_csv,
    table_as_json,
    table_as_markdown,
    table_as_parquet,
    tables_as_latex,
)
from lcma.harness.show.verdicts import verdict_table, verdicts_as_dict, verdicts_as_markdown
from lcma.harness.text import format_number, to_json
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM

SUFFIX = ".manifest.json"
"""Ending of the file with an export's manifest, after the export's own name."""


class ExportContent(StrEnum):
    """Content of an export."""

    board = "board"
    results = "results"
    verdicts = "verdicts"


class ExportFormat(StrEnum):
    """Format of an export."""

    csv = "csv"
    json = "json"
    md = "md"
    latex = "latex"
    latex_tables = "latex-tables"
    parquet = "parquet"


LATEX = (ExportFormat.latex, ExportFormat.latex_tables)


@dataclass(frozen=True)
class ExportQuery:
    """Selection of an export.

    ``where`` are KEY=VALUE of columns of `results`. ``factorizations`` are those of the
    board's rows, beside what they are compared with; of results the only ones. ``group_by`` are
    columns to sum results up by, with these ``statistics``. ``paper`` is the number of a table of
    the paper. ``measure`` is what the board is ranked by, or verdicts are judged by. ``sweep`` is
    the name or id of the one whose trials count, None for all.
    """

    what: ExportContent = ExportContent.board
    where: tuple[str, ...] = ()
    factorizations: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    statistics: tuple[str, ...] = ()
    paper: str | None = None
    measure: str = BITS_PER_DIM
    sweep: str | None = None

    def as_dict(self, form: ExportFormat) -> dict[str, Any]:
        """Return the query for a manifest."""
        return {
            "what": str(self.what),
            "format": str(form),
            "where": list(self.where),
            **({"factorization": list(self.factorizations)} if self.factorizations else {}),
            "group_by": list(self.group_by),
            "stat": list(self.statistics),
            "paper": self.paper,
            "measure": self.measure,
            **({} if self.sweep is None else {"sweep": self.sweep}),
        }


def make_export(store: Store, query: ExportQuery, form: ExportFormat) -> bytes:
    """Return the export. Raises UserError where parts of the query do not go together."""
    ranked = query.what is ExportContent.board and not query.group_by and not query.paper
    rules = () if ranked else query.factorizations
    sweep_id = None if query.sweep is None else find_sweep(store, query.sweep).id
    where = complete_ids(store, sweep_id, parse_filters(query.where, factorization=rules))
    require_results(store, sweep_id, where)
    if query.statistics and not query.group_by:
        raise UserError("--stat says what --group-by COLUMNS is to sum up: give that too")
    tables = [] if query.what is ExportContent.board else [str(query.what)]
    tables += ["--group-by"] if query.group_by else []
    tables += ["--paper"] if query.paper else []
    if len(tables) > 1 and tables != ["results", "--group-by"]:
        raise UserError(f"{tables[0]} and {tables[1]} are two tables: give one of them")
    takes_any = query.what is not ExportContent.results and not query.group_by and not query.paper
    if query.measure != BITS_PER_DIM and not takes_any:
        raise UserError(
            "--by is what the board is ranked by, or verdicts are judged by: export one of these"
        )
    if query.paper:
        found = compare_with_paper(read_board(store, sweep_id=sweep_id, **where), query.paper)
        for_people = form in (ExportFormat.md, *LATEX)
        return _write(paper_table(found, in_full=not for_people), form)
    if query.group_by:
        statistics = query.statistics or DEFAULT_STATISTICS
        summed = group_rows(
            store.view("results", sweep_id=sweep_id, **where), query.group_by, statistics
        )
        return _write(make_table(summed, f"Results by {', '.join(query.group_by)}"), form)
    if query.what is ExportContent.results:
        select = select_view("results", sweep_id=sweep_id, **where)
        names = tuple(select.selected_columns.keys())
        rows = QueryResult(names, tuple(map(tuple, store.rows(select))), truncated=False)
        return _write(make_table(rows, "Results"), form)
    chosen = {"measure": query.measure, "sweep_id": sweep_id, **where}
    if query.what is ExportContent.verdicts:
        return _write_verdicts(read_verdicts(store, **chosen), form)
    board = read_board(store, **chosen)
    if query.factorizations:
        board = filter_board(board, query.factorizations)
    return _write_board(board, form)


def paper_table(found: PaperTable, *, in_full: bool) -> Table:
    """Return the table; for people with two decimals as printed, and four of ours."""

    def show(of: str, value: PaperValue) -> PaperValue:
        if in_full or not isinstance(value, float):
            return value
        places = 2 if of == "paper" else 4
        return format_number(value, places, sign=of.startswith("difference"))

    columns = (
        TableColumn("row"),
        TableColumn("bits_per_dim", "bits/dim"),
        *map(TableColumn, found.columns),
    )
    rows = tuple(
        (name, of, *(show(of, value) for value in values)) for name, of, values in found.rows
    )
    return Table(columns, rows, found.title)


def _write_board(board: Board, form: ExportFormat) -> bytes:
    if form is ExportFormat.json:
        return (board_as_json(board) + "\n").encode()
    if form is ExportFormat.md:
        return board_as_markdown(board).encode()
    if form in LATEX:
        return board_as_latex(board, whole=form is ExportFormat.latex).encode()
    return _write(board_table(board), form)


def _write_verdicts(verdicts: Verdicts, form: ExportFormat) -> bytes:
    if form is ExportFormat.json:
        return (to_json(verdicts_as_dict(verdicts)) + "\n").encode()
    if form is ExportFormat.md:
        return verdicts_as_markdown(verdicts).encode()
    return _write(verdict_table(verdicts), form)


def _write(table: Table, form: ExportFormat) -> bytes:
    if form is ExportFormat.parquet:
        return table_as_parquet(table)
    if form in LATEX:
        return tables_as_latex([table], whole=form is ExportFormat.latex).encode()
    if form is ExportFormat.json:
        return (table_as_json(table) + "\n").encode()
    if form is ExportFormat.md:
        return table_as_markdown(replace(table, title="")).encode()
    return table_as_csv(table).encode()


def split_list(texts: Sequence[str]) -> tuple[str, ...]:
    """Return `["a,b", "c"]` as `("a", "b", "c")`."""
    return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())


# The manifest stored beside an export


def make_manifest(content: bytes, query: Mapping[str, Any]) -> str:
    """Return JSON with the schema of the database, the query, the version of lcma, and the digest.

    Nothing in it depends on when or where the export was made.
    """
    return (
        to_json(
            {
                "generator": f"lcma {version('lcma')}",
                "schema": current_version(),
                "query": dict(query),
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        )
        + "\n"
    )
