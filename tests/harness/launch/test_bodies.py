"""A task: what it stores, and that it can be run twice, stopped anywhere and resumed."""

import dataclasses
import shutil
import socket
import time
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch

from lcma import db, models
from lcma.harness.data.verification import open_images
from lcma.harness.results.lookup import read_bars
from lcma.harness.results.map_statistics import compute_map_statistics, hash_table, make_kept_masks
from lcma.harness.train import recorder
from lcma.harness.work.units import Work
from lcma.harness.work.worker import run_work
from lcma.sweeps.errors import UserError
from lcma.sweeps.identity import canonical_json
from tests.db.inspecting import execute
from tests.faults.contents import compare_rows, read_rows
from tests.harness.launch.conftest import complete, copy_elsewhere, run_killed, select
from tests.hostile.layouts import flip_bit
from tests.stores import list_files


@pytest.mark.integration
def test_a_sweep_stores_maps_and_results(registered, monkeypatch) -> None:
    """The pretraining and both trainings each record a step."""
    recorded = []
    record = recorder.RepeatedStep._record

    def note(step, *arguments):
        recorded.append(step)
        return record(step, *arguments)

    monkeypatch.setattr(recorder, "UNRECORDED_STEPS", 3)
    monkeypatch.setattr(recorder.RepeatedStep, "_record", note)
    store, works = registered()
    complete(*works)
    assert len(recorded) == 3
    frame = store.view("results")
    assert sorted(frame.factorization) == ["L", "checkerboard-even"]
    assert np.isfinite(frame.bits_per_dim).all()
    assert (frame.step == 20).all()
    assert frame.data_wait.between(0, 1, inclusive="neither").all()
    assert (store.view("attempts").data_wait > 0).all()
    (stored,) = store.maps(pretraining_id=works[0].subject.id, budget=10, score="cumulative")
    assert stored.split == 1
    assert stored.values.shape == (3, 8, 8)
    assert stored.sum_error < 1e-6
    (bars,) = read_bars(store).values()
    assert [bar.name for bar in bars] == ["full-gaussian", "gaussian", "png", "webp"]
    assert all(bar.bits_per_dim is not None for bar in bars)


def test_a_training_whose_workers_die_has_the_bits_of_an_undisturbed_one(
    registered, tmp_path, monkeypatch
) -> None:
    """Three times a worker dies, its lease runs out and another one goes on.

    Each records another step.
    """
    monkeypatch.setattr(recorder, "UNRECORDED_STEPS", 3)
    change = {"recipe": {"training": {"ema": 0.9, "select": "best", "holdout_every": 10}}}
    store, works = registered(change)
    work = select(works, "trial")[0]
    undisturbed = copy_elsewhere(work, tmp_path / "undisturbed")
    complete(undisturbed)
    for step in (9, 10, 19):
        run_killed(dataclasses.replace(work, checkpoint_seconds=0.0, lease_seconds=1.0), step)
        assert run_work(work).ending == "elsewhere"
        time.sleep(1.0)
    complete(work)
    assert compare_rows(read_rows(db.connect(undisturbed.place.db)), read_rows(store)) == []
    assert store.view("attempts").sort_values("token").first_step.tolist() == [0, 0, 10, 10]


def test_a_longer_budget_continues_the_shorter_one_to_the_same_bits(registered, tmp_path) -> None:
    store, works = registered({"matrix": {"budget": [0, 10, 20]}})
    chain = select(works, "pretraining")
    assert [work.job.budget for work in chain] == [0, 10, 20]
    direct = copy_elsewhere(chain[2], tmp_path / "direct")
    complete(*chain, direct)
    attempts = store.view("attempts").set_index("job_id")
    assert [attempts.first_step[work.job_id] for work in chain] == [0, 0, 10]
    direct_store = db.connect(direct.place.db)
    assert direct_store.view("attempts").first_step.tolist() == [0]
    key = {"pretraining_id": direct.subject.id, "budget": 20, "score": "cumulative"}
    (chained_map,), (direct_map,) = store.maps(**key), direct_store.maps(**key)
    assert chained_map.digest == direct_map.digest
    assert np.array_equal(chained_map.standard_errors, direct_map.standard_errors)


@pytest.mark.slow
def test_a_short_budget_does_not_use_the_checkpoint_of_a_longer_one(registered) -> None:
    store, works = registered({"matrix": {"budget": [10, 20]}})
    shorter, longer = select(works, "pretraining")
    complete(longer, shorter)
    maps = store.maps(pretraining_id=shorter.subject.id, score="cumulative")
    assert [item.budget for item in maps] == [10, 20]
    assert maps[0].digest != maps[1].digest


@pytest.mark.parametrize("steps", [1, 20], ids=["in its last step", "on the way"])
def test_divergence_is_an_outcome_with_step_and_last_value(registered, steps) -> None:
    """After the last step only the evaluation notices it."""
    optimization = {"learning_rate": 1e30, "warmup": 0, "clip": None}
    recipe = {"training": {"steps": steps}, "optimization": optimization}
    store, works = registered({"recipe": recipe})
    assert run_work(select(works, "trial")[0]).ending == "diverged"
    message = store.view("attempts").message[0]
    assert f"not finite at step {min(steps, 2)}; last finite loss: " in message
    assert "\n" not in message
    assert len(store.view("results")) == 0


