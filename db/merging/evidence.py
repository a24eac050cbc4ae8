"""What databases have of jobs, and what one of them gains from the other."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from lcma.db import schema
from lcma.db.jobs import Elsewhere
from lcma.db.merging.plans import Refused
from lcma.db.merging.report import Difference, Left, Tally
from lcma.db.merging.steps import event_elsewhere
from lcma.db.records import Job
from lcma.db.results import BOUND
from lcma.sweeps.measures import TIMES

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A job and all that came of it, but the points of its curves.

    What attempts made is listed by the `uid` of the attempt and what tells it apart there: results
    by nothing more, measures by protocol and name, maps by split and score, tables by split, files
    by kind, curves by name, and what they supersede by the other attempt's `uid`. `uids` has that
    of each attempt by its number.
    """

    job: Job
    attempts: dict[str, Row] = field(default_factory=dict)
    uids: dict[int, str] = field(default_factory=dict)
    made: dict[str, dict[tuple[Any, ...], Row]] = field(
        default_factory=lambda: {table: {} for table in MADE}
    )

    @property
    def subject(self) -> str:
        """The job in words."""
        job = self.job
        if job.kind == "trial":
            return f"trial {job.trial_id}"
        return f"pretraining {job.pretraining_id} to step {job.budget}"

    def of_attempt(self, table: str, uid: str) -> dict[tuple[Any, ...], Row]:
        """Return the rows of a table that an attempt made."""
        return {key: row for key, row in self.made[table].items() if key[0] == uid}


MADE: Mapping[str, tuple[str, ...]] = {
    "results": (),
    "measures": ("protocol", "name"),
    "contribution_maps": ("split", "score"),
    "index_tables": ("split",),
    "supersedes": ("superseded_id",),
    "curves": ("name",),
    "artifacts": ("kind",),
}
"""The tables of what attempts make, and by what its rows are told apart there."""

MOVING = ("curves", "artifacts")
"""Of those the ones that an attempt takes over from a former one, with which it goes on."""


@dataclass(slots=True)
class Gain:
    """Rows that a job takes over from another database.

    Attributes:
        there: The job in the source.
        here: The job in the target, None where it is not there yet.
        event: What this does to the job's state.
        attempts: Those that are not here, by `uid`.
        made: By table the rows that are not here.
        moved: Attempts here whose curves and files are those of a later attempt there.
    """

    there: Evidence
    here: Evidence | None
    event: Elsewhere | None
    attempts: dict[str, Row]
    made: dict[str, list[Row]]
    moved: list[str]

    @property
    def anything(self) -> bool:
        """Whether there is anything to take over."""
        return (
            self.here is None or self.event is not None or any((self.attempts, *self.made.values()))
        )


def read_evidence(
    connection: sa.Connection, ids: Sequence[str], *, hold: bool = False, bytes_of_maps: bool
) -> dict[str, Evidence]:
    """Read those of the jobs that exist, by id; with `hold` until the transaction ends."""
    jobs = schema.jobs
    query = sa.select(jobs).where(jobs.c.id.in_(ids)).order_by(jobs.c.id)
    rows = connection.execute(query.with_for_update() if hold else query)
    found = {row.id: Evidence(Job(**row._mapping)) for row in rows.all()}
    if not found:
        return found
    of_job = dict[int, Evidence]()
    own = schema.attempts.c.job_id.in_(list(found))
    for row in _rows(connection, schema.attempts, own, ("token",)):
        evidence = found[row["job_id"]]
        evidence.attempts[row["uid"]] = row
        evidence.uids[row["id"]] = row["uid"]
        of_job[row["id"]] = evidence
    made_by = sa.select(schema.attempts.c.id).where(own)
    by_result = dict[str, int]()
    for name, key in MADE.items():
        table = schema.metadata.tables[name]
        left_out = () if bytes_of_maps else ("values", "standard_errors", "halves")
        if name == "measures":
            where = table.c.result_id.in_(list(by_result))
        else:
            where = table.c.attempt_id.in_(made_by)
        order = tuple(column.name for column in table.primary_key.columns)
        for row in _rows(connection, table, where, order, left_out):
            attempt_id = by_result[row["result_id"]] if name == "measures" else row["attempt_id"]
            if name == "results":
                by_result[row["id"]] = attempt_id
            evidence = of_job[attempt_id]
            uids = evidence.uids
            told = tuple(uids[row[k]] if k == "superseded_id" else row[k] for k in key)
            evidence.made[name][uids[attempt_id], *told] = row
    return found


