"""`lcma rerun` on both engines."""

import io
import json
import os
import sys

import pytest

from lcma.harness.results.board import list_lost_trials
from lcma.harness.watch.commands import format_command
from tests.db.conftest import COST, TRIALS, World
from tests.harness.cli.conftest import Lcma, output_of, refused

pytestmark = pytest.mark.slow_on("postgresql")


@pytest.fixture
def done(planned: World) -> World:
    """All segments and trials are done, except the last trial, which is pending."""
    for number in (0, 1):
        planned.finish_segment(number)
    for number in (0, 1, 2):
        planned.finish_trial(number)
    return planned


def list_put_back(world: World) -> set[str]:
    jobs = world.store.jobs([*world.trials, *world.segments])
    return {job_id for job_id, job in jobs.items() if job.state == "pending"} - {world.trials[3]}


@pytest.mark.parametrize(
    ("arguments", "trials"),
    [
        ("channel-0 channel-1", {0, 1}),
        ("--where factorization=channel --where seed=1", {1}),
        ("--where seed=1 --where seed=0", {0, 1, 2}),
        ("channel-0 LLL --where factorization=LLL", {2}),
        ("--sweep demo --where seed=0", {0, 2}),
    ],
)
def test_chosen_trials_are_put_back_and_a_dry_run_only_counts_them(
    done: World, lcma: Lcma, arguments: str, trials: set[int]
) -> None:
    rerun = ("rerun", *arguments.split())
    before = done.dump()
    line = output_of(lcma(*rerun, "--dry-run")).splitlines()[-1]
    count = "1 job (1 trial)" if len(trials) == 1 else f"{len(trials)} jobs ({len(trials)} trials"
    assert line.startswith(count)
    assert line.endswith(" would be put back to pending")
    assert done.dump() == before
    out = output_of(lcma(*rerun, "--why", "old code"))
    assert out.startswith(count)
    assert "put back to pending\nNext: lcma launch" in out
    assert list_put_back(done) == {done.trials[number] for number in trials}
    assert {rerun.why for rerun in done.store.reruns().values()} == {"old code"}
    assert len(done.store.view("results")) == 3, "the former results stay current"


def test_a_pretraining_takes_along_the_trials_that_read_its_maps(done: World, lcma: Lcma) -> None:
    """Jobs that were not named are counted, and need --yes."""
    jobs = {*done.segments, done.trials[2]}
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
    assert "Next: lcma launch demo  # with the options that it had\n" in out
    assert list_put_back(done) == jobs
    assert done.win(min(jobs), now=3000.0).rerun


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
    assert len(list_put_back(done)) == moved


def test_a_trial_that_runs_with_the_former_maps_is_named(done: World, lcma: Lcma) -> None:
    done.win(done.trials[3])
    url = os.environ["LCMA_DB"]
    code, out, _ = lcma("rerun", "p", "--yes", "--db", url)
    assert code == 0
    note = "1 job is not done and stays as it is: 1 running; with the former maps: "
    command = format_command("rerun", TRIALS[3].id[:8], db=url)
    assert "--db" in command
    assert f"{note}{command} when done" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "nothing to rerun is named: give ids of trials, or --sweep NAME"),
        ("nope", "no trial, pretraining or job starts with 'nope'"),
        ("--where seed=x", "--where seed=x: seed is a whole number"),
        ("--where factorization=high", "--factorization high: there are LLL, channel"),
        ("--where factorization=low --where seed=1", "no results meet all of these"),
        ("--where factorization=conventional", "such as checkerboard-even of realnvp"),
        ("p --json", "give --yes, or look with --dry-run"),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(
    done: World, lcma: Lcma, arguments: str, message: str
) -> None:
    before = done.dump()
    refused(lcma("rerun", *arguments.split()), message)
    assert done.dump() == before


def test_nothing_to_rerun_is_no_error(planned: World, lcma: Lcma) -> None:
    out = output_of(lcma("rerun", "--failed"))
    assert out == "nothing to rerun: no such job has failed or diverged\n"
    out = output_of(lcma("rerun", "channel-0"))
    assert out.splitlines() == [
        "1 job is not done and stays as it is: 1 pending",
        "nothing to rerun: no such job is done",
    ]