def test_a_resumed_training_that_fails_before_its_first_step_made_none(
    registered, monkeypatch
) -> None:
    """A launch blames the host for that, not the job."""
    _, works = registered()
    work = select(works, "trial")[0]
    run_killed(dataclasses.replace(work, checkpoint_seconds=0.0, lease_seconds=1.0), 10)
    time.sleep(1.0)

    def fail(*arguments, **options):
        raise OSError("no such device")

    monkeypatch.setattr(models, "build", fail)
    report = run_work(work)
    assert (report.ending, report.steps, report.at_start) == ("failed", 0, True)


def test_a_damaged_checkpoint_is_named_in_the_attempt(registered) -> None:
    store, works = registered({"matrix": {"budget": [10, 20]}})
    shorter, longer = select(works, "pretraining")
    complete(shorter)
    (file,) = next(shorter.place.runs.iterdir()).glob("*.pt")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    complete(longer)
    attempts = store.view("attempts").set_index("job_id")
    assert attempts.message[longer.job_id] == f"skipped damaged checkpoints: {file.name}"
    assert attempts.first_step[longer.job_id] == 0


def move_data(work: Work, root: Path) -> Work:
    """Return the work for a worker whose data lie elsewhere."""
    return dataclasses.replace(work, place=dataclasses.replace(work.place, data=root))


def test_a_missing_set_is_named_with_host_place_and_remedy(registered, tmp_path) -> None:
    store, works = registered()
    root = tmp_path / "nowhere"
    assert run_work(move_data(select(works, "trial")[0], root)).ending == "failed"
    message = store.view("attempts").message[0]
    assert f"photos8 is missing on host {socket.gethostname()} below {root}" in message
    assert "LCMA_DATA" in message
    assert f"lcma data prepare photos8 --to {root}" in message
    with pytest.raises(UserError, match=r"faces is missing on host .*prepare faces --from PATH"):
        open_images("faces", root, "0" * 64)


def test_a_damaged_set_stops_a_job_before_its_first_step(registered, place, tmp_path) -> None:
    store, works = registered()
    work = move_data(select(works, "trial")[0], tmp_path / "data")
    shutil.copytree(place.data, work.place.data)
    open_images(work.set_name, work.place.data, work.job.data_digest)  # its hash is known now
    path = work.place.data / "photos8" / "train.npy"
    flip_bit(path)
    assert run_work(work).ending == "failed"
    attempt = store.view("attempts").iloc[0]
    assert f"on host {socket.gethostname()}: {path} is damaged" in attempt.message
    assert attempt.last_step == 0
    assert not work.place.runs.exists()


MAP_OPTIONS = [
    {},
    {"score": "normalized"},
    {"score": "total", "order": "rank", "masks": "swapped"},
    {"nms": "flat"},
]


@pytest.mark.integration
def test_every_map_option_changes_the_table_of_the_trained_flow(registered) -> None:
    matrix = {
        "factorization": ["low"],
        "recipe": [{"maps": map_options} for map_options in MAP_OPTIONS],
    }
    change = {"matrix": matrix, "recipe": {"model": {"splits": 2}, "training": {"steps": 2}}}
    store, works = registered(change)
    complete(*works)
    assert len(works) == 3 + len(MAP_OPTIONS), "three pretrainings serve all"
    stored_options = store.view("results").map_options.dropna()
    assert sorted(stored_options) == sorted(canonical_json(o) for o in MAP_OPTIONS if o)
    query = "SELECT trial_id, split, kept, digest FROM index_tables"
    rows = {(trial, split): values for trial, split, *values in execute(store.url, query)}
    for work in select(works, "trial"):
        trial = work.subject
        options = trial.recipe.maps
        maps = store.maps(
            pretraining_id=trial.pretraining.id, budget=trial.budget, score=options.score
        )
        for item in maps:
            statistics = compute_map_statistics(
                item.values, item.standard_errors, item.split, options.nms
            )
            assert item.statistics.mask_share == pytest.approx(statistics.mask_share)
            assert item.statistics.rank_gap == pytest.approx(statistics.rank_gap)
        tables = models.make_tables(
            "LL", (3, 8, 8), 2, maps=[item.values for item in maps], order=options.order
        )
        (artifact,) = list_files(store, work.job_id)
        weights = safetensors.torch.load_file(work.place.runs / artifact.path)
        indices = [v.numpy() for k, v in sorted(weights.items()) if k.endswith(".index")]
        masks = make_kept_masks(tables, (3, 8, 8))
        for split, (table, mask) in enumerate(zip(tables, masks, strict=True), start=1):
            assert any(np.array_equal(table.permutation, index) for index in indices)
            assert rows[trial.id, split] == [np.packbits(mask).tobytes(), hash_table(table)]
    digests = {digest for (_, split), (_, digest) in rows.items() if split == 2}
    assert len(digests) == len(MAP_OPTIONS)


def test_a_database_without_the_maps_of_a_score_is_named_in_one_line(registered) -> None:
    """A database of an older schema has the maps of one score only."""
    matrix = {"factorization": ["low"], "recipe": [{"maps": {"score": "total"}}]}
    store, works = registered({"matrix": matrix})
    complete(works[0])
    execute(store.url, "DELETE FROM contribution_maps WHERE score = 'total'")
    report = run_work(works[1])
    assert report.ending == "failed"
    assert "has no maps by the score total at budget 10: launch into a new" in report.message
