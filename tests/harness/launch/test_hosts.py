"""A failure before a trial is claimed sets the host aside and counts for no trial."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from lcma import db
from lcma.harness.launch.driver import Launch
from lcma.harness.launch.executor import Finished
from lcma.harness.launch.hosts import Hosts
from lcma.harness.launch.policy import LaunchPolicy
from lcma.harness.work.units import Report, Work
from lcma.harness.work.worker import run_work
from lcma.sweeps.errors import UserError
from tests.harness.launch.conftest import (
    FakeDisplay,
    InlineExecutor,
    claim_elsewhere,
    run_launch,
    with_ending,
)
from tests.harness.launch.test_crashes import Fragile
from tests.stores import read_job

BAD, GOOD = "bad (10.0.0.1)", "good (10.0.0.2)"


class TwoHosts(InlineExecutor):
    """Tasks go to the bad host unless it is set aside; the first ``times`` end there in failure."""

    def __init__(self, failure: Finished, times: int = 1000) -> None:
        super().__init__()
        self.failure, self.times, self.failed = failure, times, 0

    def is_closed(self) -> bool:
        return {BAD, GOOD} <= self.aside

    def count_machines(self) -> int:
        return 2 - len(self.aside)

    def wait(self, seconds: float) -> list[Finished]:
        if not self.works or BAD in self.aside or self.failed == self.times:
            return [replace(finished, host=GOOD) for finished in super().wait(seconds)]
        works, self.works = self.works, []
        self.failed += 1
        return [self.fail(work) for work in works]

    def fail(self, work: Work) -> Finished:
        report = self.failure.report and replace(self.failure.report, job_id=work.job_id)
        return replace(self.failure, job_id=work.job_id, report=report)


def note_aside(host: str, reason: str) -> str:
    return f"host {host} gets no more trials of this launch (a new launch tries it again): {reason}"


@pytest.fixture
def trial(register_trial: Callable[..., Any]) -> tuple[db.Store, Any]:
    return register_trial(steps=10, holdout_every=10)


def run(
    store: db.Store, work: Any, executor: InlineExecutor, display: FakeDisplay
) -> dict[str, Report]:
    policy = LaunchPolicy(store.sweeps()[0].id, hosts=Hosts(executor, display.note, {}))
    return run_launch(store, [work], executor, display, policy)


NO_LCMA = Finished("", None, "ModuleNotFoundError: No module named 'lcma'", host=BAD)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (NO_LCMA, NO_LCMA.crash),
        (Finished("", Report("", "away", "no database there"), host=BAD), "no database there"),
        (
            Finished("", None, "WorkerCrashedError", "process", BAD),
            "its worker died (WorkerCrashedError) before it began a trial",
        ),
        (
            Finished("", None, "OutOfMemoryError", "memory", BAD),
            "its worker was killed as memory ran out (OutOfMemoryError) before it began a trial",
        ),
    ],
    ids=["error", "no database", "process", "memory"],
)
def test_a_host_that_fails_before_the_claim_gets_no_more_trials(trial, failure, reason) -> None:
    store, work = trial
    executor, display = TwoHosts(failure), FakeDisplay()
    ended = run(store, work, executor, display)
    assert len(with_ending(ended, "done")) == 1
    assert executor.failed == 1
    assert display.notes == [note_aside(BAD, reason)]
    assert list(store.view("attempts").outcome) == ["done"]


def test_a_launch_whose_hosts_all_fail_ends_and_loses_no_trial(trial) -> None:
    store, work = trial

    class OneAfterTheOther(TwoHosts):
        def wait(self, seconds: float) -> list[Finished]:
            works, self.works = self.works, []
            host = GOOD if BAD in self.aside else BAD
            return [replace(self.fail(work), host=host) for work in works]

    display, reason = FakeDisplay(), NO_LCMA.crash
    message = f"no host is left, 2 hosts set aside, the last {GOOD}: {reason}; what is not done"
    with pytest.raises(UserError, match=re.escape(message)):
        run(store, work, OneAfterTheOther(NO_LCMA), display)
    assert display.notes == [note_aside(BAD, reason), note_aside(GOOD, reason)]
    assert read_job(store, work.job_id).state == "pending"
    assert len(store.view("attempts")) == 0
    ended = run(store, work, TwoHosts(NO_LCMA), FakeDisplay())  # a new launch tries them again
    assert len(with_ending(ended, "done")) == 1


def test_a_worker_that_dies_on_an_unknown_host_before_the_claim_never_counts(
    trial, monkeypatch
) -> None:
    monkeypatch.setattr("lcma.harness.launch.driver.LOST_SECONDS", 0.01)
    store, work = trial
    display, failure = FakeDisplay(), Finished("", None, "WorkerCrashedError", "process")
    ended = run(store, work, TwoHosts(failure, times=5), display)
    assert len(with_ending(ended, "done")) == 1
    assert len(display.notes) == 5
    assert display.notes[0].endswith("on a host that is not known; it is run again")


def test_a_bad_host_costs_nothing_to_a_trial_that_another_node_lost(trial, monkeypatch) -> None:
    """Until the trial is claimed again, its row has the lost claim of this launch."""
    monkeypatch.setattr("lcma.harness.launch.driver.POLL_SECONDS", 0.05)
    store, work = trial

    class LosingFirst(TwoHosts):
        lost = False

        def wait(self, seconds: float) -> list[Finished]:
            if self.lost:
                return super().wait(seconds)
            self.lost, (work,) = True, self.works
            self.works = []
            claim_elsewhere(store, work.job_id, work.owner, 0.1)
            return [Finished(work.job_id, None, "gone (10.0.0.3)", "node")]

    executor, display = LosingFirst(NO_LCMA), FakeDisplay()
    ended = run(store, work, executor, display)
    assert len(with_ending(ended, "done")) == 1
    assert executor.failed == 1
    assert store.view("attempts").outcome.tolist() == ["node_lost", "done"]
    assert note_aside(BAD, NO_LCMA.crash) in display.notes


def test_a_step_on_a_host_ends_its_row_of_failures() -> None:
    executor = TwoHosts(NO_LCMA)
    hosts = Hosts(executor, FakeDisplay().note, {})
    hosts.note_steps(GOOD, "recipe")
    assert all(hosts.excuse(BAD, job, "recipe", "why") for job in ("a", "b"))
    hosts.note_steps(BAD, "recipe")
    assert hosts.excuse(BAD, "c", "recipe", "why")
    assert executor.aside == set()


def test_a_failure_after_the_claim_counts_for_the_trial(trial) -> None:
    """It counts too when the dead worker's claim is given back before the launch looks."""
    store, work = trial

    class OnHost(Fragile):
        def wait(self, seconds: float) -> Sequence[Finished]:
            ended = super().wait(seconds)
            store.release("a launch")
            return [replace(finished, host=BAD) for finished in ended]

    display = FakeDisplay()
    ended = run(store, work, OnHost(store, "process", [0, 0, 0]), display)
    (report,) = with_ending(ended, "failed")
    assert report.message == "it died, 3 times without getting beyond step 0"
    assert not any("gets no more trials" in note for note in display.notes)


def test_a_launch_ends_if_its_trial_is_forgotten(trial) -> None:
    store, work = trial
    sweep = store.sweeps()[0].id
    launch = Launch(store, [work], InlineExecutor(), FakeDisplay(), LaunchPolicy(sweep))
    store.forget([sweep])
    assert len(with_ending(launch.run(), "cancelled")) == 1
    assert run_work(work).ending == "elsewhere", "a worker blames nothing"
