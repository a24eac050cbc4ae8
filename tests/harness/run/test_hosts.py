"""What fails on a host before a trial is claimed sets the host aside, and counts for no trial."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.harness.place import Place
from lcma.harness.run import hosts as hosts_module
from lcma.harness.run.driver import EndedJobs, Launch, LaunchRecord
from lcma.harness.run.executor import Finished
from lcma.harness.run.hosts import Hosts
from lcma.harness.run.preflight import Answer, Preflight
from lcma.harness.run.work import Report
from tests.harness.run.conftest import Inline, Told
from tests.harness.run.test_crashes import Fragile

BAD, GOOD = "bad (10.0.0.1)", "good (10.0.0.2)"


class TwoHosts(Inline):
    """Tasks go to the bad host unless it is set aside, and end there in some way, so many times."""

    def __init__(self, end: Callable[[str], Finished], times: int = 1000) -> None:
        super().__init__()
        self.end, self.times, self.failed = end, times, 0
        self.answers: list[Answer] = []

    def poll_answers(self) -> list[Answer]:
        answers, self.answers = self.answers, []
        return answers

    def wait(self, seconds: float) -> list[Finished]:
        if not self.works or BAD in self.aside or self.failed == self.times:
            return [Finished(f.job_id, f.report, host=GOOD) for f in super().wait(seconds)]
        works, self.works = self.works, []
        self.failed += 1
        return [self.end(work.job_id) for work in works]


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts_module, "CHECK_SECONDS", 0.0)


@pytest.fixture
def trial(one_trial: Callable[..., Any], tmp_path: Path) -> tuple[db.Store, Any]:
    return one_trial(f"sqlite:///{tmp_path / 'hosts.db'}", steps=10, watch=10)


def make_hosts(store: db.Store, executor: Inline, told: Told, place: Place) -> Hosts:
    preflight = Preflight(place, {}, any_code=True)
    sweep_id = store.sweeps()[0].id
    return Hosts(store, executor, told.note, preflight, owner="a launch", sweep_id=sweep_id)


def run(store: db.Store, node: Any, executor: Inline, told: Told) -> EndedJobs:
    hosts = make_hosts(store, executor, told, node.work.place)
    record = LaunchRecord(store.sweeps()[0].id, 0)
    return Launch(store, [node], executor, told, record, hosts).run()


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
    store, node = trial
    executor, told = TwoHosts(end), Told()
    ended = run(store, node, executor, told)
    assert len(ended.with_ending("done")) == 1
    assert executor.failed == 1
    (aside,) = store.hosts_aside()
    assert (aside.host, aside.owner, aside.own) == (BAD, "a launch", False)
    assert aside.why == WHY[end]
    assert told.notes == [f"host {BAD} gets no trials for 30 seconds: {aside.why}"]
    assert list(store.attempts().outcome) == ["done"]


@pytest.mark.parametrize("end", [fail_task, lose_process])
def test_a_host_that_fails_again_and_again_never_counts_against_a_trial(
    trial: tuple[db.Store, Any],
    at_once: None,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[str], Finished],
) -> None:
    """Its pauses are over at once."""
    monkeypatch.setattr(hosts_module, "SHORTEST", 1e-9)
    store, node = trial
    executor = TwoHosts(end, times=7)
    ended = run(store, node, executor, Told())
    assert len(ended.with_ending("done")) == 1
    assert executor.failed == 7


def test_a_worker_that_dies_before_the_claim_where_nobody_knows_never_counts(
    trial: tuple[db.Store, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lcma.harness.run.driver.SHORTEST", 0.01)
    store, node = trial

    def lose(job_id: str) -> Finished:
        return Finished(job_id, None, "WorkerCrashedError", "process")

    told = Told()
    ended = run(store, node, TwoHosts(lose, times=5), told)
    assert len(ended.with_ending("done")) == 1
    assert store.hosts_aside() == []
    assert len(told.notes) == 5
    assert told.notes[0].endswith("on a host that is not known; it is run again")


def test_a_host_that_fails_before_the_claim_costs_no_trial_that_was_lost_with_another_node(
    trial: tuple[db.Store, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is claimed again, its row has the claim of this launch that was lost."""
    monkeypatch.setattr("lcma.harness.run.driver.POLL_SECONDS", 0.05)
    store, node = trial

    class LosesFirst(TwoHosts):
        lost = False

        def wait(self, seconds: float) -> list[Finished]:
            if self.lost:
                return super().wait(seconds)
            self.lost, (work,) = True, self.works
            self.works = []
            Fragile(store, "node", []).claim(replace(work, lease_seconds=0.1))
            return [Finished(work.job_id, None, "gone (10.0.0.3)", "node")]

    executor, told = LosesFirst(fail_task), Told()
    ended = run(store, node, executor, told)
    assert len(ended.with_ending("done")) == 1
    assert executor.failed == 1
    assert store.attempts().outcome.tolist() == ["node_lost", "done"]
    (aside,) = store.hosts_aside()
    assert (aside.host, aside.why) == (BAD, WHY[fail_task])


