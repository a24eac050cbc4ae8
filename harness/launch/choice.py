"""What a launch starts next: `choose_tasks`, a function of the jobs, the free slots and the cap.

It reads no clock and no database, and changes nothing. Jobs are submitted only when slots are free,
so that more valuable jobs can overtake them and others can join their stacks. A job that needs
another job is submitted only after that has ended.
"""

import math
from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from lcma.db import JobFacts, PlannedJob
from lcma.harness.work.units import Need, Work
from lcma.sweeps.expansion import Pretraining, Trial
from lcma.sweeps.recipe import MIN_STACK

WINDOW = 64
"""Most tasks that wait in an executor for the machines that they may bring."""

MAX_MEMBERS = 12
"""Most members of a stack."""


class Candidate(NamedTuple):
    """A job for a stack."""

    shape: Hashable  # what the members of its stack have in common
    step: int = 0  # that it has reached
    most: int = MAX_MEMBERS  # members that its stack may have


UNSTACKED = Candidate(None, most=1)
"""A job that is trained in no stack."""


@dataclass(frozen=True)
class Jobs:
    """The jobs of a launch in a round of the driver, by their ids."""

    order: "Order"  # unfinished jobs
    kinds: Sequence[Work]  # an unfinished work for each need
    candidates: Mapping[str, Candidate]  # jobs that are trained in stacks
    grown: Mapping[str, Work]  # works that need more memory than at first
    in_flight: Mapping[str, Sequence[str]]  # jobs in the executor, and all jobs of their task
    running: Mapping[str, str]  # jobs that run in any launch, and their stacks, or else themselves
    held: AbstractSet[str]  # jobs whose leases nobody may take
    resting: AbstractSet[str]  # jobs that pause before they are tried again
    segments: Sequence[JobFacts | PlannedJob]  # segments that other launches hold

    def can_start(self, job: PlannedJob) -> bool:
        """Return whether a job that waits for no other may be submitted.

        A segment may not while another launch holds a shorter one of its pretraining.
        """
        return not (
            job.id in self.in_flight
            or job.id in self.held
            or job.id in self.resting
            or any(
                (s.pretraining_id, s.data_digest) == (job.pretraining_id, job.data_digest)
                and (s.budget or 0) < (job.budget or 0)
                for s in self.segments
            )
        )

    def iterate_ready(self) -> Iterator[Work]:
        """Yield the works that can start, most valuable first."""
        for work in self.order:
            if self.can_start(work.job):
                yield self.grown.get(work.job_id, work)


def choose_tasks(
    jobs: Jobs,
    count_free: Callable[[Work, Sequence[Work]], int | None],
    *,
    cap: int | None = None,
    grows: bool = False,
) -> list[list[Work]]:
    """Choose the tasks to start now, each one work or a stack of works, most valuable first.

    Args:
        jobs: The jobs.
        count_free: `Executor.free_slots`. If the executor is empty a task starts whatever this
            returns, so that nothing waits for ever.
        cap: Most tasks of the sweep at once, over all launches; None for no limit.
        grows: Whether waiting tasks may bring machines. Then up to `WINDOW` full stacks, which no
            other job could join, need no free slot.
    """
    tasks = {tuple(job_ids) for job_ids in jobs.in_flight.values()}
    elsewhere = {
        stack
        for job_id, stack in jobs.running.items()
        if job_id in jobs.held and job_id not in jobs.in_flight
    }
    places = math.inf if cap is None else max(0, cap - len(tasks) - len(elsewhere))
    waiting = sum(jobs.running.keys().isdisjoint(job_ids) for job_ids in tasks)
    chosen: list[list[Work]] = []

    def count_slots(work: Work) -> tuple[int, bool]:
        """Return how many tasks with this need may start, and whether they wait for machines."""
        free = count_free(work, [task[0] for task in chosen]) or 0
        free = max(free, 0 if tasks or chosen else 1)
        if free > 0 or not grows:
            return free, False
        return WINDOW - waiting - len(chosen), True

    slots = {work.need: count_slots(work) for work in jobs.kinds}
    most = {need: max(0, int(min(free, places))) for need, (free, _) in slots.items()}
    ready: dict[Need, list[Work]] = {need: [] for need in most}
    rank: dict[str, int] = {}
    for work in jobs.iterate_ready():
        if all(len(works) == MAX_MEMBERS * most[need] for need, works in ready.items()):
            break
        if len(ready[work.need]) < MAX_MEMBERS * most[work.need]:
            rank[work.job_id] = len(rank)
            ready[work.need].append(work)
    stacks: list[list[Work]] = []
    for need, works in ready.items():
        members = [jobs.candidates.get(work.job_id, UNSTACKED) for work in works]
        dealt = deal(members, most[need], full=slots[need][1])
        stacks += [[works[position] for position in stack] for stack in dealt]
    for stack in sorted(stacks, key=lambda stack: rank[stack[0].job_id]):
        need = stack[0].need
        if chosen and chosen[-1][0].need != need:  # that task may have taken its slots
            slots[need] = count_slots(stack[0])
        free, waits = slots[need]
        is_full = len(stack) == jobs.candidates.get(stack[0].job_id, UNSTACKED).most
        if len(chosen) < places and free > 0 and (is_full or not waits):
            chosen.append(stack)
            slots[need] = free - 1, waits
    return chosen


