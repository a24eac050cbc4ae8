"""One export, in one format, as bytes. The same database gives the same bytes."""

import hashlib
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Literal, get_args

from lcma.db import QueryResult, Store, select_view
from lcma.db.migrate import current_version
from lcma.harness.results.board import (
    SOURCE,
    Board,
    compare_with_paper,
    filter_board,
    read_board,
)
from lcma.harness.results.filters import complete_ids, parse_filters
from lcma.harness.results.lookup import find_sweep, require_results
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
    flag_as_stored,
    make_table,
    table_as_csv,
    table_as_json,
    table_as_markdown,
    table_as_parquet,
    tables_as_latex,
    tabulate,
)
from lcma.harness.show.verdicts import summarize_verdicts, verdict_table, verdicts_as_dict
from lcma.harness.text import to_json
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM

SUFFIX = ".manifest.json"
"""Suffix of the file with an export's manifest."""

ExportFormat = Literal["csv", "json", "md", "latex", "parquet"]

FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)


@dataclass(frozen=True)
class ExportQuery:
    """The content of an export."""

    what: Literal["board", "results", "verdicts"] = "board"
    where: tuple[str, ...] = ()  # KEY=VALUE of columns of `results`
    factorization: tuple[str, ...] = ()  # of a board, the rows to keep beside the reference
    paper: str | None = None  # number of a table of the paper
    measure: str = BITS_PER_DIM  # by which the board is ranked or verdicts are judged
    sweep: str | None = None  # name or id of the only sweep whose trials count


def make_export(store: Store, query: ExportQuery, form: ExportFormat) -> bytes:
    """Return the export. Raises UserError where parts of the query exclude each other."""
    if query.paper and query.what != "board":
        raise UserError(f"{query.what} and --paper are two tables: give one of them")
    if query.measure != BITS_PER_DIM and (query.paper or query.what == "results"):
        raise UserError("--by names the measure of the board or of verdicts: export one of these")
    if query.what == "verdicts" and query.factorization:
        raise UserError("verdicts compare factorizations: leave --factorization out")
    rules = () if query.what == "board" and not query.paper else query.factorization
    sweep_id = None if query.sweep is None else find_sweep(store, query.sweep).id
    filters = parse_filters(query.where, factorization=rules)
    where = complete_ids(filters, partial(store.result_values, sweep_id=sweep_id))
    require_results(store, sweep_id, where, measure=query.measure)
    if query.paper:
        board = read_board(store, sweep_id=sweep_id, **where)
        return _write(make_paper_table(board, query.paper), form)
    if query.what == "results":
        select = select_view("results", sweep_id=sweep_id, **where)
        names = tuple(select.selected_columns.keys())
        results = QueryResult(names, tuple(map(tuple, store.rows(select))), truncated=False)
        return _write(make_table(results, "Results"), form)
    chosen = {"measure": query.measure, "sweep_id": sweep_id, **where}
    if query.what == "verdicts":
        return _write_verdicts(read_verdicts(store, **chosen), form)
    board = read_board(store, **chosen)
    if query.factorization:
        board = filter_board(board, query.factorization)
    return _write_board(board, form)


def make_paper_table(board: Board, number: str) -> Table:
    """Return the paper's table of that number: a row for each printed number, with ours."""
    title = f"Table {number} of the {SOURCE} paper: bits/dim as printed, ours, difference"
    return tabulate(compare_with_paper(board, number), *_PAPER_COLUMNS, title=title)


_PAPER_COLUMNS = (
    *(TableColumn(name, of=f"number.{name}") for name in ("flow", "dataset", "factorization")),
    TableColumn("printed", kind="number", places=2, of="number.bits_per_dim"),
    TableColumn("ours", kind="number", places=4, of="row.mean"),
    TableColumn("difference", kind="number", places=4, sign=True),
    TableColumn("sd", kind="number", places=4, of="row.deviation"),
    TableColumn("n", kind="number", of="row.n"),
    *(TableColumn(name, of=f"group.{name}") for name in ("profile", "protocol", "precision")),
    TableColumn("steps", kind="number", of="group.steps"),
    TableColumn("budget", kind="number", of="row.budget"),
    TableColumn(
        "whole", kind="number", of=lambda row: flag_as_stored(row.group and row.group.whole)
    ),
)


def _write_board(board: Board, form: ExportFormat) -> bytes:
    if form in ("csv", "parquet"):
        return _write(board_table(board), form)
    if form == "json":
        return f"{board_as_json(board)}\n".encode()
    if form == "md":
        return board_as_markdown(board).encode()
    return board_as_latex(board).encode()


def _write_verdicts(verdicts: Verdicts, form: ExportFormat) -> bytes:
    if form == "json":
        return f"{to_json(verdicts_as_dict(verdicts))}\n".encode()
    for_people = form in ("md", "latex")
    return _write(summarize_verdicts(verdicts) if for_people else verdict_table(verdicts), form)


def _write(table: Table, form: ExportFormat) -> bytes:
    if form == "parquet":
        return table_as_parquet(table)
    if form == "csv":
        text = table_as_csv(table)
    elif form == "json":
        text = f"{table_as_json(table)}\n"
    elif form == "md":
        text = table_as_markdown(replace(table, title=""))
    else:
        text = tables_as_latex([table])
    return text.encode()


def make_manifest(content: bytes, query: ExportQuery, form: ExportFormat) -> str:
    """Return JSON with the versions of lcma and the schema, the query, and the export's digest.

    It does not depend on when or where the export was made.
    """
    manifest = {
        "generator": f"lcma {version('lcma')}",
        "schema": current_version(),
        "query": {"format": form, **asdict(query)},
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return to_json(manifest) + "\n"
