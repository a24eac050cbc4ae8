"""`lcma logs`, as it is typed, on both engines."""

import json
import subprocess
import sys
import time

import pytest

from lcma.harness.watch.logs import find_new_lines
from tests.db.conftest import COST, TRIALS, World
from tests.harness.cli.conftest import Lcma, output_of, refused
from tests.stores import beat

pytestmark = pytest.mark.slow_on("postgresql")

TRIAL = TRIALS[1].id


def test_the_last_attempt_is_shown_with_where_when_and_how_it_ended(
    planned: World, lcma: Lcma
) -> None:
    first = planned.win(planned.trials[1], now=1000.0)
    said = {"message": "the node goes", "log": "early words"}
    planned.store.finish(first, "preempted", last_step=5, cost=COST, now=1020.0, **said)
    second = planned.win(planned.trials[1], owner="other", now=1040.0)
    said = {"message": "out of memory", "log": "line one\n  two\x1b[2J"}
    planned.store.finish(second, "oom", last_step=7, cost=COST, now=1050.0, **said)
    out = output_of(lcma("logs", TRIAL[:9]))
    assert out.splitlines() == [
        "attempt 2: train realnvp photos16 channel seed 1: oom",
        "  on node1, cpu, by other",
        "  1970-01-01 00:17:20 to 1970-01-01 00:17:30 UTC, 10 s; steps 5 to 7 of 500",
        "out of memory",
        "line one",
        r"  two\x1b[2J",
    ]
    code, out, _ = lcma("logs", planned.trials[1], "--all")
    assert code == 0
    assert out.index("early words") < out.index("line one")
    found = json.loads(lcma("logs", TRIAL, "--all", "--json")[1])
    assert [(one["token"], one["outcome"], one["log"]) for one in found] == [
        (1, "preempted", "early words"),
        (2, "oom", "line one\n  two\x1b[2J"),
    ]
    assert {one["trial_id"] for one in found} == {TRIAL}


def test_an_attempt_without_a_report_is_told_with_what_is_known(planned: World, lcma: Lcma) -> None:
    lost = planned.win(planned.trials[1], now=1000.0)
    assert beat(planned.store, lost, step=40, lease_seconds=60.0, now=1010.0)
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
    assert "its launch gave the job back" in lcma("logs", TRIAL)[1]


def test_what_was_never_begun_and_what_is_not_there(planned: World, lcma: Lcma) -> None:
    out = output_of(lcma("logs", TRIAL))
    assert out.startswith("no attempt yet at train realnvp photos16 channel seed 1")
    assert lcma("logs", TRIAL, "--json") == (0, "[]\n", "")
    before = planned.dump()
    for start, said in (("xyz", "no trial, pretraining or job starts with"), ("", "''")):
        refused(lcma("logs", start), said)
    refused(lcma("logs", "channel"), "2 trials, pretrainings and jobs start with 'channel'")
    assert planned.dump() == before


def test_a_line_that_is_repeated_is_shown_each_time() -> None:
    for shown in (1, 2, 9):
        assert find_new_lines(["w"] * 12, ["w"] * shown) == ["w"] * (12 - shown)
    assert find_new_lines(["two", "three"], ["one", "two"]) == ["three"], "its beginning is lost"


@pytest.mark.integration
def test_following_shows_steps_and_ends_with_the_attempt(planned: World, lcma: Lcma) -> None:
    """Of an attempt that ends while another process looks, and of one whose node is dead."""
    claim = planned.win(planned.trials[1], now=time.time())
    command = "import sys; from lcma.harness.cli.main import main; main(sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", command, "logs", TRIAL, "-f"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as following:
        assert following.stderr is not None
        assert "step 0/500 on node1, lease" in following.stderr.readline()
        beat(planned.store, claim, step=40, lease_seconds=60.0, log="one\ntwo")
        assert "step 40/500 on node1, lease" in following.stderr.readline()
        assert following.stdout is not None
        assert [following.stdout.readline() for _ in range(2)] == ["one\n", "two\n"]
        beat(planned.store, claim, step=40, lease_seconds=60.0, log="two\nthree")
        assert following.stdout.readline() == "three\n"
        end = {"cost": COST, "log": "one\ntwo\nthree\nno room"}
        assert planned.store.finish(claim, "oom", last_step=41, **end)
        out, err = following.communicate()
    assert (following.returncode, err) == (0, "")
    assert out.splitlines()[0].endswith(": oom")
    assert out.splitlines()[3:] == ["no room"]
    planned.claim(planned.trials[0], now=1000.0)
    assert "nobody has claimed the job since" in lcma("logs", TRIALS[0].id, "-f")[1]
