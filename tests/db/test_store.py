"""What goes in comes out: plans, maps, curves, files, counts and tables."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from lcma import db
from lcma.harness.work.lease import find_missing
from lcma.sweeps import measures
from lcma.sweeps.errors import UserError
from tests.db.conftest import COST, contribution_map
from tests.stores import add_metrics, beat, list_files, list_paths, list_running, read_curve


def test_registering_a_plan_twice_changes_nothing(world: Any) -> None:
    world.win(world.trials[0])
    before = world.dump()
    plan = db.Registration(
        jobs=(db.PlannedJob.of_trial("channel-0-None", "d" * 64, steps=999),),
        sweeps=(db.Sweep(id="s", name="other", spec="{}", created=5.0),),
    )
    world.store.register(plan)
    assert world.dump() == before


def test_a_plan_goes_in_whole_or_not_at_all(world: Any) -> None:
    before = world.dump()
    plan = db.Registration(
        sweeps=(db.Sweep(id="s2", name="other", spec="{}"),),
        members=(db.SweepMember("s2", "no such trial", "low"),),
    )
    with pytest.raises(sa.exc.IntegrityError):
        world.store.register(plan)
    assert world.dump() == before


@pytest.mark.integration
def test_thousands_of_jobs_are_read_at_once(world: Any) -> None:
    ids = [*world.trials, *(f"unknown {i}" for i in range(40_000)), *world.segments]
    assert set(world.store.jobs(ids)) == {*world.trials, *world.segments}
    assert world.store.jobs([]) == {}
    assert world.store.retry(ids) == 0


def test_job_ids_tell_kind_budget_and_data_apart() -> None:
    jobs = {
        db.PlannedJob.of_trial("x", "d", steps=1).id,
        db.PlannedJob.of_trial("x", "e", steps=1).id,
        db.PlannedJob.of_pretraining("x", "d", budget=1).id,
        db.PlannedJob.of_pretraining("x", "d", budget=2).id,
    }
    assert len(jobs) == 4
    assert db.PlannedJob.of_trial("x", "d", steps=2).id in jobs


def test_the_sum_error_is_relative_to_the_sum_of_magnitudes() -> None:
    values = np.array([[[3.0, -1.0]]], dtype=np.float32)
    own = {"values": values, "standard_errors": values, "halves": np.stack([values, values])}
    assert dataclasses.replace(contribution_map(1), **own, mean_log_det=1.0).sum_error == 0.25


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        ('"values" = standard_errors', "digest"),
        ("standard_errors = substr(standard_errors, 1, 8)", "bytes"),
        ("halves = substr(halves, 1, 8)", "bytes"),
        ("dtype = '<f8'", "dtype"),
    ],
)
def test_a_damaged_map_is_refused_by_name(filled: Any, damage: str, word: str) -> None:
    filled.damage(f"UPDATE contribution_maps SET {damage} WHERE split = 2")
    with pytest.raises(
        UserError, match=rf"the map of attempt .* before split \d by cumulative is damaged.*{word}"
    ):
        filled.store.maps(pretraining_id="p", budget=100)


@pytest.mark.parametrize(
    "wrong",
    [
        {"values": np.zeros((3, 2, 2))},
        {"values": np.zeros((2, 2), dtype=np.float32)},
        {"values": np.full((3, 2, 2), np.nan, dtype=np.float32)},
        {"values": np.zeros((1, 2, 2), dtype=np.float32)},
        {"mean_log_det": math.inf},
    ],
)
def test_a_map_that_is_none_cannot_be_made(wrong: dict[str, Any]) -> None:
    good = np.zeros((3, 2, 2), dtype=np.float32)
    made = dataclasses.replace(
        contribution_map(1), values=good, standard_errors=good, halves=np.stack([good, good])
    )
    with pytest.raises(ValueError):
        dataclasses.replace(made, **wrong)


def test_curves_keep_every_value_and_replace_repeated_points(world: Any) -> None:
    claim = world.win(world.trials[0])
    points = [db.Metric("loss", 2, math.nan), db.Metric("loss", 1, math.inf), db.Metric("lr", 1, 1)]
    assert add_metrics(world.store, claim, points)
    again = [db.Metric("loss", 3, 0.2), db.Metric("loss", 3, 0.1), db.Metric("loss", 1, 7.0)]
    assert add_metrics(world.store, claim, again)
    assert add_metrics(world.store, claim, [])
    curve = read_curve(world.store, claim.job_id, "loss")
    assert [(m.step, m.value) for m in curve if m.step != 2] == [(1, 7.0), (3, 0.1)]
    assert math.isnan(curve[1].value)
    assert read_curve(world.store, claim.job_id, "other") == []


def test_points_that_a_curve_lacks_are_found(world: Any) -> None:
    """Of the curve of the attempt itself: what a former one left stays shown during a rerun."""
    former = world.finish_trial(0)
    assert find_missing(world.store, former, []) == []
    world.store.rerun([former.job_id], by="me", now=1020.0)
    claim = world.win(former.job_id, now=1030.0)
    points = [db.Metric("train_bits_per_dim", 10, 4.0), db.Metric("loss", 1, -0.1)]
    points += [db.Metric("loss", 2, math.nan), db.Metric("loss", 3, math.inf)]
    assert find_missing(world.store, claim, points) == points
    assert add_metrics(world.store, claim, [*points[:3], db.Metric("loss", 3, 1.0)])
    assert find_missing(world.store, claim, points) == points[3:]


def test_a_curve_is_read_thinned_with_its_last_point(world: Any) -> None:
    claim = world.win(world.trials[0])
    assert world.store.job_facts(world.trials, with_curves=True) == []
    points = [db.Metric("loss", 10 * k, k or math.nan) for k in range(8)]
    assert add_metrics(world.store, claim, [*points, db.Metric("lr", 5, 0.5)])
    curves = {curve.name: curve for curve in world.store.curves([claim.job_id])}
    loss, lr = curves["loss"], curves["lr"]
    whole = [(10 * k, float(k)) for k in range(1, 8)]
    assert world.store.points([loss.key])[loss.key][1:] == whole
    assert world.store.points([loss.key], after=30)[loss.key] == whole[3:]
    thinned = world.store.points([loss.key, lr.key, (lr.attempt_id, "none")], every=3)
    assert set(thinned) == {loss.key, lr.key}
    assert [step for step, _ in thinned[loss.key]] == [0, 30, 60, 70]
    assert math.isnan(thinned[loss.key][0][1])
    assert thinned[lr.key] == [(5, 0.5)]
    assert [step for step, _ in world.store.points([loss.key], every=100)[loss.key]] == [0, 70]


def test_a_training_is_known_by_what_it_is(world: Any) -> None:
    segment, trial = world.win(world.segments[0]), world.win(world.trials[2])
    for claim in (segment, trial):
        assert add_metrics(world.store, claim, [db.Metric("loss", 1, 2.0)])
    (own,) = world.store.job_facts([*world.trials], with_curves=True)
    assert [own] == world.store.job_facts([trial.job_id])
    assert (own.recipe_id, own.nms) == ("with", None)
    (other,) = world.store.job_facts([segment.job_id], with_curves=True)
    assert (other.kind, other.subject) == ("pretraining", world.pretraining.id)
    assert (other.factorization, other.nms) == (None, world.pretraining.nms)
    in_sweep = {one.job_id for one in world.store.job_facts(sweep_id="s", with_curves=True)}
    assert in_sweep == set(world.store.job_ids("s")) & {segment.job_id, trial.job_id}
    assert world.store.job_facts([segment.job_id], sweep_id="s", with_curves=True) == [other]


def test_an_artifact_replaces_the_former_one_of_its_kind(world: Any) -> None:
    old = db.Artifact(kind="checkpoint", path="old", bytes=1, digest="a", place="h:/runs")
    new = db.Artifact(kind="checkpoint", path="new", bytes=2**40, digest="b", place="h:/runs")
    other = db.Artifact(kind="samples", path="png", bytes=3, digest="c", place="h:/runs")
    cost = db.Cost(seconds=1, cpu_seconds=1)
    for artifacts in ([old, other], [new]):
        claim = world.win(world.trials[0])
        world.store.finish(claim, "preempted", last_step=1, cost=cost, artifacts=artifacts)
    assert list_files(world.store, world.trials[0]) == [new, other]
    assert world.store.artifacts(world.trials) == {world.trials[0]: [new, other]}


@pytest.mark.parametrize("longest_only", [True, False])
@pytest.mark.parametrize("last", ["longer", "shorter"])
def test_once_a_pretraining_is_done_its_longest_snapshot_alone_is_on_record(
    world: Any, longest_only: bool, last: str
) -> None:
    shorter, longer = world.segments
    order = [shorter, longer] if last == "longer" else [longer, shorter]
    cost = db.Cost(seconds=1, cpu_seconds=1)
    for job_id in order:
        claim = world.win(job_id)
        kept = db.Artifact(kind="checkpoint", path=job_id, bytes=1, digest=job_id, place="h:/runs")
        assert world.store.finish(
            claim, "done", last_step=1, cost=cost, artifacts=[kept], longest_only=longest_only
        )
        if job_id == order[0]:
            assert list_paths(world.store) == {job_id}
    left = {longer} if longest_only else {shorter, longer}
    assert list_paths(world.store) == left


def test_files_are_known_by_path_and_forgotten_by_it(world: Any) -> None:
    files = [
        db.Artifact(kind=kind, path=f"run/{kind}", bytes=1, digest="a", place="h:/runs")
        for kind in ("samples", "weights")
    ]
    claim, cost = world.win(world.trials[0]), db.Cost(seconds=1, cpu_seconds=1)
    world.store.finish(claim, "preempted", last_step=1, cost=cost, artifacts=files)
    assert list_paths(world.store) == {"run/samples", "run/weights"}
    assert world.store.forget_artifacts(["run/weights", "run/other"]) == 1
    assert world.store.forget_artifacts([]) == 0
    assert list_files(world.store, world.trials[0]) == [files[0]]
    owners = {one.id: one for one in world.store.jobs().values()}
    assert owners.keys() == {*world.trials, *world.segments}
    assert owners[world.segments[1]] == world.job(world.segments[1])


def test_running_says_what_runs_and_how_far(world: Any) -> None:
    trial = world.win(world.trials[2], owner="a")
    world.win(world.segments[1], owner="b")
    beat(world.store, trial, step=250, lease_seconds=60, now=1030.0)
    both = list_running(world.store)
    names = ("kind", "factorization", "budget", "step", "steps", "owner", "lease_until", "host")
    names += ("pid", "started", "first_step", "message")
    assert [tuple(getattr(one, name) for name in names) for one in both] == [
        ("trial", "LLL", 100, 250, 500, "a", 1090.0, "node1", 17, 1000.0, 0, ""),
        ("pretraining", None, 200, 0, 200, "b", 1060.0, "node1", 17, 1000.0, 0, ""),
    ]


def test_counts_are_of_all_or_of_a_sweep_with_its_pretrainings(filled: Any) -> None:
    counts = filled.store.job_counts()
    assert counts.trial == db.StateCounts(done=3, failed=1)
    assert counts.pretraining == db.StateCounts(done=1, running=1)
    assert counts.trial.total == 4
    # The sweep has two trials, of which one needs the pretraining up to its first budget.
    counts = filled.store.job_counts("s")
    assert counts.trial == db.StateCounts(done=2)
    assert counts.pretraining == db.StateCounts(done=1)
    assert filled.store.job_counts("no such sweep").trial.total == 0


def test_sweeps_and_their_members(world: Any) -> None:
    later = db.Registration(sweeps=(db.Sweep(id="a", name="later", spec="{}"),))
    world.store.register(later, now=901.0)
    assert [(s.id, s.name, s.created) for s in world.store.sweeps()] == [
        ("s", "demo", 900.0),
        ("a", "later", 901.0),
    ]
    asked = [member.factorization for member in world.store.memberships(sweep_id="s")]
    assert asked == ["channel", "conventional", "low"]


@pytest.mark.parametrize("number", ["value", "standard_error"])
def test_a_measure_must_be_finite(number: str) -> None:
    with pytest.raises(ValueError, match="bits_per_dim is nan"):
        db.Measurement(**({"name": "bits_per_dim", "value": 1.0} | {number: math.nan}))


def test_a_measure_is_there_once(filled: Any) -> None:
    found = filled.result("LLL-0-100")
    with pytest.raises(ValueError, match="twice"):
        dataclasses.replace(found, measures=found.measures * 2)


def test_a_measure_that_nobody_registered_is_refused(world: Any) -> None:
    claim = world.win(world.trials[0])
    found = world.result("channel-0-None")
    found = dataclasses.replace(found, measures=(*found.measures, db.Measurement("colour", 1.0)))
    before = world.dump()
    with pytest.raises(UserError, match="no measure 'colour': choose among bits_per_dim"):
        world.store.finish(claim, "done", last_step=500, cost=COST, result=found)
    assert world.dump() == before


def test_a_measure_of_a_plugin_is_stored_where_the_plugin_is_not_loaded(world: Any) -> None:
    """As by a worker of another sweep, which delivers what a dead one left."""
    own = measures.PluginMeasure("odd", "levels", "higher", "nothing", lambda *_: 1.0)
    measures.add(own)
    try:
        world.store.register(db.Registration())
    finally:
        measures.remove(own)
    claim, found = world.win(world.trials[0]), world.result("channel-0-None")
    found = dataclasses.replace(found, measures=(*found.measures, db.Measurement("odd", 2.0)))
    assert world.store.finish(claim, "done", last_step=500, cost=COST, result=found)
    assert list(world.store.view("measures", measure="odd")["value"]) == [2.0]
