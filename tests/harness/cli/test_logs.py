"""`lcma logs` on both engines."""

import json
import os
import subprocess
import sys
import time

import pytest

from lcma.harness.watch.commands import format_command
from lcma.harness.watch.logs import find_new_lines
from tests.db.conftest import COST, TRIALS, World
from tests.harness.cli.conftest import Lcma, output_of, refused
from tests.stores import beat

pytestmark = pytest.mark.slow_on("postgresql")

TRIAL = TRIALS[1].id


def test_the_last_attempt_is_shown_with_its_place_time_and_outcome(
    planned: World, lcma: Lcma
) -> None:
    claim = planned.win(planned.trials[1], now=1000.0)
    end = {"message": "the node goes", "log": "early words", "now": 1020.0}
    planned.store.finish(claim, "preempted", last_step=5, cost=COST, **end)
    claim = planned.win(planned.trials[1], owner="other", now=1040.0)
    end = {"message": "out of memory", "log": "line one\n  two\x1b[2J", "now": 1050.0}
    planned.store.finish(claim, "oom", last_step=7, cost=COST, **end)
    out = output_of(lcma("logs", TRIAL[:9]))
    assert out.splitlines() == [
        "attempt 2: train realnvp photos16 channel seed 1: oom",
        "  on node1, cpu, by other",
        "  1970-01-01 00:17:20 to 1970-01-01 00:17:30 UTC, 10 s; steps 5 to 7 of 500",
        "out of memory",
        "line one",
        r"  two\x1b[2J",
    ]
    out = output_of(lcma("logs", planned.trials[1], "--all"))
    assert out.index("early words") < out.index("line one")
    attempts = json.loads(lcma("logs", TRIAL, "--all", "--json")[1])
    assert [(a["trial_id"], a["token"], a["outcome"], a["log"]) for a in attempts] == [
        (TRIAL, 1, "preempted", "early words"),
        (TRIAL, 2, "oom", "line one\n  two\x1b[2J"),
    ]


def test_the_end_of_a_log_of_any_size_is_shown(planned: World, lcma: Lcma) -> None:
    claim = planned.win(planned.trials[1], now=1000.0)
    log = "first\n" + 2**20 * "é" + "last"
    planned.store.finish(claim, "oom", last_step=7, cost=COST, message="", log=log, now=1050.0)
    (attempt,) = json.loads(output_of(lcma("logs", TRIAL, "--json")))
    assert attempt["log"] == log[-(2**20) :]


def test_an_attempt_without_a_report_has_the_end_of_its_lease(planned: World, lcma: Lcma) -> None:
    claim = planned.win(planned.trials[1], now=1000.0)
    assert beat(planned.store, claim, step=40, lease_seconds=60.0, now=1010.0)
    _, out, _ = lcma("logs", TRIAL)
    assert "no report: step 40" in out
    assert "its lease ended at 1970-01-01 00:17:50 UTC" in out
    assert "nobody has claimed the job since" in out
    planned.win(planned.trials[1], owner="other", now=time.time())
    _, out, _ = lcma("logs", TRIAL)
    assert "attempt 2" in out
    assert "(it runs: step" in out
    _, out, _ = lcma("logs", TRIAL, "--all")
    assert "step 40 on node1 was the last one reported; its lease of 60 s was over" in out
    planned.store.release("other", now=time.time())
    assert "the job was given back" in lcma("logs", TRIAL)[1]


def test_trials_without_an_attempt_and_unknown_ids(planned: World, lcma: Lcma) -> None:
    out = output_of(lcma("logs", TRIAL))
    assert out.startswith("no attempt yet at train realnvp photos16 channel seed 1")
    assert lcma("logs", TRIAL, "--json") == (0, "[]\n", "")
    before = planned.dump()
    for start, message in (
        ("xyz", "no trial, pretraining or job starts with"),
        ("", "''"),
        ("channel", "2 trials, pretrainings and jobs start with 'channel'"),
    ):
        refused(lcma("logs", start), message)
    assert planned.dump() == before


def test_a_line_that_is_repeated_is_shown_each_time() -> None:
    for count in (1, 2, 9):
        assert find_new_lines(["w"] * 12, ["w"] * count) == ["w"] * (12 - count)
    assert find_new_lines(["two", "three"], ["one", "two"]) == ["three"], "its beginning is lost"


@pytest.mark.integration
def test_following_shows_steps_and_ends_with_the_attempt(planned: World, lcma: Lcma) -> None:
    """One attempt ends while another process follows; the node of another is dead."""
    url = os.environ["LCMA_DB"]
    with subprocess.Popen(
        [sys.executable, "-m", "lcma", "logs", TRIAL, "-f", "--db", url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stderr is not None
        why = format_command("why", TRIALS[1].id[:8], db=url)
        assert "--db" in why
        assert following.stderr.readline().endswith(f" is pending: `{why}` says why\n")
        claim = planned.win(planned.trials[1], now=time.time())
        assert "step 0/500 on node1, lease" in following.stderr.readline()
        beat(planned.store, claim, step=40, lease_seconds=60.0, log="one\ntwo")
        assert "step 40/500 on node1, lease" in following.stderr.readline()
        assert following.stdout is not None
        assert [following.stdout.readline() for _ in range(2)] == ["one\n", "two\n"]
        beat(planned.store, claim, step=40, lease_seconds=60.0, log="two\nthree")
        assert following.stdout.readline() == "three\n"
        end = {"cost": COST, "log": "one\ntwo\nthree\nno room"}
        assert planned.store.finish(claim, "oom", last_step=41, **end)
        planned.store.retry([planned.trials[1]])
        planned.win(planned.trials[1], now=time.time())  # the end that is followed is shown still
        out, err = following.communicate()
    assert (following.returncode, err) == (0, "")
    assert out.splitlines()[0].endswith(": oom")
    assert out.splitlines()[3:] == ["no room"]
    planned.claim(planned.trials[0], now=1000.0)
    assert "nobody has claimed the job since" in lcma("logs", TRIALS[0].id, "-f")[1]
