"""Results of trials and their measures as rows, and which of several results is current."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from lcma.db.cells import TrialCells, update_sums
from lcma.db.engine import Statement
from lcma.db.errors import Conflict
from lcma.db.filters import chunks
from lcma.db.inserts import insert
from lcma.db.records import GREATEST, Job, Measure, Result, content_hash
from lcma.db.schema import (
    attempts,
    events,
    jobs,
    measure_kinds,
    measures,
    protocols,
    results,
    supersedes,
)
from lcma.sweeps.input_files import UNSTORABLE
from lcma.sweeps.measures import find_measure

NUMBERS = ("value", "standard_error", "images", "clusters")
"""The columns of `measures` that say what came out."""

CONTENT = ("result_id", "protocol", "protocol_id", "name", *NUMBERS)
"""The columns of `measures` that its digest covers."""

_ADD_RESULT = Statement(lambda _: sa.insert(results), columns=tuple(results.c.keys()))
_ADD_MEASURES = Statement(lambda _: sa.insert(measures), columns=tuple(measures.c.keys()))
_ADD_PROTOCOL = Statement(
    lambda dialect: insert(dialect, protocols).on_conflict_do_nothing(),
    columns=tuple(protocols.c.keys()),
)
_DIRECTIONS = Statement(lambda _: sa.select(measure_kinds.c.name, measure_kinds.c.direction))
_UID = Statement(lambda _: sa.select(attempts.c.uid).where(attempts.c.id == sa.bindparam("id")))


def hash_result(trial_id: str, data_digest: str, attempt_uid: str) -> str:
    """Return the id of a result."""
    return content_hash("result", [trial_id, data_digest, attempt_uid])


def hash_measure(row: Mapping[str, Any]) -> str:
    """Return the digest of a row of `measures`."""
    numbers = (row[name] for name in CONTENT)
    content = [_as_kept(one) if isinstance(one, int | float) else one for one in numbers]
    return content_hash("measure", content)[:16]


def hash_protocol(row: Mapping[str, Any]) -> str:
    """Return the id of a row of `protocols`."""
    return content_hash("protocol", [row[name] for name in ("name", "precision", "body")])[:20]


def hash_verification(row: Mapping[str, Any], *, named: bool = False) -> str:
    """Return the id of a row of `verifications`; with `named` the one that it had formerly."""
    # Who verified is no part of it, since a published row does not say so and is the same row.
    left_out = {"id"} if named else {"id", "verified_by"}
    content = {name: value for name, value in row.items() if name not in left_out}
    numbers = ("largest_difference", "tolerance", "time")
    content |= {name: _as_kept(row[name]) for name in numbers}
    return content_hash("verification", content)


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
    """Return what is wrong with the numbers of a row of `measures`, None for nothing."""
    if not abs(row["value"]) + abs(row["standard_error"] or 0.0) <= 2 * GREATEST:
        return f"{row['name']} is no finite number, or beyond {GREATEST:g}"
    if hash_measure(row) != row["digest"]:
        return f"the numbers of {row['name']} do not match their digest"
    return None


def insert_result(
    connection: sa.Connection,
    result: Result,
    attempt_id: int,
    now: float,
    *,
    left: Collection[str] = (),
) -> None:
    """Store what an attempt at a trial left; its measures join cells.

    Args:
        left: Cells that `retire` took values out of.
    """
    uid = _UID.all(connection, {"id": attempt_id})[0][0]
    result_id = hash_result(result.trial_id, result.data_digest, uid)
    row = {
        "id": result_id,
        "trial_id": result.trial_id,
        "data_digest": result.data_digest,
        "attempt_id": attempt_id,
        "step": result.step,
        "created": now,
    }
    _ADD_RESULT.run(connection, row)
    insert_measures(connection, result_id, result, attempt_id, now, left=left)


def insert_measures(
    connection: sa.Connection,
    result_id: str,
    result: Result,
    attempt_id: int,
    now: float,
    *,
    left: Collection[str] = (),
) -> None:
    """Store measures of the current result of a trial, and update the sums of their cells."""
    protocol = {"name": result.protocol, "precision": result.precision}
    protocol |= {"body": result.protocol_body}
    protocol["id"] = hash_protocol(protocol)
    _ADD_PROTOCOL.run(connection, protocol)
    trial = TrialCells(connection, result.trial_id)
    # Of a plug-in that this process need not have: it may deliver what another has left.
    directions = dict(_DIRECTIONS.all(connection, {}))
    for one in result.measures:
        if one.name not in directions:
            directions[one.name] = find_measure(one.name).direction
    ranked = [one.name for one in result.measures if directions[one.name]]
    shared = {"data_digest": result.data_digest, "protocol": result.protocol}
    shared |= {"precision": result.precision}
    held = trial.hold((shared | {"measure": name} for name in ranked), left)
    cells = dict(zip(ranked, held, strict=True))
    rows = []
    for one in result.measures:
        row = {
            "result_id": result_id,
            "protocol": result.protocol,
            "protocol_id": protocol["id"],
            **{name: getattr(one, name) for name in ("name", *NUMBERS)},
            "attempt_id": attempt_id,
            "seed": trial.seed,
            "cell_id": cells.get(one.name),
            "created": now,
        }
        rows.append(row | {"digest": hash_measure(row)})
    _ADD_MEASURES.run_many(connection, rows)
    update_sums(connection, {*held, *left})


def read_result(
    connection: sa.Connection, trial_id: str, data_digest: str, protocol: str
) -> Result | None:
    """Read the current result of a trial by a protocol; None if there is none yet."""
    found = connection.execute(
        select_current()
        .add_columns(*(protocols.c[name] for name in ("precision", "body")), *_MEASURE)
        .join(measures, measures.c.result_id == results.c.id)
        .join(protocols, protocols.c.id == measures.c.protocol_id)
        .where(
            results.c.trial_id == trial_id,
            results.c.data_digest == data_digest,
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
        step=first.step,
        protocol=protocol,
        protocol_body=first.body,
        precision=first.precision,
        measures=tuple(
            Measure(**{name: row._mapping[name] for name in ("name", *NUMBERS)}) for row in found
        ),
    )


_MEASURE = tuple(measures.c[name] for name in ("name", *NUMBERS))


def select_current() -> sa.Select[Any]:
    """Select id and step of the results that are current."""
    return sa.select(results.c.id, results.c.step).join(
        jobs, jobs.c.done_attempt_id == results.c.attempt_id
    )


BOUND = ("bound_draws", "bound_bits_per_dim", "bound_gain")
"""Measures of which those of more draws or images take the place."""


def bound_extent(result: Result) -> tuple[float, int]:
    """Return draws and images of a result's K-sample bound, zeros for none."""
    draws, bound = result.measure("bound_draws"), result.measure("bound_bits_per_dim")
    if draws is None or bound is None:
        return 0.0, 0
    return draws.value, bound.images or 0


