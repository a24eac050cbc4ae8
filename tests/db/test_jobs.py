"""The life of a job, one case at a time."""

import dataclasses
from typing import Any, cast

import pandas as pd
import pytest

from lcma import db
from lcma.db.integrity import check_integrity
from tests.db.conftest import COST, DATA, HALF, PRETRAINING, WEIGHTS, index_table
from tests.stores import add_metrics, beat, list_running, read_curve


def test_a_held_job_is_not_given_away_until_its_lease_is_over(world: Any) -> None:
    first = world.win(world.trials[0])
    assert first == db.Claim(world.trials[0], first.attempt_id, 1, 0, "me")
    held = world.claim(world.trials[0], owner="other", now=1059.9)
    assert held == world.job(first.job_id)
    assert (held.state, held.token, held.attempt_id) == ("running", 1, first.attempt_id)
    assert (held.owner, held.host, held.pid, held.lease_until) == ("me", "node1", 17, 1060.0)
    assert beat(world.store, first, step=40, lease_seconds=60, now=1050.0)
    assert isinstance(world.claim(world.trials[0], owner="other", now=1109.9), db.Job)
    second = world.claim(world.trials[0], owner="other", now=1110.0)
    assert second == db.Claim(world.trials[0], second.attempt_id, 2, 40, "other")
    assert second.attempt_id != first.attempt_id
    (lost, running) = world.store.view("attempts").to_dict("records")
    assert (lost["outcome"], lost["started"], lost["ended"]) == ("node_lost", 1000.0, 1110.0)
    assert (lost["last_step"], running["first_step"]) == (40, 40)
    assert pd.isna(running["outcome"])
    assert pd.isna(running["ended"])


def test_a_claim_of_another_launch_changes_nothing(world: Any) -> None:
    """The file was removed and the sweep planned again: the job and the token are the same."""
    valid = world.win(world.trials[1], owner="the launch of today")
    alien = db.Claim(valid.job_id, valid.attempt_id, valid.token, 0, "a launch of last week")
    before = world.dump()
    loss = [db.Metric("loss", 1, 1.0)]
    assert not beat(world.store, alien, step=77, lease_seconds=60, metrics=loss, now=1001.0)
    assert not add_metrics(world.store, alien, loss)
    products = {"result": world.result("channel-1-None"), "metrics": loss, "artifacts": [WEIGHTS]}
    ending = {"last_step": 77, "cost": COST, "now": 1001.0}
    assert not world.store.finish(alien, "oom", **ending)
    assert not world.store.finish(alien, "done", **ending, **products)
    assert world.dump() == before
    assert world.store.finish(valid, "oom", last_step=3, cost=COST)
    assert not world.store.finish(alien, "oom", last_step=77, cost=COST)


def test_a_segment_waits_for_a_shorter_one_under_a_live_lease(world: Any) -> None:
    shorter, longer = world.segments
    first = world.win(shorter)
    before = world.dump()
    waiting = world.claim(longer, owner="other", now=1059.9)
    assert (waiting.id, waiting.state, waiting.owner) == (longer, "pending", None)
    assert world.dump() == before
    assert beat(world.store, first, step=40, lease_seconds=60, now=1050.0)
    assert isinstance(world.claim(longer, owner="other", now=1109.9), db.Job)
    assert world.store.finish(first, "diverged", last_step=70, cost=COST, now=1100.0)
    assert world.win(longer, owner="other", now=1100.0).token == 1


def test_a_segment_waits_for_no_dead_holder_and_no_longer_segment(world: Any) -> None:
    shorter, longer = world.segments
    world.win(longer)
    world.win(shorter, owner="other")
    assert isinstance(world.claim(longer, owner="third", now=1059.9), db.Job)
    assert world.win(longer, owner="third", now=1060.0).token == 2
    assert world.job(shorter).owner == "other"