def find_shapes(jobs: Iterable[tuple[PlannedJob, Trial | Pretraining]]) -> dict[str, Hashable]:
    """Return by job id the shapes of the jobs that are trained in stacks.

    Pretrainings of the same shape differ in the seed, trials in the seed, the factorization and the
    options of its maps.
    """
    # Jobs share recipe objects, and hashing one is expensive.
    recipe_ids: dict[tuple[type, int], str] = {}
    shapes: dict[str, Hashable] = {}
    for job, subject in jobs:
        recipe, key = subject.recipe, (type(subject), id(subject.recipe))
        if isinstance(subject, Trial):
            form = "none" if subject.factorization == "none" else "split"
        else:
            form = subject.form
        if form == "data" or not recipe.optimization.stacked:
            continue
        if key not in recipe_ids:
            is_trial = isinstance(subject, Trial)
            recipe_ids[key] = recipe.id if is_trial else recipe.pretraining_part_id
        shape = job.kind, recipe.model.flow, subject.set_name, recipe_ids[key], form
        shapes[job.id] = *shape, job.budget, job.data_digest
    return shapes


def deal(members: Sequence[Candidate], slots: int, *, full: bool = False) -> list[list[int]]:
    """Deal members over free slots as evenly as their shapes allow.

    Members at the same step come together if the stacks stay even. Up to `MIN_STACK` members stay
    together, since each smaller stack would be filled up with copies.

    Args:
        members: The members, most valuable first.
        slots: How many stacks can start.
        full: Deal only stacks of as many members as they may have.

    Returns:
        Up to ``slots`` stacks, each of one shape, as positions in ``members``, in the order of
        their most valuable members. Members for which no slot is left are in none.
    """
    alike = defaultdict[tuple[Hashable, int], list[int]](list)
    members = members[: MAX_MEMBERS * slots]
    for position, member in enumerate(members):
        alike[member.shape, member.most].append(position)
    stacks: list[list[int]] = []
    for (_, most), positions in alike.items():
        size = most if full else min(most, max(MIN_STACK, math.ceil(len(members) / slots)))
        count = math.ceil(len(positions) / size)
        if full:
            count = len(positions) // size
            del positions[count * size :]
        positions.sort(key=lambda position: -members[position].step)
        bounds = [len(positions) * part // (count or 1) for part in range(count + 1)]
        stacks += [sorted(positions[first:last]) for first, last in pairwise(bounds)]
    return sorted(stacks)[:slots]


class Order:
    """The unfinished jobs of a launch, most valuable first.

    Segments come first, by the number of trials that need them; then trials that read maps; then
    other trials. Equals stay in the order of the plan.
    """

    def __init__(self, works: Sequence[Work]) -> None:
        behind = _count_trials_behind(works)

        def rank(work: Work) -> tuple[int, int]:
            if work.job.kind == "pretraining":
                return 0, -behind[work.job_id]
            return (2 if work.after is None else 1), 0

        self._works = sorted(works, key=rank)
        self._places = {work.job_id: place for place, work in enumerate(self._works)}
        self._ready: list[int] = []
        self._behind: dict[str, list[str]] = {}
        for place, work in enumerate(self._works):
            if work.after is None:
                self._ready.append(place)
            else:
                self._behind.setdefault(work.after, []).append(work.job_id)

    def __iter__(self) -> Iterator[Work]:
        """Iterate over the works that wait for no other job. None may be removed meanwhile."""
        return (self._works[place] for place in self._ready)

    def list_unfinished(self) -> list[str]:
        """Return the ids of all unfinished jobs."""
        return list(self._places)

    def remove(self, job_id: str) -> list[str]:
        """Remove a job that has ended; return the ids of the jobs that waited for it."""
        place = self._places.pop(job_id)
        at = bisect_left(self._ready, place)
        if self._ready[at : at + 1] == [place]:
            del self._ready[at]
        freed = [waiting for waiting in self._behind.pop(job_id, ()) if waiting in self._places]
        for waiting in freed:
            insort(self._ready, self._places[waiting])
        return freed


def _count_trials_behind(works: Sequence[Work]) -> Counter[str]:
    """Count the trials that need each segment, at once or by way of longer segments."""
    after = {work.job_id: work.after for work in works}
    behind: Counter[str] = Counter()
    for work in works:
        upstream = work.after if work.job.kind == "trial" else None
        while upstream is not None:
            behind[upstream] += 1
            upstream = after.get(upstream)
    return behind
