"""What databases have of jobs, and what one of them gains from the other."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from lcma.db import schema
from lcma.db.jobs import Elsewhere
from lcma.db.maps import find_map_damage
from lcma.db.merging.plans import Refused
from lcma.db.merging.report import Difference, Left, Tally, first_difference
from lcma.db.merging.steps import event_elsewhere
from lcma.db.records import Job, Result
from lcma.db.results import decode_result, find_additions

Row = dict[str, Any]

SAME_ATTEMPT = ("owner", "host", "started", "ended", "outcome", "protocol")
"""By which an attempt that has ended is known again under another number."""

MAP_COLUMNS = (
    *("channels", "height", "width", "dtype", "images", "clusters", "digest", "mean_log_det"),
)
"""What must be equal in two maps of one key; the rest follows from it, or was added later."""

TABLE_COLUMNS = ("channels", "height", "width", "digest", "kept")
"""The same for index tables."""

RESULT_COLUMNS = tuple(
    column.name
    for column in schema.results.columns
    if column.name not in ("attempt_id", "created", "seed", "cell_id", "id", *Result.BESIDE)
)
"""The same for results: all that the id is made of. It comes last, as it says least."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A job and all that came of it, but the points of its curves."""

    job: Job
    attempts: list[Row] = field(default_factory=list)
    results: dict[str, Row] = field(default_factory=dict)
    maps: dict[tuple[int, str], Row] = field(default_factory=dict)
    tables: dict[int, Row] = field(default_factory=dict)
    artifacts: dict[str, Row] = field(default_factory=dict)
    curves: dict[str, int] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """The job in words."""
        job = self.job
        if job.kind == "trial":
            return f"trial {job.trial_id}"
        return f"pretraining {job.pretraining_id} to step {job.budget}"


@dataclass(slots=True)
class Gain:
    """What a job takes over.

    Attributes:
        there: The job in the source.
        here: The job in the target, None where it is not there yet.
        event: What this does to the job's state; the rest of its files and curves comes with it.
        attempts: Those that are not here.
        known: The numbers here of the attempts that are here, by theirs.
        results: Those that are not here.
        maps: Those that are not here.
        tables: Those that are not here.
        beside: What results here lack, by their id.
    """

    there: Evidence
    here: Evidence | None
    event: Elsewhere | None
    attempts: list[Row]
    known: dict[int, int]
    results: list[Row]
    maps: list[Row]
    tables: list[Row]
    beside: dict[str, Row]

    @property
    def whole(self) -> bool:
        """Whether curves and files come too: those of the attempts by which the job ended."""
        return self.event is not None

    @property
    def anything(self) -> bool:
        """Whether there is anything to take over."""
        found = (self.attempts, self.results, self.maps, self.tables, self.beside)
        return self.here is None or self.event is not None or any(found)


def read_evidence(
    connection: sa.Connection, ids: Sequence[str], *, hold: bool = False, bytes_of_maps: bool
) -> dict[str, Evidence]:
    """Read those of the jobs that exist, by id; with `hold` until the transaction ends."""
    jobs, maps = schema.jobs, schema.contribution_maps
    query = sa.select(jobs).where(jobs.c.id.in_(ids)).order_by(jobs.c.id)
    rows = connection.execute(query.with_for_update() if hold else query)
    found = {row.id: Evidence(Job(**row._mapping)) for row in rows}
    some = list(found)
    if not some:
        return found
    for row in _rows(connection, schema.attempts, schema.attempts.c.job_id.in_(some), "token"):
        found[row["job_id"]].attempts.append(row)
    for table, name, key in (
        (schema.artifacts, "artifacts", "kind"),
        (schema.curves, "curves", "name"),
    ):
        for row in _rows(connection, table, table.c.job_id.in_(some), key):
            getattr(found[row["job_id"]], name)[row[key]] = (
                row if name == "artifacts" else row["id"]
            )
    trials = {(e.job.trial_id, e.job.data_digest): e for e in found.values() if e.job.trial_id}
    for table, name, key in (
        (schema.results, "results", "protocol"),
        (schema.index_tables, "tables", "split"),
    ):
        for row in _rows(connection, table, table.c.trial_id.in_([one for one, _ in trials]), key):
            evidence = trials.get((row["trial_id"], row["data_digest"]))
            if evidence is not None:
                getattr(evidence, name)[row[key]] = row
    segments = {
        (e.job.pretraining_id, e.job.data_digest, e.job.budget): e
        for e in found.values()
        if e.job.pretraining_id
    }
    if segments:
        left_out = () if bytes_of_maps else ("values", "standard_errors", "halves")
        budgets = maps.c.budget.in_({budget for _, _, budget in segments})
        which = sa.and_(maps.c.pretraining_id.in_({one for one, _, _ in segments}), budgets)
        for row in _rows(connection, maps, which, "id", left_out):
            evidence = segments.get((row["pretraining_id"], row["data_digest"], row["budget"]))
            if evidence is not None:
                evidence.maps[row["split"], row["score"]] = row
    return found


