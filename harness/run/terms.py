"""The terms of work: what a person allows it, and what becomes of it when that was not enough."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from lcma.db import Cap, Policy, Starved
from lcma.sweeps.spec import Failures

if TYPE_CHECKING:
    from lcma.harness.run.work import Work

FULL = "alone on a full GPU"


@dataclass(frozen=True)
class Terms:
    """What the work of a launch is allowed: wall-clock hours for an attempt, memory in GB (1e9
    bytes), jobs of its sweep at once; None for no limit."""

    failures: Failures = field(default_factory=Failures)
    hours: float | None = None
    memory_gb: float | None = None
    cap: Cap | None = None


def policy_of(work: "Work", *, killed: bool = False) -> Policy:
    """What becomes of a job after an attempt at this work that failed; ``killed`` where its node
    did that, for want of memory."""
    failures = work.terms.failures
    remedy = hopeless = ""
    if killed:
        more = grow_work(work, Starved(killed=1)).terms.memory_gb
        remedy = "as it was" if more is None else f"with {more:g} GB of memory"
    elif work.device == "cpu":
        hopeless = "it ran on a CPU, which has no more memory to give"
    elif work.gpus >= 1:
        hopeless = "it had a full GPU already"
    else:
        remedy = FULL
    return Policy(
        oom=failures.oom,
        timeout=None if failures.timeout == "always" else failures.timeout,
        code_error=failures.code_error,
        diverged=failures.diverged,
        remedy=remedy,
        hopeless=hopeless,
    )


def grow_work(work: "Work", starved: Starved) -> "Work":
    """The same with more, where it ran out of memory: a full GPU instead of a share of one, and
    twice the host's memory for each time that its node killed it."""
    memory = work.terms.memory_gb
    if memory is not None:
        memory *= 2**starved.killed
    gpus = 1.0 if starved.told and 0 < work.gpus < 1 else work.gpus
    return replace(work, gpus=gpus, terms=replace(work.terms, memory_gb=memory))
