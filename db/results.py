"""Results of trials as rows, the current one of several, kinds of measures, and curves."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from lcma.db.records import MAX_VALUE, Measurement, Metric, Result, content_hash, row_of
from lcma.db.schema import attempts, jobs, measure_kinds, measures, metrics, protocols
from lcma.db.statements import Statement, among, insert
from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import UNSTORABLE
from lcma.sweeps.measures import MeasureKind, find_measure, list_measures


class Conflict(Exception):  # noqa: N818 - the word that the state machine's callers use
    """A result is stored already under the same key with another value; nothing was written.

    The same seed gives the same bits, so the two runs were not the same after all.
    """


MEASUREMENT = ("name", "value", "standard_error", "images", "clusters")
"""The columns of `measurements` that are fields of a `Measurement`."""

_SET_EVALUATED_STEP = Statement(
    lambda _: sa.update(attempts).where(attempts.c.id == sa.bindparam("attempt")),
    columns=("evaluated_step",),
)
_ADD_MEASURES = Statement(lambda _: sa.insert(measures))
_ADD_PROTOCOL = Statement(lambda dialect: insert(dialect, protocols).on_conflict_do_nothing())


def hash_measure(row: Mapping[str, Any]) -> str:
    """Return the digest of a row of `measurements`."""
    values = (row[name] for name in ("attempt_id", "protocol", "protocol_id", *MEASUREMENT))
    # A database returns 10.0 for a 10, and SQLite 0.0 for a -0.0.
    content = [float(value) + 0.0 if isinstance(value, int | float) else value for value in values]
    return content_hash("measure", content)[:16]


def hash_protocol(row: Mapping[str, Any]) -> str:
    """Return the id of a row of `protocols`."""
    return content_hash("protocol", [row[name] for name in ("name", "precision", "body")])[:20]


def find_artifact_damage(row: Mapping[str, Any]) -> str | None:
    """Return why the path of a row of `artifacts` is not below the folder of runs, or None."""
    path = row["path"]
    if not isinstance(path, str) or UNSTORABLE.search(path):
        return f"its path {path!r} is not a path"
    if {"", ".", ".."} & set(path.split("/")):
        return f"its path {path!r} leads out of the folder of runs"
    return None


def find_measure_damage(row: Mapping[str, Any]) -> str | None:
    """Return the fault in the numbers of a row of `measurements`, or None."""
    if not abs(row["value"]) + abs(row["standard_error"] or 0.0) <= 2 * MAX_VALUE:
        return f"{row['name']} is not finite, or beyond {MAX_VALUE:g}"
    if hash_measure(row) != row["digest"]:
        return f"the numbers of {row['name']} do not match their digest"
    return None


def insert_result(connection: sa.Connection, result: Result, attempt_id: str, now: float) -> None:
    """Store the result of an attempt at a trial."""
    _SET_EVALUATED_STEP.run(connection, {"attempt": attempt_id, "evaluated_step": result.step})
    insert_measures(connection, attempt_id, result, attempt_id, now)


def insert_measures(
    connection: sa.Connection, trained_by: str, result: Result, measured_by: str, now: float
) -> None:
    """Store measures of the weights that an attempt trained."""
    protocol = {"name": result.protocol, "precision": result.precision}
    protocol |= {"body": result.protocol_body}
    protocol_id = hash_protocol(protocol)
    _ADD_PROTOCOL.run(connection, protocol | {"id": protocol_id})
    # A plug-in's measure may be unknown here: this process may deliver another's result.
    unknown = {measure.name for measure in result.measures}
    unknown -= {kind.name for kind in list_measures()}
    if unknown:
        for name in unknown - set(connection.execute(sa.select(measure_kinds.c.name)).scalars()):
            find_measure(name)  # raises
    rows = []
    for measure in result.measures:
        row = {
            "attempt_id": trained_by,
            "protocol": result.protocol,
            "protocol_id": protocol_id,
            **row_of(measure),
            "measured_by": measured_by,
            "created": now,
        }
        rows.append(row | {"digest": hash_measure(row)})
    _ADD_MEASURES.run_many(connection, rows)


def read_result(
    connection: sa.Connection, trial_id: str, data_digest: str, protocol: str
) -> Result | None:
    """Read a result; see `Store.result`."""
    columns = (measures.c[name] for name in MEASUREMENT)
    rows = connection.execute(
        sa.select(attempts.c.evaluated_step, protocols.c.precision, protocols.c.body, *columns)
        .join_from(jobs, attempts, attempts.c.id == jobs.c.done_attempt_id)
        .join(measures, measures.c.attempt_id == attempts.c.id)
        .join(protocols, protocols.c.id == measures.c.protocol_id)
        .where(
            jobs.c.trial_id == trial_id,
            jobs.c.data_digest == data_digest,
            measures.c.protocol == protocol,
        )
        .order_by(measures.c.name)
    ).all()
    if not rows:
        return None
    first = rows[0]
    return Result(
        trial_id=trial_id,
        data_digest=data_digest,
        step=first.evaluated_step,
        protocol=protocol,
        protocol_body=first.body,
        precision=first.precision,
        measures=tuple(
            Measurement(**{name: row._mapping[name] for name in MEASUREMENT}) for row in rows
        ),
    )


BOUND = ("bound_draws", "bound_bits_per_dim", "bound_gain")
"""Measures that are replaced by those of more draws or images."""


def bound_extent(result: Result) -> tuple[float, int]:
    """Return the draws and images of a result's K-sample bound, zeros if it has none."""
    draws, bound = result.measure("bound_draws"), result.measure("bound_bits_per_dim")
    if draws is None or bound is None:
        return 0.0, 0
    return draws.value, bound.images or 0