def _rows(
    connection: sa.Connection,
    table: sa.Table,
    where: sa.ColumnElement[bool],
    order: str,
    left_out: Sequence[str] = (),
) -> list[Row]:
    columns = [column for column in table.columns if column.name not in left_out]
    names = [column.name for column in columns]
    found = connection.execute(sa.select(*columns).where(where).order_by(table.c[order]))
    return [dict(zip(names, row, strict=True)) for row in found]


def find_gain(
    there: Evidence, here: Evidence | None, refused: Refused, tally: Tally
) -> Gain | None:
    """Return what a job here takes over from there, and count it.

    Returns:
        The gain; or None, with the reason in the tally, where nothing is taken.
    """
    ended = [row for row in there.attempts if row["ended"] is not None]
    reason = _obstacle(there, here, refused)
    differences = [] if reason or here is None else _differences(there, here)
    if reason or differences:
        for difference in differences:
            tally.differ(difference)
        in_conflict = defaultdict[str, int](int)
        for difference in differences:
            in_conflict[difference.table] += 1
        for table, number in _sizes(there).items():
            tally.add(table, "left", number - in_conflict[table])
        why = reason or "a number of it differs here, so all of it stays as it is"
        tally.left.append(Left(there.job.id, there.subject, why))
        return None
    new, known = _match(ended, here.attempts if here else [])
    event = event_elsewhere(here.job.state if here else "pending", there.job.state)
    if event in ("failed_elsewhere", "diverged_elsewhere") and there.job.attempt_id in known:
        event = None  # it was merged before: since then somebody here asked for a retry
    found = Gain(
        there=there,
        here=here,
        event=event,
        attempts=new,
        known=known,
        results=_absent(there.results, here.results if here else {}),
        maps=_absent(there.maps, here.maps if here else {}),
        tables=_absent(there.tables, here.tables if here else {}),
        beside={} if here is None else _beside(there, here),
    )
    _count(found, tally)
    return found


def _obstacle(there: Evidence, here: Evidence | None, refused: Refused) -> str | None:
    # Why nothing of a job can be taken.
    reason = None
    if refused:
        reason = refused.reason(schema.jobs, job_row(there.job))
        for row in there.attempts:
            reason = reason or refused.reason(schema.attempts, row)
    if reason is None and here is not None and here.job.state == "running":
        return "it is running here: merge again when it is done"
    return reason or _damage(there)


def job_row(job: Job) -> Row:
    """Return the row of `jobs`."""
    return {column.name: getattr(job, column.name) for column in schema.jobs.columns}


