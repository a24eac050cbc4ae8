"""A task body: what it stores, and that it can be run twice, stopped anywhere and resumed."""

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
from lcma.harness.results.map_statistics import (
    compute_map_statistics,
    hash_table,
    make_kept_masks,
)
from lcma.harness.train import recorder
from lcma.harness.work.units import Report, Work
from lcma.harness.work.worker import run_work
from lcma.sweeps.errors import UserError
from lcma.sweeps.identity import canonical_json
from tests.db.inspecting import execute
from tests.faults.contents import compare_rows, read_rows
from tests.harness.launch.conftest import copy_elsewhere, run_killed
from tests.stores import list_files


def run_all(works) -> dict[str, Report]:
    """Every body in order, in this process."""
    return {work.job_id: run_work(work) for work in works}


def trial_works(works):
    return [n for n in works if n.job.kind == "trial"]


@pytest.mark.integration
def test_a_graph_leaves_maps_and_results(registered, monkeypatch) -> None:
    """By steps that are recorded, of the pretraining as of both trainings."""
    recorded = []
    record = recorder.RepeatedStep._record
    monkeypatch.setattr(recorder, "UNRECORDED_STEPS", 3)
    monkeypatch.setattr(
        recorder.RepeatedStep,
        "_record",
        lambda self, *given: (recorded.append(self), record(self, *given))[1],
    )
    store, works = registered()
    reports = run_all(works)
    assert len(recorded) == 3
    assert [r.ending for r in reports.values()] == ["done"] * 3
    frame = store.view("results")
    assert sorted(frame.factorization) == ["L", "checkerboard-even"]
    assert np.isfinite(frame.bits_per_dim).all()
    assert (frame.step == 20).all()
    assert frame.data_wait.between(0, 1, inclusive="neither").all()
    assert (store.view("attempts").data_wait > 0).all()
    pretraining = works[0]
    maps = store.maps(pretraining_id=pretraining.subject.id, budget=10, score="cumulative")
    assert [m.split for m in maps] == [1]
    assert maps[0].values.shape == (3, 8, 8)
    assert maps[0].sum_error < 1e-6
    (bars,) = read_bars(store).values()
    assert [bar.name for bar in bars] == ["full-gaussian", "gaussian", "png", "webp"]
    assert all(bar.bits_per_dim is not None for bar in bars)


def test_killed_anywhere_and_run_again_gives_the_same_bits(
    registered, tmp_path, monkeypatch
) -> None:
    """A worker dies at a step; the lease runs out; another one goes on, and so three times. Each
    records another step."""
    monkeypatch.setattr(recorder, "UNRECORDED_STEPS", 3)
    change = {"recipe": {"training": {"ema": 0.9, "select": "best", "holdout_every": 10}}}
    store, works = registered(change)
    work = trial_works(works)[0]
    undisturbed = copy_elsewhere(work, tmp_path / "undisturbed")
    assert run_work(undisturbed).ending == "done"

    for step in (9, 10, 19):
        run_killed(dataclasses.replace(work, checkpoint_seconds=0.0, lease_seconds=1.0), step)
        assert run_work(work).ending == "elsewhere"
        time.sleep(1.0)
    assert run_work(work).ending == "done"

    other = db.connect(undisturbed.place.db)
    assert compare_rows(read_rows(other), read_rows(store)) == []
    assert store.view("attempts").sort_values("token").first_step.tolist() == [0, 0, 10, 10]


def test_a_longer_budget_continues_the_shorter_and_equals_a_run_of_its_own(
    registered, tmp_path
) -> None:
    store, works = registered({"matrix": {"budget": [0, 10, 20]}})
    chain = [n for n in works if n.job.kind == "pretraining"]
    assert [n.job.budget for n in chain] == [0, 10, 20]
    alone = copy_elsewhere(chain[2], tmp_path / "alone")
    run_all(chain)
    attempts = store.view("attempts").set_index("job_id")
    assert [attempts.first_step[n.job_id] for n in chain] == [0, 0, 10]

    assert run_work(alone).ending == "done"
    apart = db.connect(alone.place.db)
    assert apart.view("attempts").first_step.tolist() == [0]
    key = {"pretraining_id": alone.subject.id, "budget": 20, "score": "cumulative"}
    (chained,), (by_itself,) = store.maps(**key), apart.maps(**key)
    assert chained.digest == by_itself.digest
    assert np.array_equal(chained.standard_errors, by_itself.standard_errors)


@pytest.mark.slow
def test_a_short_budget_after_a_long_one_does_not_use_the_longer_checkpoint(registered) -> None:
    store, works = registered({"matrix": {"budget": [10, 20]}})
    short, long = (n for n in works if n.job.kind == "pretraining")
    assert run_work(long).ending == "done"
    assert run_work(short).ending == "done"
    maps = store.maps(pretraining_id=short.subject.id, score="cumulative")
    assert [item.budget for item in maps] == [10, 20]
    assert maps[0].digest != maps[1].digest