def test_a_segment_waits_for_no_other_data_and_no_other_pretraining(world: Any) -> None:
    pretraining = dataclasses.replace(PRETRAINING, id="q", seed=1)
    data = dataclasses.replace(DATA, digest="e" * 64)
    jobs = (
        db.PlannedJob.of_pretraining("q", DATA.digest, budget=50),
        db.PlannedJob.of_pretraining("p", data.digest, budget=50),
    )
    plan = db.Registration(pretrainings=(pretraining,), data_sets=(data,), jobs=jobs)
    world.store.register(plan)
    for job in jobs:
        world.win(job.id)
    world.win(world.trials[0])
    assert world.win(world.segments[0]).token == 1


def test_heartbeats_of_a_stack_extend_the_leases_that_are_good(world: Any) -> None:
    claims = [world.claim(job_id, stack="s") for job_id in world.trials[:3]]
    world.store.finish(claims[1], "cancelled", last_step=3, cost=COST, now=1001.0)
    beats = []
    for step, claim in enumerate(claims, start=10):
        news = {"message": f"at {step}", "metrics": [db.Metric("loss", step, 4.0)]}
        beats.append(db.Heartbeat(claim=claim, step=step, lease_seconds=60.0, **news))
    alive = world.store.heartbeats(beats, now=1050.0)
    assert alive == {claim.job_id: "" for claim in (claims[0], claims[2])}
    assert [world.job(job_id).lease_until for job_id in world.trials[:3]] == [1110.0, None, 1110.0]
    attempts = world.store.view("attempts").set_index("id").loc[[c.attempt_id for c in claims]]
    assert attempts["stack_id"].tolist() == ["s"] * 3
    assert attempts["last_step"].tolist() == [10, 3, 12]
    assert attempts["message"].tolist() == ["at 10", "", "at 12"]
    curves = [read_curve(world.store, claim.job_id, "loss") for claim in claims]
    assert [[point.step for point in curve] for curve in curves] == [[10], [], [12]]


def test_a_heartbeat_corrects_the_first_step_of_the_attempt(world: Any) -> None:
    first = world.win(world.trials[0])
    beat(world.store, first, step=90, lease_seconds=60, now=1001.0)
    second = world.win(world.trials[0], now=2000.0)
    beat(world.store, second, step=50, first_step=50, lease_seconds=60, now=2001.0)
    attempts = world.store.view("attempts")
    assert list(attempts["first_step"]) == [0, 50]
    assert list(attempts["last_step"]) == [90, 50]


def rerun(world: Any, job_id: str, now: float = 1500.0) -> db.Claim:
    """Ask for a rerun, and claim the job."""
    assert world.store.rerun([job_id], by="ann@here", why="a fault is mended", now=now) == 1
    return cast("db.Claim", world.win(job_id, now=now))


def test_a_rerun_of_a_segment_supersedes_its_maps(world: Any) -> None:
    claim = rerun(world, world.finish_segment(0).job_id)
    assert (claim.step, world.job(claim.job_id).step) == (0, 0)
    before = world.store.maps(pretraining_id="p", budget=100)
    assert len(before) == 2
    maps = [world.contribution_map(split, shift=1.0) for split in (1, 2)]
    assert world.store.finish(claim, "done", last_step=100, cost=COST, maps=maps)
    after = world.store.maps(pretraining_id="p", budget=100)
    assert [item.digest for item in after] == [item.digest for item in maps]
    assert len(world.store.sql("SELECT * FROM contribution_maps")) == 4
    assert check_integrity(world.store.database).findings == ()


def list_points(world: Any) -> list[db.Metric]:
    """Return the points of the view `curves`."""
    rows = world.store.view("curves").sort_values("step")
    return [db.Metric(row.curve, row.step, row.value) for row in rows.itertuples()]


