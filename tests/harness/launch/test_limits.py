"""A launch ends in good order at its limit, and the next one goes on from its checkpoints."""

from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

import pytest

from lcma import db
from lcma.harness.launch import driver
from lcma.harness.launch.executor import Executor, Finished
from lcma.harness.launch.policy import LaunchPolicy, LimitReachedError, Limits
from lcma.harness.place import Place
from lcma.harness.train.stack import Stack
from lcma.harness.train.trainer import Trainer
from lcma.harness.work.units import Report, Work
from lcma.harness.work.worker import run_works
from tests.faults.contents import compare_rows, read_rows
from tests.harness.conftest import merged, register
from tests.harness.launch.conftest import FakeDisplay, run_launch, using
from tests.harness.launch.machines import make_steps_slow
from tests.stores import list_running

SECONDS = 0.2
"""A limit that the trainings of `sleepy_steps` reach on the way."""


class OneThread(Executor):
    """An executor that starts each task at once, in one thread of this process."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._running: dict[Future[list[Report]], Sequence[Work]] = {}

    def hosts(self) -> list[str]:
        return ["here"]

    def submit(self, works: Sequence[Work]) -> None:
        self._running[self._pool.submit(run_works, works)] = works

    def free_slots(self, work: Work, before: Sequence[Work] = ()) -> int:
        return 1 - len(self._running) - len(before)

    def wait(self, seconds: float) -> list[Finished]:
        done, _ = wait(self._running, seconds, FIRST_COMPLETED)
        for future in done:
            del self._running[future]
        reports = [report for future in done for report in future.result()]
        return [Finished(report.job_id, report) for report in reports]

    def close(self, *, kill: bool) -> None:
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture
def sleepy_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a step take a hundredth of a second, and check limits often."""
    for owner, name in ((Trainer, "make_step"), (Stack, "step")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # they are restored at the end
    make_steps_slow("0.01")
    monkeypatch.setattr(driver, "LIMIT_SECONDS", 0.05)
    monkeypatch.setattr(driver, "POLL_SECONDS", 0.05)


def launch(
    place: Place, change: dict[str, Any], limit: Limits, owner: str, display: Any = None
) -> db.Store:
    """Launch a small sweep of trainings with 40 steps; return its store."""
    base = {"matrix": {"factorization": "rows"}, "recipe": {"training": {"steps": 40}}}
    store, works = register(place, merged(base, change), owner)
    (sweep,) = store.sweeps()
    policy = LaunchPolicy(sweep.id, store.begin_launch(owner, sweep.id), None, limit)
    works = [replace(work, lease_seconds=0.4) for work in works]
    with using(OneThread()) as executor:
        run_launch(store, works, executor, display, policy)
    return store


@pytest.mark.integration
@pytest.mark.usefixtures("sleepy_steps")
@pytest.mark.parametrize(
    ("limit", "stacked"),
    [("sweep_device_hours", False), pytest.param("device_hours", True, marks=pytest.mark.slow)],
)
def test_a_launch_ends_at_its_limit_and_the_next_goes_on_to_the_same_bits(
    place, tmp_path, limit, stacked
) -> None:
    """No step is trained twice, since the launch writes checkpoints as it ends."""
    change = {"recipe": {"optimization": {"stacked": stacked}}, "seeds": 1 + stacked}
    with pytest.raises(LimitReachedError) as ended:
        launch(place, change, Limits(**{limit: SECONDS / 3600}), "first")
    store = db.connect(place.db)
    assert ended.value.left == 1 + stacked
    assert list_running(store) == []
    before = store.view("attempts")
    assert set(before.outcome) == {"cancelled"}
    assert len(before) == 1 + stacked
    assert all(0 < step < 40 for step in before.last_step)
    spent = store.device_hours(owner="first")
    assert spent >= SECONDS / 3600
    assert spent == pytest.approx(before.seconds.sum() / 3600)
    if limit == "sweep_device_hours":
        with pytest.raises(LimitReachedError, match="max_device_hours"):
            launch(place, change, Limits(sweep_device_hours=SECONDS / 3600), "second")
        assert len(store.view("attempts")) == len(before), "the launches share the limit"
    launch(place, change, Limits(**{limit: 1.0}), "third")
    after = store.view("attempts")
    assert sorted(after[after.owner == "third"].first_step) == sorted(before.last_step)
    elsewhere = replace(place, db=f"sqlite:///{tmp_path / 'other.db'}", runs=tmp_path / "other")
    undisturbed = launch(elsewhere, change, Limits(), "undisturbed")
    assert compare_rows(read_rows(undisturbed), read_rows(store)) == []


@pytest.mark.usefixtures("sleepy_steps")
@pytest.mark.parametrize("limit", ["device_hours", "hours"])
def test_waiting_tasks_do_not_start_after_the_limit(place, limit) -> None:
    with pytest.raises(LimitReachedError) as ended:
        launch(place, {"seeds": 3}, Limits(**{limit: SECONDS / 3600}), "first")
    store = db.connect(place.db)
    assert ended.value.left == 3
    assert len(store.view("attempts")) <= 1
    assert list_running(store) == []


class Stopper(FakeDisplay):
    """A display that stops the first trial which has made a step."""

    def __init__(self, store: db.Store) -> None:
        super().__init__()
        self.store, self.stopped = store, ""

    def update(self, ended: int, total: int, running: Any) -> None:
        for job in running:
            if job.step and not self.stopped:
                assert self.store.request_stop(job_ids=[job.job_id], by="ann@here") == 1
                self.stopped = job.job_id


@pytest.mark.integration
@pytest.mark.usefixtures("sleepy_steps")
def test_the_next_launch_goes_on_with_a_stopped_trial(place) -> None:
    """The first launch goes on with the other trials."""
    display = Stopper(db.connect(place.db))
    store = launch(place, {"seeds": 2}, Limits(), "first", display=display)
    assert sorted(report.ending for report in display.ended.values()) == ["cancelled", "done"]
    (stopped,) = store.attempts([display.stopped])
    assert (stopped.outcome, stopped.message) == ("cancelled", "stopped by ann@here")
    assert 0 < stopped.last_step < 40
    assert stopped.mean_memory > 0
    assert stopped.peak_memory >= stopped.mean_memory
    launch(place, {"seeds": 2}, Limits(), "second")
    _, resumed = store.attempts([display.stopped])
    assert (resumed.outcome, resumed.first_step) == ("done", stopped.last_step)
