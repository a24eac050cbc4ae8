"""What runs now: how fast, how long still, and the curves so far."""

from collections import Counter
from dataclasses import dataclass, replace

from lcma.db import JobFacts, Store
from lcma.harness.results.curves import LARGEST, CurveLine, CurvePanel, LineKey, SeedCurve
from lcma.harness.results.lookup import job_title
from lcma.harness.text import short_id
from lcma.sweeps.recipe import TRAIN_CURVE

MOST = 12
"""Most jobs that are shown of those that run."""

POINTS = 200
"""Most points of a curve."""

LINES = 20
"""Last lines of a log."""


@dataclass(frozen=True)
class RunningJob:
    """A job that runs: steps per second of its attempt so far, and seconds left at that rate.

    Both are None before the first step. ``log`` are the last lines that it reported.
    """

    job: JobFacts
    name: str
    rate: float | None
    left: float | None
    log: tuple[str, ...]


@dataclass(frozen=True)
class Running:
    """The oldest of the jobs that run, ``count`` of all, and the sum of their rates.

    ``panel`` has a line for each whose curve has a point; None where none has.
    """

    jobs: tuple[RunningJob, ...]
    count: int
    rate: float
    panel: CurvePanel | None


def read_running(store: Store, sweep_id: str | None = None) -> Running:
    """Return what runs, of a sweep or at all."""
    jobs = store.job_facts(states=["running"], order="started")
    if sweep_id is not None:
        own = set(store.job_ids(sweep_id))
        jobs = [job for job in jobs if job.job_id in own]
    attempts = {one.id: one for one in store.attempts([job.job_id for job in jobs])}
    found = []
    for job in jobs:
        attempt = attempts.get(job.attempt_id or "")
        rate = left = None
        if attempt is not None and job.step > attempt.first_step and job.updated > attempt.started:
            rate = (job.step - attempt.first_step) / (job.updated - attempt.started)
            left = max(0, job.steps - job.step) / rate
        log = (attempt.log or "").rstrip().splitlines() if attempt is not None else []
        found.append(RunningJob(job, job_title(job), rate, left, tuple(log[-LINES:])))
    named = Counter(one.name for one in found)
    found = [
        replace(one, name=f"{one.name} ({short_id(one.job.subject)})")
        if named[one.name] > 1
        else one
        for one in found
    ]
    total = sum(one.rate for one in found if one.rate is not None)
    shown = tuple(found[:MOST])
    return Running(shown, len(found), total, _read_panel(store, shown))


def _read_panel(store: Store, shown: tuple[RunningJob, ...]) -> CurvePanel | None:
    curves = {
        curve.job_id: curve
        for curve in store.curves([one.job.job_id for one in shown])
        if curve.name == TRAIN_CURVE
    }
    most = max((curve.points for curve in curves.values()), default=0)
    keys = [curve.key for curve in curves.values()]
    points = store.points(keys, every=max(1, -(-most // POINTS)))
    lines = []
    for one in shown:
        curve = curves.get(one.job.job_id)
        own = () if curve is None else tuple(p for p in points[curve.key] if abs(p[1]) < LARGEST)
        if curve is None or not own:
            continue
        job = one.job
        seed = SeedCurve(
            seed=job.seed,
            subject=job.trial_id or job.pretraining_id or "",
            state=job.state,
            step=job.step,
            steps=job.steps,
            in_mean=True,
            all_points=curve.points,
            points=own,
        )
        key = LineKey(one.name, job.factorization, job.budget, None, conventional=False)
        lines.append(CurveLine(key, own, (seed,)))
    return CurvePanel(TRAIN_CURVE, tuple(lines)) if lines else None
