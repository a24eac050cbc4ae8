"""What fails on a host before a trial is claimed sets the host aside, and counts for no trial."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.harness.launch.driver import Launch
from lcma.harness.launch.executor import Finished
from lcma.harness.launch.hosts import Hosts
from lcma.harness.launch.policy import LaunchPolicy
from lcma.harness.work.units import Report
from lcma.sweeps.errors import UserError
from tests.harness.launch.conftest import Inline, Told, claim_elsewhere, with_ending
from tests.harness.launch.test_crashes import Fragile
from tests.stores import read_job

BAD, GOOD = "bad (10.0.0.1)", "good (10.0.0.2)"


class TwoHosts(Inline):
    """Tasks go to the bad host unless it is set aside, and end there in some way, so many times."""

    def __init__(self, end: Callable[[str], Finished], times: int = 1000) -> None:
        super().__init__()
        self.end, self.times, self.failed = end, times, 0

    def is_closed(self) -> bool:
        return {BAD, GOOD} <= self.aside

    def count_machines(self) -> int:
        return 2 - len(self.aside)

    def wait(self, seconds: float) -> list[Finished]:
        if not self.works or BAD in self.aside or self.failed == self.times:
            return [Finished(f.job_id, f.report, host=GOOD) for f in super().wait(seconds)]
        works, self.works = self.works, []
        self.failed += 1
        return [self.end(work.job_id) for work in works]


def name_aside(host: str, why: str) -> str:
    return f"host {host} gets no more trials of this launch (a new launch tries it again): {why}"


@pytest.fixture
def trial(one_trial: Callable[..., Any], tmp_path: Path) -> tuple[db.Store, Any]:
    return one_trial(f"sqlite:///{tmp_path / 'hosts.db'}", steps=10, watch=10)


def run(store: db.Store, work: Any, executor: Inline, told: Told) -> dict[str, Report]:
    policy = LaunchPolicy(store.sweeps()[0].id, hosts=Hosts(executor, told.note, {}))
    return Launch(store, [work], executor, told, policy).run()


def fail_task(job_id: str) -> Finished:
    return Finished(job_id, None, "ModuleNotFoundError: No module named 'lcma'", host=BAD)


def report_unreachable(job_id: str) -> Finished:
    return Finished(job_id, Report(job_id, "away", "no database there"), host=BAD)


def lose_process(job_id: str) -> Finished:
    return Finished(job_id, None, "WorkerCrashedError", "process", BAD)


def kill_for_memory(job_id: str) -> Finished:
    return Finished(job_id, None, "OutOfMemoryError", "memory", BAD)


WHY = {
    fail_task: "ModuleNotFoundError: No module named 'lcma'",
    report_unreachable: "no database there",
    lose_process: "its worker died (WorkerCrashedError) before it began a trial",
    kill_for_memory: "its worker was killed as memory ran out (OutOfMemoryError) before it began a "
    "trial",
}


@pytest.mark.parametrize("end", WHY)
def test_a_host_that_fails_before_the_claim_gets_no_more(
    trial: tuple[db.Store, Any], end: Callable[[str], Finished]
) -> None:
    store, work = trial
    executor, told = TwoHosts(end), Told()
    ended = run(store, work, executor, told)
    assert len(with_ending(ended, "done")) == 1
    assert executor.failed == 1
    assert told.notes == [name_aside(BAD, WHY[end])]
    assert list(store.view("attempts").outcome) == ["done"]


def test_a_launch_without_a_host_ends_in_a_line_and_loses_no_trial(
    trial: tuple[db.Store, Any],
) -> None:
    store, work = trial

    class OneAfterTheOther(TwoHosts):
        def wait(self, seconds: float) -> list[Finished]:
            works, self.works = self.works, []
            host = GOOD if BAD in self.aside else BAD
            return [replace(fail_task(work.job_id), host=host) for work in works]

    told = Told()
    with pytest.raises(UserError) as raised:
        run(store, work, OneAfterTheOther(fail_task), told)
    assert str(raised.value).startswith(
        f"no host is left, 2 hosts set aside, the last {GOOD}: {WHY[fail_task]}; what is not done"
    )
    assert told.notes == [name_aside(BAD, WHY[fail_task]), name_aside(GOOD, WHY[fail_task])]
    assert read_job(store, work.job_id).state == "pending"
    assert len(store.view("attempts")) == 0
    ended = run(store, work, TwoHosts(fail_task), Told())  # a new launch tries them again
    assert len(with_ending(ended, "done")) == 1


def test_a_worker_that_dies_before_the_claim_where_nobody_knows_never_counts(
    trial: tuple[db.Store, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lcma.harness.launch.driver.LOST_SECONDS", 0.01)
    store, work = trial

    def lose(job_id: str) -> Finished:
        return Finished(job_id, None, "WorkerCrashedError", "process")

    told = Told()
    ended = run(store, work, TwoHosts(lose, times=5), told)
    assert len(with_ending(ended, "done")) == 1
    assert len(told.notes) == 5
    assert told.notes[0].endswith("on a host that is not known; it is run again")


def test_a_host_that_fails_before_the_claim_costs_no_trial_that_was_lost_with_another_node(
    trial: tuple[db.Store, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is claimed again, its row has the claim of this launch that was lost."""
    monkeypatch.setattr("lcma.harness.launch.driver.POLL_SECONDS", 0.05)
    store, work = trial

    class LosesFirst(TwoHosts):
        lost = False

        def wait(self, seconds: float) -> list[Finished]:
            if self.lost:
                return super().wait(seconds)
            self.lost, (work,) = True, self.works
            self.works = []
            claim_elsewhere(store, work.job_id, work.owner, 0.1)
            return [Finished(work.job_id, None, "gone (10.0.0.3)", "node")]

    executor, told = LosesFirst(fail_task), Told()
    ended = run(store, work, executor, told)
    assert len(with_ending(ended, "done")) == 1
    assert executor.failed == 1
    assert store.view("attempts").outcome.tolist() == ["node_lost", "done"]
    assert name_aside(BAD, WHY[fail_task]) in told.notes


def test_a_row_of_failures_ends_with_a_step() -> None:
    executor = TwoHosts(fail_task)
    hosts = Hosts(executor, Told().note, {})
    hosts.note_steps(GOOD, "recipe")
    assert all(hosts.excuse(BAD, job, "recipe", "why") for job in ("a", "b"))
    hosts.note_steps(BAD, "recipe")
    assert hosts.excuse(BAD, "c", "recipe", "why")
    assert executor.aside == set()


def test_what_fails_after_the_claim_counts_as_it_did(trial: tuple[db.Store, Any]) -> None:
    """Also where the dead worker's claim is given back before the launch looks."""
    store, work = trial

    class OnHost(Fragile):
        def wait(self, seconds: float) -> Sequence[Finished]:  # type: ignore[override]
            found = super().wait(seconds)
            store.release("a launch")
            return [Finished(f.job_id, f.report, f.crash, f.lost, BAD) for f in found]

    told = Told()
    ended = run(store, work, OnHost(store, "process", [0, 0, 0]), told)
    (report,) = with_ending(ended, "failed")
    assert report.message == "it died, 3 times without getting beyond step 0"
    assert not any("gets no more trials" in note for note in told.notes)


def test_a_launch_ends_whose_trial_is_forgotten(trial: tuple[db.Store, Any]) -> None:
    store, work = trial
    sweep = store.sweeps()[0].id
    launch = Launch(store, [work], Inline(), Told(), LaunchPolicy(sweep))
    store.forget([sweep])
    assert len(with_ending(launch.run(), "cancelled")) == 1
