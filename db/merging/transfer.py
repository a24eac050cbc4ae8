"""Writes of what jobs take over from another database, for some hundreds of them at once.

Locks are taken in the order in which a worker that finishes takes them: jobs, overlaps, cells.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from lcma.db import schema
from lcma.db.cells import encode_cell, hold_cells, select_of_trials, update_sums
from lcma.db.filters import chunks
from lcma.db.index_tables import insert_overlaps_of, lock_overlaps
from lcma.db.inserts import append_mappings, append_rows, escape_text
from lcma.db.merging.evidence import MADE, MOVING, Gain, job_row
from lcma.db.merging.steps import Step, take_steps
from lcma.db.records import Job
from lcma.db.results import choose_current, retire
from lcma.db.schema import measure_kinds, measures, protocols, results, trials

_MEASURE_KEY = ("result_id", "protocol", "name")

CURVES, POINTS = 500, 20_000
"""Curves read at once, and points of them held in memory."""


def write_gains(
    source: sa.Connection, target: sa.Connection, gains: Sequence[Gain], now: float
) -> None:
    """Write what jobs gain, in the transaction of `target` that has read and held the jobs here."""
    jobs = {one.there.job.id: _planned(one, now) for one in gains}
    new = [jobs[one.there.job.id] for one in gains if one.here is None]
    append_mappings(target, schema.jobs, [job_row(job) for job in new])
    numbers = _add_attempts(target, gains)
    for name in MADE:
        if name not in (*MOVING, "measures"):
            _add_made(target, gains, name, numbers)
    replaced = _add_measures(target, gains, numbers)
    _move(target, gains)
    _add_made(target, gains, "artifacts", numbers)
    _add_curves(source, target, gains, numbers)
    current = choose_current(target, sorted(jobs))
    steps = [_step(one, jobs[one.there.job.id], numbers, current) for one in gains]
    take_steps(target, [one for one in steps if one is not None], now)
    former = {job_id: job.done_attempt_id for job_id, job in jobs.items()}
    changed = [jobs[job_id] for job_id, one in current.items() if one != former[job_id]]
    lock_overlaps(target, {job.data_digest for job in changed if job.kind == "trial"})
    left = replaced | retire(target, [job.done_attempt_id for job in changed])
    _add_overlaps(target, changed)
    _join_cells(target, [one for one in current.values() if one is not None], left)


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
        done_attempt_id=None,
        owner=None,
        host=None,
        pid=None,
        lease_until=None,
        updated=now,
    )


def _add_attempts(target: sa.Connection, gains: Sequence[Gain]) -> dict[str, int]:
    # Behind those that are here. Returns the numbers here of all attempts by `uid`.
    table = schema.attempts
    rows = []
    for one in gains:
        before = 0 if one.here is None else one.here.job.token
        for token, row in enumerate(one.attempts.values(), start=before + 1):
            told = {name: row[name] and escape_text(row[name]) for name in ("message", "log")}
            rows.append({k: v for k, v in row.items() if k != "id"} | told | {"token": token})
    append_mappings(target, table, rows)
    numbers: dict[str, int] = {}
    for some in chunks(sorted(one.there.job.id for one in gains)):
        query = sa.select(table.c.uid, table.c.id).where(table.c.job_id.in_(some))
        numbers |= {row.uid: row.id for row in target.execute(query)}
    return numbers


def _uids(one: Gain) -> dict[int, str]:
    # The attempts there by their numbers there.
    return {row["id"]: uid for uid, row in one.there.attempts.items()}


def _add_made(
    target: sa.Connection, gains: Sequence[Gain], name: str, numbers: Mapping[str, int]
) -> None:
    rows = []
    for one in gains:
        uids = _uids(one)
        for row in one.made[name]:
            own = {key: value for key, value in row.items() if key != "id" or name == "results"}
            for column in ("attempt_id", "superseded_id"):
                if column in own:
                    own[column] = numbers[uids[own[column]]]
            rows.append(own)
    append_mappings(target, schema.metadata.tables[name], rows)


def _add_measures(
    target: sa.Connection, gains: Sequence[Gain], numbers: Mapping[str, int]
) -> set[str]:
    # Some take the place of what is here. Returns the cells of these.
    rows = []
    left = set[str]()
    for one in gains:
        uids = _uids(one)
        here = [] if one.here is None else one.here.made["measures"].values()
        known = {tuple(row[name] for name in _MEASURE_KEY): row["cell_id"] for row in here}
        for row in one.made["measures"]:
            rows.append(row | {"attempt_id": numbers[uids[row["attempt_id"]]], "cell_id": None})
            key = tuple(row[name] for name in _MEASURE_KEY)
            if key in known:
                left |= {known[key]} - {None}
                same = (measures.c[name] == row[name] for name in _MEASURE_KEY)
                target.execute(sa.delete(measures).where(*same))
    append_mappings(target, measures, rows)
    return left


def _move(target: sa.Connection, gains: Sequence[Gain]) -> None:
    # Curves and files that are there those of a later attempt, which comes with them.
    for one in gains:
        if one.here is None or not one.moved:
            continue
        former = [one.here.attempts[uid]["id"] for uid in one.moved]
        for name in MOVING:
            table = schema.metadata.tables[name]
            if name == "curves":
                gone = sa.select(table.c.id).where(table.c.attempt_id.in_(former))
                points = schema.metrics
                target.execute(sa.delete(points).where(points.c.curve_id.in_(gone)))
            target.execute(sa.delete(table).where(table.c.attempt_id.in_(former)))


def _add_curves(
    source: sa.Connection,
    target: sa.Connection,
    gains: Sequence[Gain],
    numbers: Mapping[str, int],
) -> None:
    table = schema.curves
    theirs: dict[tuple[int, str], int] = {}
    for one in gains:
        uids = _uids(one)
        for row in one.made["curves"]:
            theirs[numbers[uids[row["attempt_id"]]], row["name"]] = row["id"]
    append_rows(target, table, ("attempt_id", "name"), list(theirs))
    fresh: dict[int, int] = {}
    for some in chunks(sorted({attempt_id for attempt_id, _ in theirs})):
        query = sa.select(table.c.id, table.c.attempt_id, table.c.name)
        for number, attempt_id, name in target.execute(query.where(table.c.attempt_id.in_(some))):
            if (attempt_id, name) in theirs:
                fresh[theirs[attempt_id, name]] = number
    append_rows(target, schema.metrics, ("curve_id", "step", "value"), _points(source, fresh))


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


def _join_cells(target: sa.Connection, current: Sequence[int], left: Collection[str]) -> None:
    # Put the ranked measures of current results, which are in no cell yet, into theirs. Sums of
    # those that lost a value change too.
    of_trials: dict[str, Mapping[str, Any]] = {}
    made: dict[tuple[str, str, str], dict[str, Any]] = {}
    joined = []
    for some in chunks(sorted(current)):
        query = (
            sa.select(
                *(measures.c[name] for name in ("result_id", "protocol", "name")),
                *(results.c.trial_id, results.c.data_digest, protocols.c.precision),
            )
            .join_from(measures, results, results.c.id == measures.c.result_id)
            .join(protocols, protocols.c.id == measures.c.protocol_id)
            .join(measure_kinds, measure_kinds.c.name == measures.c.name)
            .where(
                results.c.attempt_id.in_(some),
                measures.c.cell_id.is_(None),
                measure_kinds.c.direction.is_not(None),
            )
        )
        rows = target.execute(query).all()
        ids = sorted({row.trial_id for row in rows} - of_trials.keys())
        found = target.execute(select_of_trials().where(trials.c.id.in_(ids))).mappings()
        of_trials |= {row["id"]: row for row in found}
        for row in rows:
            key = (row.trial_id + row.data_digest, row.protocol + row.precision, row.name)
            if key not in made:
                made[key] = encode_cell(
                    of_trials[row.trial_id], dict(row._mapping) | {"measure": row.name}
                )
            which = {f"the_{name}": row._mapping[name] for name in _MEASURE_KEY}
            joined.append(which | {"cell": made[key]["id"]})
    hold_cells(target, list(made.values()), left)
    if joined:
        same = (measures.c[name] == sa.bindparam(f"the_{name}") for name in _MEASURE_KEY)
        update = sa.update(measures).where(*same).values(cell_id=sa.bindparam("cell"))
        target.execute(update, joined)
    update_sums(target, {*left, *(row["cell"] for row in joined)})


def _add_overlaps(target: sa.Connection, jobs: Sequence[Job]) -> None:
    by_data = defaultdict[str, list[str]](list)
    for job in jobs:
        if job.trial_id is not None:
            by_data[job.data_digest].append(job.trial_id)
    for digest, trial_ids in sorted(by_data.items()):
        insert_overlaps_of(target, trial_ids, digest)


def _step(
    one: Gain, job: Job, numbers: Mapping[str, int], current: Mapping[str, int | None]
) -> Step | None:
    # What becomes of a job; None where it stays as it is.
    done = current[job.id]
    if one.event is None and not one.attempts and done == job.done_attempt_id:
        return None
    latest, step = job.attempt_id, job.step
    claims = [uid for uid, row in one.attempts.items() if row["protocol"] is None]
    if one.event is not None:
        last = one.there.job.attempt_id
        uid = next((uid for uid, row in one.there.attempts.items() if row["id"] == last), None)
        latest = done if one.event == "done_elsewhere" else numbers.get(uid or "", latest)
        step = one.there.job.steps if one.event == "done_elsewhere" else one.there.job.step
    elif latest is None and claims:
        latest = numbers[claims[-1]]
    return Step(job, one.event, job.token + len(one.attempts), latest, done, step)
