"""Results of trials as rows, which of several is current, what measures are, and curves."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from lcma.db.records import GREATEST, Measurement, Metric, Result, content_hash
from lcma.db.schema import (
    attempts,
    jobs,
    measure_kinds,
    measures,
    metrics,
    protocols,
)
from lcma.db.statements import Statement, among, insert, insert_or_replace
from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import UNSTORABLE
from lcma.sweeps.measures import MeasureKind, find_measure, list_measures


class Conflict(Exception):  # noqa: N818 - the word that the state machine's callers use
    """A result or map is there already under the same key with another value; nothing was written.

    The same seed gives the same bits, so this means that two runs were not the same after all.
    """


NUMBERS = ("value", "standard_error", "images", "clusters")
"""The columns of `measurements` that say what came out."""

CONTENT = ("attempt_id", "protocol", "protocol_id", "name", *NUMBERS)
"""The columns of `measurements` that its digest covers."""

_EVALUATED = Statement(
    lambda _: sa.update(attempts).where(attempts.c.id == sa.bindparam("attempt")),
    columns=("evaluated_step",),
)
_ADD_MEASURES = Statement(lambda _: sa.insert(measures))
_ADD_PROTOCOL = Statement(lambda dialect: insert(dialect, protocols).on_conflict_do_nothing())


def hash_measure(row: Mapping[str, Any]) -> str:
    """Return the digest of a row of `measurements`."""
    numbers = (row[name] for name in CONTENT)
    content = [_as_kept(one) if isinstance(one, int | float) else one for one in numbers]
    return content_hash("measure", content)[:16]


def hash_protocol(row: Mapping[str, Any]) -> str:
    """Return the id of a row of `protocols`."""
    return content_hash("protocol", [row[name] for name in ("name", "precision", "body")])[:20]


def _as_kept(number: float) -> float:
    # A database gives 10.0 for a 10, and SQLite 0.0 for a -0.0.
    return float(number) + 0.0


def find_artifact_damage(row: Mapping[str, Any]) -> str | None:
    """Return why an artifact's path does not lead to a file below the place of runs, or None."""
    path = row["path"]
    if not isinstance(path, str) or UNSTORABLE.search(path):
        return f"its path {path!r} is none"
    if {"", ".", ".."} & set(path.split("/")):
        return f"its path {path!r} leads out of the folder of runs"
    return None


