"""`lcma rerun`, as it is typed, on both engines."""

import io
import json
import sys

import pytest

from lcma import db
from lcma.harness.results.board import list_lost_trials
from tests.db.conftest import COST, TRIALS, World
from tests.harness.cli.conftest import Lcma, output_of, refused

pytestmark = pytest.mark.slow_on("postgresql")

SWEEP = "Next: lcma launch demo  # with the options that it had\n"


@pytest.fixture
def done(planned: World) -> World:
    """All segments and trials done, but for the last trial, which is pending."""
    for number in (0, 1):
        planned.finish_segment(number)
    for number in (0, 1, 2):
        planned.finish_trial(number)
    return planned


def put_back(world: World) -> set[str]:
    jobs = world.store.jobs([*world.trials, *world.segments])
    return {i for i, job in jobs.items() if job.state == "pending"} - {world.trials[3]}


@pytest.mark.parametrize(
    ("arguments", "trials"),
    [
        (["channel-0", "channel-1"], {0, 1}),
        (["--where", "factorization=channel", "--where", "seed=1"], {1}),
        (["--where", "seed=1", "--where", "seed=0"], {0, 1, 2}),
        (["channel-0", "LLL", "--where", "factorization=LLL"], {2}),
        (["--sweep", "demo", "--where", "seed=0"], {0, 2}),
    ],
)
def test_what_is_chosen_is_put_back_and_a_dry_run_says_the_same(
    done: World, lcma: Lcma, arguments: list[str], trials: set[int]
) -> None:
    before = done.dump()
    out = output_of(lcma("rerun", *arguments, "--dry-run"))
    counted = "1 job (1 trial)" if len(trials) == 1 else f"{len(trials)} jobs ({len(trials)} trials"
    assert out.splitlines()[-1].startswith(counted)
    assert out.splitlines()[-1].endswith(" would be put back to pending")
    assert done.dump() == before
    code, out, err = lcma("rerun", *arguments, "--why", "old code")
    assert (code, err) == (0, "")
    assert out.startswith(counted)
    assert "put back to pending\nNext: lcma launch" in out
    assert put_back(done) == {done.trials[number] for number in trials}
    assert {one.why for one in done.store.reruns().values()} == {"old code"}
    assert len(done.store.view("results")) == 3, "what is there stays current"


def test_a_pretraining_takes_along_the_trials_that_read_its_maps(done: World, lcma: Lcma) -> None:
    """Not without a word: what was not named is counted first."""
    everything = {*done.segments, done.trials[2]}
    before = done.dump()
    refused(
        lcma("rerun", "p"),
        "3 jobs (2 segments and 1 trial, 1 more than named, for the maps)",
        "would be rerun: give --yes, or look with --dry-run",
    )
    assert done.dump() == before
    out = output_of(lcma("rerun", "p", "--yes"))
    assert "3 jobs (2 segments and 1 trial" in out
    assert "1 job is not done and stays as it is: 1 pending" in out
    assert SWEEP in out
    assert put_back(done) == everything
    claims = [done.win(job_id, now=3000.0) for job_id in sorted(everything)[:1]]
    assert all(claim.rerun for claim in claims)


@pytest.mark.parametrize(("answer", "moved"), [("y", 3), ("n", 0)])
def test_a_person_is_asked(
    done: World, lcma: Lcma, monkeypatch: pytest.MonkeyPatch, answer: str, moved: int
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(f"{answer}\n"))
    code, out, _ = lcma("rerun", "p")
    assert code == 0
    assert "3 jobs (2 segments and 1 trial, 1 more than named, for the maps) will be rerun" in out
    assert len(put_back(done)) == moved


