"""Plans, maps, curves, files, counts and tables are read as they were stored."""

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
from tests.stores import add_metrics, list_files, list_paths, read_curve


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
    """Of the attempt's own curve: during a rerun the former attempt's curve stays shown."""
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


def test_a_measure_that_nobody_registered_is_refused(world: Any) -> None:
    claim = world.win(world.trials[0])
    found = world.result("channel-0-None")
    found = dataclasses.replace(found, measures=(*found.measures, db.Measurement("colour", 1.0)))
    before = world.dump()
    with pytest.raises(UserError, match="no measure 'colour': choose among bits_per_dim"):
        world.store.finish(claim, "done", last_step=500, cost=COST, result=found)
    assert world.dump() == before


def test_a_measure_of_a_plugin_is_stored_where_the_plugin_is_not_loaded(world: Any) -> None:
    """As by a worker of another sweep that delivers the result of a dead one."""
    own = measures.PluginMeasure("odd", "levels", "higher", "nothing", lambda *_: 1.0)
    measures.register(own)
    try:
        world.store.register(db.Registration())
    finally:
        measures.unregister(own.name)
    claim, found = world.win(world.trials[0]), world.result("channel-0-None")
    found = dataclasses.replace(found, measures=(*found.measures, db.Measurement("odd", 2.0)))
    assert world.store.finish(claim, "done", last_step=500, cost=COST, result=found)
    assert list(world.store.view("measures", measure="odd")["value"]) == [2.0]