def test_a_rerun_of_a_trial_supersedes_its_result(world: Any) -> None:
    first = world.finish_trial(0, bits_per_dim=3.5)
    claim = rerun(world, first.job_id)
    assert claim.rerun
    results = world.store.view("results")
    assert list(results.bits_per_dim) == [3.5], "current until the rerun has ended"
    assert list(results.attempt_id) == [first.attempt_id]
    name = "train_bits_per_dim"
    points = [db.Metric(name, step, 9.0) for step in range(10, 501, 10)]
    assert add_metrics(world.store, claim, points)
    assert list_points(world) == read_curve(world.store, first.job_id, name) != points
    products = {
        "result": world.result("channel-0-None", 3.25),
        "tables": [index_table("channel-0-None", 1, ~HALF)],
    }
    assert world.store.finish(claim, "done", last_step=500, cost=COST, now=1600.0, **products)
    assert len(world.store.view("maps", trial_id="channel-0-None")) == 1, "of the current attempt"
    assert len(world.store.sql("SELECT * FROM index_tables")) == 2
    results = world.store.view("results")
    assert list(results.bits_per_dim) == [3.25]
    assert list(results.attempt_id) == [claim.attempt_id]
    replaced = world.store.view("attempts").set_index("id")["replaces"].dropna()
    assert replaced.to_dict() == {claim.attempt_id: first.attempt_id}
    (row,) = world.store.sql("SELECT * FROM events WHERE event = 'rerun'").to_dict("records")
    assert (row["owner"], row["detail"], row["time"]) == ("ann@here", "a fault is mended", 1500.0)
    assert list(world.store.view("board")["mean"]) == [3.25]
    assert len(world.store.sql("SELECT DISTINCT attempt_id FROM measurements")) == 2
    assert list_points(world) == read_curve(world.store, first.job_id, name) == points
    assert check_integrity(world.store.database).findings == ()


def test_a_rerun_that_fails_leaves_the_old_result_current(world: Any) -> None:
    claim = rerun(world, world.finish_trial(0).job_id)
    assert world.store.finish(claim, "code_error", last_step=7, cost=COST, message="no")
    assert world.job(claim.job_id).state == "failed"
    assert list(world.store.view("results").bits_per_dim) == [3.5]
    assert check_integrity(world.store.database).findings == ()
    assert world.store.retry([claim.job_id]) == 1
    again = world.win(claim.job_id, now=1700.0)
    assert (again.rerun, again.step) == (claim.rerun, 7)


def test_only_done_jobs_are_run_anew(world: Any) -> None:
    world.win(world.trials[0])
    world.finish_trial(1)
    before = {job: world.job(job).state for job in (*world.trials, *world.segments)}
    assert world.store.rerun([*before, "unknown"], by="me") == 1
    with pytest.raises(LookupError, match="no job unknown"):
        world.claim("unknown")
    after = {job: world.job(job).state for job in before}
    assert after == before | {world.trials[1]: "pending"}


def test_a_result_a_map_or_a_table_of_another_job_is_refused(world: Any) -> None:
    world.finish_segment(0)
    trial, segment = world.win(world.trials[0]), world.win(world.segments[1])
    before = world.dump()
    maps = world.store.maps(pretraining_id="p", budget=100)
    result, tables = world.result("channel-0-None"), [index_table("LLL-0-100", 1, HALF)]
    for claim, products, message in (
        (trial, {}, "without a result"),
        (trial, {"result": world.result("LLL-0-100")}, "not of the trial"),
        (trial, {"result": result, "tables": tables}, "not of the trial"),
        (segment, {"maps": maps}, "not of the pretraining"),
    ):
        with pytest.raises(ValueError, match=message):
            world.store.finish(claim, "done", last_step=500, cost=COST, **products)
    assert world.dump() == before


def test_changed_jobs_are_those_of_later_events_as_they_stand(world: Any) -> None:
    start = world.store.changed_jobs().last
    assert world.store.changed_jobs(start).jobs == {}
    world.finish_segment(0)
    claim = world.win(world.trials[0])
    news = world.store.changed_jobs(start)
    states = {job_id: job.state for job_id, job in news.jobs.items()}
    assert states == {world.segments[0]: "done", claim.job_id: "running"}
    assert news.last > start
    beat(world.store, claim, step=9, lease_seconds=60, now=1001.0)
    assert world.store.changed_jobs(news.last) == db.News(news.last, {})
    jobs = world.store.changed_jobs(news.last - 1).jobs
    assert jobs == {claim.job_id: world.job(claim.job_id)}


