"""`lcma retry`, as it is typed, on both engines."""

import json

import pytest

from lcma import db
from tests.db.conftest import COST, TRIALS, World
from tests.harness.cli.conftest import Typed


@pytest.fixture
def lost(planned: World) -> World:
    """A trial out of memory in no sweep, one of the sweep diverged, and a segment with an error."""
    for job_id, outcome in (
        (planned.trials[1], "oom"),
        (planned.trials[0], "diverged"),
        (planned.segments[0], "code_error"),
    ):
        claim = planned.win(job_id)
        planned.store.finish(claim, outcome, last_step=9, cost=COST, message="no", now=1010.0)
    return planned


def states(world: World) -> list[db.State]:
    return [world.job(i).state for i in (world.trials[1], world.trials[0], world.segments[0])]


@pytest.mark.slow_on("postgresql")
@pytest.mark.parametrize(
    ("arguments", "moved"),
    [
        ([], [True, True, True]),
        (["--class", "oom"], [True, False, False]),
        (["--class", "oom", "--class", "code_error"], [True, False, True]),
        (["--sweep", "demo"], [False, True, True]),
        (["--sweep", "demo", "--class", "diverged"], [False, True, False]),
        ([TRIALS[1].id], [True, False, False]),
        (["LLL"], [False, False, True]),
        (["channel-0", "channel-1", "--sweep", "s"], [False, True, False]),
    ],
)
def test_what_is_chosen_is_put_back_and_a_dry_run_says_the_same(
    lost: World, typed: Typed, arguments: list[str], moved: list[bool]
) -> None:
    before = lost.dump()
    code, out, err = typed("retry", *arguments, "--dry-run")
    assert (code, err) == (0, "")
    number = f"{sum(moved)} job{'s' * (sum(moved) != 1)} ("
    assert out.splitlines()[-1].startswith(number)
    assert out.splitlines()[-1].endswith(") would be put back to pending")
    assert len(out.splitlines()) == sum(moved) + 1
    assert lost.dump() == before
    code, out, err = typed("retry", *arguments)
    assert (code, err) == (0, "")
    assert out.startswith(number)
    assert "put back to pending\nNext: lcma launch" in out
    was = ["failed", "diverged", "failed"]
    assert states(lost) == ["pending" if m else s for m, s in zip(moved, was, strict=True)]


def test_programs_are_told_jobs_and_commands(lost: World, typed: Typed) -> None:
    found = json.loads(typed("retry", "--sweep", "demo", "--class", "diverged", "--json")[1])
    command = "lcma launch demo  # with the options that it had"
    assert found == {"jobs": [lost.trials[0]], "put_back": 1, "next": [command]}
    nothing = {"jobs": [], "put_back": 0, "next": []}
    assert json.loads(typed("retry", "--class", "diverged", "--json")[1]) == nothing


@pytest.mark.slow_on("postgresql")
@pytest.mark.parametrize("arguments", [["--class", "timeout"], ["--sweep", "s", "--class", "oom"]])
def test_nothing_to_retry_is_one_line(lost: World, typed: Typed, arguments: list[str]) -> None:
    before = lost.dump()
    said = "nothing to retry: no such job has failed or diverged\n"
    assert typed("retry", *arguments) == (0, said, "")
    assert lost.dump() == before


@pytest.mark.slow_on("postgresql")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--class", "ooom"],
            "no failure class 'ooom': did you mean 'oom'?\n",
        ),
        (["--class", "failed_elsewhere"], "no failure class 'failed_elsewhere'"),
        (["--class", "node_lost"], "no failure class 'node_lost'"),
        (["--sweep", "nope"], "no sweep 'nope' in the database: it has demo"),
        (["channel-0", "nope"], "no trial, pretraining or job starts with 'nope'"),
    ],
)
def test_unknown_names_change_nothing(
    lost: World, typed: Typed, arguments: list[str], said: str
) -> None:
    before = lost.dump()
    code, out, err = typed("retry", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert lost.dump() == before


def test_people_see_which_hosts_are_set_aside_and_take_them_back(
    planned: World, typed: Typed
) -> None:
    bad, sweep = "node1 (10.0.0.1)", planned.store.sweeps()[0]
    planned.store.set_host_aside(bad, why="no lcma", seconds=60.0, owner="l", sweep_id=sweep.id)
    line = f"host {bad} gets no trials until "
    after = f": no lcma (lcma retry --host '{bad}' takes it back)"
    for command in (("status",), ("status", "--sweep", sweep.name), ("why", TRIALS[0].id)):
        code, out, _ = typed(*command)
        assert code == 0
        (shown,) = [one.strip() for one in out.splitlines() if line in one]
        assert shown.endswith(after)
    (aside,) = json.loads(typed("status", "--json")[1])["hosts_aside"]
    assert (aside["host"], aside["why"]) == (bad, "no lcma")
    code, _, err = typed("retry", "--host", "worse")
    assert (code, "no host 'worse' is set aside" in err) == (2, True)
    assert typed("retry", "--host", "10.0.0.1") == (0, f"host {bad} is asked again\n", "")
    assert line not in typed("status")[1]
