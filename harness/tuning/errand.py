"""What it takes to know one budget, or the base lines: carried out wherever tasks run."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from lcma import db
from lcma.harness.run.driver import Course, Display, Launch, LaunchStoppedError
from lcma.harness.run.executor import Executor
from lcma.harness.run.outages import wait_out
from lcma.harness.run.plan import Node
from lcma.harness.run.work import Report, rung_values

How = Literal["done", "pruned", "failed", "stopped"]


@dataclass(frozen=True)
class Errand:
    """The segments and trials of a budget for all its seeds, with what a worker must know.

    ``number`` is that of the study's trial, None for the base lines; ``rungs`` are the steps at
    which the trainings stop for a decision. Plain values, no connections.
    """

    number: int | None
    budget: int | None
    nodes: tuple[Node, ...]
    rungs: tuple[int, ...]
    course: Course

    @property
    def title(self) -> str:
        """A name for people."""
        return "base lines" if self.number is None else f"trial {self.number}: {self.budget} steps"


@dataclass(frozen=True)
class Rung:
    """All seeds stand at a step: the mean of their bits/dim on the holdout part there."""

    step: int
    bits: float


@dataclass(frozen=True)
class Ending:
    """How an errand ended; ``why`` is a line where it has no result."""

    how: How
    why: str = ""


def carry_out(errand: Errand, executor: Executor, display: Display) -> Iterator[Rung | Ending]:
    """Run what is missing, rung by rung; the last thing that comes is the ending.

    Between a rung and the next nothing runs: who wants no more asks for no more, and the trials
    keep their checkpoints.
    """
    place = errand.nodes[0].work.place
    store = wait_out(lambda: db.connect(place.db, create=False))
    trainings = [n.work.job_id for n in errand.nodes if n.work.trial is not None]
    try:
        for step in errand.rungs:
            ended = _run(store, errand, executor, display, step)
            if lost := _lost(store, ended):
                yield lost
                return
            known = [_at_step(store, job_id, step) for job_id in trainings]
            bits = [value for value in known if value is not None]
            if len(bits) == len(known):  # not of what was there before anybody asked at a rung
                yield Rung(step, statistics.fmean(bits))
        ended = _run(store, errand, executor, display, None)
        yield _lost(store, ended) or Ending("done")
    except LaunchStoppedError as error:
        yield Ending("stopped", str(error))


def _at_step(store: db.Store, job_id: str, step: int) -> float | None:
    """The value of a training at a rung, None where it has none."""
    return wait_out(lambda: rung_values(store, job_id)).get(step)


def _run(
    store: db.Store, errand: Errand, executor: Executor, display: Display, rung: int | None
) -> list[Report]:
    nodes = [_until(node, rung) for node in errand.nodes]
    return [*Launch(store, nodes, executor, display, errand.course).run().reports.values()]


def _until(node: Node, rung: int | None) -> Node:
    return node if node.work.trial is None else replace(node, work=replace(node.work, rung=rung))


def _lost(store: db.Store, ended: list[Report]) -> Ending | None:
    """What became of the first that is lost, now or long ago; what it blocked says less."""
    lost = [r for r in ended if r.ending in ("diverged", "failed", "blocked")]
    if not lost:
        return None
    first = min(lost, key=lambda r: r.ending == "blocked")
    message = first.message
    if not message:
        told = {one.job_id: one.message for one in wait_out(store.failures)}
        message = told.get(first.job_id) or ""
    why = (message.strip().splitlines() or [""])[-1]
    return Ending("failed", ": ".join(filter(None, (first.ending, why))))
