"""`lcma why` on both engines."""

import dataclasses
import json
import re
import time
from pathlib import Path

import pytest

from lcma import db
from lcma.db.merge import merge
from lcma.sweeps import spec
from tests.db.conftest import COST, DATA, TRIALS, World, plan
from tests.harness.cli.conftest import Lcma, output_of
from tests.stores import beat

pytestmark = pytest.mark.slow_on("postgresql")


def register_sweep(world: World, sweep: db.Sweep, index: int, now: float) -> None:
    """Add a sweep that has one of the trials."""
    members = (db.SweepMember(sweep.id, TRIALS[index].id, "channel"),)
    world.store.register(db.Registration(sweeps=(sweep,), members=members), now=now)


def test_a_done_trial_names_its_attempt_and_its_sweeps(planned: World, lcma: Lcma) -> None:
    planned.finish_trial(0)
    register_sweep(planned, db.Sweep(id="s2", name="late\x1b", spec="{}"), 0, now=2000.0)
    out = output_of(lcma("why", "channel-0"))
    job = TRIALS[0].id[:8]
    assert out.splitlines() == [
        f"train realnvp photos16 channel seed 0 ({job}): done",
        "  by attempt 1 on node1, at 1970-01-01 00:16:50 UTC, launch me",
        "  in the sweep demo as channel: run for it",
        "  in the sweep demo as conventional: run for it",
        r"  in the sweep late\x1b as channel: taken from an earlier sweep",
        f"Next: lcma logs {job}",
        f"      lcma samples {job}",
    ]


def test_a_trial_on_two_contents_of_its_data_has_two_headings(planned: World, lcma: Lcma) -> None:
    other = db.PlannedJob.of_trial(TRIALS[0].id, "e" * 64, steps=500)
    data = dataclasses.replace(DATA, digest="e" * 64)
    planned.store.register(db.Registration(data_sets=(data,), jobs=(other,)), now=1.0)
    headings = [line for line in output_of(lcma("why", TRIALS[0].id)).splitlines() if "(" in line]
    assert len(headings) == len(set(headings)) == 2
    assert sorted(re.findall(r", data (\w+)\): pending", " ".join(headings))) == ["d" * 8, "e" * 8]


def test_without_an_id_the_trial_that_changed_last_is_meant(planned: World, lcma: Lcma) -> None:
    planned.finish_trial(1)
    last = f"{TRIALS[1].id[:8]}: train realnvp photos16 channel seed 1"
    for command in ("why", "logs"):
        assert lcma(command) == (
            *lcma(command, TRIALS[1].id)[:2],
            f"lcma: the trial that changed last, {last}\n",
        )


def test_a_trial_waits_for_its_pretraining_whatever_that_waits_for(
    planned: World, lcma: Lcma
) -> None:
    """The pretraining has not started, then runs, then is silent, then fails."""
    out = output_of(lcma("why", "LLL"))
    assert "budget 100 seed 0" in out
    assert "  waits for its pretraining to 100:\n  pretrain realnvp photos16 to 100" in out
    assert "    not started: it waits only for a launch" in out
    assert out.endswith("Next: lcma launch demo  # with the options that it had\n")
    claim = planned.win(planned.segments[0], now=time.time())
    beat(planned.store, claim, step=40, lease_seconds=60.0)
    out = output_of(lcma("why", "LLL"))
    running = re.search(r"^    step 40/100 on node1, lease (\d+) s left$", out, re.MULTILINE)
    assert running is not None
    assert 0 < int(running[1]) <= 60
    assert out.endswith("Next: lcma logs p -f\n")
    beat(planned.store, claim, step=40, lease_seconds=60.0, now=time.time() + 86400.0)
    out = output_of(lcma("why", "LLL"))
    assert "lease by a clock that is ahead: taken over if not renewed for 60 s" in out
    assert "Next: lcma launch demo" in out
    beat(planned.store, claim, step=40, lease_seconds=60.0, now=1010.0)
    out = output_of(lcma("why", "LLL"))
    assert "lease over since" in out
    assert "its worker no longer answers: the next launch of the job takes it over" in out
    assert "Next: lcma launch demo" in out
    message = "Traceback\n  File x\nValueError: bad\n"
    assert planned.store.finish(claim, "code_error", last_step=41, cost=COST, message=message)
    out = output_of(lcma("why", "p"))
    assert out.count("(p): failed") == 2
    assert "to 200 seed 0" in out
    assert "waits for its pretraining to 100:" in out
    assert "code_error: ValueError: bad\n" in out
    assert "at step 41/100 on node1" in out
    assert "once in 1 attempt\n" in out
    assert out.endswith("Next: lcma logs p\n      lcma rerun --failed p\n")