def _rows(
    connection: sa.Connection,
    table: sa.Table,
    where: sa.ColumnElement[bool],
    order: Sequence[str],
    left_out: Sequence[str] = (),
) -> list[Row]:
    columns = [column for column in table.columns if column.name not in left_out]
    names = [column.name for column in columns]
    query = sa.select(*columns).where(where).order_by(*(table.c[name] for name in order))
    return [dict(zip(names, row, strict=True)) for row in connection.execute(query).all()]


def find_gain(
    there: Evidence, here: Evidence | None, refused: Refused, tally: Tally
) -> Gain | None:
    """Return what a job here takes over from there, and count it.

    Returns:
        The gain; or None, with the reason in the tally, where nothing is taken.
    """
    reason = _obstacle(there, here, refused)
    if reason:
        for table, number in _sizes(there).items():
            tally.add(table, "left", number)
        tally.left.append(Left(there.job.id, there.subject, reason))
        for row in there.made["results"].values():
            refused.add(schema.results, row)  # with what says how it was verified
        return None
    ended = {uid: row for uid, row in there.attempts.items() if row["ended"] is not None}
    ours = {} if here is None else here.attempts
    new = {uid: row for uid, row in ended.items() if uid not in ours}
    event = None
    if here is None or here.job.done_attempt_id is None:
        event = event_elsewhere(here.job.state if here else "pending", _state(there))
        if here is not None and event in ("failed_elsewhere", "diverged_elsewhere"):
            last = _last_end(there)
            # It was merged before, and since then somebody here asked for a retry; or it failed
            # here before it did there.
            if last[1] in ours or (here.job.state != "pending" and last > _last_end(here)):
                event = None
    found = Gain(there, here, event, new, {name: [] for name in MADE}, [])
    for name in MADE:
        known: Iterable[tuple[Any, ...]] = () if here is None else here.made[name]
        missing = {
            key: row
            for key, row in there.made[name].items()
            if key[0] in ended and key not in known and (name not in MOVING or key[0] in new)
        }
        found.made[name] = list(missing.values())
    if here is not None:
        found.made["measures"] += _better_measures(there, here)
        found.moved = [
            uid
            for uid in ours
            if uid in ended and new and any(here.of_attempt(n, uid) for n in MOVING)
            if not any(there.of_attempt(n, uid) for n in MOVING)
        ]
        for difference in _differences(there, here):
            tally.differences.append(difference)
    _count(found, len(there.attempts) - len(ended), tally)
    return found


def _state(there: Evidence) -> Any:
    # A job of which a result is current counts as done, though it is run anew.
    return "done" if there.job.done_attempt_id is not None else there.job.state


def _last_end(one: Evidence) -> tuple[float, str]:
    # When the last attempt at a job that has ended did so, and its `uid`.
    ends = (
        (row["ended"], uid)
        for uid, row in one.attempts.items()
        if row["id"] == one.job.attempt_id and row["ended"] is not None
    )
    return next(ends, (math.inf, ""))


def _obstacle(there: Evidence, here: Evidence | None, refused: Refused) -> str | None:
    # Why nothing of a job can be taken.
    reason = None
    if refused:
        reason = refused.reason(schema.jobs, job_row(there.job))
        for row in there.attempts.values():
            reason = reason or refused.reason(schema.attempts, row)
    if reason is None and here is not None and here.job.state == "running":
        return "it is running here: merge again when it is done"
    return reason


