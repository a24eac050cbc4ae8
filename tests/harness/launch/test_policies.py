"""Launches and failures: what is run again by itself, how often, with what, and who may end it."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
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
    Inline,
    Killed,
    Told,
    claim_elsewhere,
    run_at_once,
    with_ending,
)
from tests.stores import list_lost, read_job


def with_terms(work: Work, *, gpus: float = 0.0, owner: str = "a launch", **more: Any) -> Work:
    return dataclasses.replace(work, gpus=gpus, owner=owner, terms=Terms(**more))


def claim(store: db.Store, work: Work) -> db.Claim | db.Job:
    more = {"cap": work.terms.cap, "expired": work.expired}
    return claim_elsewhere(store, work.job_id, work.owner, work.lease_seconds, **more)


class Small(Inline):
    """Trials at a share of a GPU, or with little of the host's memory, run out of it."""

    def __init__(self, store: db.Store, enough: Callable[[Work], bool], *, killed: bool) -> None:
        super().__init__()
        self.store, self.enough, self.killed = store, enough, killed
        self.had: list[tuple[float, float | None]] = []
        self.lacks: Callable[[Work], str | None] = lambda work: None

    def lack(self, work: Work, *, aside: bool = False) -> str | None:
        return self.lacks(work)

    def wait(self, seconds: float) -> list[Finished]:
        works, self.works = self.works, []
        return [self.end(work) for work in works]

    def end(self, work: Work) -> Finished:
        self.had.append((work.gpus, work.terms.memory_gb))
        if self.enough(work):
            return Finished(work.job_id, run_work(work))
        got = claim(self.store, work)
        if isinstance(got, db.Job):
            return Finished(work.job_id, Report(work.job_id, "elsewhere"))
        if self.killed:
            return Finished(work.job_id, None, "OutOfMemoryError", "memory")
        on_gpu = dataclasses.replace(work, device="cuda")
        assert self.store.finish(
            got,
            "oom",
            last_step=4,
            cost=db.Cost(seconds=1.0, cpu_seconds=1.0),
            message="CUDA out of memory",
            log="it said so",
            policy=make_policy(on_gpu),
        )
        return Finished(work.job_id, Report(work.job_id, "failed", "CUDA out of memory"))


def outcomes(store: db.Store) -> list[str]:
    return list(store.view("attempts").sort_values("token").outcome)


@pytest.mark.parametrize(
    ("gpus", "why"),
    [
        (1.0, "given up: it had a full GPU already"),
        (0.5, "given up: after it ran out of memory no node has 1 GPU"),
    ],
)
def test_an_oom_that_no_more_memory_can_be_had_for_is_the_end(
    one_trial: Any, tmp_path: Path, gpus: float, why: str
) -> None:
    store, work = one_trial(f"sqlite:///{tmp_path / 'oom.db'}")
    executor = Small(store, lambda work: False, killed=False)
    executor.lacks = lambda work: "no node has 1 GPU" if work.gpus == 1 and gpus < 1 else None
    ended = Launch(store, [with_terms(work, gpus=gpus)], executor, Told()).run()
    (report,) = with_ending(ended, "failed")
    assert report.message == ("CUDA out of memory" if gpus == 1 else why)
    (failure,) = list_lost(store)
    assert (failure.outcome, failure.decision) == ("oom", why)
    assert len(executor.had) == 1


@pytest.mark.integration
@pytest.mark.parametrize(("memory", "had"), [(4.0, [4.0, 8.0, 16.0]), (None, [None] * 3)])
def test_what_its_node_killed_for_its_memory_gets_twice_as_much(
    one_trial: Any, tmp_path: Path, memory: float | None, had: list[float | None]
) -> None:
    store, work = one_trial(f"sqlite:///{tmp_path / 'oom.db'}", lease=600.0)
    executor = Small(store, lambda work: len(executor.had) == 3, killed=True)
    allowed = with_terms(work, memory_gb=memory, failures=Failures(oom=2))
    ended = Launch(store, [allowed], executor, Told()).run()
    assert len(with_ending(ended, "done")) == 1
    assert executor.had == [(0.0, gb) for gb in had]
    assert outcomes(store) == ["oom", "oom", "done"]
    first = store.attempts([work.job_id])[0]
    assert first.message == "its node ran out of memory and killed it"