def find_additions(stored: Result, found: Result) -> tuple[Measure, ...]:
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


def choose_current(connection: sa.Connection, job_ids: Sequence[str]) -> dict[str, int | None]:
    """Return by job the attempt whose result or maps are current, None where there is none.

    Of the attempts that are done and superseded by none, it is the one that ended first; of those
    that ended at one time, the one whose `uid` comes first.
    """
    found: dict[str, int | None] = dict.fromkeys(job_ids)
    for some in chunks(sorted(job_ids)):
        query = _select_done(some).order_by(attempts.c.ended.desc(), attempts.c.uid.desc())
        found |= {row.job_id: row.id for row in connection.execute(query)}
    return found


def _select_done(job_ids: Sequence[str]) -> sa.Select[Any]:
    # Attempts that can be current.
    older = sa.exists().where(supersedes.c.superseded_id == attempts.c.id)
    return sa.select(attempts.c.job_id, attempts.c.id).where(
        attempts.c.job_id.in_(job_ids),
        attempts.c.outcome == "done",
        attempts.c.protocol.is_(None),
        ~older,
    )


def supersede(connection: sa.Connection, job: Job, attempt_id: int) -> set[str]:
    """Note that an attempt at a job, done anew, replaces all that were done before.

    Returns:
        The cells that this took values out of; see `retire`.
    """
    asked = connection.execute(
        sa.select(events.c.owner, events.c.time, events.c.detail)
        .where(events.c.job_id == job.id, events.c.event == "rerun")
        .order_by(events.c.id.desc())
        .limit(1)
    ).first()
    row: dict[str, Any] = {"attempt_id": attempt_id}
    row |= {"requested_by": "", "time": job.updated, "why": ""}
    if asked is not None:
        row |= {"requested_by": asked.owner or "", "time": asked.time, "why": asked.detail}
    former = connection.execute(_select_done([job.id])).all()
    rows = [row | {"superseded_id": one.id} for one in former]
    connection.execute(sa.insert(supersedes), rows)
    return retire(connection, [job.done_attempt_id])


def retire(connection: sa.Connection, attempt_ids: Sequence[int | None]) -> set[str]:
    """Take what attempts left out of cells, since it is not current any more.

    Returns:
        The cells, not held yet, whose sums are to be computed anew.
    """
    left = set[str]()
    given = [one for one in attempt_ids if one is not None]
    for some in chunks(given):
        own = sa.select(results.c.id).where(results.c.attempt_id.in_(some))
        of_result = measures.c.result_id.in_(own), measures.c.cell_id.is_not(None)
        left |= set(connection.execute(sa.select(measures.c.cell_id).where(*of_result)).scalars())
        connection.execute(sa.update(measures).where(*of_result).values(cell_id=None))
    return left


def delete_measures(connection: sa.Connection, result_id: str, result: Result) -> None:
    """Delete those measures of a result in whose place others come."""
    names = [one.name for one in result.measures]
    connection.execute(
        sa.delete(measures).where(
            measures.c.result_id == result_id,
            measures.c.protocol == result.protocol,
            measures.c.name.in_(names),
        )
    )