@pytest.mark.parametrize("steps", [1, 20], ids=["in its last step", "on the way"])
def test_divergence_is_an_outcome_with_step_and_last_value(registered, steps: int) -> None:
    """No loss is looked at after the last step: the evaluation finds it."""
    optimization = {"learning_rate": 1e30, "warmup": 0, "clip": None}
    recipe = {"training": {"steps": steps}, "optimization": optimization}
    store, works = registered({"recipe": recipe})
    assert run_work(trial_works(works)[0]).ending == "diverged"
    message = store.view("attempts").message[0]
    assert f"not finite at step {min(steps, 2)}; last finite value: " in message
    assert "\n" not in message
    assert len(store.view("results")) == 0


def test_a_damaged_checkpoint_is_named_in_the_attempt(registered) -> None:
    store, works = registered({"matrix": {"budget": [10, 20]}})
    short, long = (n for n in works if n.job.kind == "pretraining")
    run_work(short)
    (file,) = next(short.place.runs.iterdir()).glob("*.pt")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert run_work(long).ending == "done"
    attempts = store.view("attempts").set_index("job_id")
    assert attempts.message[long.job_id] == f"skipped damaged checkpoints: {file.name}"
    assert attempts.first_step[long.job_id] == 0


def moved(work: Work, root: Path) -> Work:
    """The same job on a worker whose data lie at another place."""
    return dataclasses.replace(work, place=dataclasses.replace(work.place, data=root))


def test_a_missing_set_is_named_with_host_place_and_remedy(registered, tmp_path) -> None:
    store, works = registered()
    root = tmp_path / "nowhere"
    assert run_work(moved(trial_works(works)[0], root)).ending == "failed"
    message = store.view("attempts").message[0]
    assert f"photos8 is missing on host {socket.gethostname()} below {root}" in message
    assert "LCMA_DATA" in message
    assert f"lcma data prepare photos8 --to {root}" in message
    with pytest.raises(UserError, match=r"faces is missing on host .*prepare faces --from PATH"):
        open_images("faces", root, "0" * 64)


def test_a_damaged_set_stops_a_job_before_its_first_step(registered, place, tmp_path) -> None:
    store, works = registered()
    work = moved(trial_works(works)[0], tmp_path / "data")
    shutil.copytree(place.data, work.place.data)
    open_images(work.set_name, work.place.data, work.job.data_digest)  # it is hashed before
    path = work.place.data / "photos8" / "train.npy"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
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
def test_every_map_option_is_carried_out(registered) -> None:
    """Each gives the map that it says, and the table that the trained flow then has."""
    matrix = {"factorization": ["low"], "recipe": [{"maps": o} for o in MAP_OPTIONS]}
    change = {"matrix": matrix, "recipe": {"model": {"splits": 2}, "training": {"steps": 2}}}
    store, works = registered(change)
    assert {r.ending for r in run_all(works).values()} == {"done"}
    assert len(works) == 3 + len(MAP_OPTIONS), "three pretrainings serve all"
    frame = store.view("results")
    told = [canonical_json(options) for options in MAP_OPTIONS if options]
    assert sorted(frame.map_options.dropna()) == sorted(told)
    query = "SELECT trial_id, split, kept, digest FROM index_tables"
    stored = {(trial, split): rest for trial, split, *rest in execute(store.url, query)}
    for work in trial_works(works):
        trial = work.subject
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
        (artifact,) = list_files(store, work.job_id)
        weights = safetensors.torch.load_file(work.place.runs / artifact.path)
        indices = [v.numpy() for k, v in sorted(weights.items()) if k.endswith(".index")]
        masks = make_kept_masks(found, (3, 8, 8))
        for split, (table, mask) in enumerate(zip(found, masks, strict=True), start=1):
            assert any(np.array_equal(table.permutation, index) for index in indices)
            assert stored[trial.id, split] == [np.packbits(mask).tobytes(), hash_table(table)]
    second = {digest for (_, split), (_, digest) in stored.items() if split == 2}
    assert len(second) == len(MAP_OPTIONS)


def test_maps_of_an_older_schema_end_in_one_line(registered) -> None:
    """Such a database has only the maps of one score."""
    matrix = {"factorization": ["low"], "recipe": [{"maps": {"score": "total"}}]}
    store, works = registered({"matrix": matrix})
    run_all(works[:1])
    execute(store.url, "DELETE FROM contribution_maps WHERE score = 'total'")
    report = run_work(works[1])
    assert report.ending == "failed"
    assert "has no maps by the score total at budget 10: launch into a new" in report.message
