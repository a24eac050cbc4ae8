"""Results of kept weights, evaluated when the job that left them was done."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import sqlalchemy as sa

from lcma.db.happenings import note
from lcma.db.jobs import read_job
from lcma.db.recording import RESULT_KEY, insert_result, require_same
from lcma.db.records import Cost, Evaluator, Result
from lcma.db.schema import attempts, jobs, results


def read_result(
    connection: sa.Connection, trial_id: str, data_digest: str, protocol: str
) -> Result | None:
    """The result of a trial on one exact data set by a protocol."""
    row = connection.execute(
        sa.select(results).where(
            results.c.trial_id == trial_id,
            results.c.data_digest == data_digest,
            results.c.protocol == protocol,
        )
    ).first()
    return None if row is None else to_result(row._asdict())


def to_result(row: Mapping[str, Any]) -> Result:
    """A row of `results` as a record. Raises ValueError as a result does."""
    return Result(**{field.name: row[field.name] for field in fields(Result)})


def add(
    connection: sa.Connection,
    job_id: str,
    result: Result,
    *,
    by: Evaluator,
    cost: Cost,
    now: float,
) -> bool:
    """Store an evaluation; see `Store.add_evaluation`."""
    job = read_job(connection, job_id)
    if job is None:
        raise LookupError(f"no job {job_id}")
    if job.state != "done" or (job.trial_id, job.data_digest) != (
        result.trial_id,
        result.data_digest,
    ):
        raise ValueError(f"the result is not of a trial that job {job_id} has done")
    stored = read_result(connection, result.trial_id, result.data_digest, result.protocol)
    more: dict[str, Any] = {}
    if stored is not None:
        require_same(results, RESULT_KEY, _own(stored), _own(result))
        more = missing(stored, result)
        if not more:
            return False
    token = job.token + 1
    connection.execute(sa.update(jobs).where(jobs.c.id == job_id).values(token=token))
    attempt_id: int = connection.execute(
        sa.insert(attempts)
        .values(
            job_id=job_id,
            token=token,
            protocol=result.protocol,
            outcome="done",
            ended=now,
            message="",
            first_step=result.step,
            last_step=result.step,
            **asdict(by),
            **asdict(cost),
        )
        .returning(attempts.c.id)
    ).scalar_one()
    note(
        connection,
        "evaluate",
        now,
        job_id=job_id,
        attempt_id=attempt_id,
        owner=by.owner,
        detail=result.protocol,
    )
    if stored is None:
        insert_result(connection, result, attempt_id, now)
        return True
    same_key = sa.and_(*(results.c[name] == getattr(result, name) for name in RESULT_KEY))
    connection.execute(sa.update(results).where(same_key).values(more))
    return True


def missing(stored: Result, found: Result) -> dict[str, Any]:
    """What of a new evaluation the stored row lacks: a bound of more draws or images, a series."""
    more: dict[str, Any] = {}
    if extent(found) > extent(stored):
        more |= {name: getattr(found, name) for name in Result.BOUND}
    if stored.series_terms is None and found.series_terms is not None:
        more |= {name: getattr(found, name) for name in Result.SERIES}
    return more


def extent(result: Result) -> tuple[int, int]:
    """Draws and images of its bound, zeros for none."""
    return result.bound_draws or 0, result.bound_images or 0


def _own(result: Result) -> dict[str, Any]:
    return {k: v for k, v in asdict(result).items() if k not in Result.BESIDE}
