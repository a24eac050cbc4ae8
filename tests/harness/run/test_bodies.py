"""A task body: what it stores, and that it can be run twice, stopped anywhere and resumed."""

import dataclasses
import shutil
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import sqlalchemy as sa

from lcma import db, models
from lcma.harness.data.verified import open_images
from lcma.harness.results.map_statistics import (
    compute_map_statistics,
    hash_table,
    make_kept_masks,
)
from lcma.harness.run import worker
from lcma.harness.run.artifacts import Writer
from lcma.harness.run.work import Report, Work
from lcma.harness.run.worker import _RunningAttempt, run_work
from lcma.harness.train import recorder
from lcma.harness.train.trainer import Trainer
from lcma.sweeps.errors import UserError
from lcma.sweeps.identity import canonical_json


def run_all(nodes) -> dict[str, Report]:
    """Every body in order, in this process."""
    reports: dict[str, Report] = {}
    for node in nodes:
        reports[node.work.job_id] = run_work(node.work, reports.get(node.after))
    return reports


def trial_nodes(nodes):
    return [n for n in nodes if n.work.trial is not None]


@pytest.mark.integration
def test_a_graph_leaves_maps_and_results(registered, monkeypatch) -> None:
    """By steps that are recorded, of the pretraining as of both trainings."""
    recorded = []
    record = recorder.Repeated._record
    monkeypatch.setattr(recorder, "STEPS_UNRECORDED", 3)
    monkeypatch.setattr(
        recorder.Repeated,
        "_record",
        lambda self, *given: (recorded.append(self), record(self, *given))[1],
    )
    store, nodes = registered()
    reports = run_all(nodes)
    assert len(recorded) == 3
    assert [r.ending for r in reports.values()] == ["done"] * 3
    frame = store.results()
    assert sorted(frame.factorization) == ["L", "checkerboard-even"]
    assert np.isfinite(frame.bits_per_dim).all()
    assert (frame.step == 20).all()
    assert frame.data_wait.between(0, 1, inclusive="neither").all()
    assert (store.attempts().data_wait > 0).all()
    pretraining = nodes[0].work
    maps = store.maps(pretraining_id=pretraining.pretraining.id, budget=10, score="cumulative")
    assert [m.split for m in maps] == [1]
    assert maps[0].values.shape == (3, 8, 8)
    assert maps[0].sum_error < 1e-6


def test_running_again_is_free_and_changes_nothing(registered) -> None:
    store, nodes = registered({"matrix": {"factorization": "low"}})
    run_all(nodes)
    before = (store.results(), store.attempts())
    assert {r.ending for r in run_all(nodes).values()} == {"done"}
    assert store.results().equals(before[0])
    assert store.attempts().equals(before[1])


def test_what_waited_for_a_failure_is_blocked_untouched(registered) -> None:
    store, nodes = registered()
    waiting = next(n for n in nodes if n.after is not None)
    report = run_work(waiting.work, Report(waiting.after, "diverged"))
    assert report.ending == "blocked"
    assert store.job(waiting.work.job_id).state == "pending"


def test_killed_anywhere_and_run_again_gives_the_same_bits(
    registered, place, tmp_path, monkeypatch
) -> None:
    """A worker dies at a step; the lease runs out; another one goes on, and so three times. Each
    records another step."""
    monkeypatch.setattr(recorder, "STEPS_UNRECORDED", 3)
    change = {"recipe": {"training": {"ema": 0.9, "select": "best", "holdout_every": 10}}}
    store, nodes = registered(change)
    work = trial_nodes(nodes)[0].work
    undisturbed = dataclasses.replace(
        work,
        place=dataclasses.replace(
            place, db=f"sqlite:///{tmp_path / 'other.db'}", runs=tmp_path / "other"
        ),
    )
    _copy_plan(place.db, undisturbed.place.db)
    assert run_work(undisturbed).ending == "done"

    class Killed(SystemExit):
        pass

    step = Trainer._one_step

    for stop_at in (9, 10, 19):

        def dying(self, stop_at=stop_at):
            if self.step == stop_at:
                raise Killed
            return step(self)

        with monkeypatch.context() as patch:
            patch.setattr(Trainer, "_one_step", dying)
            patch.setattr(_RunningAttempt, "_deliver", lambda *a, **k: Report("", "stopped"))
            with pytest.raises(Killed):
                run_work(dataclasses.replace(work, checkpoint_seconds=0.0, lease_seconds=1.0))
        assert run_work(work).ending == "elsewhere"
        time.sleep(1.0)
    assert run_work(work).ending == "done"

    other = db.connect(undisturbed.place.db)
    a, b = store.results(), other.results()
    same = ["bits_per_dim", "standard_error", "holdout_bits_per_dim", "log_det", "trial_id"]
    assert a[same].equals(b[same])
    measures = [
        [
            m
            for m in one.result(work.trial.id, work.job.data_digest, "plain").measures
            if "swd" in m.name
        ]
        for one in (store, other)
    ]
    assert measures[0] == measures[1] != []
    for name in ("train_bits_per_dim", "holdout_bits_per_dim"):
        assert store.metrics(work.job_id, name) == other.metrics(work.job_id, name) != []
    assert store.attempts().sort_values("token").first_step.tolist() == [0, 0, 10, 10]