def test_device_hours_count_running_and_lost_jobs(world: Any) -> None:
    """They are told of a launch and of a sweep. Half a GPU for an hour is half a device hour."""
    for owner in ("me", "too"):
        world.store.begin_launch(owner, "s")
    failed, lost = (world.win(job_id) for job_id in world.trials[:2])
    running = world.win(world.trials[2], owner="too")
    for claim, seconds in ((failed, 3600.0), (lost, 1800.0), (running, 900.0)):
        cost = db.Cost(seconds=seconds, cpu_seconds=1.0, gpu_seconds=seconds / 2)
        beat(world.store, claim, step=5, lease_seconds=60, cost=cost, now=1001.0)
        beat(world.store, claim, step=6, lease_seconds=60, now=1002.0)  # its cost stays
    on_cpu = db.Cost(seconds=3600.0, cpu_seconds=1.0)
    world.store.finish(failed, "code_error", last_step=6, cost=on_cpu, now=1003.0)
    assert world.store.mark_lost(lost.job_id, owner="me", token=lost.token, now=1003.0)
    assert world.store.device_hours(owner="me") == 1.25
    assert world.store.device_hours(owner="too") == 0.125
    assert world.store.device_hours(sweep_id="s") == 1.375
    assert world.store.device_hours(sweep_id="other") == 0.0


def test_a_launch_that_ends_claims_nothing_and_tells_its_workers(world: Any) -> None:
    for owner in ("me", "too"):
        world.store.begin_launch(owner, "s")
    mine, other = world.win(world.trials[0]), world.win(world.trials[1], owner="too")
    beats = [db.Heartbeat(claim=c, step=1, lease_seconds=60.0) for c in (mine, other)]
    assert set(world.store.heartbeats(beats, now=1001.0).values()) == {""}
    world.store.end_launch("me", why="enough")
    answers = world.store.heartbeats(beats, now=1002.0)
    assert answers == {mine.job_id: "enough", other.job_id: ""}
    assert isinstance(world.claim(world.trials[2]), db.Job)
    assert isinstance(world.claim(world.trials[2], owner="too"), db.Claim)


def test_heartbeats_bring_log_bits_and_memory_and_no_news_change_nothing(world: Any) -> None:
    claim = world.win(world.trials[0])
    cost = db.Cost(seconds=3.0, cpu_seconds=2.0, mean_memory=700, gpu_utilization=0.5)
    news = {"cost": cost, "bits_per_dim": 3.5, "log": "a line\x00"}
    assert beat(world.store, claim, step=5, lease_seconds=60, now=1001.0, **news)
    assert beat(world.store, claim, step=6, lease_seconds=60, now=1002.0)
    (attempt,) = world.store.attempts([claim.job_id])
    assert (attempt.seconds, attempt.mean_memory, attempt.gpu_utilization) == (3.0, 700, 0.5)
    assert attempt.cpu_seconds is None, "it has not reported"
    assert attempt.log.startswith("a line")
    assert world.store.attempts(ids=[attempt.id])[0].log == attempt.log
    (running,) = list_running(world.store)
    assert running.bits_per_dim == 3.5


def test_a_job_that_is_stopped_is_claimed_once_a_later_launch_has_begun(world: Any) -> None:
    world.store.begin_launch("me", "s")
    running, done, pending = world.trials[:3]
    claim = world.win(running)
    world.finish_trial(1)
    assert world.store.request_stop(job_ids=[running, pending, done], by="ann@here") == 2
    beat = db.Heartbeat(claim=claim, step=5, lease_seconds=60.0)
    assert world.store.heartbeats([beat], now=1001.0) == {running: "stopped by ann@here"}
    assert world.store.stop_request("s", after=0) is None, "of launches nobody asks it"
    assert world.store.release(stopped=[running, pending], now=1002.0) == 1
    for job_id in (running, pending):
        job = world.claim(job_id, owner="too", now=1003.0)
        assert (job.state, job.stopped_by) == ("pending", "ann@here")
    world.store.begin_launch("later", "s")
    for job_id in (running, pending):
        world.win(job_id, now=1004.0)
