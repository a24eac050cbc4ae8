"""What a launch runs again after a failure, how often, and with what resources."""

import dataclasses
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lcma import db
from lcma.harness.launch.driver import Launch
from lcma.harness.launch.executor import Finished
from lcma.harness.work.units import Terms, Work, make_policy
from lcma.harness.work.worker import Report, run_work
from lcma.sweeps.spec import Failures
from tests.harness.launch.conftest import (
    FakeDisplay,
    InlineExecutor,
    Killed,
    claim_elsewhere,
    complete,
    run_at_once,
    run_launch,
    with_ending,
)
from tests.stores import list_lost, read_job


def with_terms(work: Work, *, gpus: float = 0.0, owner: str = "a launch", **terms: Any) -> Work:
    return dataclasses.replace(work, gpus=gpus, owner=owner, terms=Terms(**terms))


class SmallMemory(InlineExecutor):
    """Tasks run out of memory unless they have ``enough``; ``killed`` ones report nothing."""

    def __init__(self, store: db.Store, enough: Callable[[Work], bool], *, killed: bool) -> None:
        super().__init__()
        self.store, self.enough, self.killed = store, enough, killed
        self.grants: list[tuple[float, float | None]] = []
        self.lacks: Callable[[Work], str | None] = lambda work: None

    def lack(self, work: Work, *, aside: bool = False) -> str | None:
        return self.lacks(work)

    def wait(self, seconds: float) -> list[Finished]:
        works, self.works = self.works, []
        return [self.end(work) for work in works]

    def end(self, work: Work) -> Finished:
        self.grants.append((work.gpus, work.terms.memory_gb))
        if self.enough(work):
            return Finished(work.job_id, run_work(work))
        options = {"cap": work.terms.cap, "expired": work.expired}
        lease = work.lease_seconds
        claim = claim_elsewhere(self.store, work.job_id, work.owner, lease, **options)
        if isinstance(claim, db.Job):
            return Finished(work.job_id, Report(work.job_id, "elsewhere"))
        if self.killed:
            return Finished(work.job_id, None, "OutOfMemoryError", "memory")
        on_gpu = dataclasses.replace(work, device="cuda")
        assert self.store.finish(
            claim,
            "oom",
            last_step=4,
            cost=db.Cost(seconds=1.0, cpu_seconds=1.0),
            message="CUDA out of memory",
            log="a log",
            policy=make_policy(on_gpu),
        )
        return Finished(work.job_id, Report(work.job_id, "failed", "CUDA out of memory"))


def outcomes(store: db.Store) -> list[str]:
    return list(store.view("attempts").sort_values("token").outcome)


@pytest.mark.parametrize(
    ("gpus", "reason"),
    [
        (1.0, "given up: it had a full GPU already"),
        (0.5, "given up: after it ran out of memory no node has 1 GPU"),
    ],
)
def test_an_oom_for_which_no_node_has_more_memory_is_final(register_trial, gpus, reason) -> None:
    store, work = register_trial()
    executor = SmallMemory(store, lambda work: False, killed=False)
    executor.lacks = lambda work: "no node has 1 GPU" if work.gpus == 1 and gpus < 1 else None
    ended = run_launch(store, [with_terms(work, gpus=gpus)], executor)
    (report,) = with_ending(ended, "failed")
    assert report.message == ("CUDA out of memory" if gpus == 1 else reason)
    (failure,) = list_lost(store)
    assert (failure.outcome, failure.decision) == ("oom", reason)
    assert len(executor.grants) == 1


@pytest.mark.integration
@pytest.mark.parametrize(("memory", "grants"), [(4.0, [4.0, 8.0, 16.0]), (None, [None] * 3)])
def test_a_task_killed_for_its_memory_gets_twice_as_much(register_trial, memory, grants) -> None:
    store, work = register_trial(lease=600.0)
    executor = SmallMemory(store, lambda work: len(executor.grants) == 3, killed=True)
    allowed = with_terms(work, memory_gb=memory, failures=Failures(oom=2))
    assert len(with_ending(run_launch(store, [allowed], executor), "done")) == 1
    assert executor.grants == [(0.0, gb) for gb in grants]
    assert outcomes(store) == ["oom", "oom", "done"]
    first = store.attempts([work.job_id])[0]
    assert first.message == "its node ran out of memory and killed it"


