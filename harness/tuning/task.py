"""The trainings of a budget, of patterns at a rung, or of the baselines, run on any executor."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from lcma import db
from lcma.harness.run.driver import Display, Launch, LaunchRecord, LaunchStoppedError
from lcma.harness.run.executor import Executor
from lcma.harness.run.limits import LimitReachedError
from lcma.harness.run.outages import wait_out
from lcma.harness.run.plan import Node
from lcma.harness.run.work import Report, rung_values
from lcma.harness.tuning.target import Part

How = Literal["done", "pruned", "failed", "stopped", "limited"]


@dataclass(frozen=True)
class StudyTask:
    """Segments and trials of parts of a study for all seeds, with all that a worker must know.

    ``number`` is that of the study's trial, or counts parts of rungs, and is None for the
    baselines; ``keys`` are the parts. ``rungs`` are the steps at which the trainings stop for a
    decision. Plain values, no connections.
    """

    number: int | None
    keys: tuple[Part | None, ...]
    nodes: tuple[Node, ...]
    rungs: tuple[int, ...]
    record: LaunchRecord


@dataclass(frozen=True)
class Rung:
    """A step that all seeds have reached, and their mean bits/dim on the holdout part there."""

    step: int
    bits: float


@dataclass(frozen=True)
class TaskEnding:
    """The end of a task; ``why`` is a line if it has no result."""

    how: How
    why: str = ""


def run_task(task: StudyTask, executor: Executor, display: Display) -> Iterator[Rung | TaskEnding]:
    """Run the jobs of a task that are missing; yield each rung, and last the ending.

    Nothing runs between two rungs: a caller that stops iterating stops the task there, and the
    trials keep their checkpoints.
    """
    place = task.nodes[0].work.place
    store = wait_out(lambda: db.connect(place.db, create=False))
    trainings = [n.work.job_id for n in task.nodes if n.work.trial is not None]
    try:
        for step in task.rungs:
            ended = _run(store, task, executor, display, step)
            if lost := _lost(store, ended):
                yield lost
                return
            known = [_at_step(store, job_id, step) for job_id in trainings]
            bits = [value for value in known if value is not None]
            if len(bits) == len(known):  # trainings done before they had rungs have no values there
                yield Rung(step, statistics.fmean(bits))
        ended = _run(store, task, executor, display, None)
        yield _lost(store, ended) or TaskEnding("done")
    except LaunchStoppedError as error:
        yield TaskEnding("stopped", str(error))
    except LimitReachedError as error:
        yield TaskEnding("limited", error.why)


def _at_step(store: db.Store, job_id: str, step: int) -> float | None:
    """Return the bits/dim of a training at a rung, None where it has none."""
    return wait_out(lambda: rung_values(store, job_id)).get(step)


def _run(
    store: db.Store, task: StudyTask, executor: Executor, display: Display, rung: int | None
) -> list[Report]:
    nodes = [_until(node, rung) for node in task.nodes]
    return [*Launch(store, nodes, executor, display, task.record).run().reports.values()]


def _until(node: Node, rung: int | None) -> Node:
    return node if node.work.trial is None else replace(node, work=replace(node.work, rung=rung))


def _lost(store: db.Store, ended: list[Report]) -> TaskEnding | None:
    """Return the ending for the first lost job, now or long ago; None if there is none."""
    lost = [r for r in ended if r.ending in ("diverged", "failed", "blocked", "cancelled")]
    if not lost:
        return None
    # A failed job before those that it blocked: its message says why.
    first = min(lost, key=lambda r: r.ending == "blocked")
    message = first.message
    if not message:
        states: list[db.State] = ["diverged", "failed"]
        jobs = wait_out(lambda: store.job_facts([first.job_id], states=states))
        message = next((job.message or "" for job in jobs), "")
    why = (message.strip().splitlines() or [""])[-1]
    return TaskEnding("failed", ": ".join(filter(None, (first.ending, why))))
