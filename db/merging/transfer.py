"""Writes of what jobs take over from another database, for some hundreds of them at once.

Locks are taken in the order in which a worker that finishes takes them: jobs, cells.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from lcma.db import schema
from lcma.db.cells import OF_TRIAL, encode_cell, hold_cells, select_of_trials, update_sums
from lcma.db.filters import chunks
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
    _move(target, gains)
    _add_made(target, gains, "artifacts", numbers)
    _add_curves(source, target, gains, numbers)
    current = choose_current(target, sorted(jobs))
    steps = [_step(one, jobs[one.there.job.id], numbers, current) for one in gains]
    take_steps(target, [one for one in steps if one is not None], now)
    former = {job_id: job.done_attempt_id for job_id, job in jobs.items()}
    changed = [jobs[job_id] for job_id, one in current.items() if one != former[job_id]]
    left = retire(target, [job.done_attempt_id for job in changed])
    _add_measures(target, gains, numbers, current, left)


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


def _add_made(
    target: sa.Connection, gains: Sequence[Gain], name: str, numbers: Mapping[str, int]
) -> None:
    rows = []
    for one in gains:
        uids = one.there.uids
        for row in one.made[name]:
            own = {key: value for key, value in row.items() if key != "id" or name == "results"}
            for column in ("attempt_id", "superseded_id"):
                if column in own:
                    own[column] = numbers[uids[own[column]]]
            rows.append(own)
    append_mappings(target, schema.metadata.tables[name], rows)


def _add_measures(
    target: sa.Connection,
    gains: Sequence[Gain],
    numbers: Mapping[str, int],
    current: Mapping[str, int | None],
    left: Collection[str],
) -> None:
    # Some take the place of what is here. Those of current results join their cells, as do those
    # here that are in none yet. Sums of cells that lost a value, of which `left` are some, change.
    values: list[_Value] = []
    rows = []
    left = set(left)
    for one in gains:
        job, uids = one.there.job, one.there.uids
        made_by = {row["id"]: row["attempt_id"] for row in one.there.made["results"].values()}
        here = [] if one.here is None else one.here.made["measures"].values()
        known = {tuple(row[name] for name in _MEASURE_KEY): row["cell_id"] for row in here}
        for row in one.made["measures"]:
            own = row | {"attempt_id": numbers[uids[row["attempt_id"]]], "cell_id": None}
            rows.append(own)
            if numbers[uids[made_by[row["result_id"]]]] == current[job.id]:
                values.append((own, job.trial_id, job.data_digest))
            key = tuple(row[name] for name in _MEASURE_KEY)
            if key in known:
                left |= {known[key]} - {None}
                same = (measures.c[name] == row[name] for name in _MEASURE_KEY)
                target.execute(sa.delete(measures).where(*same))
    here_before = {one.there.job.id for one in gains if one.here is not None}
    stored = _outside_cells(target, [current[job_id] for job_id in sorted(here_before)])
    joined = _find_cells(target, [*values, *stored])
    hold_cells(target, list(joined.values()), left)
    append_mappings(target, measures, rows)
    update = [
        {f"the_{name}": row[name] for name in _MEASURE_KEY} | {"cell": row["cell_id"]}
        for row, _, _ in stored
        if row["cell_id"] is not None
    ]
    if update:
        same = (measures.c[name] == sa.bindparam(f"the_{name}") for name in _MEASURE_KEY)
        statement = sa.update(measures).where(*same).values(cell_id=sa.bindparam("cell"))
        target.execute(statement, update)
    update_sums(target, {*left, *joined})


_Value = tuple[dict[str, Any], str | None, str]
"""A measure as a row, its trial and the digest of its data."""


def _outside_cells(target: sa.Connection, attempt_ids: Sequence[int | None]) -> list[_Value]:
    # The measures of results of these attempts that are in no cell.
    names = (*_MEASURE_KEY, "protocol_id", "cell_id")
    own = (measures.c[name] for name in names)
    columns = (*own, results.c.trial_id, results.c.data_digest)
    found: list[_Value] = []
    for some in chunks([one for one in attempt_ids if one is not None]):
        query = (
            sa.select(*columns)
            .join(results, results.c.id == measures.c.result_id)
            .where(results.c.attempt_id.in_(some), measures.c.cell_id.is_(None))
        )
        for *values, trial_id, digest in target.execute(query):
            found.append((dict(zip(names, values, strict=True)), trial_id, digest))
    return found


def _find_cells(target: sa.Connection, values: Sequence[_Value]) -> dict[str, dict[str, Any]]:
    # Enter into each measure that is ranked the cell of its trial. Returns these cells by id.
    kinds = sa.select(measure_kinds.c.name).where(measure_kinds.c.direction.is_not(None))
    ranked = frozenset(target.execute(kinds).scalars())
    query = sa.select(protocols.c.id, protocols.c.precision)
    precisions = {row.id: row.precision for row in target.execute(query)}
    of_trials: dict[str, Mapping[str, Any]] = {}
    for some in chunks(sorted({trial_id for _, trial_id, _ in values if trial_id is not None})):
        found = target.execute(select_of_trials().where(trials.c.id.in_(some)))
        of_trials |= {row.id: row._mapping for row in found}
    made: dict[str, dict[str, Any]] = {}
    known: dict[tuple[Any, ...], str] = {}
    for row, trial_id, digest in values:
        if row["name"] in ranked:
            trial = of_trials[str(trial_id)]
            of_seeds = (trial[name] for name in OF_TRIAL if name != "seed")
            key = (*of_seeds, digest, row["protocol_id"], row["name"])
            if key not in known:
                own = {"data_digest": digest, "protocol": row["protocol"], "measure": row["name"]}
                cell = encode_cell(trial, own | {"precision": precisions[row["protocol_id"]]})
                made[cell["id"]] = cell
                known[key] = cell["id"]
            row["cell_id"] = known[key]
    return made


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
        uids = one.there.uids
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
