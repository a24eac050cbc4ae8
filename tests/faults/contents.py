"""The rows that a sweep left in its database, compared to the bit with another's."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from lcma import db
from lcma.db import schema
from lcma.db.integrity import check_integrity
from lcma.sweeps.measures import TIME_MEASURES

KEYS: Mapping[str, Sequence[str]] = {
    "jobs": ("id",),
    "measures": ("trial_id", "data_digest", "protocol", "name"),
    "contribution_maps": ("pretraining_id", "data_digest", "budget", "split", "score"),
    "index_tables": ("trial_id", "data_digest", "split"),
    "metrics": ("job_id", "name", "step"),
    "artifacts": ("job_id", "kind"),
}
"""The columns that identify a row of each table."""

MADE_BY = {"id", "attempt_id", "measured_by", "created"}
"""Columns that say which attempt made a row, and when; equal rows may differ in them."""

Rows = dict[tuple[Any, ...], dict[str, Any]]


def _queries() -> Mapping[str, sa.Select[Any]]:
    jobs, measures, attempts = schema.jobs.c, schema.measures, schema.attempts
    metrics, artifacts = schema.metrics, schema.artifacts
    tables = schema.metadata.tables
    whole = {name: sa.select(tables[name]) for name in KEYS if name in tables}
    of_measures = ("protocol", "name", "value", "standard_error", "images", "clusters")
    return whole | {
        "jobs": sa.select(jobs.id, jobs.state),
        "measures": sa.select(
            jobs.trial_id, jobs.data_digest, *(measures.c[name] for name in of_measures)
        )
        .join_from(measures, schema.jobs, jobs.done_attempt_id == measures.c.attempt_id)
        .where(measures.c.name.not_in(TIME_MEASURES)),  # they differ from run to run
        "metrics": sa.select(
            attempts.c.job_id, metrics.c.name, metrics.c.step, metrics.c.value
        ).join_from(metrics, attempts, attempts.c.id == metrics.c.attempt_id),
        # Checkpoints have equal content, but not always equal bytes.
        "artifacts": sa.select(attempts.c.job_id, artifacts.c.kind, artifacts.c.digest)
        .join_from(artifacts, attempts, attempts.c.id == artifacts.c.attempt_id)
        .where(artifacts.c.kind == "weights"),
    }


def read_rows(store: db.Store) -> dict[str, Rows]:
    """Read the rows that must be the same whatever happens, by table and key."""
    tables: dict[str, Rows] = {}
    with store.database.reader().connect() as connection:
        for name, query in _queries().items():
            rows = tables[name] = {}
            for row in connection.execute(query).mappings():
                key = tuple(row[column] for column in KEYS[name])
                content = {c: _exact(v) for c, v in row.items() if c not in MADE_BY}
                # Two attempts may measure the same point of a curve.
                if rows.setdefault(key, content) != content:
                    rows[key] = {"values": "there are several"}
    return tables


def find_faults(store: db.Store) -> list[str]:
    """Return the faults of a sweep that has ended: jobs that are not done, or not by one attempt,
    attempts that failed, and what `lcma db check` finds."""
    attempts = store.view("attempts")
    done = Counter(attempts.job_id[attempts.outcome == "done"])
    jobs = read_rows(store)["jobs"]
    faults = [f"job {i[:12]} is not done" for (i,), row in jobs.items() if row["state"] != "done"]
    faults += [f"{done[i]} attempts ended job {i[:12]}" for (i,) in jobs if done[i] != 1]
    failed = set(attempts.outcome) - {"done", "node_lost", "cancelled", "preempted"}
    faults += [f"an attempt ended as {outcome}" for outcome in failed]
    return faults + [str(finding) for finding in check_integrity(store.database).findings]


def compare_rows(expected: dict[str, Rows], actual: dict[str, Rows]) -> list[str]:
    """Return a line for each row that is missing, superfluous or different."""
    lines = []
    for name, rows in expected.items():
        for key in sorted(rows.keys() | actual[name].keys(), key=str):
            wanted, row = rows.get(key, {}), actual[name].get(key, {})
            if wanted != row:
                missing = {c: v for c, v in wanted.items() if v != row.get(c)}
                other = {c: v for c, v in row.items() if v != wanted.get(c)}
                lines.append(f"{name} {key} is {other or 'missing'}, not {missing or 'there'}")
    return lines


def _exact(value: Any) -> Any:
    """Return a value that is equal if and only if all bits are."""
    if isinstance(value, float):
        return value.hex()
    return bytes(value) if isinstance(value, memoryview) else value
