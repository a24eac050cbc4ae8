"""The database of a site: results as published, with what Python computes of them as tables.

The page queries it in the browser and computes no statistics.
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
    COMPARABLE,
    Board,
    Group,
    find_ranked_measure,
    read_board,
    read_holdout,
)
from lcma.harness.results.budgets import BudgetCurve, read_budget_curves
from lcma.harness.results.verdicts import Verdicts, read_verdicts
from lcma.harness.show.board import board_table
from lcma.harness.show.budgets import budget_table
from lcma.harness.show.meanings import MEANINGS, explain_measure
from lcma.harness.show.rules import ABOUT, SIDE, list_rules
from lcma.harness.show.tables import Table, flag_as_stored
from lcma.harness.show.verdicts import verdict_table
from lcma.harness.text import format_time
from lcma.sweeps import known_sets
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM

Step = Callable[[str], None]

Rows = tuple[Sequence[str], Iterable[Sequence[Any]]]
"""Names of columns, and rows."""

PAPER = "https://arxiv.org/abs/1908.01686"


@dataclass(frozen=True)
class SiteDatabase:
    """A site's database as a file of SQLite, with what the first page says of it."""

    content: bytes
    board: Board
    holdout: dict[str, Group]
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

    It has no users, hosts, arguments, messages and places, as `lcma db publish` leaves these out.

    Args:
        store: The results.
        sweep_id: Only this sweep's trials; all for none.
        measure: What the board is ranked by.
        step: Called with what is done.
    """
    with tempfile.TemporaryDirectory(prefix="lcma-site-") as folder:
        copy, out = Path(folder, "copy.sqlite"), Path(folder, "results.sqlite")
        step("copying results")
        with _published(store, copy, sweep_id) as published:
            step("comparing rules")
            board = read_board(published, measure=measure)
            holdout = read_holdout(published)
            verdicts = read_verdicts(published, holdout, measure=measure)
            curves = _read_curves(published, measure)
            facts = _state_facts(published, measure)
        tables: dict[str, Rows] = {
            "board_rows": _list_board(board),
            "board_seeds": _list_seeds(board),
            "verdict_rows": _list_verdicts(verdicts),
            "budget_rows": _list_all(budget_table(curves)),
            "rule_rows": _list_rules(board),
            "glossary": (
                ("term", "meaning"),
                [(one, about.replace("`", "")) for one, about in MEANINGS.values()],
            ),
            "data_licences": (
                ("name", "licence"),
                [(name, one.licence) for name, one in known_sets.shipped().items()],
            ),
            "site_facts": (("name", "value"), facts.items()),
        }
        with closing(sqlite3.connect(copy)) as connection:
            for name, (columns, rows) in tables.items():
                _write_table(connection, name, columns, rows)
            connection.commit()
            step("compressing the database")
            connection.execute("VACUUM INTO ?", (str(out),))
        return SiteDatabase(out.read_bytes(), board, holdout, verdicts, facts)


@contextmanager
def _published(store: Store, path: Path, sweep_id: str | None) -> Iterator[Store]:
    """Open what is published of the results: nothing where no trial has ended."""
    try:
        publishing.publish(store.database, path, sweep_ids=[] if sweep_id is None else [sweep_id])
    except publishing.NothingEnded:
        path.unlink(missing_ok=True)
    with connect(f"sqlite:///{path}") as found:
        yield found


def _read_curves(store: Store, measure: str) -> list[BudgetCurve]:
    try:
        return read_budget_curves(store, measure=measure)
    except UserError:  # nothing used a pretraining
        return []


# What is computed of the results, a table each


def _list_all(table: Table) -> Rows:
    return [column.name for column in table.columns] or ["budget"], table.rows  # of no curves


def _list_board(board: Board) -> Rows:
    """Return the table that `lcma export` writes, with what the page shows beside it."""
    names, rows = _list_all(board_table(board))
    place = names.index("factorization")
    own = [
        (
            number,
            _name_key(group, one),
            getattr(one, "reference", False),
            getattr(one, "than_reference", None),
        )
        for number, group in enumerate(board.groups, start=1)
        for one in (*group.rows, *group.bars)
    ]
    shown = ((*facts, name_rule(row[place]), *row) for facts, row in zip(own, rows, strict=True))
    return ("table_number", "row_key", "is_own", "than", "rule", *names), shown


def name_rule(factorization: str | None) -> str | None:
    """Return a factorization as the views' column `rule` has it."""
    return {"L": "low", "H": "high"}.get("".join(set(factorization or "")), factorization)


