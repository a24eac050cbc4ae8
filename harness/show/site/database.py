"""The database of a site: published results, and tables of statistics that Python computes.

The page only queries it in the browser; it computes no statistics but those of the pair in Compare.
"""

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import metadata, version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import sqlalchemy as sa

from lcma.db import Store, connect, publishing
from lcma.db.migrate import current_version
from lcma.db.schema import attempts, jobs, measures
from lcma.harness.results.board import (
    COMPARABLE_FACTS,
    Board,
    Group,
    Holdout,
    find_ranked_measure,
    read_board,
    read_holdout,
)
from lcma.harness.results.budgets import BudgetCurve, read_budget_curves
from lcma.harness.results.verdicts import Verdicts, read_verdicts
from lcma.harness.show.board import board_table
from lcma.harness.show.budgets import budget_table, list_rows
from lcma.harness.show.meanings import MEANINGS, explain_measure
from lcma.harness.show.rules import SIDE, TEXTS, list_rules
from lcma.harness.show.tables import Table, flag_as_stored
from lcma.harness.show.verdicts import verdict_table
from lcma.harness.text import format_time
from lcma.sweeps import known_sets
from lcma.sweeps.errors import UserError
from lcma.sweeps.factorizations import name_rule
from lcma.sweeps.measures import BITS_PER_DIM

Step = Callable[[str], None]

Rows = tuple[Sequence[str], Iterable[Sequence[Any]]]
"""Names of columns, and rows."""

PAPER = "https://arxiv.org/abs/1908.01686"


@dataclass(frozen=True)
class SiteDatabase:
    """A site's database as an SQLite file, with the results that the first page shows."""

    content: bytes
    board: Board
    holdout: Holdout
    verdicts: Verdicts
    facts: dict[str, str]


def make_database(
    store: Store,
    *,
    sweep_id: str | None = None,
    measure: str = BITS_PER_DIM,
    step: Step = lambda _: None,
) -> SiteDatabase:
    """Return the database of a site. The same results give the same bytes.

    Users, hosts, arguments, messages and places are left out, as by `lcma db publish`.

    Args:
        store: The results.
        sweep_id: Only this sweep's trials.
        measure: The measure by which the board is ranked.
        step: Called with the name of each step.
    """
    with tempfile.TemporaryDirectory(prefix="lcma-site-") as folder:
        copy, out = Path(folder, "copy.sqlite"), Path(folder, "results.sqlite")
        step("copying results")
        with _open_published(store, copy, sweep_id) as published:
            step("comparing rules")
            board = read_board(published, measure=measure)
            holdout = read_holdout(published)
            verdicts = read_verdicts(published, holdout, measure=measure)
            curves = _read_curves(published, measure)
            facts = _state_facts(published, measure)
        tables: dict[str, Rows] = {
            "board_rows": _list_board(board),
            "verdict_rows": _list_verdicts(verdicts),
            "budget_rows": _list_budgets(curves),
            "rule_rows": _list_rules(board),
            "glossary": (
                ("term", "meaning"),
                [(term, meaning.replace("`", "")) for term, meaning in MEANINGS.values()],
            ),
            "data_licences": (
                ("name", "licence"),
                [(name, data_set.licence) for name, data_set in known_sets.shipped().items()],
            ),
            "site_facts": (("name", "value"), facts.items()),
        }
        try:
            with closing(sqlite3.connect(copy)) as connection:
                for name, (columns, rows) in tables.items():
                    _write_table(connection, name, columns, rows)
                connection.commit()
                step("compressing the database")
                connection.execute("VACUUM INTO ?", (str(out),))
        except sqlite3.Error as error:
            raise UserError(f"cannot write {folder}: {error}; make room there") from None
        return SiteDatabase(out.read_bytes(), board, holdout, verdicts, facts)


@contextmanager
def _open_published(store: Store, path: Path, sweep_id: str | None) -> Iterator[Store]:
    """Open a published copy of the results, which is empty where no trial has ended."""
    try:
        publishing.publish(store.database, path, sweep_ids=[] if sweep_id is None else [sweep_id])
    except publishing.NothingEnded:
        path.unlink(missing_ok=True)
    with connect(str(path)) as published:
        yield published


def _read_curves(store: Store, measure: str) -> list[BudgetCurve]:
    try:
        return read_budget_curves(store, measure=measure)
    except UserError:  # no result used a pretraining
        return []