def test_status_and_why_name_reruns(done: World, lcma: Lcma) -> None:
    job = done.trials[0]
    done.store.rerun([job], by="ann@here", why="old code", now=2000.0)
    cause = "asked for by ann@here (old code); its result of 1970-01-01 00:16:50 UTC"
    assert output_of(lcma("why", "channel-0")).splitlines()[1:3] == [
        f"  to be rerun, {cause} stays until then",
        "  not started: it waits only for a launch",
    ]
    for status in (["status"], ["status", "--sweep", "demo"]):
        line = "1 job to be rerun; the former results stay until then"
        assert line in output_of(lcma(*status))
    (rerun,) = json.loads(output_of(lcma("status", "--json")))["reruns"]
    assert (rerun["job_id"], rerun["by"], rerun["why"]) == (job, "ann@here", "old code")
    claim = done.win(job, now=2001.0)
    assert f"rerun, {cause} stays until then" in output_of(lcma("why", "channel-0"))
    assert done.store.finish(claim, "code_error", last_step=9, cost=COST, message="bad")
    assert f"rerun, {cause} stays\n" in output_of(lcma("why", "channel-0"))
    out = output_of(lcma("status"))
    assert "1 job failed when rerun; the former results stay" in out
    assert f"(rerun, {cause} stays)" in out
    assert list_lost_trials(done.store) == []
    assert isinstance(done.store.retry([job]), int)
    assert done.win(job, now=2002.0).rerun == claim.rerun


@pytest.fixture
def lost(planned: World) -> World:
    """Outside the sweep, a trial out of memory; in it, a diverged trial and a failed segment."""
    for job_id, outcome in (
        (planned.trials[1], "oom"),
        (planned.trials[0], "diverged"),
        (planned.segments[0], "code_error"),
    ):
        claim = planned.win(job_id)
        planned.store.finish(claim, outcome, last_step=9, cost=COST, message="no", now=1010.0)
    return planned


def read_states(world: World) -> list[str]:
    jobs = (world.trials[1], world.trials[0], world.segments[0])
    return [world.job(job_id).state for job_id in jobs]


@pytest.mark.parametrize(
    ("arguments", "states"),
    [
        ("", ["pending", "pending", "pending"]),
        ("LLL", ["failed", "diverged", "pending"]),
        ("--where seed=1", ["pending", "diverged", "failed"]),
        ("--where trial_id=channel-0", ["failed", "pending", "failed"]),
        ("channel-0 channel-1 --sweep s", ["failed", "pending", "failed"]),
    ],
)
def test_failed_jobs_are_put_back_and_a_dry_run_only_lists_them(
    lost: World, lcma: Lcma, arguments: str, states: list[str]
) -> None:
    rerun = ("rerun", "--failed", *arguments.split())
    moved = states.count("pending")
    before = lost.dump()
    *jobs, line = output_of(lcma(*rerun, "--dry-run")).splitlines()
    count = f"{moved} job{'s' * (moved != 1)} ("
    assert line.startswith(count)
    assert line.endswith(") would be put back to pending")
    assert len(jobs) == moved
    assert lost.dump() == before
    out = output_of(lcma(*rerun))
    assert out.startswith(count)
    assert "put back to pending\nNext: lcma launch" in out
    assert read_states(lost) == states


def test_a_trial_takes_along_the_lost_segments_of_shorter_budgets(lost: World, lcma: Lcma) -> None:
    lost.damage(f"UPDATE flow_trials SET budget = 200 WHERE id = '{TRIALS[3].id}'")
    assert lcma("rerun", "--failed", TRIALS[3].id)[0] == 0
    assert read_states(lost) == ["failed", "diverged", "pending"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("channel-0 nope", "no trial, pretraining or job starts with 'nope'"),
        ("--where flow=glow", "no failed jobs with --flow glow: there are realnvp"),
        ("--where threads=1", "--where threads: failed jobs have no threads"),
        ("--why x", "--why and --failed exclude each other"),
    ],
)
def test_unknown_names_change_nothing(
    lost: World, lcma: Lcma, arguments: str, message: str
) -> None:
    before = lost.dump()
    refused(lcma("rerun", "--failed", *arguments.split()), message)
    assert lost.dump() == before


def test_a_failed_trial_is_found_by_a_start_of_its_id_that_a_done_trial_shares(
    planned: World, lcma: Lcma
) -> None:
    planned.finish_trial(0)
    claim = planned.win(planned.trials[1])
    planned.store.finish(claim, "oom", last_step=9, cost=COST, now=1010.0)
    code, out, _ = lcma("rerun", "--failed", "--where", "trial_id=channel-", "--json")
    assert (code, json.loads(out)["jobs"]) == (0, [planned.trials[1]])
