"""What becomes of jobs whose tasks are lost: with their process, or with their node."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.harness.launch.driver import Launch
from lcma.harness.launch.executor import Finished, Lost
from lcma.harness.work.units import Report, Work
from tests.harness.launch.conftest import Inline, Told, claim_elsewhere, end, with_ending
from tests.stores import beat


class Fragile(Inline):
    """Tasks that get to some step and are lost, one after the other; then one that is not."""

    def __init__(self, store: db.Store, lost: Lost, steps: list[int]) -> None:
        super().__init__()
        self.store, self.lost, self.steps = store, lost, steps

    def wait(self, seconds: float) -> list[Finished]:
        if not self.steps or not self.works:
            return super().wait(seconds)
        (work,), self.works = self.works, []
        step = self.steps.pop(0)
        beat(self.store, self.claim(work), step=step, lease_seconds=work.lease_seconds)
        return [Finished(work.job_id, None, "it died", self.lost)]

    def claim(self, work: Work) -> db.Claim:
        lease, expired = work.lease_seconds, work.expired
        claim = claim_elsewhere(self.store, work.job_id, work.owner, lease, expired=expired)
        assert isinstance(claim, db.Claim)
        return claim


class Resumed(Fragile):
    """A task that is lost, then one that goes on from an earlier step and diverges a look later."""

    going: db.Claim | None = None

    def wait(self, seconds: float) -> list[Finished]:
        if self.steps:
            return super().wait(seconds)
        if self.going is None:
            self.going = self.claim(self.works[0])
            beat(self.store, self.going, step=12, first_step=2, lease_seconds=600.0)
            return []
        end(self.store, self.going, last_step=12)
        return [Finished(self.going.job_id, Report(self.going.job_id, "diverged"))]


@pytest.fixture
def run(
    one_trial: Callable[..., Any], tmp_path: Path
) -> Callable[..., tuple[dict[str, Report], db.Store]]:
    def run(lost: Lost, steps: list[int], lease: float) -> tuple[dict[str, Report], db.Store]:
        store, work = one_trial(
            f"sqlite:///{tmp_path / 'crashes.db'}", steps=10, watch=10, lease=lease
        )
        ended = Launch(store, [work], Fragile(store, lost, steps), Told()).run()
        return ended, store

    return run


def test_crashes_with_progress_in_between_do_not_count(run: Any) -> None:
    """Each process is known to be dead, so that no lease of ten minutes is waited for."""
    ended, store = run("process", [0, 0, 4, 2, 8, 8, 9], lease=600.0)
    assert len(with_ending(ended, "done")) == 1
    assert store.view("attempts").outcome.tolist() == ["node_lost"] * 7 + ["done"]


def test_a_worker_that_died_is_named_with_its_job(one_trial: Any, tmp_path: Path) -> None:
    """And from which step it runs again, once that is known."""
    store, work = one_trial(f"sqlite:///{tmp_path / 'crashes.db'}", lease=600.0)
    display = Told()
    Launch(store, [work], Resumed(store, "process", [4]), display).run()
    title = "train realnvp photos8 checkerboard-even seed 0"
    assert display.notes == [
        f"{title}: its worker died (it died) at step 4; it is run again",
        f"{title} runs again, from step 2",
    ]


def test_jobs_of_a_launch_that_was_killed_are_named_and_from_where_they_go_on(
    one_trial: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lcma.harness.launch.driver.POLL_SECONDS", 0.05)
    store, work = one_trial(f"sqlite:///{tmp_path / 'crashes.db'}", lease=1.0)
    display, executor = Told(), Resumed(store, "process", [])
    claim = executor.claim(replace(work, owner="a launch that was killed"))
    beat(store, claim, step=4, lease_seconds=1.0)
    Launch(store, [work], executor, display).run()
    assert display.notes == [
        "another launch holds 1 running job: if it was killed, what it held goes on here from the "
        "last checkpoint when its lease ends, in 1 s",
        "train realnvp photos8 checkerboard-even seed 0 runs again, from step 2",
    ]


def test_three_crashes_without_progress_are_the_end(run: Any) -> None:
    ended, store = run("process", [3, 5, 4, 5, 9], lease=600.0)
    (report,) = with_ending(ended, "failed")
    assert report.message == "it died, 3 times without getting beyond step 5"
    assert store.view("attempts").outcome.tolist() == ["node_lost"] * 4
    (job,) = store.jobs([report.job_id]).values()
    assert (job.state, job.owner) == ("pending", None)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("lost", "lease", "outcome"), [("taken", 600.0, "preempted"), ("node", 1.0, "node_lost")]
)
def test_to_be_lost_with_the_node_never_counts(
    run: Any, monkeypatch: pytest.MonkeyPatch, lost: Lost, lease: float, outcome: str
) -> None:
    """Processes end with a node that was taken away; of others nothing is known but the lease."""
    monkeypatch.setattr("lcma.harness.launch.driver.POLL_SECONDS", 0.05)
    ended, store = run(lost, [0] * 4, lease=lease)
    assert len(with_ending(ended, "done")) == 1
    assert store.view("attempts").outcome.tolist() == [outcome] * 4 + ["done"]