def test_a_trial_that_runs_with_the_former_maps_is_named(done: World, lcma: Lcma) -> None:
    done.win(done.trials[3])
    code, out, _ = lcma("rerun", "p", "--yes")
    assert code == 0
    command = f"lcma rerun {TRIALS[3].id[:8]} when done"
    assert (
        f"1 job is not done and stays as it is: 1 running; with the former maps: {command}" in out
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "nothing to rerun is named: give ids of trials, or --sweep NAME"),
        (["nope"], "no trial, pretraining or job starts with 'nope'"),
        (["--where", "seed=x"], "--where seed=x: seed is a whole number"),
        (["--where", "factorization=high"], "--factorization high: there are LLL, channel"),
        (["--where", "factorization=low", "--where", "seed=1"], "no results meet all of these"),
        (["--where", "factorization=conventional"], "such as checkerboard-even of realnvp"),
        (["p", "--json"], "give --yes, or look with --dry-run"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(
    done: World, lcma: Lcma, arguments: list[str], said: str
) -> None:
    before = done.dump()
    refused(lcma("rerun", *arguments), said)
    assert done.dump() == before


def test_nothing_to_rerun_is_no_error(planned: World, lcma: Lcma) -> None:
    said = "nothing to rerun: no such job has failed or diverged\n"
    assert lcma("rerun", "--failed") == (0, said, "")
    out = output_of(lcma("rerun", "channel-0"))
    assert out.splitlines() == [
        "1 job is not done and stays as it is: 1 pending",
        "nothing to rerun: no such job is done",
    ]


def test_status_and_why_say_what_is_rerun(done: World, lcma: Lcma) -> None:
    job = done.trials[0]
    done.store.rerun([job], by="ann@here", why="old code", now=2000.0)
    when = "1970-01-01 00:16:50 UTC"

    def said(*arguments: str) -> str:
        return output_of(lcma(*arguments))

    asked = "asked for by ann@here (old code); its result of " + when
    assert said("why", "channel-0").splitlines()[1:3] == [
        f"  to be rerun, {asked} stays until then",
        "  not started: it waits only for a launch",
    ]
    line = "1 job to be rerun; the former results stay until then"
    assert line in said("status")
    assert line in said("status", "--sweep", "demo")
    (one,) = json.loads(said("status", "--json"))["reruns"]
    assert (one["job_id"], one["by"], one["why"]) == (job, "ann@here", "old code")
    claim = done.win(job, now=2001.0)
    assert f"rerun, {asked} stays until then" in said("why", "channel-0")
    assert done.store.finish(claim, "code_error", last_step=9, cost=COST, message="bad")
    assert f"rerun, {asked} stays\n" in said("why", "channel-0")
    out = said("status")
    assert "1 job failed when rerun; the former results stay" in out
    assert f"(rerun, {asked} stays)" in out
    assert list_lost_trials(done.store) == []
    assert isinstance(done.store.retry([job]), int)
    again = done.win(job, now=2002.0)
    assert isinstance(again, db.Claim)
    assert again.rerun == claim.rerun


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


@pytest.mark.parametrize(
    ("arguments", "moved"),
    [
        ([], [True, True, True]),
        (["--class", "oom", "--class", "code_error"], [True, False, True]),
        (["--sweep", "demo", "--class", "diverged"], [False, True, False]),
        (["LLL"], [False, False, True]),
        (["--where", "seed=1"], [True, False, False]),
        (["--where", "trial_id=channel-0"], [False, True, False]),
        (["channel-0", "channel-1", "--sweep", "s"], [False, True, False]),
    ],
)
def test_what_failed_is_put_back_and_a_dry_run_says_the_same(
    lost: World, lcma: Lcma, arguments: list[str], moved: list[bool]
) -> None:
    before = lost.dump()
    out = output_of(lcma("rerun", "--failed", *arguments, "--dry-run"))
    number = f"{sum(moved)} job{'s' * (sum(moved) != 1)} ("
    assert out.splitlines()[-1].startswith(number)
    assert out.splitlines()[-1].endswith(") would be put back to pending")
    assert len(out.splitlines()) == sum(moved) + 1
    assert lost.dump() == before
    out = output_of(lcma("rerun", "--failed", *arguments))
    assert out.startswith(number)
    assert "put back to pending\nNext: lcma launch" in out
    was = ["failed", "diverged", "failed"]
    assert states(lost) == ["pending" if m else s for m, s in zip(moved, was, strict=True)]


def test_a_trial_takes_along_the_lost_segments_of_shorter_budgets(lost: World, lcma: Lcma) -> None:
    lost.damage(f"UPDATE flow_trials SET budget = 200 WHERE id = '{TRIALS[3].id}'")
    assert lcma("rerun", "--failed", TRIALS[3].id)[0] == 0
    assert states(lost) == ["failed", "diverged", "pending"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--class", "node_lost"], "no failure class 'node_lost'"),
        (["--sweep", "nope"], "no sweep 'nope' in the database: it has demo"),
        (["channel-0", "nope"], "no trial, pretraining or job starts with 'nope'"),
        (["--where", "flow=glow"], "no failed jobs with --flow glow: there are realnvp"),
        (["--where", "threads=1"], "--where threads=: failed jobs have no threads"),
        (["--why", "x"], "--why and --failed exclude each other"),
    ],
)
def test_unknown_names_change_nothing(
    lost: World, lcma: Lcma, arguments: list[str], said: str
) -> None:
    before = lost.dump()
    refused(lcma("rerun", "--failed", *arguments), said)
    assert lost.dump() == before


def test_what_failed_is_found_by_the_start_of_an_id_that_is_a_done_one_s_too(
    planned: World, lcma: Lcma
) -> None:
    planned.finish_trial(0)
    claim = planned.win(planned.trials[1])
    planned.store.finish(claim, "oom", last_step=9, cost=COST, now=1010.0)
    code, out, _ = lcma("rerun", "--failed", "--where", "trial_id=channel-", "--json")
    assert (code, json.loads(out)["jobs"]) == (0, [planned.trials[1]])
