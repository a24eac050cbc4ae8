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
from tests.db.measuring import change
from tests.stores import add_metrics, read_curve


def test_registering_a_plan_twice_changes_nothing(world: Any) -> None:
    world.win(world.trials[0])
    before = world.dump()
    job = db.PlannedJob.of_trial("channel-0-None", "d" * 64, steps=999)
    sweep = db.Sweep(id="s", name="other", spec="{}", created=5.0)
    world.store.register(db.Registration(jobs=(job,), sweeps=(sweep,)))
    assert world.dump() == before


def test_a_plan_goes_in_whole_or_not_at_all(world: Any) -> None:
    before = world.dump()
    sweep, member = db.Sweep(id="t", name="t", spec="{}"), db.SweepMember("t", "unknown", "low")
    with pytest.raises(sa.exc.IntegrityError):
        world.store.register(db.Registration(sweeps=(sweep,), members=(member,)))
    assert world.dump() == before


@pytest.mark.integration
def test_thousands_of_jobs_are_read_at_once(world: Any) -> None:
    ids = [*world.trials, *(f"unknown {i}" for i in range(40_000)), *world.segments]
    assert set(world.store.jobs(ids)) == {*world.trials, *world.segments}
    assert world.store.jobs([]) == {}
    assert world.store.retry(ids) == 0


def test_a_damaged_map_is_refused_by_name(filled: Any) -> None:
    filled.damage('UPDATE contribution_maps SET "values" = standard_errors WHERE split = 2')
    damaged = r"the map of attempt .* before split 2 by cumulative is damaged.*digest"
    with pytest.raises(UserError, match=damaged):
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
def test_a_map_with_a_wrong_array_cannot_be_made(wrong: dict[str, Any]) -> None:
    values = np.zeros((3, 2, 2), dtype=np.float32)
    arrays = {"values": values, "standard_errors": values, "halves": np.stack([values, values])}
    item = dataclasses.replace(contribution_map(1), **arrays)
    with pytest.raises(ValueError):
        dataclasses.replace(item, **wrong)


def test_curves_keep_every_value_and_replace_repeated_points(world: Any) -> None:
    claim = world.win(world.trials[0])
    points = [db.Metric("loss", 2, math.nan), db.Metric("loss", 1, math.inf), db.Metric("lr", 1, 1)]
    assert add_metrics(world.store, claim, points)
    repeated = [db.Metric("loss", 3, 0.2), db.Metric("loss", 3, 0.1), db.Metric("loss", 1, 7.0)]
    assert add_metrics(world.store, claim, repeated)
    assert add_metrics(world.store, claim, [])
    curve = read_curve(world.store, claim.job_id, "loss")
    assert [(m.step, m.value) for m in curve if m.step != 2] == [(1, 7.0), (3, 0.1)]
    assert math.isnan(curve[1].value)
    assert read_curve(world.store, claim.job_id, "other") == []


def test_missing_points_of_a_curve_are_found(world: Any) -> None:
    """The curve is the attempt's: during a rerun the store still shows the former attempt's."""
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
    pairs = [(10 * k, float(k)) for k in range(1, 8)]
    assert world.store.points([loss.key])[loss.key][1:] == pairs
    assert world.store.points([loss.key], after=30)[loss.key] == pairs[3:]
    thinned = world.store.points([loss.key, lr.key, (lr.attempt_id, "none")], every=3)
    assert set(thinned) == {loss.key, lr.key}
    assert [step for step, _ in thinned[loss.key]] == [0, 30, 60, 70]
    assert math.isnan(thinned[loss.key][0][1])
    assert thinned[lr.key] == [(5, 0.5)]
    assert [step for step, _ in world.store.points([loss.key], every=100)[loss.key]] == [0, 70]


def test_jobs_are_counted_in_all_or_by_sweep(filled: Any) -> None:
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
    result = change(world.result("channel-0-None"), colour=1.0)
    before = world.dump()
    with pytest.raises(UserError, match="no measure 'colour': choose among bits_per_dim"):
        world.store.finish(claim, "done", last_step=500, cost=COST, result=result)
    assert world.dump() == before


def test_a_measure_of_a_plugin_is_stored_where_the_plugin_is_not_loaded(world: Any) -> None:
    """So a worker of another sweep can deliver the result of a dead one."""
    measures.register(measures.PluginMeasure("odd", "levels", "higher", "none", lambda *_: 1.0))
    try:
        world.store.register(db.Registration())
    finally:
        measures.unregister("odd")
    world.finish(world.trials[0], result=change(world.result("channel-0-None"), odd=2.0))
    assert list(world.store.view("measures", measure="odd")["value"]) == [2.0]
