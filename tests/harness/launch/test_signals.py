"""A signal ends a launch, wherever Python is when it comes."""

import signal
import weakref
from contextlib import nullcontext
from typing import Any

import pytest

from lcma.harness.launch.driver import Launch
from lcma.harness.launch.workers import LaunchInterrupted, Workers
from lcma.sweeps.spec import Resources
from tests.harness.launch.conftest import FakeDisplay

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Collected:
    """An object for a weak reference; Python swallows an exception of a handler in its callback."""


def raise_in_callback(number: int) -> None:
    collected = Collected()
    reference = weakref.ref(collected, lambda reference: signal.raise_signal(number))
    del collected
    assert reference() is None


def make_workers() -> Workers:
    return Workers(Resources(), 1, nullcontext, {"local": True})


class Signalled(FakeDisplay):
    """A display that gets a signal in a callback while the trial trains."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number, self.rounds = number, 0

    def update(self, ended: int, total: int, running: Any) -> None:
        if any(job.step > 0 for job in running):
            self.rounds += 1
            if self.rounds == 1:
                raise_in_callback(self.number)


@pytest.mark.integration
@pytest.mark.usefixtures("slow_steps")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_a_callback_ends_a_launch_and_releases_its_jobs(register_trial, number) -> None:
    store, work = register_trial(steps=100000, lease=2.0)
    display, before = Signalled(number), signal.getsignal(number)

    def run() -> None:
        with make_workers() as workers:
            workers.store, workers.owner = store, work.owner
            assert workers.executor is not None
            check = workers.require_uninterrupted
            launch = Launch(store, [work], workers.executor, display, require_uninterrupted=check)
            with workers.deferred_signals():
                launch.run()

    with pytest.raises(LaunchInterrupted) as ended:
        run()
    assert (ended.value.number, ended.value.released) == (number, 1)
    assert display.rounds == 1, "it ends in the round in which the signal came"
    assert list(store.view("attempts").outcome) == ["cancelled"]
    assert signal.getsignal(number) is before


def test_a_signal_shortly_before_the_end_counts() -> None:
    with pytest.raises(LaunchInterrupted), make_workers() as workers, workers.deferred_signals():
        signal.raise_signal(signal.SIGTERM)


def test_a_second_ctrl_c_ends_at_once_and_a_second_sigterm_does_not() -> None:
    passed = []

    def interrupt() -> None:
        with make_workers() as workers, workers.deferred_signals():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            passed.append("first")
            signal.raise_signal(signal.SIGINT)
            passed.append("second")

    with pytest.raises(LaunchInterrupted):
        interrupt()
    assert passed == ["first"]


def test_a_sigterm_counts_though_ray_raises_an_interrupt_of_its_own() -> None:
    def end() -> None:
        with make_workers():
            try:
                signal.raise_signal(signal.SIGTERM)
            except KeyboardInterrupt:
                raise KeyboardInterrupt from None  # as Ray does in `ray.get`

    with pytest.raises(LaunchInterrupted) as ended:
        end()
    assert ended.value.number == signal.SIGTERM
