"""Whether a database is sound: what its engine says, its states, and every blob and digest."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from lcma.db import migrate
from lcma.db.engine import Database
from lcma.db.evaluations import to_result
from lcma.db.reading import decode_map, map_damage
from lcma.db.rules import Rule, rules
from lcma.db.schema import REVISIONS, cells, contribution_maps, data_sets, index_tables, results
from lcma.db.summaries import SHARED, cell_row, numbers_of
from lcma.sweeps.errors import UserError

Progress = Callable[[str, int, int | None], None]
"""Told what is looked at, how many rows of it are done and how many there are, if that is known."""

ROWS = 64
"""Rows read at once."""

TOLERANCE = 1e-9
"""By how much a sum in float64 may differ between processors, relative to what is summed."""

ENGINE = "the engine's own checks"


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault: `row` is the key of the row of `table`; both None for the database as a whole."""

    table: str | None
    row: str | None
    problem: str

    def __str__(self) -> str:
        if self.table is None:
            return self.problem
        where = self.table if self.row is None else f"{self.table} {self.row}"
        return f"{where}: {self.problem}"


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, and how many rows each table that was read in full has."""

    findings: tuple[Finding, ...]
    read: Mapping[str, int]


def check(database: Database, progress: Progress = lambda what, done, total: None) -> Report:
    """Look at everything, and change nothing.

    What others write meanwhile is seen or not, each row whole. Raises UserError where there is no
    database, or its schema is another one than this code's.
    """
    found = database.identify()
    migrate.require(database, found)
    migrate.refuse_newer(database, found)
    if found.revision != REVISIONS[-1]:
        raise UserError(
            f"{database.name} has schema {found.revision}, and schema {REVISIONS[-1]} can be "
            "checked: run `lcma db upgrade`"
        )
    findings: list[Finding] = []
    progress(ENGINE, 0, None)
    findings += [Finding(None, None, fault) for fault in database.faults()]
    read: dict[str, int] = {}
    with database.reader().connect() as connection:

        def collect(table: str, found: Iterator[Finding]) -> None:
            try:
                findings.extend(found)
            except UserError as error:
                if not database.is_damage(error.__cause__):
                    raise
                findings.append(Finding(table, None, str(error)))
                connection.rollback()

        for rule in rules():
            progress(f"states of {rule.table.name}", 0, None)
            collect(rule.table.name, _broken(connection, rule))
        for table, look in (
            (contribution_maps, _look_at_maps),
            (index_tables, _look_at_tables),
            (results, _look_at_results),
            (cells, _look_at_cells),
        ):
            rows = _Rows(connection, table, progress)
            collect(table.name, look(rows))
            read[table.name] = rows.done
    return Report(tuple(findings), read)


def _all(connection: sa.Connection, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
    """The rows of a query in a transaction of its own: those who write go on."""
    rows = connection.execute(query).all()
    connection.rollback()
    return rows


def _broken(connection: sa.Connection, rule: Rule) -> Iterator[Finding]:
    keys = len(rule.table.primary_key.columns)
    for row in _all(connection, rule.query):
        yield Finding(rule.table.name, _name(row[:keys]), rule.problem.format(*row[keys:]))


class _Rows:
    """All rows of a table in the order of its key, with those of their data sets."""

    def __init__(self, connection: sa.Connection, table: sa.Table, progress: Progress) -> None:
        self.connection, self.table, self.progress = connection, table, progress
        self.keys = list(table.primary_key.columns)
        self.done = 0

    def __iter__(self) -> Iterator[tuple[str, dict[str, Any]]]:
        count = sa.select(sa.func.count()).select_from(self.table)
        total = int(_all(self.connection, count)[0][0])
        last: tuple[Any, ...] | None = None
        while True:
            self.progress(self.table.name, self.done, total)
            some = self._after(last)
            for row in some:
                last = tuple(row[key.name] for key in self.keys)
                yield _name(last), row
                self.done += 1
            if len(some) < ROWS:
                return

    def _after(self, last: tuple[Any, ...] | None) -> list[dict[str, Any]]:
        query = sa.select(self.table).order_by(*self.keys).limit(ROWS)
        if last is not None:
            query = query.where(sa.tuple_(*self.keys) > sa.tuple_(*last))
        return [dict(row._mapping) for row in _all(self.connection, query)]

    def finding(self, row: str, problem: str) -> Finding:
        return Finding(self.table.name, row, problem)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """(C, H, W) of the images of every data set by its digest."""
        columns = (data_sets.c[n] for n in ("digest", "channels", "height", "width"))
        rows = _all(self.connection, sa.select(*columns))
        return {row[0]: tuple(row[1:]) for row in rows}


def _look_at_maps(rows: _Rows) -> Iterator[Finding]:
    shapes = rows.shapes()
    for name, row in rows:
        problem = map_damage(row)
        if problem is not None:
            yield rows.finding(name, problem)
            continue
        problem = _shape_problem(row, shapes)
        if problem is not None:
            yield rows.finding(name, problem)
        try:
            item = decode_map(row)
        except ValueError as error:
            yield rows.finding(name, f"it is no map: {error}")
            continue
        if not abs(item.sum_error - row["sum_error"]) <= TOLERANCE:
            yield rows.finding(
                name,
                f"its sum is off mean_log_det by {item.sum_error:.3g} of the sum of magnitudes, "
                f"and its sum_error says {row['sum_error']:.3g}",
            )


def _look_at_tables(rows: _Rows) -> Iterator[Finding]:
    """Each split keeps half of what the one before it kept, and nothing else."""
    shapes = rows.shapes()
    before: tuple[str, str, int] = ("", "", 0)
    kept_before: NDArray[np.bool_] | None = None
    for name, row in rows:
        shape = (row["channels"], row["height"], row["width"])
        size = math.prod(shape)
        own = (row["trial_id"], row["data_digest"], row["split"])
        if own[2] == 1:
            parent: NDArray[np.bool_] | None = np.ones(size, dtype=bool)
        elif before == (*own[:2], own[2] - 1):
            parent = kept_before
        else:
            parent = None
            yield rows.finding(name, f"there is none of split {own[2] - 1}, before it")
        before, kept_before = own, None
        problem = _shape_problem(row, shapes)
        if len(row["kept"]) != -(-size // 8):
            problem = f"its bytes do not fill the shape {shape}"
        else:
            kept_before = np.unpackbits(np.frombuffer(row["kept"], np.uint8), count=size) > 0
            if problem is None and parent is not None and parent.size == size:
                problem = _half_problem(kept_before, parent)
        if problem is not None:
            yield rows.finding(name, problem)


def _half_problem(kept: NDArray[np.bool_], parent: NDArray[np.bool_]) -> str | None:
    alien = int((kept & ~parent).sum())
    if alien:
        return f"it is no permutation: it keeps {alien} dimensions that had left before"
    stay, were = int(kept.sum()), int(parent.sum())
    if 2 * stay != were:
        return f"it is no permutation: it keeps {stay} of {were} dimensions, which is not half"
    return None


def _look_at_results(rows: _Rows) -> Iterator[Finding]:
    for name, row in rows:
        try:
            if to_result(row).id != row["id"]:
                yield rows.finding(name, "its numbers do not match its id, the hash of them")
        except (ValueError, TypeError) as error:
            yield rows.finding(name, f"it is no result: {error}")


def _look_at_cells(rows: _Rows) -> Iterator[Finding]:
    test, holdout = results.c.bits_per_dim, results.c.holdout_bits_per_dim
    for name, row in rows:
        query = sa.select(test, holdout).where(results.c.cell_id == row["id"])
        found = _all(rows.connection, query)
        if not found:
            yield rows.finding(name, "it has no result")
            continue
        numbers = numbers_of(*(list(values) for values in zip(*found, strict=True)))
        wrong = [what for what, value in numbers.items() if row[what] != value]
        if wrong:
            yield rows.finding(name, f"its {', '.join(wrong)} do not follow from its results")
        own = {what: row[what] for what in SHARED}
        if cell_row(row, own)["id"] != row["id"]:
            yield rows.finding(name, "its columns do not match its id, the hash of them")


def _shape_problem(row: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    shape = (row["channels"], row["height"], row["width"])
    images = shapes.get(row["data_digest"], shape)
    return None if shape == images else f"its shape is {shape}, and its images are {images}"


def _name(key: Any) -> str:
    return ", ".join(map(str, key))
