"""A failing device, or first steps that fail in a row, cost the host and no trial."""

import os
from collections.abc import Callable, Collection, Mapping

import pytest

from lcma import db
from lcma.harness.launch.executor import Finished
from lcma.harness.launch.hosts import Hosts
from lcma.harness.launch.local import LocalExecutor
from lcma.harness.launch.policy import LaunchPolicy
from lcma.harness.place import Place
from lcma.harness.train.trainer import Trainer
from lcma.harness.work.units import Report, Work
from lcma.harness.work.worker import run_work
from tests.harness.conftest import register
from tests.harness.launch.conftest import (
    FakeDisplay,
    InlineExecutor,
    run_launch,
    using,
    with_ending,
)
from tests.harness.launch.machines import FAILING_STEPS, HOOK, make_steps_fail
from tests.stores import read_job

ECC = "AcceleratorError: CUDA error: uncorrectable ECC error encountered"
ADVICE = "\nFor debugging consider passing CUDA_LAUNCH_BLOCKING=1"
NO_COMPILER = "OSError: no compiler"
W1, W2, W3 = "w1 (10.0.0.1)", "w2 (10.0.0.2)", "w3 (10.0.0.3)"


class Cluster(InlineExecutor):
    """Hosts get tasks in turn. On each, all trials or those of some seeds raise an error."""

    def __init__(self, hosts: Mapping[str, str], seeds: Collection[int] | None) -> None:
        super().__init__()
        self.sick, self.seeds, self.turn = hosts, seeds, 0

    @property
    def open(self) -> list[str]:
        return [host for host in self.sick if host not in self.aside]

    def count_machines(self) -> int:
        return len(self.open)

    def is_closed(self) -> bool:
        return not self.open

    def wait(self, seconds: float) -> list[Finished]:
        if not self.works:
            return []
        host, work = self.open[self.turn % len(self.open)], self.works.pop(0)
        self.turn += 1
        is_sick = self.seeds is None or work.subject.seed in self.seeds
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SICK", self.sick[host] if is_sick else "")
            return [Finished(work.job_id, run_work(work), host=host)]


class NotingDisplay(FakeDisplay):
    @property
    def aside(self) -> dict[str, str]:
        """Return why hosts are set aside at the end, by name."""
        reasons = dict[str, str]()
        for note in self.notes:
            before, separator, after = note.partition(" gets no more trials of this launch (a new ")
            if separator:
                reasons[before.removeprefix("host ")] = after.partition(": ")[2]
            elif " gets trials again" in note:
                del reasons[note.removeprefix("host ").partition(" gets")[0]]
        return reasons


@pytest.fixture
def sweep(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], tuple[db.Store, list[Work]]]:
    """Return a function that registers trials whose steps raise what the variable SICK says."""
    monkeypatch.setattr("lcma.harness.launch.driver.POLL_SECONDS", 0.01)
    monkeypatch.setattr("lcma.harness.train.devices._has_failed", False)
    monkeypatch.setattr(Trainer, "make_step", Trainer.make_step)  # it is restored at the end
    make_steps_fail()
    recipe, matrix = {"training": {"steps": 2}}, {"factorization": "conventional"}
    return lambda seeds: register(place, {"matrix": matrix, "recipe": recipe, "seeds": seeds})


def launch(
    store: db.Store,
    works: list[Work],
    hosts: Mapping[str, str],
    seeds: Collection[int] | None = None,
) -> tuple[dict[str, Report], NotingDisplay]:
    display, executor = NotingDisplay(), Cluster(hosts, seeds)
    policy = LaunchPolicy(store.sweeps()[0].id, hosts=Hosts(executor, display.note, {}))
    return run_launch(store, works, executor, display, policy), display


def test_a_device_that_fails_costs_its_host_and_no_trial(sweep) -> None:
    store, works = sweep(4)
    ended, display = launch(store, works, {W2: ECC + ADVICE, W1: ""})
    assert len(with_ending(ended, "done")) == 4
    assert display.aside == {W2: f"its device failed: {ECC}"}
    attempts = store.view("attempts")
    assert sorted(attempts.outcome) == ["done"] * 4 + ["node_lost"]
    (message,) = attempts[attempts.outcome == "node_lost"].message
    assert message.splitlines()[-1] == display.aside[W2]


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("RuntimeError: CUDA error: no kernel image is available for execution", "node_lost"),
        ("RuntimeError: cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", "node_lost"),
        ("AcceleratorError: CUDA error: device-side assert triggered", "code_error"),
        ("AcceleratorError: CUDA error: an illegal memory access was encountered", "code_error"),
        ("RuntimeError: cuDNN error: CUDNN_STATUS_BAD_PARAM", "code_error"),
        ("AcceleratorError: CUDA error: out of memory", "oom"),
        ("OutOfMemoryError: CUDA out of memory", "oom"),
        ("RuntimeError: cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", "oom"),
        ("RuntimeError: it is wrong", "code_error"),
    ],
)
def test_errors_of_the_device_do_not_count_for_a_trial_and_its_own_do(
    sweep, text, outcome, monkeypatch
) -> None:
    store, (work,) = sweep(1)
    monkeypatch.setenv("SICK", text)
    device_failed = outcome == "node_lost"
    assert run_work(work).ending == ("device_failed" if device_failed else "failed")
    assert list(store.view("attempts").outcome) == [outcome]
    assert (read_job(store, work.job_id).state == "pending") == device_failed


