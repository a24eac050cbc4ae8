"""What a launch starts next, in plans that are drawn and run to their end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcma.db import Kind, PlannedJob
from lcma.harness.launch import choice
from lcma.harness.launch.choice import MAX_MEMBERS, UNSTACKED, Candidate, Jobs, Order, choose_tasks
from lcma.harness.place import Place
from lcma.harness.work.units import Work

PLACE = Place("sqlite:///lcma.db", Path("runs"), Path("data"))
WINDOW = 3


def make_work(kind: Kind, name: str, after: Work | None, threads: int, budget: int = 0) -> Work:
    subject = {"pretraining_id": name, "budget": budget} if budget else {"trial_id": name}
    job = PlannedJob(kind=kind, data_digest="digest", steps=1, **subject)
    behind = None if after is None else after.job_id
    return Work(job, None, PLACE, "launch", "cpu", after=behind, sealed=(b"", threads))


@dataclass
class Cluster:
    """A plan and an executor with some slots. Other launches hold some of the jobs at first."""

    works: list[Work]
    candidates: dict[str, Candidate]
    slots: int | None
    cap: int | None
    grows: bool
    elsewhere: dict[str, str]
    tasks: list[tuple[str, ...]] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.order = Order(self.works)
        self.work_of = {work.job_id: work for work in self.works}

    @property
    def started(self) -> list[tuple[str, ...]]:
        return self.tasks[: max(1, self.slots or 0)]

    def count_free(self, work: Work, before: Sequence[Work] = ()) -> int | None:
        return None if self.slots is None else self.slots - len(self.tasks) - len(before)

    def end(self, job_id: str) -> None:
        self.ended.add(job_id)
        freed = self.order.remove(job_id)
        assert all(self.work_of[freed_id].after == job_id for freed_id in freed)

    def read(self, resting: frozenset[str] = frozenset()) -> Jobs:
        held_jobs = [self.work_of[job_id].job for job_id in self.elsewhere]
        leads = {job_id: task[0] for task in self.started for job_id in task}
        return Jobs(
            self.order,
            list({work.need: work for work in self.works}.values()),
            self.candidates,
            {},
            {job_id: task for task in self.tasks for job_id in task},
            self.elsewhere | leads,
            held=self.elsewhere.keys(),
            resting=resting,
            segments=[job for job in held_jobs if job.kind == "pretraining"],
        )

    def choose(self, jobs: Jobs) -> list[list[Work]]:
        return choose_tasks(jobs, self.count_free, cap=self.cap, grows=self.grows)

    def rank(self, job_id: str) -> tuple[int, int]:
        """Return the value of a job: of a segment the number of trials that wait for it, directly
        or for a longer one."""

        def count_trials(job_id: str) -> int:
            jobs = [work.job for work in self.works if work.after == job_id]
            return sum(1 if job.kind == "trial" else count_trials(job.id) for job in jobs)

        work = self.work_of[job_id]
        if work.job.kind == "pretraining":
            return 0, -count_trials(job_id)
        return (1, 0) if work.after else (2, 0)

    def check(self, jobs: Jobs, tasks: list[list[Work]]) -> None:
        """Check the chosen tasks before they are submitted."""
        chosen = [[work.job_id for work in task] for task in tasks]
        ids = [job_id for task in chosen for job_id in task]
        assert len({*ids}) == len(ids), "nothing twice"
        assert not {*ids} & {*jobs.in_flight, *self.ended, *self.elsewhere, *jobs.resting}
        assert {self.work_of[job_id].after for job_id in ids} <= self.ended | {None}
        if self.cap is not None and tasks:
            assert len(self.tasks) + len({*self.elsewhere.values()}) + len(tasks) <= self.cap
        free = max(self.slots or 0, 1) - len(self.tasks)
        full = [len(task) == self.candidates.get(task[0], UNSTACKED).most for task in chosen]
        assert full.count(False) <= max(free, 0), "only full stacks wait for a slot"
        ahead = WINDOW + len(self.started) - len(self.tasks) if self.grows else 0
        assert len(tasks) <= max(free, ahead, 0)
        for task in chosen:
            alike = {self.candidates.get(job_id, UNSTACKED)._replace(step=0) for job_id in task}
            assert len(alike) == 1
            assert len(task) <= alike.pop().most
            assert len({self.work_of[job_id].need for job_id in task}) == 1
        ranks = [self.rank(task[0]) for task in chosen]
        assert ranks == sorted(ranks), "the dearest chain first, and maps before trials"
        waiting_ranks = [
            self.rank(job_id)
            for job_id in self.work_of.keys() - {*ids} - self.ended
            if self.work_of[job_id].after in self.ended | {None}
            and job_id not in self.candidates
            and jobs.can_start(self.work_of[job_id].job)
        ]
        needs = {work.need for task in tasks for work in task}
        if waiting_ranks and ranks and len(needs | {work.need for work in self.works}) == 1:
            assert min(waiting_ranks) >= ranks[-1], "no waiting job is worth more"


@st.composite
def clusters(draw: st.DrawFn) -> Cluster:
    works: list[Work] = []
    candidates: dict[str, Candidate] = {}
    groups = st.tuples(
        st.booleans(),
        st.sampled_from("ab"),
        st.sampled_from([2, MAX_MEMBERS]),
        st.sampled_from([1, 2]),
    )
    grouped = st.sampled_from(draw(st.lists(groups, min_size=1, max_size=3)))

    def add(kind: Kind, name: str, after: Work | None, group: tuple, budget: int = 0) -> Work:
        stacked, shape, most, threads = group
        work = make_work(kind, name, after, threads, budget)
        works.append(work)
        if stacked:
            step = draw(st.integers(0, 1))
            candidates[work.job_id] = Candidate((kind, budget, shape), step, most)
        return work

    for number in range(draw(st.integers(0, 4))):
        segment, group = None, draw(grouped)
        for budget in range(1, draw(st.integers(2, 4))):
            segment = add("pretraining", f"chain {number}", segment, group, budget)
            trial_group = draw(grouped)
            for _ in range(draw(st.integers(0, 5))):
                add("trial", f"trial {len(works)}", segment, trial_group)
    for _ in range(draw(st.integers(0, 2))):
        group = draw(grouped)
        for _ in range(draw(st.integers(1, 30))):
            add("trial", f"trial {len(works)}", None, group)
    ready = [work.job_id for work in works if work.after is None]
    held = [job_id for job_id in ready if draw(st.integers(0, 9)) == 0]
    return Cluster(
        works,
        candidates,
        slots=draw(st.none() | st.integers(0, 4)),
        cap=draw(st.none() | st.integers(1, 5)),
        grows=draw(st.booleans()),
        elsewhere={job_id: draw(st.sampled_from(["one", job_id])) for job_id in held},
    )


@given(clusters(), st.randoms(use_true_random=False))
def test_every_job_runs_once_in_the_order_of_value(cluster, chance) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choice, "WINDOW", WINDOW)
        while len(cluster.ended) < len(cluster.works):
            resting = frozenset(job_id for job_id in cluster.work_of if chance.random() < 0.1)
            jobs = cluster.read(resting)
            tasks = cluster.choose(jobs)
            assert tasks == cluster.choose(jobs), "the choice changes no argument"
            cluster.check(jobs, tasks)
            cluster.tasks += [tuple(work.job_id for work in task) for task in tasks]
            assert cluster.tasks or cluster.elsewhere or resting, "something always runs"
            for task in cluster.started:
                if chance.random() < 0.7:
                    cluster.tasks.remove(task)
                    for job_id in task:
                        cluster.end(job_id)
            for job_id in list(cluster.elsewhere):
                if chance.random() < 0.3:
                    del cluster.elsewhere[job_id]
                    if chance.random() < 0.5:  # they end it, or leave it
                        cluster.end(job_id)


@given(st.integers(1, 60), st.integers(1, 4), st.none() | st.integers(1, 4), st.booleans())
def test_only_full_stacks_start_while_members_of_their_shape_wait(count, slots, cap, grows) -> None:
    works = [make_work("trial", f"trial {number}", None, 1) for number in range(count)]
    candidates = {work.job_id: Candidate("same") for work in works}
    cluster = Cluster(works, candidates, slots, cap, grows, {})
    sizes = [len(task) for task in cluster.choose(cluster.read())]
    waiting = count - sum(sizes)
    assert waiting == max(0, count - MAX_MEMBERS * min(slots, cap or slots))
    assert not waiting or set(sizes) == {MAX_MEMBERS}