def find_measure_damage(row: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the numbers of a row of `measurements`, None for nothing."""
    if not abs(row["value"]) + abs(row["standard_error"] or 0.0) <= 2 * GREATEST:
        return f"{row['name']} is no finite number, or beyond {GREATEST:g}"
    if hash_measure(row) != row["digest"]:
        return f"the numbers of {row['name']} do not match their digest"
    return None


def insert_result(connection: sa.Connection, result: Result, attempt_id: str, now: float) -> None:
    """Store what an attempt at a trial left."""
    _EVALUATED.run(connection, {"attempt": attempt_id, "evaluated_step": result.step})
    insert_measures(connection, attempt_id, result, attempt_id, now)


def insert_measures(
    connection: sa.Connection, trained_by: str, result: Result, measured_by: str, now: float
) -> None:
    """Store measures of what an attempt trained."""
    protocol = {"name": result.protocol, "precision": result.precision}
    protocol |= {"body": result.protocol_body}
    protocol["id"] = hash_protocol(protocol)
    _ADD_PROTOCOL.run(connection, protocol)
    # Of a plug-in that this process need not have: it may deliver what another has left.
    unknown = {one.name for one in result.measures} - {kind.name for kind in list_measures()}
    if unknown:
        for name in unknown - set(connection.execute(sa.select(measure_kinds.c.name)).scalars()):
            find_measure(name)
    rows = []
    for one in result.measures:
        row = {
            "attempt_id": trained_by,
            "protocol": result.protocol,
            "protocol_id": protocol["id"],
            **{name: getattr(one, name) for name in ("name", *NUMBERS)},
            "measured_by": measured_by,
            "created": now,
        }
        rows.append(row | {"digest": hash_measure(row)})
    _ADD_MEASURES.run_many(connection, rows)


def read_result(
    connection: sa.Connection, trial_id: str, data_digest: str, protocol: str
) -> Result | None:
    """Read the current result of a trial by a protocol; None if there is none yet."""
    found = connection.execute(
        sa.select(attempts.c.evaluated_step, protocols.c.precision, protocols.c.body, *_MEASURE)
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
    if not found:
        return None
    first = found[0]
    return Result(
        trial_id=trial_id,
        data_digest=data_digest,
        step=first.evaluated_step,
        protocol=protocol,
        protocol_body=first.body,
        precision=first.precision,
        measures=tuple(
            Measurement(**{name: row._mapping[name] for name in ("name", *NUMBERS)})
            for row in found
        ),
    )


_MEASURE = tuple(measures.c[name] for name in ("name", *NUMBERS))


BOUND = ("bound_draws", "bound_bits_per_dim", "bound_gain")
"""Measures of which those of more draws or images take the place."""


def bound_extent(result: Result) -> tuple[float, int]:
    """Return draws and images of a result's K-sample bound, zeros for none."""
    draws, bound = result.measure("bound_draws"), result.measure("bound_bits_per_dim")
    if draws is None or bound is None:
        return 0.0, 0
    return draws.value, bound.images or 0


def find_additions(stored: Result, found: Result) -> tuple[Measurement, ...]:
    """Return the measures that a stored result gains from a new evaluation of the same weights.

    These are those that it lacks, and a bound of more draws or images.

    Raises:
        Conflict: One is there with another value, or the protocol has other settings there.
    """
    extents = bound_extent(found), bound_extent(stored)
    new = []
    for one in found.measures:
        there = stored.measure(one.name)
        if one.name in BOUND and extents[0] != extents[1]:
            if extents[0] > extents[1]:
                new.append(one)
        elif there is None:
            new.append(one)
        elif there != one:
            raise Conflict(
                f"{one.name} of trial {found.trial_id} by the protocol {found.protocol} is "
                f"{there.value!r} there, and now {one.value!r}: the same weights gave two values"
            )
    if (stored.precision, stored.protocol_body) != (found.precision, found.protocol_body):
        raise Conflict(
            f"the protocol {found.protocol} of trial {found.trial_id} has other settings there"
        )
    return tuple(new)


# Of several results the current one


def choose_current(connection: sa.Connection, job_ids: Collection[str]) -> dict[str, str | None]:
    """Return by job the attempt whose result or maps are current, None where there is none.

    Of the attempts that are done and that no other one that is done replaces, it is one that
    replaces another before one that does not; then the one that ended first, and then the one whose
    id comes first.
    """
    newer = attempts.alias("newer")
    replaced = sa.exists().where(newer.c.replaces == attempts.c.id, newer.c.outcome == "done")
    last = attempts.c.replaces.is_not(None), attempts.c.ended.desc(), attempts.c.id.desc()
    found: dict[str, str | None] = dict.fromkeys(job_ids)
    query = sa.select(attempts.c.job_id, attempts.c.id).where(
        among(attempts.c.job_id, job_ids),
        attempts.c.outcome == "done",
        attempts.c.protocol.is_(None),
        ~replaced,
    )
    found |= {row.job_id: row.id for row in connection.execute(query.order_by(*last))}
    return found


def delete_measures(connection: sa.Connection, trained_by: str, result: Result) -> None:
    """Delete those measures of a result in whose place others come."""
    names = [one.name for one in result.measures]
    connection.execute(
        sa.delete(measures).where(
            measures.c.attempt_id == trained_by,
            measures.c.protocol == result.protocol,
            measures.c.name.in_(names),
        )
    )


# What measures are


def write_measure_kinds(connection: sa.Connection, kinds: Iterable[MeasureKind]) -> None:
    """Store what measures are. Raises UserError as `require_same_measures` does."""
    rows = {kind.name: kind for kind in kinds}
    known = read_measure_kinds(connection)
    require_same_measures(known, rows.values())
    new = [asdict(kind) for name, kind in rows.items() if known.get(name) != kind]
    if new:
        insert_or_replace(connection, measure_kinds, new)


def read_measure_kinds(connection: sa.Connection) -> dict[str, MeasureKind]:
    """Return what measures are that the database knows, by name."""
    found = connection.execute(sa.select(measure_kinds).order_by(measure_kinds.c.name))
    return {row.name: MeasureKind(**row._mapping) for row in found}


def require_same_measures(known: Mapping[str, MeasureKind], kinds: Iterable[MeasureKind]) -> None:
    """Raise UserError for a measure of another unit or direction: their numbers are not alike."""
    for kind in kinds:
        there = known.get(kind.name, kind)
        if (there.unit, there.direction) != (kind.unit, kind.direction):
            raise UserError(
                f"the measure '{kind.name}' is in {there.unit} in this database, "
                f"{there.direction} is better, and here in {kind.unit}, {kind.direction}: "
                "give it another name"
            )


# Points of curves

PUBLISHED_POINTS = 60
"""Points that a curve of a published database has at most, the first and the last among them."""


def _put_points(dialect: sa.Dialect) -> sa.sql.dml.UpdateBase:
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
        own = sa.bindparam("attempt_id", type_=sa.Text)
        rows = sa.select(own, points.c.name, points.c.step, points.c.value)
        new = new.from_select(["attempt_id", "name", "step", "value"], rows)
    return new.on_conflict_do_update(
        index_elements=["attempt_id", "name", "step"], set_={"value": new.excluded.value}
    )


_PUT = Statement(_put_points, columns=("attempt_id", "name", "step", "value"))


def insert_metrics(connection: sa.Connection, attempt_id: str, points: Sequence[Metric]) -> None:
    """Store points of an attempt's curves; a point that is there already is replaced.

    Its job must be held by this transaction.
    """
    if not points:
        return
    # Of two at one place, the later one counts.
    values = {
        (point.name, point.step): None if math.isnan(point.value) else float(point.value)
        for point in points
    }
    rows = [(name, step, value) for (name, step), value in values.items()]
    if connection.dialect.name != "postgresql":
        _PUT.run_tuples(connection, [(attempt_id, *row) for row in rows])
    else:
        names, steps, found = zip(*rows, strict=True)
        listed = {"name": list(names), "step": list(steps), "value": list(found)}
        _PUT.run(connection, {"attempt_id": attempt_id, **listed})