def test_an_error_on_a_device_that_had_failed_counts_for_no_trial(sweep, monkeypatch) -> None:
    store, (work,) = sweep(1)
    monkeypatch.setattr("lcma.harness.train.devices._has_failed", True)
    monkeypatch.setenv("SICK", "AcceleratorError: CUDA error: device-side assert triggered")
    assert run_work(work).ending == "crowded"
    assert read_job(store, work.job_id).state == "pending"


def test_a_launch_whose_devices_all_fail_ends_and_loses_nothing(sweep) -> None:
    store, works = sweep(3)
    ended, _ = launch(store, works, {W2: ECC, W1: ECC})
    assert len(with_ending(ended, "failed")) == 3
    assert {read_job(store, work.job_id).state for work in works} == {"pending"}


def test_trials_that_fail_on_every_host_cost_no_host(sweep) -> None:
    store, works = sweep(9)
    ended, display = launch(store, works, {W1: NO_COMPILER, W2: NO_COMPILER}, seeds=[0, 2, 4])
    assert len(with_ending(ended, "failed")) == 3
    assert len(with_ending(ended, "done")) == 6
    assert display.aside == {}


def test_a_launch_that_ends_while_the_fault_is_unknown_fails_no_trial(sweep, monkeypatch) -> None:
    store, works = sweep(4)
    wait_for_task = Cluster.wait

    def wait(self: Cluster, seconds: float) -> list[Finished]:
        if self.turn:  # one trial has failed, and the driver knows
            raise KeyboardInterrupt
        return wait_for_task(self, seconds)

    monkeypatch.setattr(Cluster, "wait", wait)
    with pytest.raises(KeyboardInterrupt):
        launch(store, works, {W2: NO_COMPILER, W1: ""})
    assert list(store.view("attempts").outcome) == ["code_error"]
    assert {read_job(store, work.job_id).state for work in works} == {"pending"}


def test_a_trial_on_which_every_device_fails_costs_no_host(sweep) -> None:
    store, works = sweep(4)
    ended, display = launch(store, works, {W1: ECC, W2: ECC, W3: ECC}, seeds=[1])
    assert len(with_ending(ended, "done")) == 3
    (report,) = with_ending(ended, "failed")
    assert report.message == f"its device failed: {ECC}, 3 times without getting beyond step 0"
    assert report.host in (W1, W2, W3)
    assert display.aside == {}


def test_first_steps_that_fail_on_one_host_only_cost_that_host(sweep) -> None:
    store, works = sweep(8)
    ended, display = launch(store, works, {W2: NO_COMPILER, W1: ""})
    assert len(with_ending(ended, "done")) == 8
    assert display.aside.keys() == {W2}
    assert display.aside[W2].startswith(
        f"3 trials in a row failed there at their first step, the last with {NO_COMPILER}"
    )
    assert sorted(store.view("attempts").outcome) == ["code_error"] * 3 + ["done"] * 8


@pytest.mark.parametrize("hosts", [(W1, W2), (W1, W2, W3)])
def test_first_steps_that_fail_on_every_host_cost_the_trials(sweep, hosts) -> None:
    store, works = sweep(6)
    ended, display = launch(store, works, dict.fromkeys(hosts, NO_COMPILER))
    assert len(with_ending(ended, "failed")) == 6
    assert {report.host for report in display.ended.values()} == set(hosts)
    assert display.aside == {}
    assert len(store.view("attempts")) == 7, "the first ran again"


def test_a_local_process_whose_device_failed_gets_no_more_work(sweep, monkeypatch) -> None:
    """It would fail each later trial."""
    store, works = sweep(2)
    monkeypatch.setenv(HOOK, FAILING_STEPS)
    monkeypatch.setenv("SICK", "AcceleratorError: CUDA error: device-side assert triggered")
    with using(LocalExecutor(1)) as executor:
        before = executor._pools[0].submit(os.getpid).result()
        run_launch(store, works[:1], executor)
        assert executor._pools[0].submit(os.getpid).result() != before