def test_a_trial_that_ends_before_a_pause_is_stored_does_not_shorten_it(
    trial: tuple[db.Store, Any],
) -> None:
    store, node = trial
    told = Told()
    hosts = make_hosts(store, TwoHosts(fail_task), told, node.work.place)
    hosts.set_aside(BAD, "no lcma")
    hosts.welcome(BAD)
    hosts.refresh()
    (aside,) = store.hosts_aside()
    assert round(aside.until - aside.time) == 30
    assert told.notes == [f"host {BAD} gets no trials for 30 seconds: no lcma"]


def test_pauses_double_up_to_ten_minutes_until_a_trial_ends_there(
    trial: tuple[db.Store, Any], at_once: None
) -> None:
    store, node = trial
    executor, told = TwoHosts(fail_task), Told()
    hosts = make_hosts(store, executor, told, node.work.place)
    pauses = []
    for number in range(8):
        if number == 7:
            hosts.welcome(BAD)
        hosts.set_aside(BAD, "no lcma")
        hosts.set_aside(BAD, "of another task that was on its way")
        hosts.refresh()
        (aside,) = store.hosts_aside()
        pauses.append(round(aside.until - aside.time))
        assert executor.aside == {BAD}
        assert store.take_host_back(BAD, by="me") == 1
        hosts.refresh()
        assert executor.aside == frozenset()
    assert pauses == [30, 60, 120, 240, 480, 600, 600, 30]
    assert told.notes[1] == f"host {BAD} is asked again whether it can run trials"


def test_a_host_that_fails_for_weeks_is_set_aside_as_long_each_time(
    trial: tuple[db.Store, Any], at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts_module, "SHORTEST", 2.0**1000)
    store, node = trial
    told = Told()
    hosts = make_hosts(store, TwoHosts(fail_task), told, node.work.place)
    for _ in range(30):
        hosts.set_aside(BAD, "no lcma")
        hosts.refresh()
        assert store.take_host_back(BAD, by="me") == 1
        hosts.refresh()
    assert told.notes[::2] == [f"host {BAD} gets no trials for 600 seconds: no lcma"] * 30


def test_a_launch_keeps_from_hosts_that_failed_others_unless_it_is_their_own_matter(
    trial: tuple[db.Store, Any], at_once: None
) -> None:
    store, node = trial
    sweep_id = store.sweeps()[0].id
    for host, own in (("failed", False), ("of other code than theirs", True)):
        store.set_host_aside(
            host, why="it", seconds=60.0, owner="theirs", sweep_id=sweep_id, own=own
        )
    executor = TwoHosts(fail_task)
    hosts = make_hosts(store, executor, Told(), node.work.place)
    executor.answers = [Answer("late", problem="it has no psycopg")]
    hosts.refresh()
    assert executor.aside == {"failed", "late"}
    assert {one.host: one.own for one in store.hosts_aside()}["late"]


@pytest.mark.parametrize("released", [False, True])
def test_what_fails_after_the_claim_counts_as_it_did(
    trial: tuple[db.Store, Any], released: bool
) -> None:
    """Also where the dead worker's claim is given back before the launch looks."""
    store, node = trial

    class OnHost(Fragile):
        def wait(self, seconds: float) -> Sequence[Finished]:  # type: ignore[override]
            found = super().wait(seconds)
            if released:
                store.release("a launch")
            return [Finished(f.job_id, f.report, f.crash, f.lost, BAD) for f in found]

    ended = run(store, node, OnHost(store, "process", [0, 0, 0]), Told())
    (report,) = ended.with_ending("failed")
    assert report.message == "it died, 3 times without getting beyond step 0"
    assert store.hosts_aside() == []