def find_additions(stored: Result, new: Result) -> tuple[Measurement, ...]:
    """Return the measures that a stored result gains from a new evaluation of the same weights.

    These are the measures that it lacks, and a bound of more draws or images.

    Raises:
        Conflict: A measure is stored with another value, or the protocol with other settings.
    """
    extent, stored_extent = bound_extent(new), bound_extent(stored)
    additions = []
    for measure in new.measures:
        former = stored.measure(measure.name)
        if measure.name in BOUND and extent != stored_extent:
            if extent > stored_extent:
                additions.append(measure)
        elif former is None:
            additions.append(measure)
        elif former != measure:
            raise Conflict(
                f"{measure.name} of trial {new.trial_id} by the protocol {new.protocol} is stored "
                f"as {former.value!r}, and now {measure.value!r}: the same weights gave two values"
            )
    if (stored.precision, stored.protocol_body) != (new.precision, new.protocol_body):
        raise Conflict(
            f"the protocol {new.protocol} of trial {new.trial_id} is stored with other settings"
        )
    return tuple(additions)


# The current one of several results


def choose_current(connection: sa.Connection, job_ids: Collection[str]) -> dict[str, str | None]:
    """Return by job the attempt whose result or maps are current, None if there is none.

    The candidates are attempts that are done, unless another done attempt replaces them. Of those
    that replace another, as a rerun does, the one that ended last comes first; of the others, the
    one that ended first, then the one with the first id.
    """
    newer = attempts.alias("newer")
    replaced = sa.exists().where(newer.c.replaces == attempts.c.id, newer.c.outcome == "done")
    is_rerun = attempts.c.replaces.is_not(None)
    age = sa.case((is_rerun, attempts.c.ended), else_=-attempts.c.ended)
    last = is_rerun, age, attempts.c.id.desc()
    current: dict[str, str | None] = dict.fromkeys(job_ids)
    query = sa.select(attempts.c.job_id, attempts.c.id).where(
        among(attempts.c.job_id, job_ids),
        attempts.c.outcome == "done",
        attempts.c.protocol.is_(None),
        ~replaced,
    )
    # In ascending order of precedence: a later row replaces an earlier one.
    current |= {row.job_id: row.id for row in connection.execute(query.order_by(*last))}
    return current


# Kinds of measures


def write_measure_kinds(connection: sa.Connection, kinds: Iterable[MeasureKind]) -> None:
    """Store kinds of measures. Raises UserError as `require_same_measures` does."""
    rows = {kind.name: kind for kind in kinds}
    stored = read_measure_kinds(connection)
    require_same_measures(stored, rows.values())
    new = [asdict(kind) for name, kind in rows.items() if stored.get(name) != kind]
    if new:
        statement = insert(connection.dialect, measure_kinds)
        others = {name: statement.excluded[name] for name in new[0] if name != "name"}
        statement = statement.on_conflict_do_update(index_elements=["name"], set_=others)
        connection.execute(statement, new)


def read_measure_kinds(connection: sa.Connection) -> dict[str, MeasureKind]:
    """Return the kinds of measures that the database knows, by name."""
    rows = connection.execute(sa.select(measure_kinds).order_by(measure_kinds.c.name))
    return {row.name: MeasureKind(**row._mapping) for row in rows}


def require_same_measures(known: Mapping[str, MeasureKind], kinds: Iterable[MeasureKind]) -> None:
    """Raise UserError if a measure has another unit or direction than the known one."""
    for kind in kinds:
        stored = known.get(kind.name, kind)
        if (stored.unit, stored.direction) != (kind.unit, kind.direction):
            raise UserError(
                f"the measure '{kind.name}' is in {stored.unit} in this database, "
                f"{stored.direction} is better, and here in {kind.unit}, {kind.direction}: "
                "give it another name"
            )


# Points of curves

PUBLISHED_POINTS = 60
"""The most points of a curve in a published database, its first and last among them."""


def _build_put_points(dialect: sa.Dialect) -> sa.sql.dml.UpdateBase:
    new = insert(dialect, metrics)
    if dialect.name == "postgresql":
        points = (
            sa.func.unnest(
                sa.bindparam("name", type_=postgresql.ARRAY(sa.Text)),
                sa.bindparam("step", type_=postgresql.ARRAY(sa.Integer)),
                sa.bindparam("value", type_=postgresql.ARRAY(sa.Double)),
            )
            .table_valued("name", "step", "value")
            .render_derived()
        )
        attempt_id = sa.bindparam("attempt_id", type_=sa.Text)
        rows = sa.select(attempt_id, points.c.name, points.c.step, points.c.value)
        new = new.from_select(["attempt_id", "name", "step", "value"], rows)
    return new.on_conflict_do_update(
        index_elements=["attempt_id", "name", "step"], set_={"value": new.excluded.value}
    )


_PUT_POINTS = Statement(_build_put_points, columns=("attempt_id", "name", "step", "value"))


def insert_metrics(connection: sa.Connection, attempt_id: str, points: Sequence[Metric]) -> None:
    """Store points of an attempt's curves; a new point replaces the stored one at its step.

    This transaction must hold the attempt's job.
    """
    # Of two points at one step, the later one counts: a server rejects both in one statement.
    rows = {
        (point.name, point.step): {
            "name": point.name,
            "step": point.step,
            "value": None if math.isnan(point.value) else float(point.value),
        }
        for point in points
    }
    if connection.dialect.name != "postgresql":
        _PUT_POINTS.run_many(
            connection, [{"attempt_id": attempt_id, **row} for row in rows.values()]
        )
    elif rows:
        lists = {name: [row[name] for row in rows.values()] for name in ("name", "step", "value")}
        _PUT_POINTS.run(connection, {"attempt_id": attempt_id, **lists})