class Doomed(Small):
    """A driver that is killed at its next look at its tasks, before it or after it."""

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
def test_however_often_drivers_are_killed_an_oom_gets_exactly_one_more_attempt(
    one_trial: Any, tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    store, work = one_trial(f"sqlite:///{tmp_path_factory.mktemp('killed') / 'oom.db'}")
    store.retry([work.job_id])
    left, had = list(steps), []
    while True:
        executor = Doomed(store, left)
        try:
            Launch(store, [with_terms(work, gpus=0.5)], executor, Told()).run()
            break
        except Killed:
            continue
        finally:
            had += executor.had
    assert outcomes(store) == ["oom", "oom"]
    assert [gpus for gpus, _ in had] == [0.5, 1.0]
    assert read_job(store, work.job_id).state == "failed"


def test_two_launches_at_once_retry_an_oom_once(
    one_trial: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lcma.harness.launch.driver.CLAIMED_SECONDS", 0.05)
    store, work = one_trial(f"sqlite:///{tmp_path / 'oom.db'}")
    executors = [Small(store, lambda work: False, killed=False) for _ in range(2)]
    launches = [
        Launch(store, [with_terms(work, gpus=0.5, owner=owner)], executor, Told())
        for owner, executor in zip(("one", "two"), executors, strict=True)
    ]
    run_at_once(*(launch.run for launch in launches))
    assert outcomes(store) == ["oom", "oom"]
    assert [len(with_ending(launch.ended, "failed")) for launch in launches] == [1, 1]


TOO_SHORT = 1e-9
"""Hours that are over when an attempt has begun."""


@pytest.mark.integration
def test_a_timeout_goes_on_from_its_checkpoint_to_the_same_bits(
    one_trial: Any, tmp_path: Path
) -> None:
    alone, work = one_trial(f"sqlite:///{tmp_path / 'alone.db'}")
    assert len(with_ending(Launch(alone, [work], Inline(), Told()).run(), "done")) == 1
    store, work = one_trial(f"sqlite:///{tmp_path / 'hurried.db'}")
    ended = Launch(store, [with_terms(work, hours=TOO_SHORT)], Inline(), Told()).run()
    assert len(with_ending(ended, "done")) == 1
    first, second = store.attempts([work.job_id])
    assert (first.outcome, first.last_step, second.first_step) == ("timeout", 10, 10)
    assert first.message == "it took 1e-09 h, as long as `resources.hours` lets an attempt"
    assert (
        store.view("results").bits_per_dim.tolist() == alone.view("results").bits_per_dim.tolist()
    )


def test_nodes_that_are_too_small_for_now_are_told_once_and_waited_for(
    one_trial: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lcma.harness.launch.driver.NODES_SECONDS", 0.0)
    store, work = one_trial(f"sqlite:///{tmp_path / 'nodes.db'}")
    looks = ["it asks for 1 GPU, and no node has that"] * 2

    class Shrunk(Inline):
        def lack(self, work: Work, *, aside: bool = False) -> str | None:
            return looks.pop() if looks else None

        def wait(self, seconds: float) -> list[Finished]:
            waits.append(seconds)
            return super().wait(seconds) if len(waits) == 5 else []

    waits: list[float] = []
    told = Told()
    assert len(with_ending(Launch(store, [work], Shrunk(), told).run(), "done")) == 1
    first, second = told.notes
    assert first.startswith("it asks for 1 GPU, and no node has that: waiting for a node")
    assert second.startswith("a node has what trials ask for again")