# Tables that are computed


def _get_rows(table: Table) -> Rows:
    # Without curves there are no columns, and SQLite needs one.
    return [column.name for column in table.columns] or ["budget"], table.rows


def _list_board(board: Board) -> Rows:
    """Return the table that `lcma export` writes, with more columns for the page."""
    names, rows = _get_rows(board_table(board))
    place = names.index("factorization")
    page_columns = [
        (
            number,
            _make_row_key(group, line),
            getattr(line, "reference", False),
            getattr(line, "than_reference", None),
        )
        for number, group in enumerate(board.groups, start=1)
        for line in (*group.rows, *group.bars)
    ]
    joined = ((*p, name_rule(row[place]), *row) for p, row in zip(page_columns, rows, strict=True))
    return ("table_number", "row_key", "is_own", "than", "rule", *names), joined


def _make_row_key(group: Group, row: Any) -> str:
    """Return a short key for a row of a group, the same in every database that has it."""
    names = ("factorization", "budget", "map_options", "name")
    facts = [*(getattr(group, name) for name in COMPARABLE_FACTS), group.measure]
    facts += [getattr(row, name, None) for name in names]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:10]


def _list_budgets(curves: Sequence[BudgetCurve]) -> Rows:
    """Return the rows of all curves of budgets, with two facts of each curve."""
    names, rows = _get_rows(budget_table(curves))
    facts = [(curve.cost, curve.direction) for curve in curves for _ in list_rows(curve)]
    joined = ((*row, *fact) for row, fact in zip(rows, facts, strict=True))
    return (*names, "cost", "direction"), joined


def _list_rules(board: Board) -> Rows:
    names = {name_rule(row.factorization) or "" for group in board.groups for row in group.rows}
    rules = enumerate(list_rules(sorted(names)))
    return (
        ("rule", "about", "picture", "side", "listed", "place"),
        [(rule.name, rule.about, rule.picture, SIDE, rule.name in TEXTS, k) for k, rule in rules],
    )


def _list_verdicts(verdicts: Verdicts) -> Rows:
    """Return the table that `lcma export verdicts` writes, with the origin of each claim."""
    names, rows = _get_rows(verdict_table(verdicts))
    origins = ("ours" if v.claim.source == "ours" else "the paper" for v in verdicts.all)
    return (*names, "origin"), [(*row, o) for row, o in zip(rows, origins, strict=True)]


def _state_facts(store: Store, measure: str) -> dict[str, str]:
    kind = find_ranked_measure(store, measure)
    # From tables, because the view `results` joins ten more.
    ended = attempts.c.ended
    columns: list[Any] = [sa.func.count(), sa.func.min(ended), sa.func.max(ended)]
    extent = (
        sa.select(*columns)
        .join_from(measures, jobs, jobs.c.done_attempt_id == measures.c.attempt_id)
        .join(attempts, attempts.c.id == measures.c.attempt_id)
        .where(measures.c.name == BITS_PER_DIM)
    )
    ((results, first, last),) = store.rows(extent)
    urls = dict(line.split(", ", 1) for line in metadata("lcma").get_all("Project-URL") or ())
    code, release = urls.get("Repository", ""), version("lcma").split("+")[0]
    bibtex = Template((files("lcma.harness.show.site") / "assets" / "citation.bib").read_text())
    return {
        "measure": measure,
        "measure_about": explain_measure(kind),
        "direction": kind.direction or "",
        "version": release,
        "schema": current_version(),
        "results": str(results),
        "first": "" if first is None else format_time(first)[:10],
        "last": "" if last is None else format_time(last)[:10],
        "bibtex": bibtex.substitute(version=release, url=f"  url = {{{code}}},\n" if code else ""),
        "paper": PAPER,
        "code": code,
    }


def _write_table(
    connection: sqlite3.Connection, name: str, names: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    quoted, places = ", ".join(f'"{column}"' for column in names), ", ".join("?" * len(names))
    connection.execute(f"CREATE TABLE {name} ({quoted})")
    stored = ([flag_as_stored(value) for value in row] for row in rows)
    connection.executemany(f"INSERT INTO {name} VALUES ({places})", stored)  # noqa: S608 - the names are constants
    if "row_key" in names:
        connection.execute(f"CREATE INDEX ix_{name}_row_key ON {name} (row_key)")
