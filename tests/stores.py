"""Reads and writes of one thing, where a store has only methods for many."""

from collections.abc import Sequence
from typing import Any

from lcma import db
from lcma.db.jobs import read_claimed
from lcma.db.results import insert_metrics


def read_job(store: db.Store, job_id: str) -> db.Job:
    """Read a job that is registered."""
    return store.jobs([job_id])[job_id]


def beat(store: db.Store, claim: db.Claim, *, now: float | None = None, **news: Any) -> bool:
    """Send the heartbeat of one claim; return whether the claim is valid."""
    return claim.job_id in store.heartbeats([db.Heartbeat(claim=claim, **news)], now=now)


def add_metrics(store: db.Store, claim: db.Claim, points: Sequence[db.Metric]) -> bool:
    """Store points of curves, without a heartbeat; return whether the claim is valid."""
    with store._writer.begin() as connection:
        valid = read_claimed(connection, claim) is not None
        if valid:
            insert_metrics(connection, claim.attempt_id, points)
        return valid


def read_curve(store: db.Store, job_id: str, name: str) -> list[db.Metric]:
    """Read a curve of a job by step."""
    curves = [curve.key for curve in store.curves([job_id]) if curve.name == name]
    points_by_curve = store.points(curves).values()
    return [db.Metric(name, step, value) for points in points_by_curve for step, value in points]


def list_files(store: db.Store, job_id: str) -> list[db.Artifact]:
    """List the files of a job, by kind."""
    return store.artifacts([job_id]).get(job_id, [])


def list_running(store: db.Store) -> list[db.JobFacts]:
    """List the running jobs, oldest attempt first."""
    return store.job_facts(states=["running"], order="started")


def list_lost(store: db.Store) -> list[db.JobFacts]:
    """List the jobs that failed or diverged, the latest first."""
    return store.job_facts(states=["diverged", "failed"], order="updated")
