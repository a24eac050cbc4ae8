"""A signal ends a launch, wherever Python is when it comes."""

import signal
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from lcma.harness.launch.driver import Launch
from lcma.harness.launch.workers import LaunchInterrupted, Workers
from lcma.sweeps.spec import Resources
from tests.harness.launch.conftest import Told

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Collected:
    """An object for a weak reference, in whose callback Python swallows what a handler raises."""


def raise_in_callback(number: int) -> None:
    one = Collected()
    reference = weakref.ref(one, lambda gone: signal.raise_signal(number))
    del one
    assert reference() is None


def make_workers() -> Workers:
    return Workers(Resources(), 1, lambda what: nullcontext(), {"local": True})


class Signalled(Told):
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
def test_a_signal_in_a_callback_ends_a_launch_and_releases_its_jobs(
    one_trial: Callable[..., Any], tmp_path: Path, number: int
) -> None:
    store, work = one_trial(f"sqlite:///{tmp_path / 'signals.db'}", steps=100000, lease=2.0)
    display, before = Signalled(number), signal.getsignal(number)

    def run() -> None:
        with make_workers() as workers:
            workers.store, workers.owner = store, work.owner
            assert workers.executor is not None
            heed = workers.require_uninterrupted
            launch = Launch(store, [work], workers.executor, display, require_uninterrupted=heed)
            with workers.deferred_signals():
                launch.run()

    with pytest.raises(LaunchInterrupted) as ended:
        run()
    assert (ended.value.number, ended.value.released) == (number, 1)
    assert display.rounds == 1, "it ends in the round in which the signal came"
    assert list(store.view("attempts").outcome) == ["cancelled"]
    assert signal.getsignal(number) is before


def test_a_signal_shortly_before_the_end_counts() -> None:

    def end() -> None:
        with make_workers() as workers, workers.deferred_signals():
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(LaunchInterrupted):
        end()


def test_a_second_ctrl_c_waits_for_nothing_and_a_second_sigterm_does() -> None:
    passed = []

    def insist() -> None:
        with make_workers() as workers, workers.deferred_signals():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            passed.append("first")
            signal.raise_signal(signal.SIGINT)
            passed.append("second")

    with pytest.raises(LaunchInterrupted):
        insist()
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