def test_killed_after_its_last_step_a_trial_is_not_trained_again(registered, monkeypatch) -> None:
    store, nodes = registered({"matrix": {"factorization": "conventional"}})
    (work,) = (node.work for node in nodes)

    def killed(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(worker, "measure_flow", killed)
        patch.setattr(_RunningAttempt, "_deliver", lambda *a, **k: Report("", "stopped"))
        with pytest.raises(SystemExit):
            run_work(dataclasses.replace(work, lease_seconds=0.5))
    time.sleep(0.5)
    assert run_work(work).ending == "done"
    attempts = store.attempts()
    assert list(attempts.first_step) == [0, 20]


def test_a_longer_budget_continues_the_shorter_and_equals_a_run_of_its_own(
    registered, tmp_path
) -> None:
    store, nodes = registered({"matrix": {"budget": [0, 10, 20]}})
    chain = [n for n in nodes if n.work.pretraining is not None]
    assert [n.work.job.budget for n in chain] == [0, 10, 20]
    run_all(chain)
    attempts = store.attempts().set_index("job_id")
    assert [attempts.first_step[n.work.job_id] for n in chain] == [0, 0, 10]

    alone_place = dataclasses.replace(
        chain[2].work.place, db=f"sqlite:///{tmp_path / 'alone.db'}", runs=tmp_path / "alone"
    )
    _copy_plan(chain[2].work.place.db, alone_place.db)
    alone = dataclasses.replace(chain[2].work, place=alone_place)
    assert run_work(alone).ending == "done"
    key = {"pretraining_id": alone.pretraining.id, "budget": 20, "score": "cumulative"}
    (chained,), (by_itself,) = store.maps(**key), db.connect(alone_place.db).maps(**key)
    assert chained.digest == by_itself.digest
    assert np.array_equal(chained.standard_errors, by_itself.standard_errors)


@pytest.mark.slow
def test_a_short_budget_after_a_long_one_does_not_use_the_longer_checkpoint(registered) -> None:
    store, nodes = registered({"matrix": {"budget": [10, 20]}})
    short, long = (n.work for n in nodes if n.work.pretraining is not None)
    assert run_work(long).ending == "done"
    assert run_work(short).ending == "done"
    maps = store.maps(pretraining_id=short.pretraining.id, score="cumulative")
    assert [item.budget for item in maps] == [10, 20]
    assert maps[0].digest != maps[1].digest


def test_divergence_is_an_outcome_with_step_and_last_value(registered) -> None:
    change = {"recipe": {"optimization": {"learning_rate": 1e30, "warmup": 0, "clip": None}}}
    store, nodes = registered(change)
    report = run_work(trial_nodes(nodes)[0].work)
    assert report.ending == "diverged"
    attempt = store.attempts().iloc[0]
    assert attempt.outcome == "diverged"
    assert "not finite at step 2; last finite value: " in attempt.message
    assert len(store.results()) == 0


def test_a_model_that_breaks_in_its_last_step_has_diverged(registered) -> None:
    """No loss was looked at after it: the evaluation finds it."""
    change = {
        "recipe": {
            "training": {"steps": 1},
            "optimization": {"learning_rate": 1e30, "warmup": 0, "clip": None},
        }
    }
    store, nodes = registered(change)
    assert run_work(trial_nodes(nodes)[0].work).ending == "diverged"
    message = store.attempts().message[0]
    assert "not finite at step 1; last finite value: " in message
    assert "\n" not in message


def test_a_damaged_checkpoint_is_named_in_the_attempt(registered) -> None:
    store, nodes = registered({"matrix": {"budget": [10, 20]}})
    short, long = (n.work for n in nodes if n.work.pretraining is not None)
    run_work(short)
    (file,) = next(short.place.runs.iterdir()).glob("*.pt")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert run_work(long).ending == "done"
    attempts = store.attempts().set_index("job_id")
    assert attempts.message[long.job_id] == f"passed over checkpoints that are damaged: {file.name}"
    assert attempts.first_step[long.job_id] == 0


def test_a_lost_lease_stops_the_worker_and_leaves_no_result(registered, monkeypatch) -> None:
    store, nodes = registered()
    work: Work = trial_nodes(nodes)[0].work
    step = Trainer._one_step

    def taken_away(self):
        if self.step == 5:
            store.release(work.owner)
        return step(self)

    monkeypatch.setattr(Trainer, "_one_step", taken_away)
    assert run_work(work).ending == "stopped"
    assert len(store.results()) == 0
    assert store.job(work.job_id).state == "pending"


def moved(work: Work, root: Path) -> Work:
    """The same job on a worker whose data lie at another place."""
    return dataclasses.replace(work, place=dataclasses.replace(work.place, data=root))


def test_a_missing_set_is_named_with_host_place_and_remedy(registered, tmp_path) -> None:
    store, nodes = registered()
    root = tmp_path / "nowhere"
    assert run_work(moved(trial_nodes(nodes)[0].work, root)).ending == "failed"
    message = store.attempts().message[0]
    assert f"photos8 is missing on host {socket.gethostname()} below {root}" in message
    assert "LCMA_DATA" in message
    assert f"lcma data prepare photos8 --to {root}" in message


def test_a_missing_set_of_a_persons_own_is_named_too(tmp_path) -> None:
    with pytest.raises(UserError, match=r"faces is missing on host .*prepare faces --from PATH"):
        open_images("faces", tmp_path, "0" * 64)


def test_other_images_than_planned_are_refused(registered) -> None:
    """Whole and well made, but another content than the job's."""
    _, nodes = registered()
    work = trial_nodes(nodes)[0].work
    with pytest.raises(UserError, match=r"holds other images .* launch the sweep again"):
        open_images(work.set_name, work.place.data, "0" * 64)


@pytest.mark.parametrize("kept", [False, True], ids=["new to the host", "hashed before"])
def test_a_damaged_set_stops_a_job_before_its_first_step(
    registered, place, tmp_path, kept: bool
) -> None:
    store, nodes = registered()
    work = moved(trial_nodes(nodes)[0].work, tmp_path / "data")
    shutil.copytree(place.data, work.place.data)
    if kept:
        open_images(work.set_name, work.place.data, work.job.data_digest)
    path = work.place.data / "photos8" / "train.npy"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    assert run_work(work).ending == "failed"
    attempt = store.attempts().iloc[0]
    assert f"on host {socket.gethostname()}: {path} is damaged" in attempt.message
    assert attempt.last_step == 0
    assert not work.place.runs.exists()


def test_the_weights_left_behind_are_those_that_were_evaluated(registered) -> None:
    store, nodes = registered()
    work = trial_nodes(nodes)[0].work
    run_work(work)
    (artifact,) = store.artifacts(work.job_id)
    path = work.place.runs / artifact.path
    weights = safetensors.torch.load_file(path)
    split = next(k for k in weights if k.endswith(".index"))
    assert sorted(weights[split].tolist()) == list(range(3 * 8 * 8))
    assert [p.name for p in path.parent.iterdir()] == [Writer.of(1, work.owner).weights]


MAP_OPTIONS = [
    {},
    {"score": "normalized"},
    {"score": "total", "order": "rank", "masks": "swapped"},
    {"nms": "flat"},
]


@pytest.mark.integration
def test_every_map_option_is_carried_out(registered) -> None:
    """Each gives the map that it says, and the table that the trained flow then has."""
    matrix = {"factorization": ["low"], "recipe": [{"maps": o} for o in MAP_OPTIONS]}
    change = {"matrix": matrix, "recipe": {"model": {"splits": 2}, "training": {"steps": 2}}}
    store, nodes = registered(change)
    assert {r.ending for r in run_all(nodes).values()} == {"done"}
    assert len(nodes) == 3 + len(MAP_OPTIONS), "three pretrainings serve all"
    frame = store.results()
    told = [canonical_json(options) for options in MAP_OPTIONS if options]
    assert sorted(frame.map_options.dropna()) == sorted(told)
    stored = {
        (row.trial_id, row.split): row
        for row in rows(store, "SELECT trial_id, split, kept, digest FROM index_tables")
    }
    for node in trial_nodes(nodes):
        trial = node.work.trial
        options = trial.recipe.maps
        maps = store.maps(
            pretraining_id=trial.pretraining.id, budget=trial.budget, score=options.score
        )
        for one in maps:
            laid = compute_map_statistics(one.values, one.standard_errors, one.split, options.nms)
            assert one.statistics.mask_share == pytest.approx(laid.mask_share)
            assert one.statistics.rank_gap == pytest.approx(laid.rank_gap)
        found = models.make_tables(
            "LL", (3, 8, 8), 2, maps=[m.values for m in maps], order=options.order
        )
        (artifact,) = store.artifacts(node.work.job_id)
        weights = safetensors.torch.load_file(node.work.place.runs / artifact.path)
        indices = [v.numpy() for k, v in sorted(weights.items()) if k.endswith(".index")]
        masks = make_kept_masks(found, (3, 8, 8))
        for split, (table, mask) in enumerate(zip(found, masks, strict=True), start=1):
            assert any(np.array_equal(table.permutation, index) for index in indices)
            row = stored[trial.id, split]
            assert row.digest == hash_table(table)
            assert row.kept == np.packbits(mask).tobytes()
    assert len({row.digest for (_, split), row in stored.items() if split == 2}) == len(MAP_OPTIONS)


@pytest.mark.slow
def test_every_score_is_stored_with_its_statistics(registered) -> None:
    matrix = {"factorization": "low", "recipe": [{}, {"maps": {"nms": "flat"}}]}
    store, nodes = registered({"matrix": matrix})
    run_all(nodes)
    found = rows(store, "SELECT * FROM map_statistics")
    assert {(row.nms, row.score) for row in found} == {
        (form, score)
        for form in ("squeezed", "flat")
        for score in ("cumulative", "normalized", "total")
    }
    for row in found:
        assert 0 < row.mask_share <= 1
        assert row.mask_share_by_chance == 1 / 16
        assert row.error_to_gap == row.standard_error / row.rank_gap
        assert row.sum_error < 1e-6
    tables = rows(store, "SELECT * FROM table_statistics WHERE factorization = 'L'")
    assert tables
    for row in tables:
        assert 0 < row.agreement <= 1
        assert 0 <= row.iou_even + row.iou_odd <= 1 + 1e-9


def test_maps_of_an_older_schema_end_in_one_line(registered) -> None:
    """Such a database has the maps of one score alone."""
    matrix = {"factorization": ["low"], "recipe": [{"maps": {"score": "total"}}]}
    store, nodes = registered({"matrix": matrix})
    run_all(nodes[:1])
    with sa.create_engine(store.url, poolclass=sa.NullPool).begin() as connection:
        connection.execute(sa.text("DELETE FROM contribution_maps WHERE score = 'total'"))
    report = run_work(nodes[1].work)
    assert report.ending == "failed"
    assert "has no maps by the score total at budget 10: launch into a new" in report.message


def test_bars_are_registered_with_the_plan(registered) -> None:
    store, _ = registered()
    (bars,) = store.bars().values()
    assert [bar.name for bar in bars] == ["full-gaussian", "gaussian", "png", "webp"]
    assert all(bar.bits_per_dim is not None for bar in bars)


def rows(store, sql: str):
    with sa.create_engine(store.url, poolclass=sa.NullPool).connect() as connection:
        return connection.execute(sa.text(sql)).all()


def _copy_plan(source: str, target: str) -> None:
    """A fresh database with the same plan and no progress."""
    path = Path(target.removeprefix("sqlite:///"))
    path.unlink(missing_ok=True)
    db.locate(source).backup(path)
