"""Jobs whose tasks are lost with their process or with their node."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lcma import db
from lcma.harness.launch.executor import Finished, Lost
from lcma.harness.work.units import Report, Work
from tests.harness.launch.conftest import (
    FakeDisplay,
    InlineExecutor,
    claim_elsewhere,
    end_job,
    run_launch,
    with_ending,
)
from tests.stores import beat


class Fragile(InlineExecutor):
    """Tasks are lost at these steps, one after another; the next one is not lost."""

    def __init__(self, store: db.Store, loss: Lost, steps: list[int]) -> None:
        super().__init__()
        self.store, self.loss, self.steps = store, loss, steps

    def wait(self, seconds: float) -> list[Finished]:
        if not self.steps or not self.works:
            return super().wait(seconds)
        (work,), self.works = self.works, []
        step = self.steps.pop(0)
        beat(self.store, self.claim(work), step=step, lease_seconds=work.lease_seconds)
        return [Finished(work.job_id, None, "it died", self.loss)]

    def claim(self, work: Work) -> db.Claim:
        lease, expired = work.lease_seconds, work.expired
        claim = claim_elsewhere(self.store, work.job_id, work.owner, lease, expired=expired)
        assert isinstance(claim, db.Claim)
        return claim


class Resumed(Fragile):
    """After the losses a task goes on from an earlier step, and then diverges."""

    resumed: db.Claim | None = None

    def wait(self, seconds: float) -> list[Finished]:
        if self.steps:
            return super().wait(seconds)
        if self.resumed is None:
            self.resumed = self.claim(self.works[0])
            beat(self.store, self.resumed, step=12, first_step=2, lease_seconds=600.0)
            return []
        end_job(self.store, self.resumed, last_step=12)
        return [Finished(self.resumed.job_id, Report(self.resumed.job_id, "diverged"))]


@pytest.fixture
def run(register_trial: Callable[..., Any]) -> Callable[..., tuple[dict[str, Report], db.Store]]:
    def run(loss: Lost, steps: list[int], lease: float) -> tuple[dict[str, Report], db.Store]:
        store, work = register_trial(steps=10, holdout_every=10, lease=lease)
        return run_launch(store, [work], Fragile(store, loss, steps)), store

    return run


def test_notes_name_the_job_of_a_dead_worker_and_the_step_where_it_goes_on(register_trial) -> None:
    store, work = register_trial(lease=600.0)
    display = FakeDisplay()
    run_launch(store, [work], Resumed(store, "process", [4]), display)
    title = "train realnvp photos8 checkerboard-even seed 0"
    assert display.notes == [
        f"{title}: its worker died (it died) at step 4; it is run again",
        f"{title} runs again, from step 2",
    ]


def test_notes_name_the_jobs_of_a_killed_launch(register_trial, monkeypatch) -> None:
    monkeypatch.setattr("lcma.harness.launch.driver.POLL_SECONDS", 0.05)
    store, work = register_trial(lease=1.0)
    display, executor = FakeDisplay(), Resumed(store, "process", [])
    claim = executor.claim(replace(work, owner="a launch that was killed"))
    beat(store, claim, step=4, lease_seconds=1.0)
    run_launch(store, [work], executor, display)
    first, second = display.notes
    assert re.fullmatch(
        "another launch holds 1 running job: if it was killed, what it held goes on here from the "
        r"last checkpoint when its lease ends, in \d s",
        first,
    )
    assert second == "train realnvp photos8 checkerboard-even seed 0 runs again, from step 2"


def test_three_crashes_without_progress_are_the_end(run) -> None:
    ended, store = run("process", [3, 5, 4, 5, 9], lease=600.0)
    (report,) = with_ending(ended, "failed")
    assert report.message == "it died, 3 times without getting beyond step 5"
    assert store.view("attempts").outcome.tolist() == ["node_lost"] * 4
    (job,) = store.jobs([report.job_id]).values()
    assert (job.state, job.owner) == ("pending", None)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("loss", "lease", "outcome"), [("taken", 600.0, "preempted"), ("node", 1.0, "node_lost")]
)
def test_a_loss_with_the_node_never_counts(run, monkeypatch, loss, lease, outcome) -> None:
    """The processes of a node that was taken away are dead; those of a lost node may live."""
    monkeypatch.setattr("lcma.harness.launch.driver.POLL_SECONDS", 0.05)
    ended, store = run(loss, [0] * 4, lease=lease)
    assert len(with_ending(ended, "done")) == 1
    assert store.view("attempts").outcome.tolist() == [outcome] * 4 + ["done"]
