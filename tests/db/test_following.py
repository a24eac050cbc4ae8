"""Work in progress: rates, waits, and the sweeps of jobs."""

from typing import Any

from lcma import db
from lcma.harness.watch.commands import relaunch_commands
from lcma.harness.watch.status import read_rates
from tests.db.conftest import COST, TRIALS, World
from tests.stores import beat


def test_rates_count_the_last_hour_or_what_there_was_of_it(world: World) -> None:
    world.finish_trial(0)  # claimed at 1000, done at 1010
    claim = world.win(world.segments[0], now=1000.0)
    beat(world.store, claim, step=40, lease_seconds=3000.0, now=1020.0)
    rates = read_rates(world.store, "s", now=1900.0)
    assert (rates.trials, rates.seconds, rates.steps_per_second) == (1, 900.0, 2.0)
    assert rates.trials_per_hour == 4.0
    assert (rates.steps_left, rates.seconds_left) == (60 + 500, 280.0)
    assert read_rates(world.store, now=1900.0).steps_left == 160 + 500 * (len(world.trials) - 1), (
        "of all sweeps"
    )
    assert read_rates(world.store, "s", now=1030.0).trials_per_hour == 60.0
    late = read_rates(world.store, "s", now=9000.0)
    assert (late.trials, late.trials_per_hour, late.steps_per_second) == (0, 0.0, 0.0)
    assert read_rates(world.store, "other", now=1900.0).trials == 0


def test_a_sweep_has_its_trials_and_the_segments_up_to_their_budgets(world: World) -> None:
    later = db.Sweep(id="a", name="later", spec="{}")
    members = (db.SweepMember("a", TRIALS[1].id, "channel"),)
    world.store.register(db.Registration(sweeps=(later,), members=members), now=950.0)
    own = {world.trials[0], world.trials[2], world.segments[0]}
    assert set(world.store.job_ids("s")) == own
    every = [*world.trials, *world.segments]
    commands = relaunch_commands(world.store, every, None)
    assert [one.split()[2] for one in commands] == ["later.yaml", "demo", "SWEEP"]


def test_jobs_are_chosen_by_all_that_is_given(world: World) -> None:
    def found(**which: Any) -> list[str]:
        return [one.job_id for one in world.store.job_facts(**which)]

    trained = world.trials[1]
    claim = world.win(trained, now=2000.0)
    assert found(pretraining_ids=["p"], kind="pretraining") == list(world.segments)
    assert set(found(pretraining_ids=["p"])) == {*world.trials[2:], *world.segments}
    assert found(pretraining_ids=["p"], data_digest="other") == found(trial_ids=[]) == []
    assert found(kind="trial", limit=1) == found(states=["running"]) == [trained]
    assert found(order="updated")[0] == trained
    assert found(sweep_id="s", kind="pretraining") == [world.segments[0]]
    world.store.finish(claim, "oom", last_step=1, cost=COST, message="too large", now=2001.0)
    (lost,) = world.store.job_facts(states=["failed"])
    assert (lost.outcome, lost.message, lost.host) == ("oom", "too large", "node1")