def job_row(job: Job) -> Row:
    """Return the row of `jobs`."""
    return {column.name: getattr(job, column.name) for column in schema.jobs.columns}


def _better_measures(there: Evidence, here: Evidence) -> list[Row]:
    # Measures there that take the place of those here.
    ours, order = here.made["measures"], _order_measures(here)
    return [
        there.made["measures"][key]
        for key, place in _order_measures(there).items()
        if key in ours and place < order[key]
    ]


def _order_measures(one: Evidence) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    # Of two measures of one result by one name, that of the wider K-sample bound counts, else that
    # of the evaluation that ended first: what sorts first.
    by_id = {row["id"]: row for row in one.attempts.values()}
    extents = _bound_extents(one)
    found = {}
    for key, row in one.made["measures"].items():
        draws, images = extents.get(key[:-1], (0, 0)) if key[-1] in BOUND else (0, 0)
        attempt = by_id[row["attempt_id"]]
        found[key] = (-draws, -images, attempt["ended"], attempt["uid"])
    return found


def _bound_extents(one: Evidence) -> dict[tuple[Any, ...], tuple[float, int]]:
    measures = one.made["measures"]
    return {
        key[:-1]: (row["value"], measures[*key[:-1], "bound_bits_per_dim"]["images"])
        for key, row in measures.items()
        if key[-1] == "bound_draws" and (*key[:-1], "bound_bits_per_dim") in measures
    }


def _differences(there: Evidence, here: Evidence) -> list[Difference]:
    # Of one attempt nothing can be another. Where the work was done twice, both stay; that they
    # gave other numbers is told, unless one of them was done anew on purpose.
    found = []
    for name, column in (("measures", "value"), ("contribution_maps", "digest")):
        seen = defaultdict[tuple[Any, ...], list[Row]](list)
        for key, row in here.made[name].items():
            seen[key[1:]].append(row)
        for key, row in there.made[name].items():
            if key in here.made[name]:
                ours = here.made[name][key]
                differ = [] if key[-1] in BOUND and _is_wider(there, here, key) else [ours]
            else:
                differ = seen[key[1:]] if key[0] not in here.attempts else []
            if _is_timing(name, key):
                continue
            for ours in differ:
                if ours[column] != row[column] and not _is_superseded(there, here):
                    where = {"job": there.job.id}
                    where |= dict(zip(MADE[name], key[1:], strict=True))
                    found.append(Difference(name, where, column, ours[column], row[column]))
                    break
    return found


def _is_wider(there: Evidence, here: Evidence, key: tuple[Any, ...]) -> bool:
    # Whether two K-sample bounds are over other draws or images.
    extents = [_bound_extents(one).get(key[:-1]) for one in (there, here)]
    return extents[0] != extents[1]


def _is_timing(table: str, key: tuple[Any, ...]) -> bool:
    return table == "measures" and key[-1] in TIMES


def _is_superseded(there: Evidence, here: Evidence) -> bool:
    return bool(there.made["supersedes"] or here.made["supersedes"])


def _sizes(one: Evidence) -> dict[str, int]:
    # How many rows of each table a job has.
    counts = {name: len(rows) for name, rows in one.made.items()}
    return {"jobs": 1, "attempts": len(one.attempts), **counts}


def _count(found: Gain, running: int, tally: Tally) -> None:
    sizes = _sizes(found.there)
    new = {"jobs": int(found.here is None), "attempts": len(found.attempts)}
    new |= {name: len(rows) for name, rows in found.made.items()}
    if found.here is not None and found.event is not None:
        tally.add("jobs", "completed")
        sizes["jobs"] -= 1
    tally.add("attempts", "left", running)
    sizes["attempts"] -= running
    for table, size in sizes.items():
        tally.add(table, "new", new[table])
        tally.add(table, "equal", size - new[table])