def _name_key(group: Group, row: Any) -> str:
    """Return a short name for a row of a group, the same in every database that has it."""
    names = ("factorization", "budget", "map_options", "name")
    of = [*(getattr(group, name) for name in COMPARABLE), group.measure]
    of += [getattr(row, name, None) for name in names]
    return hashlib.sha256(json.dumps(of).encode()).hexdigest()[:10]


def _list_seeds(board: Board) -> Rows:
    rows = [(_name_key(group, row), row) for group in board.groups for row in group.rows]
    values = [(key, *value) for key, row in rows for value in row.by_seed.items()]
    return ("row_key", "seed", "value"), values


def _list_rules(board: Board) -> Rows:
    there = {name_rule(row.factorization) or "" for group in board.groups for row in group.rows}
    rules = enumerate(list_rules(sorted(there)))
    return (
        ("rule", "about", "picture", "side", "listed", "place"),
        [(one.name, one.about, one.picture, SIDE, one.name in ABOUT, k) for k, one in rules],
    )


def _list_verdicts(verdicts: Verdicts) -> Rows:
    """Return the table that `lcma export verdicts` writes, with whose claim each is of."""
    names, rows = _list_all(verdict_table(verdicts))
    origins = ("ours" if one.claim.source == "ours" else "the paper" for one in verdicts.all)
    return (*names, "origin"), [(*row, of) for row, of in zip(rows, origins, strict=True)]


def _state_facts(store: Store, measure: str) -> dict[str, str]:
    kind = find_ranked_measure(store, measure)
    # From the tables: the view `results` joins ten more.
    columns: list[Any] = [sa.func.count()]
    columns += [of(attempts.c.ended) for of in (sa.func.min, sa.func.max)]
    extent = (
        sa.select(*columns)
        .join_from(measures, jobs, jobs.c.done_attempt_id == measures.c.attempt_id)
        .join(attempts, attempts.c.id == measures.c.attempt_id)
        .where(measures.c.name == BITS_PER_DIM)
    )
    ((results, first, last),) = store.rows(extent)
    urls = dict(line.split(", ", 1) for line in metadata("lcma").get_all("Project-URL") or ())
    code, own = urls.get("Repository", ""), version("lcma").split("+")[0]
    bibtex = Template((files("lcma.harness.show.site") / "assets" / "citation.bib").read_text())
    return {
        "measure": measure,
        "measure_about": explain_measure(kind),
        "direction": kind.direction or "",
        "version": own,
        "schema": current_version(),
        "results": str(results),
        "first": "" if first is None else format_time(first)[:10],
        "last": "" if last is None else format_time(last)[:10],
        "bibtex": bibtex.substitute(version=own, url=f"  url = {{{code}}},\n" if code else ""),
        "paper": PAPER,
        "code": code,
    }


def _write_table(
    connection: sqlite3.Connection, name: str, names: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    quoted, places = ", ".join(f'"{one}"' for one in names), ", ".join("?" * len(names))
    connection.execute(f"CREATE TABLE {name} ({quoted})")
    stored = ([flag_as_stored(value) for value in row] for row in rows)
    connection.executemany(f"INSERT INTO {name} VALUES ({places})", stored)  # noqa: S608 - names of ours
    if "row_key" in names:
        connection.execute(f"CREATE INDEX ix_{name}_row_key ON {name} (row_key)")
