"""The database of a site: results as published, with what Python computes of them as tables.

The page queries it in the browser and computes no statistics.
"""

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
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
from lcma.harness.show import citation
from lcma.harness.show.board import board_table
from lcma.harness.show.budgets import budget_table
from lcma.harness.show.meanings import MEANINGS, explain_measure
from lcma.harness.show.rules import ABOUT, SIDE, list_rules
from lcma.harness.show.tables import Table, TableColumn, flag_as_stored
from lcma.harness.show.verdicts import verdict_sentence, verdict_table
from lcma.harness.text import format_time
from lcma.sweeps import known_sets
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM

Step = Callable[[str], None]


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
        tables = {
            "board_rows": tabulate_board(board),
            "board_seeds": _tabulate_seeds(board),
            "verdict_rows": tabulate_verdicts(verdicts),
            "budget_rows": budget_table(curves),
            "rule_rows": _tabulate_rules(board),
            "glossary": _make_table(
                ("term", "meaning"),
                ((one, about.replace("`", "")) for one, about in MEANINGS.values()),
            ),
            "data_licences": _tabulate_licences(),
            "site_facts": _make_table(("name", "value"), facts.items()),
        }
        with closing(sqlite3.connect(copy)) as connection:
            for name, table in tables.items():
                _write_table(connection, name, table)
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


def tabulate_board(board: Board) -> Table:
    """Return the table that `lcma export` writes, with what the page shows beside it."""
    found = board_table(board)
    place = [column.name for column in found.columns].index("factorization")
    own = [
        (
            number,
            key,
            row is not None and row.reference,
            None if row is None else row.than_reference,
        )
        for number, group in enumerate(board.groups, start=1)
        for key, row in [
            *((name_row_key(group, one), one) for one in group.rows),
            *((name_row_key(group, bar), None) for bar in group.bars),
        ]
    ]
    names = "table_number", "row_key", "is_own", "than", "rule"
    rows = tuple(
        (number, key, int(reference), than, name_rule(row[place]), *row)
        for (number, key, reference, than), row in zip(own, found.rows, strict=True)
    )
    return Table((*map(TableColumn, names), *found.columns), rows)


def name_rule(factorization: str | None) -> str | None:
    """Return a factorization as the views' column `rule` has it."""
    return {"L": "low", "H": "high"}.get("".join(set(factorization or "")), factorization)


def name_row_key(group: Group, row: Any) -> str:
    """Return a short name for a row of a group, the same in every database that has it."""
    names = ("factorization", "budget", "map_options", "name")
    of = [*(getattr(group, name) for name in COMPARABLE), group.measure]
    of += [getattr(row, name, None) for name in names]
    return hashlib.sha256(json.dumps(of).encode()).hexdigest()[:10]


def _tabulate_seeds(board: Board) -> Table:
    return _make_table(
        ("row_key", "seed", "value"),
        (
            (name_row_key(group, row), seed, value)
            for group in board.groups
            for row in group.rows
            for seed, value in row.by_seed.items()
        ),
    )


def _tabulate_rules(board: Board) -> Table:
    there = {name_rule(row.factorization) or "" for group in board.groups for row in group.rows}
    return _make_table(
        ("rule", "about", "picture", "side", "listed", "place"),
        (
            (one.name, one.about, one.picture, SIDE, one.name in ABOUT, place)
            for place, one in enumerate(list_rules(sorted(there)))
        ),
    )


def tabulate_verdicts(verdicts: Verdicts) -> Table:
    """Return the table that `lcma export verdicts` writes, with each verdict in a sentence.

    Claims are in their order, the paper's first.
    """
    found = verdict_table(verdicts)
    own = (
        (verdict_sentence(one), "ours" if one.claim.claim.source == "ours" else "the paper")
        for one in verdicts.all
    )
    rows = tuple((*row, *more) for row, more in zip(found.rows, own, strict=True))
    return Table((*found.columns, *map(TableColumn, ("sentence", "origin"))), rows)


def _tabulate_licences() -> Table:
    known = known_sets.shipped()
    return _make_table(
        ("name", "about", "licence"), ((n, one.about, one.licence) for n, one in known.items())
    )


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
    return {
        "measure": measure,
        "measure_about": explain_measure(kind),
        "direction": kind.direction or "",
        "version": version("lcma").split("+")[0],
        "schema": current_version(),
        "results": str(results),
        "first": "" if first is None else format_time(first)[:10],
        "last": "" if last is None else format_time(last)[:10],
        "bibtex": citation.as_bibtex(),
        "paper": citation.PAPER_URL,
        "code": citation.find_code() or "",
    }


def _make_table(names: Sequence[str], rows: Any) -> Table:
    return Table(tuple(map(TableColumn, names)), tuple(map(tuple, rows)))


def _write_table(connection: sqlite3.Connection, name: str, table: Table) -> None:
    names = [column.name for column in table.columns] or ["budget"]  # of no curves there are none
    quoted = ", ".join(f'"{one}"' for one in names)
    places = ", ".join("?" for _ in names)
    connection.execute(f"CREATE TABLE {name} ({quoted})")
    rows = ([flag_as_stored(value) for value in row] for row in table.rows)
    connection.executemany(f"INSERT INTO {name} VALUES ({places})", rows)  # noqa: S608 - names of ours
    if "row_key" in names:
        connection.execute(f"CREATE INDEX ix_{name}_row_key ON {name} (row_key)")
