"""Writes of what jobs take over from another database, for some hundreds of them at once.

Locks are taken in the order in which a worker that finishes takes them: jobs, cells, overlaps.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from lcma.db import schema
from lcma.db.cells import SHARED, UNKNOWN, compute_sums, encode_cell, select_of_trials
from lcma.db.filters import chunks
from lcma.db.index_tables import insert_overlaps_of
from lcma.db.inserts import (
    append_mappings,
    append_rows,
    escape_text,
    insert_missing,
    insert_or_replace,
)
from lcma.db.merging.evidence import Gain, Row, job_row
from lcma.db.merging.steps import Step, take_steps
from lcma.db.records import Job
from lcma.db.schema import cells, results, trials

CURVES, POINTS = 500, 20_000
"""Curves read at once, and points of them held in memory."""


def write_gains(
    source: sa.Connection, target: sa.Connection, gains: Sequence[Gain], now: float
) -> None:
    """Write what jobs gain, in the transaction of `target` that has read and held the jobs here."""
    jobs = {one.there.job.id: _planned(one, now) for one in gains}
    new = [jobs[one.there.job.id] for one in gains if one.here is None]
    append_mappings(target, schema.jobs, [job_row(job) for job in new])
    attempts = _add_attempts(target, gains)
    _add_results(target, gains, attempts)
    for name, table in (("maps", schema.contribution_maps), ("tables", schema.index_tables)):
        rows = [
            {key: value for key, value in row.items() if key != "id"}
            | {"attempt_id": attempts[row["attempt_id"]]}
            for one in gains
            for row in getattr(one, name)
        ]
        append_mappings(target, table, rows)
    _add_overlaps(target, gains)
    whole = [one for one in gains if one.whole]
    _add_curves(source, target, whole)
    _add_artifacts(target, whole)
    steps = [_step(one, jobs[one.there.job.id], attempts) for one in gains]
    take_steps(target, [one for one in steps if one is not None], now)


def _planned(one: Gain, now: float) -> Job:
    # The job as it is here, or as a plan would register it.
    if one.here is not None:
        return one.here.job
    there = one.there.job
    return Job(
        id=there.id,
        kind=there.kind,
        pretraining_id=there.pretraining_id,
        trial_id=there.trial_id,
        budget=there.budget,
        data_digest=there.data_digest,
        state="pending",
        steps=there.steps,
        step=0,
        token=0,
        attempt_id=None,
        owner=None,
        host=None,
        pid=None,
        lease_until=None,
        updated=now,
    )


def _add_attempts(target: sa.Connection, gains: Sequence[Gain]) -> dict[int, int]:
    # Behind those that are here. Returns the numbers here of all attempts, by theirs.
    table = schema.attempts
    numbers = {theirs: ours for one in gains for theirs, ours in one.known.items()}
    rows, places = [], {}
    for one in gains:
        before = 0 if one.here is None else one.here.job.token
        for token, row in enumerate(one.attempts, start=before + 1):
            places[row["job_id"], token] = row["id"]
            said = {name: row[name] and escape_text(row[name]) for name in ("message", "log")}
            rows.append({k: v for k, v in row.items() if k != "id"} | said | {"token": token})
    append_mappings(target, table, rows)
    for some in chunks(sorted({row["job_id"] for row in rows})):
        columns = (table.c.id, table.c.job_id, table.c.token)
        for number, job_id, token in target.execute(
            sa.select(*columns).where(table.c.job_id.in_(some))
        ):
            if (job_id, token) in places:
                numbers[places[job_id, token]] = number
    return numbers


def _add_results(target: sa.Connection, gains: Sequence[Gain], attempts: dict[int, int]) -> None:
    found = [row for one in gains for row in one.results]
    own = _join_cells(target, found)
    rows = [
        row | cell | {"attempt_id": attempts[row["attempt_id"]]}
        for row, cell in zip(found, own, strict=True)
    ]
    append_mappings(target, schema.results, rows)
    _update_all_sums(target, {cell["cell_id"] for cell in own})
    for one in gains:
        for result_id, more in one.beside.items():
            table = schema.results
            target.execute(sa.update(table).where(table.c.id == result_id).values(more))


def _join_cells(
    connection: sa.Connection, found: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    # The columns of rows of `results` that say which cells they are in. The cells are made where
    # they are missing, and nobody else changes them until the transaction ends.
    ids = sorted({row["trial_id"] for row in found})
    of_trials: dict[str, Mapping[str, Any]] = {}
    for some in chunks(ids):
        query = select_of_trials().where(trials.c.id.in_(some))
        of_trials |= {row["id"]: row for row in connection.execute(query).mappings()}
    made: dict[tuple[Any, ...], dict[str, Any]] = {}
    joined = []
    for row in found:
        trial = of_trials[row["trial_id"]]
        key = tuple(trial[name] if name in trial else row[name] for name in SHARED)
        if key not in made:
            made[key] = encode_cell(trial, row)
        joined.append({"seed": trial["seed"], "cell_id": made[key]["id"]})
    rows = sorted(made.values(), key=lambda row: str(row["id"]))
    insert_missing(connection, cells, [row | UNKNOWN for row in rows])
    for some in chunks([row["id"] for row in rows]):
        hold = sa.select(cells.c.id).where(cells.c.id.in_(some)).order_by(cells.c.id)
        connection.execute(hold.with_for_update())
    return joined


def _update_all_sums(connection: sa.Connection, cell_ids: Collection[str]) -> None:
    columns = (results.c.cell_id, results.c.bits_per_dim, results.c.holdout_bits_per_dim)
    for some in chunks(sorted(cell_ids)):
        test, holdout = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
        query = sa.select(*columns).where(results.c.cell_id.in_(some))
        for cell_id, one, other in connection.execute(query):
            test[cell_id].append(one)
            holdout[cell_id].append(other)
        rows = [{"the_id": c, **compute_sums(test[c], holdout[c])} for c in some]
        connection.execute(sa.update(cells).where(cells.c.id == sa.bindparam("the_id")), rows)


def _add_overlaps(target: sa.Connection, gains: Sequence[Gain]) -> None:
    by_data: dict[str, list[str]] = {}
    for one in gains:
        job = one.there.job
        if one.tables and job.trial_id is not None:
            by_data.setdefault(job.data_digest, []).append(job.trial_id)
    for digest, trial_ids in sorted(by_data.items()):
        insert_overlaps_of(target, trial_ids, digest)


def _add_curves(source: sa.Connection, target: sa.Connection, gains: Sequence[Gain]) -> None:
    # With their points; of a curve that is here too, those that are not, and the others become what
    # they are there, as when a worker that goes on from a checkpoint reports them.
    table = schema.curves
    there = {one.there.job.id: one.there.curves for one in gains}
    here = {one.there.job.id: one.here.curves if one.here else {} for one in gains}
    names = [(job_id, name) for job_id, own in there.items() for name in own]
    missing = [(job_id, name) for job_id, name in names if name not in here[job_id]]
    append_rows(target, table, ("job_id", "name"), missing)
    fresh, known = dict[int, int](), dict[int, int]()
    for some in chunks(sorted(there)):
        columns = (table.c.id, table.c.job_id, table.c.name)
        for number, job_id, name in target.execute(
            sa.select(*columns).where(table.c.job_id.in_(some))
        ):
            theirs = there[job_id].get(name)
            if theirs is not None:
                (known if name in here[job_id] else fresh)[theirs] = number
    append_rows(target, schema.metrics, ("curve_id", "step", "value"), _points(source, fresh))
    rows = [
        {"curve_id": curve, "step": step, "value": value}
        for curve, step, value in _points(source, known)
    ]
    insert_or_replace(target, schema.metrics, rows)


def _points(source: sa.Connection, numbers: dict[int, int]) -> Iterator[tuple[int, int, Any]]:
    # The points of curves there, under their numbers here.
    table = schema.metrics
    curves = sorted(numbers)
    for start in range(0, len(curves), CURVES):
        some = curves[start : start + CURVES]
        query = sa.select(table.c.curve_id, table.c.step, table.c.value)
        query = query.where(table.c.curve_id.in_(some)).order_by(table.c.curve_id, table.c.step)
        for curve, step, value in source.execute(query.execution_options(yield_per=POINTS)):
            yield numbers[curve], step, value


def _add_artifacts(target: sa.Connection, gains: Sequence[Gain]) -> None:
    # Files that a job left when it ended take the place of what it had before.
    fresh, known = list[Row](), list[Row]()
    for one in gains:
        for kind, row in one.there.artifacts.items():
            there = {key: value for key, value in row.items() if key != "id"}
            (known if one.here and kind in one.here.artifacts else fresh).append(there)
    append_mappings(target, schema.artifacts, fresh)
    insert_or_replace(target, schema.artifacts, known)


def _step(one: Gain, job: Job, attempts: dict[int, int]) -> Step | None:
    # What becomes of a job; None where it stays as it is.
    if one.event is None and not one.attempts:
        return None
    latest, step = job.attempt_id, job.step
    if one.event is not None:
        ended_by = one.there.job.attempt_id
        latest = None if ended_by is None else attempts[ended_by]
        step = one.there.job.step
    elif latest is None:
        claims = [row["id"] for row in one.attempts if row["protocol"] is None]
        latest = attempts[claims[-1]] if claims else None
    return Step(job, one.event, job.token + len(one.attempts), latest, step)
