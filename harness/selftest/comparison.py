"""Read what a run left in its database, and compare two runs to the bit."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from lcma import db
from lcma.db import schema
from lcma.db.integrity import check_integrity
from lcma.sweeps.measures import TIMES

SHOWN = 10
"""Most differences that are printed."""

MADE_BY = {"id", "attempt_id", "created"}
"""Columns that say which attempt made a row, and when: equal rows may differ in them."""

KEYS: Mapping[str, Sequence[str]] = {
    "contribution_maps": ("pretraining_id", "data_digest", "budget", "split", "score"),
    "index_tables": ("trial_id", "data_digest", "split"),
}
"""The tables that are compared whole, with the columns that identify a row."""

_OF_RESULTS = ("protocol", "name", "value", "standard_error", "images", "clusters")

MEASURES = (
    sa.select(
        schema.results.c.trial_id,
        schema.results.c.data_digest,
        *(schema.measures.c[name] for name in _OF_RESULTS),
    )
    .join_from(schema.measures, schema.results, schema.results.c.id == schema.measures.c.result_id)
    .where(schema.measures.c.name.not_in(TIMES))
)
"""Times differ from run to run."""

CURVES = (
    sa.select(
        schema.attempts.c.job_id,
        schema.curves.c.name,
        schema.metrics.c.step,
        schema.metrics.c.value,
    )
    .join_from(schema.curves, schema.metrics, schema.curves.c.id == schema.metrics.c.curve_id)
    .join(schema.attempts, schema.attempts.c.id == schema.curves.c.attempt_id)
)

WEIGHTS = (
    sa.select(schema.attempts.c.job_id, schema.artifacts.c.kind, schema.artifacts.c.digest)
    .join_from(
        schema.artifacts, schema.attempts, schema.attempts.c.id == schema.artifacts.c.attempt_id
    )
    .where(schema.artifacts.c.kind.in_(("weights", "tables")))
)
"""Of checkpoints the content is equal, but not always the bytes."""

Rows = dict[tuple[Any, ...], tuple[tuple[str, Any], ...]]


@dataclass(frozen=True)
class RunContent:
    """Rows of a run that must be the same in every run, by table and key, and the faults of this
    run by itself."""

    tables: Mapping[str, Rows]
    faults: tuple[str, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Rows in each table."""
        return {name: len(rows) for name, rows in self.tables.items()}


def read_run(store: db.Store) -> RunContent:
    """Read a database whose sweep has ended."""
    tables: dict[str, Rows] = {}
    with store.database.reader().connect() as connection:
        for name, key in KEYS.items():
            table = schema.metadata.tables[name]
            tables[name] = _rows(connection, sa.select(table), key)
        results = sa.select(schema.results.c.trial_id, schema.results.c.data_digest)
        tables["results"] = _rows(connection, results, ("trial_id", "data_digest"))
        key = ("trial_id", "data_digest", "protocol", "name")
        tables["measures"] = _rows(connection, MEASURES, key)
        tables["curves"] = _rows(connection, CURVES, ("job_id", "name", "step"))
        tables["artifacts"] = _rows(connection, WEIGHTS, ("job_id", "kind"))
        jobs = connection.execute(sa.select(schema.jobs.c.id, schema.jobs.c.state)).all()
        ends = connection.execute(
            sa.select(schema.attempts.c.job_id, schema.attempts.c.outcome)
        ).all()
    tables["jobs"] = {(job_id,): (("state", state),) for job_id, state in jobs}
    done = Counter(job_id for job_id, outcome in ends if outcome == "done")
    faults = [f"job {job_id[:12]} is {state}" for job_id, state in jobs if state != "done"]
    faults += [
        f"job {job_id[:12]} was brought to its end by {done[job_id]} attempts"
        for job_id, _ in jobs
        if done[job_id] != 1
    ]
    faults += [
        f"an attempt at job {job_id[:12]} ended as {outcome}"
        for job_id, outcome in ends
        if outcome not in ("done", "node_lost", "cancelled", "preempted")
    ]
    faults += [str(finding) for finding in check_integrity(store.database).findings]
    return RunContent(tables, tuple(sorted(faults)))


def compare_runs(expected: RunContent, actual: RunContent) -> list[str]:
    """Return a line for each fault of the actual run and each difference from the expected one."""
    lines = list(actual.faults)
    for name, rows in expected.tables.items():
        others = actual.tables[name]
        for key in sorted(rows.keys() | others.keys(), key=str):
            where = f"{name} {' '.join(str(part)[:12] for part in key)}"
            if key not in others:
                lines.append(f"{where} is missing")
            elif key not in rows:
                lines.append(f"{where} should not be there")
            elif rows[key] != others[key]:
                lines += [
                    f"{where}: {column} is {_short(b)} and should be {_short(a)}"
                    for (column, a), (_, b) in zip(rows[key], others[key], strict=True)
                    if a != b
                ]
    return lines


def _rows(connection: sa.Connection, query: sa.Select[Any], key: Sequence[str]) -> Rows:
    rows: Rows = {}
    for row in connection.execute(query):
        content = row._mapping
        others = [name for name in content if name not in MADE_BY and name not in key]
        where = tuple(content[name] for name in key)
        rows[where] = tuple((str(name), _exact(content[name])) for name in sorted(others))
    return rows


def _exact(value: Any) -> Any:
    """Return something that is equal where every bit is."""
    if isinstance(value, float):
        return value.hex()
    return bytes(value) if isinstance(value, memoryview) else value


def _short(value: Any) -> str:
    text = value.hex() if isinstance(value, bytes) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
