"""A study killed at each of its states, and launched again, is the study left alone."""

import signal
from collections.abc import Callable

import pytest

from lcma.harness.kill_points import TUNER, When
from tests.harness.conftest import merged
from tests.harness.tuning.conftest import STOP, Death, Tuning, in_child

Make = Callable[..., Tuning]
CHANGE = merged(STOP, {"tune": {"budget": {"high": 20}, "cost_weight": 3e3, "trials": 3}})

MOMENTS: list[tuple[str, When, int]] = [
    *((name, when, 2) for name in TUNER for when in ("before", "after")),  # type: ignore[misc]
    ("checkpoint", "after", 4),
    ("spool-end", "before", 5),
]


def undisturbed(make: Make) -> Tuning:
    tuned = make(CHANGE).elsewhere()
    assert in_child(tuned.run) == 0
    assert {row[2] for row in tuned.history()} == {"COMPLETE", "PRUNED"}
    return tuned


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "when", "times"), [pytest.param(*one, id="-".join(one[:2])) for one in MOMENTS]
)
def test_killed_at_a_moment_it_goes_on(tuning: Make, name: str, when: When, times: int) -> None:
    wanted, killed = undisturbed(tuning), tuning(CHANGE)
    assert in_child(killed.run, Death(name, when, times)) == signal.SIGKILL
    assert in_child(killed.run) == 0
    assert_alike(killed, wanted)


@pytest.mark.slow
def test_killed_at_every_moment_in_turn_on_each_engine(on_each: Make, tuning: Make) -> None:
    wanted, killed = undisturbed(tuning), on_each(CHANGE)
    died = 0
    for name, when, _ in MOMENTS:
        died += in_child(killed.run, Death(name, when)) == signal.SIGKILL
    assert died >= 10
    assert in_child(killed.run) == 0
    assert_alike(killed, wanted)


def assert_alike(killed: Tuning, wanted: Tuning) -> None:
    """The same trials with the same values, the same results, and nothing finished done twice."""
    assert killed.history() == wanted.history()
    assert killed.bits() == wanted.bits()
    ends = killed.store.database.query(
        "select job_id, count(*) from attempts where outcome = 'done' group by job_id "
        "having count(*) > 1",
        limit=None,
        timeout=10,
    )
    assert ends.rows == ()


@pytest.mark.integration
def test_an_orphan_of_a_tuner_that_lives_is_left_to_it(tuning: Make) -> None:
    tuned = tuning(CHANGE)
    with tuned.opened() as one, tuned.opened() as other:
        first = one.study.ask()
        second = other.study.ask()
        assert (first.number, second.number) == (0, 1)
        assert other.study.ask(more=False) == "wait"
    with tuned.opened() as third:  # both have let go
        assert [third.study.ask(more=False) for _ in range(2)] == [first, second]
        assert third.study.ask(more=False) == "wait"
