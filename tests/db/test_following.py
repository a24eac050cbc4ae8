"""Work in progress: rates, waits, and the sweeps of jobs."""

from typing import Any

from lcma import db
from lcma.harness.terminal import read_user_name
from lcma.harness.watch.commands import relaunch_commands
from lcma.harness.watch.status import read_rates
from tests.db.conftest import COST, TRIALS, World
from tests.stores import beat


def test_the_speed_and_the_steps_left_are_those_of_a_sweep(world: World) -> None:
    world.finish_trial(0)  # claimed at 1000, done at 1010
    claim = world.win(world.segments[0], now=1000.0)
    beat(world.store, claim, step=40, lease_seconds=3000.0, now=1020.0)
    rates = read_rates(world.store, "s", now=1900.0)
    assert rates.steps_per_second == 2.0
    assert (rates.steps_left, rates.seconds_left) == (60 + 500, 280.0)
    of_all_sweeps = read_rates(world.store, now=1900.0)
    assert of_all_sweeps.steps_left == 160 + 500 * (len(world.trials) - 1)
    assert read_rates(world.store, "s", now=9000.0).steps_per_second == 0.0


def test_a_sweep_has_its_trials_and_the_segments_up_to_their_budgets(world: World) -> None:
    later = db.Sweep(id="a", name="later", spec="{}")
    members = tuple(db.SweepMember("a", trial.id, "channel") for trial in TRIALS[:2])
    world.store.register(db.Registration(sweeps=(later,), members=members), now=950.0)
    jobs = {world.trials[0], world.trials[2], world.segments[0]}
    assert set(world.store.job_ids("s")) == jobs
    commands = relaunch_commands(world.store, [*world.trials, *world.segments], None)
    assert [command.split()[2] for command in commands] == ["later.yaml", "demo", "SWEEP"]
    user, _, host = read_user_name().rpartition("@")
    launch = {"launched_by": user, "host": host, "arguments": "lcma launch mine.yaml --local"}
    world.store.begin_launch("me", "s", **launch, now=1000.0)
    (command,) = relaunch_commands(world.store, [world.trials[0]], None)
    assert command == "lcma launch mine.yaml --local", "one's own before one that a merge brought"


def test_jobs_match_every_argument(world: World) -> None:
    def find(**which: Any) -> list[str]:
        return [facts.job_id for facts in world.store.job_facts(**which)]

    running = world.trials[1]
    claim = world.win(running, now=2000.0)
    assert find(pretraining_ids=["p"], kind="pretraining") == list(world.segments)
    assert set(find(pretraining_ids=["p"])) == {*world.trials[2:], *world.segments}
    assert find(pretraining_ids=["p"], data_digest="other") == find(trial_ids=[]) == []
    assert find(kind="trial", limit=1) == find(states=["running"]) == [running]
    assert find(order="updated")[0] == running
    assert find(sweep_id="s", kind="pretraining") == [world.segments[0]]
    world.store.finish(claim, "oom", last_step=1, cost=COST, message="too large", now=2001.0)
    (lost,) = world.store.job_facts(states=["failed"])
    assert (lost.outcome, lost.message, lost.host) == ("oom", "too large", "node1")
