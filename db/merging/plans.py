"""The merge of plans, environments and the like: rows that are known by their content."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa

from lcma.db.inserts import append_mappings, insert_missing
from lcma.db.integrity import ReportFunction
from lcma.db.merging.report import Difference, Tally, first_difference
from lcma.db.records import content_hash
from lcma.db.schema import (
    bars,
    cells,
    data_sets,
    environments,
    launches,
    measure_kinds,
    pretrainings,
    protocols,
    recipes,
    sweep_trials,
    sweeps,
    trials,
    verifications,
)

TABLES = (
    *(recipes, data_sets, bars, environments, sweeps, launches, pretrainings, trials),
    *(sweep_trials, protocols, measure_kinds),
)
"""Those whose rows are known by their content; what a row refers to comes before it."""

CIRCUMSTANCE: Mapping[str, frozenset[str]] = {
    "data_sets": frozenset({"name", "manifest", "created"}),
    "environments": frozenset({"created"}),
    "sweeps": frozenset({"created"}),
    "bars": frozenset({"detail"}),
    "recipes": frozenset({"profile"}),
    "flow_trials": frozenset({"profile"}),
    "measure_kinds": frozenset({"meaning"}),
    "launches": frozenset({"launched_by", "host", "arguments", "ending"}),
    "verifications": frozenset({"verified_by"}),
}
"""Columns in which two rows of one key may differ: what a set was called and where it was read, the
name of a profile, which is no part of what was run, and what a published row does not say."""

ADDED_BY_WORKERS = (environments, launches, protocols, measure_kinds, verifications)
"""Those of which somebody may add a row that is being merged."""

ROWS = 2000
"""Rows merged in one transaction."""

_PUBLISHED_OWNER = re.compile("launch-[0-9a-f]{20}")

Transaction = Callable[[], AbstractContextManager[sa.Connection]]


def publish_owner(owner: str) -> str:
    """Return the name that a launch has in a published database, which names no host.

    It is that of the same launch always, so that it is known again.
    """
    if _PUBLISHED_OWNER.fullmatch(owner):
        return owner
    return f"launch-{content_hash('launch', owner)[:20]}"


class Refused:
    """The rows of which nothing may be taken, because they or what they refer to differ here."""

    def __init__(self) -> None:
        self._keys: dict[str, set[Any]] = {}

    def __bool__(self) -> bool:
        return bool(self._keys)

    def add(self, table: sa.Table, row: Mapping[str, Any]) -> None:
        """Take nothing that refers to this row."""
        keys = list(table.primary_key.columns)
        if len(keys) == 1:
            self._keys.setdefault(table.name, set()).add(row[keys[0].name])

    def reason(self, table: sa.Table, row: Mapping[str, Any]) -> str | None:
        """Return which of a row's references is refused; None where none is."""
        for column in table.columns:
            for key in column.foreign_keys:
                referred = key.column.table.name
                if row[column.name] in self._keys.get(referred, ()):
                    return f"{referred} {row[column.name]} is another one here"
        return None


def merge_plans(
    source: sa.Connection,
    transaction: Transaction,
    tally: Tally,
    refused: Refused,
    *,
    tables: Sequence[sa.Table],
    write: bool,
    progress: ReportFunction,
) -> None:
    """Add every row that is missing, a few thousand at a time; name those that differ."""
    for table in tables:
        count = sa.select(sa.func.count()).select_from(table)
        total, done = source.execute(count).scalar_one(), 0
        progress(table.name, 0, total)
        for some in _batches(source, table):
            with transaction() as connection:
                new = _missing(connection, table, some, tally, refused)
                tally.add(table.name, "new", len(new))
                if write and table in ADDED_BY_WORKERS:
                    insert_missing(connection, table, new)
                elif write:
                    append_mappings(connection, table, new)
                if write and table is bars:
                    _fill_bars(connection, some)
                if write and table is recipes:
                    _agree_on_profiles(connection, some)
            done += len(some)
            progress(table.name, done, total)


def _fill_bars(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    # Bars that are left out here, since a codec was missing.
    key = ("data_digest", "name")
    found = [
        {f"the_{name}" if name in key else name: value for name, value in row.items()}
        for row in rows
        if row["bits_per_dim"] is not None
    ]
    if found:
        same = (bars.c[name] == sa.bindparam(f"the_{name}") for name in key)
        connection.execute(sa.update(bars).where(*same, bars.c.bits_per_dim.is_(None)), found)


def _agree_on_profiles(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> None:
    # Of the names that one recipe has at two sites the first in the alphabet is shown, in whatever
    # order they are merged.
    names = [{"the_id": row["id"], "name": row["profile"]} for row in rows]
    for table, key in ((recipes, recipes.c.id), (cells, cells.c.recipe_id)):
        later = key == sa.bindparam("the_id"), table.c.profile > sa.bindparam("name")
        update = sa.update(table).where(*later).values(profile=sa.bindparam("name"))
        connection.execute(update, names)


def _batches(source: sa.Connection, table: sa.Table) -> Iterator[list[dict[str, Any]]]:
    query = sa.select(table).order_by(*table.primary_key.columns)
    found = source.execute(query.execution_options(yield_per=ROWS))
    for some in found.partitions():
        yield [dict(row._mapping) for row in some]


def _missing(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[dict[str, Any]],
    tally: Tally,
    refused: Refused,
) -> list[dict[str, Any]]:
    # Those of the rows that are not here and may be.
    key = [column.name for column in table.primary_key.columns]
    free = CIRCUMSTANCE.get(table.name, frozenset())
    compared = [c.name for c in table.columns if c.name not in key and c.name not in free]
    # Of several key columns this finds some more.
    same = (table.c[name].in_(sorted({row[name] for row in rows})) for name in key)
    here = {
        tuple(row._mapping[name] for name in key): dict(row._mapping)
        for row in connection.execute(sa.select(table).where(*same)).all()
    }
    published: dict[str, dict[str, Any]] = {}
    if table is launches:
        published = {
            publish_owner(row.owner): dict(row._mapping)
            for row in connection.execute(sa.select(launches))
        }
    new = []
    for row in rows:
        stored = here.get(tuple(row[name] for name in key))
        if stored is None and table is launches:
            stored = published.get(row["owner"])
        if refused and refused.reason(table, row) is not None:
            refused.add(table, row)
            tally.add(table.name, "left")
        elif stored is None:
            new.append(row)
        elif table is bars and stored["bits_per_dim"] is None and row["bits_per_dim"] is not None:
            tally.add(table.name, "completed")
        elif difference := _difference(table, key, compared, stored, row):
            tally.differ(difference)
            refused.add(table, row)
        else:
            tally.add(table.name, "equal")
    return new


def _difference(
    table: sa.Table,
    key: Sequence[str],
    compared: Sequence[str],
    here: Mapping[str, Any],
    there: Mapping[str, Any],
) -> Difference | None:
    if table is bars and there["bits_per_dim"] is None:
        return None  # a codec that one of the sites lacks
    return first_difference(table.name, key, compared, here, there)