def test_failures_and_preemptions_are_counted(planned: World, lcma: Lcma) -> None:
    job = planned.trials[1]
    for number, outcome in enumerate(("preempted", "oom", "oom")):
        claim = planned.win(job, now=1000.0 + 20 * number)
        end = {"message": "no room", "now": 1010.0 + 20 * number}
        planned.store.finish(claim, outcome, last_step=9, cost=COST, **end)
        if number == 0:
            _, out, _ = lcma("why", job)
            assert "attempt 1 on node1 ended as preempted at 1970-01-01 00:16:50 UTC" in out
            assert "it waits only for a launch, which runs it again" in out
        planned.store.retry([job] * (number == 1))
    _, out, _ = lcma("why", job)
    assert "oom: no room\n" in out
    assert "2 times in 3 attempts\n" in out
    (record,) = json.loads(lcma("why", job, "--json")[1])
    (cause,) = record["causes"]
    assert (cause["state"], cause["trial_id"]) == ("failed", TRIALS[1].id)
    trial = TRIALS[1].id[:8]
    assert record["next"] == [f"lcma logs {trial}", f"lcma rerun --failed {trial}"]


def test_a_merge_leaves_the_outcome_of_our_own_attempts(
    planned: World, lcma: Lcma, in_tmp: Path
) -> None:
    other = plan(db.connect(f"sqlite:///{in_tmp / 'other.db'}"))
    for world, owner, outcome in ((planned, "me", "oom"), (other, "them", "preempted")):
        world.finish_trial(0, owner=owner)
        claim = world.win(world.trials[1], owner=owner)
        world.store.finish(claim, outcome, last_step=9, cost=COST, message=owner, now=1010.0)
    claim = other.win(other.trials[1], owner="them", now=1100.0)
    other.store.finish(claim, "preempted", last_step=9, cost=COST, now=1110.0)
    merge(other.store.database, planned.store.database)
    out = lcma("why", planned.trials[0])[1]
    assert "by attempt 1 on node1, at 1970-01-01 00:16:50 UTC, launch me\n" in out
    assert other.store.rerun([other.trials[0]], by="them", now=1200.0) == 1
    other.finish_trial(0, owner="them", now=1300.0)
    merge(other.store.database, planned.store.database)
    assert "launch them\n" in lcma("why", planned.trials[0])[1], "the result that counts by now"
    out = lcma("why", planned.trials[1])[1]
    assert "  oom: me\n" in out
    assert "once in 3 attempts\n" in out


def test_only_a_shipped_sweep_is_launched_by_its_name(planned: World, lcma: Lcma) -> None:
    own_file = "lcma launch 'my own.yaml'  # the file of the sweep my own"
    for now, name, body, command in (
        (2000.0, "demo", spec.load("demo").body, "lcma launch demo"),
        (2001.0, "my own", "{}", own_file),
        (2002.0, "tune", spec.load("tune").body, "lcma tune tune"),
    ):
        register_sweep(planned, db.Sweep(id=f"new {name}", name=name, spec=body), 1, now)
        assert lcma("why", TRIALS[1].id)[1].endswith(f"\nNext: {command}\n")