class Doomed(SmallMemory):
    """The driver is killed before or after it looks at its tasks, as the steps say."""

    def __init__(self, store: db.Store, steps: list[str]) -> None:
        super().__init__(store, lambda work: False, killed=False)
        self.steps = steps

    def wait(self, seconds: float) -> list[Finished]:
        step = self.steps.pop(0) if self.steps else "go on"
        if step == "before":
            raise Killed
        finished = super().wait(seconds)
        if step == "after":
            raise Killed
        return finished


@pytest.mark.integration
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.sampled_from(["go on", "before", "after"]), max_size=6))
def test_an_oom_gets_one_more_attempt_however_often_drivers_are_killed(
    register_trial, tmp_path_factory, steps
) -> None:
    store, work = register_trial(f"sqlite:///{tmp_path_factory.mktemp('killed') / 'oom.db'}")
    steps, grants, is_done = list(steps), [], False
    while not is_done:
        executor = Doomed(store, steps)
        with suppress(Killed):
            run_launch(store, [with_terms(work, gpus=0.5)], executor)
            is_done = True
        grants += executor.grants
    assert outcomes(store) == ["oom", "oom"]
    assert [gpus for gpus, _ in grants] == [0.5, 1.0]
    assert read_job(store, work.job_id).state == "failed"


def test_two_launches_at_once_retry_an_oom_once(register_trial, monkeypatch) -> None:
    monkeypatch.setattr("lcma.harness.launch.driver.CLAIMED_SECONDS", 0.05)
    store, work = register_trial()
    executors = [SmallMemory(store, lambda work: False, killed=False) for _ in range(2)]
    launches = [
        Launch(store, [with_terms(work, gpus=0.5, owner=owner)], executor, FakeDisplay())
        for owner, executor in zip(("one", "two"), executors, strict=True)
    ]
    run_at_once(*(launch.run for launch in launches))
    assert outcomes(store) == ["oom", "oom"]
    assert [len(with_ending(launch.ended, "failed")) for launch in launches] == [1, 1]


TOO_SHORT = 1e-9
"""Hours that are over when an attempt has begun."""


@pytest.mark.integration
def test_a_timeout_goes_on_from_its_checkpoint_to_the_same_bits(register_trial, tmp_path) -> None:
    undisturbed, work = register_trial()
    complete(work)
    store, work = register_trial(f"sqlite:///{tmp_path / 'hurried.db'}")
    ended = run_launch(store, [with_terms(work, hours=TOO_SHORT)])
    assert len(with_ending(ended, "done")) == 1
    first, second = store.attempts([work.job_id])
    assert (first.outcome, first.last_step, second.first_step) == ("timeout", 10, 10)
    assert first.message == "it took 1e-09 h, as long as `resources.hours` lets an attempt"
    hurried_bits, bits = (s.view("results").bits_per_dim.tolist() for s in (store, undisturbed))
    assert hurried_bits == bits


def test_a_launch_notes_once_that_no_node_is_large_enough_and_waits(
    register_trial, monkeypatch
) -> None:
    monkeypatch.setattr("lcma.harness.launch.driver.NODES_SECONDS", 0.0)
    store, work = register_trial()
    lacks = ["it asks for 1 GPU, and no node has that"] * 2

    class Shrunk(InlineExecutor):
        def lack(self, work: Work, *, aside: bool = False) -> str | None:
            return lacks.pop() if lacks else None

        def wait(self, seconds: float) -> list[Finished]:
            waits.append(seconds)
            return super().wait(seconds) if len(waits) == 5 else []

    waits: list[float] = []
    display = FakeDisplay()
    assert len(with_ending(run_launch(store, [work], Shrunk(), display), "done")) == 1
    first, second = display.notes
    assert first.startswith("it asks for 1 GPU, and no node has that: waiting for a node")
    assert second.startswith("a node has what trials ask for again")
