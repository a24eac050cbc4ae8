"""`lcma why`, as it is typed, on both engines."""

import json
import re
import time
from pathlib import Path

import pytest

from lcma import db
from lcma.db.merge import merge
from lcma.sweeps import spec
from tests.db.conftest import COST, TRIALS, World, plan
from tests.harness.cli.conftest import Lcma, output_of
from tests.stores import beat

pytestmark = pytest.mark.slow_on("postgresql")


def test_what_is_done_names_its_attempt_and_the_sweeps_that_it_serves(
    planned: World, lcma: Lcma
) -> None:
    planned.finish_trial(0)
    members = (db.SweepMember("s2", TRIALS[0].id, "channel"),)
    later = db.Registration(
        sweeps=(db.Sweep(id="s2", name="late\x1b", spec="{}"),), members=members
    )
    planned.store.register(later, now=2000.0)
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


def test_who_names_no_trial_is_told_of_the_last_one(planned: World, lcma: Lcma) -> None:
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
    """Not started, then running, then silent, then failed: told through the chain."""

    def told(start: str) -> str:
        return output_of(lcma("why", start))

    segment = "p"
    out = told("LLL")
    assert "budget 100 seed 0" in out
    assert "  waits for its pretraining to 100:\n  pretrain realnvp photos16 to 100" in out
    assert "    not started: it waits only for a launch" in out
    assert out.endswith("Next: lcma launch demo  # with the options that it had\n")
    claim = planned.win(planned.segments[0], now=time.time())
    beat(planned.store, claim, step=40, lease_seconds=60.0)
    out = told("LLL")
    running = re.search(r"^    step 40/100 on node1, lease (\d+) s left$", out, re.MULTILINE)
    assert running is not None
    assert 0 < int(running[1]) <= 60
    assert out.endswith(f"Next: lcma logs {segment} -f\n")
    beat(planned.store, claim, step=40, lease_seconds=60.0, now=time.time() + 86400.0)
    out = told("LLL")
    assert "lease by a clock that is ahead: taken over if not renewed for 60 s" in out
    assert "Next: lcma launch demo" in out
    beat(planned.store, claim, step=40, lease_seconds=60.0, now=1010.0)
    out = told("LLL")
    assert "lease over since" in out
    assert "its worker no longer answers: the next launch of the job takes it over" in out
    assert "Next: lcma launch demo" in out
    message = "Traceback\n  File x\nValueError: bad\n"
    assert planned.store.finish(claim, "code_error", last_step=41, cost=COST, message=message)
    out = told("p")
    assert out.count("(" + segment + "): failed") == 2
    assert "to 200 seed 0" in out
    assert "waits for its pretraining to 100:" in out
    assert "code_error: ValueError: bad\n" in out
    assert "at step 41/100 on node1" in out
    assert "once in 1 attempt\n" in out
    assert out.endswith(f"Next: lcma logs {segment}\n      lcma rerun --failed {segment}\n")


def test_what_failed_and_what_was_preempted_say_how_often(planned: World, lcma: Lcma) -> None:
    job = planned.trials[1]
    for number, outcome in enumerate(("preempted", "oom", "oom")):
        claim = planned.win(job, now=1000.0 + 20 * number)
        planned.store.finish(
            claim, outcome, last_step=9, cost=COST, message="no room", now=1010.0 + 20 * number
        )
        if number == 0:
            _, out, _ = lcma("why", job)
            assert "attempt 1 on node1 ended as preempted at 1970-01-01 00:16:50 UTC" in out
            assert "it waits only for a launch, which runs it again" in out
        planned.store.retry([job] * (number == 1))
    _, out, _ = lcma("why", job)
    assert "oom: no room\n" in out
    assert "2 times in 3 attempts\n" in out
    (found,) = json.loads(lcma("why", job, "--json")[1])
    (cause,) = found["causes"]
    assert (cause["state"], cause["trial_id"]) == ("failed", TRIALS[1].id)
    trial = TRIALS[1].id[:8]
    assert found["next"] == [f"lcma logs {trial}", f"lcma rerun --failed {trial}"]


def test_attempts_that_a_merge_brought_do_not_take_the_place_of_one_s_own(
    planned: World, lcma: Lcma, in_tmp: Path
) -> None:
    other = plan(db.connect(f"sqlite:///{in_tmp / 'other.db'}"))
    for world, owner, outcome in ((planned, "me", "oom"), (other, "them", "preempted")):
        world.finish_trial(0, owner=owner)
        claim = world.win(world.trials[1], owner=owner)
        world.store.finish(claim, outcome, last_step=9, cost=COST, message=owner, now=1010.0)
    again = other.win(other.trials[1], owner="them", now=1100.0)
    other.store.finish(again, "preempted", last_step=9, cost=COST, now=1110.0)
    merge(other.store.database, planned.store.database)
    assert (
        "by attempt 1 on node1, at 1970-01-01 00:16:50 UTC, launch me\n"
        in lcma("why", planned.trials[0])[1]
    )
    out = lcma("why", planned.trials[1])[1]
    assert "  oom: me\n" in out
    assert "once in 3 attempts\n" in out


def test_a_shipped_sweep_is_launched_by_its_name_alone(planned: World, lcma: Lcma) -> None:
    sweeps = (
        db.Sweep(id="new", name="demo", spec=spec.load("demo").body),
        db.Sweep(id="own", name="my own", spec="{}"),
        db.Sweep(id="study", name="tune", spec=spec.load("tune").body),
    )
    for number, sweep in enumerate(sweeps):
        members = (db.SweepMember(sweep.id, TRIALS[1].id, "channel"),)
        plan = db.Registration(sweeps=(sweep,), members=members)
        planned.store.register(plan, now=2000.0 + number)
        command = (
            "lcma launch demo",
            "lcma launch 'my own.yaml'  # the file of the sweep my own",
            "lcma tune tune",
        )
        assert lcma("why", TRIALS[1].id)[1].endswith(f"\nNext: {command[number]}\n")


def test_an_unknown_id_is_one_line(planned: World, lcma: Lcma) -> None:
    for start in ("xyz", "x\x1b[2J"):
        code, out, err = lcma("why", start)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "no trial, pretraining or job starts with '" in err
        assert err.strip().isprintable()