def _damage(there: Evidence) -> str | None:
    for row in there.results.values():
        try:
            sound = decode_result(row).id == row["id"]
        except (ValueError, TypeError):
            sound = False
        if not sound:
            return f"its result {row['id']} is damaged there: its numbers do not match its id"
    for row in there.maps.values():
        damage = find_map_damage(row)
        if damage is not None:
            return f"its map {row['id']} is damaged there: {damage}"
    for row in there.tables.values():
        shape = (row["channels"], row["height"], row["width"])
        if len(row["kept"]) != -(-math.prod(shape) // 8):
            return f"its table of split {row['split']} is damaged there"
    return None


def _differences(there: Evidence, here: Evidence) -> list[Difference]:
    pairs = (
        ("results", ("trial_id", "data_digest", "protocol"), (*RESULT_COLUMNS, "id")),
        ("maps", ("pretraining_id", "data_digest", "budget", "split", "score"), MAP_COLUMNS),
        ("tables", ("trial_id", "data_digest", "split"), TABLE_COLUMNS),
    )
    named = {"results": "results", "maps": "contribution_maps", "tables": "index_tables"}
    found = []
    for name, key, columns in pairs:
        ours: Mapping[Any, Row] = getattr(here, name)
        for which, row in getattr(there, name).items():
            if which not in ours:
                continue
            difference = first_difference(named[name], key, columns, ours[which], row)
            if difference is None and name == "results":
                difference = _difference_beside(key, ours[which], row)
            if difference is not None:
                found.append(difference)
    return found


def _difference_beside(key: Sequence[str], here: Row, there: Row) -> Difference | None:
    # Of what was measured beside a result, in the same way on both sides.
    for columns, way in (
        (Result.BOUND, ("bound_draws", "bound_images")),
        (Result.SERIES, ("series_terms",)),
    ):
        both = [(here[name], there[name]) for name in way]
        if all(one == other and one is not None for one, other in both):
            difference = first_difference("results", key, columns, here, there)
            if difference is not None:
                return difference
    return None


def _beside(there: Evidence, here: Evidence) -> dict[str, Row]:
    found = {}
    for protocol, row in there.results.items():
        stored = here.results.get(protocol)
        if stored is not None and any(stored[name] != row[name] for name in Result.BESIDE):
            more = find_additions(decode_result(stored), decode_result(row))
            if more:
                found[stored["id"]] = more
    return found


def _match(theirs: Sequence[Row], ours: Sequence[Row]) -> tuple[list[Row], dict[int, int]]:
    # Their attempts that are not among ours, and our numbers of those that are, each once.
    here: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for row in ours:
        here[tuple(row[name] for name in SAME_ATTEMPT)].append(row["id"])
    new, known = [], {}
    for row in theirs:
        same = here[tuple(row[name] for name in SAME_ATTEMPT)]
        if same:
            known[row["id"]] = same.pop(0)
        else:
            new.append(row)
    return new, known


def _absent(there: Mapping[Any, Row], here: Mapping[Any, Row]) -> list[Row]:
    return [row for key, row in there.items() if key not in here]


def _sizes(one: Evidence) -> dict[str, int]:
    # How many rows of each table a job has.
    return {
        "jobs": 1,
        "attempts": len(one.attempts),
        "contribution_maps": len(one.maps),
        "index_tables": len(one.tables),
        "results": len(one.results),
        "curves": len(one.curves),
        "artifacts": len(one.artifacts),
    }


def _count(found: Gain, tally: Tally) -> None:
    there, here = found.there, found.here
    sizes = _sizes(there)
    new = {
        "jobs": int(here is None),
        "attempts": len(found.attempts),
        "contribution_maps": len(found.maps),
        "index_tables": len(found.tables),
        "results": len(found.results),
    }
    completed = {
        "jobs": int(here is not None and found.event is not None),
        "results": len(found.beside),
    }
    for name in ("curves", "artifacts"):
        theirs, ours = getattr(there, name), getattr(here, name) if here else {}
        new[name] = sum(one not in ours for one in theirs) if found.whole else 0
        completed[name] = len(theirs) - new[name] if found.whole else 0
        if not found.whole:
            left = sum(one not in ours for one in theirs)
            tally.add(name, "left", left)
            sizes[name] -= left
    running = len(there.attempts) - len(found.attempts) - len(found.known)
    tally.add("attempts", "left", running)
    sizes["attempts"] -= running
    for table, size in sizes.items():
        tally.add(table, "new", new[table])
        tally.add(table, "completed", completed.get(table, 0))
        tally.add(table, "equal", size - new[table] - completed.get(table, 0))
