"""Rules beyond the paper: what their jobs store, and how they are shared, stopped and resumed."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lcma import db, models
from lcma.db.integrity import check_integrity
from lcma.harness.data.verification import open_images
from lcma.harness.launch.choice import find_shapes
from lcma.harness.launch.reproduction import reproduce
from lcma.harness.measure.weights import load_flow
from lcma.harness.place import Place
from lcma.harness.results.map_statistics import make_kept_masks
from lcma.harness.train.batches import Images
from lcma.harness.train.checkpoint import CheckpointFolder
from lcma.harness.train.contribution import measure_maps
from lcma.harness.train.data_maps import measure_data_maps
from lcma.harness.train.trainer import Hooks, Trainer
from lcma.harness.work import bodies
from lcma.harness.work.units import Work
from lcma.harness.work.worker import run_works
from lcma.models import SplitTable
from lcma.models.split import Split
from lcma.sweeps import spec as specs
from lcma.sweeps.expansion import Expansion, expand
from lcma.sweeps.factorizations import DATA_RULES, MAP_RULES
from tests.faults.contents import compare_rows, read_rows
from tests.harness.conftest import SMALL, merged
from tests.harness.launch.conftest import (
    Killed,
    complete,
    copy_elsewhere,
    find_facts,
    run_cli,
    run_killed,
    select,
)
from tests.stores import read_curve, read_job

Registered = Callable[..., tuple[db.Store, list[Work]]]
SHAPE = (3, 8, 8)
TWO_SPLITS: dict[str, Any] = {"recipe": {"model": {"splits": 2}, "training": {"steps": 10}}}


def sweep_of(factorization: Any, **change: Any) -> dict[str, Any]:
    base = merged(TWO_SPLITS, {"matrix": {"factorization": factorization}})
    return merged(base, change)


def read_kept(store: db.Store) -> dict[tuple[str, int], list[Any]]:
    """Return which dimensions each trained flow keeps at each split, by factorization and seed."""
    kept: dict[tuple[str, int], list[Any]] = {}
    query = (
        "SELECT factorization, seed, split, kept FROM index_tables "
        "JOIN flow_trials ON flow_trials.id = trial_id ORDER BY split"
    )
    for row in store.database.query(query, limit=None, timeout=10).rows:
        mask = np.unpackbits(np.frombuffer(row[3], dtype=np.uint8))[:192]
        kept.setdefault((row[0], row[1]), []).append(mask.astype(bool).reshape(SHAPE))
    return kept


def read_maps(store: db.Store, work: Any, score: str) -> list[Any]:
    maps = store.maps(pretraining_id=work.subject.id, budget=work.job.budget, score=score)
    return [item.values for item in maps]


def are_equal(arrays: list[Any], others: list[Any]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(arrays, others, strict=True))


def keeps_as(tables: list[SplitTable], kept: list[Any]) -> bool:
    return are_equal(make_kept_masks(tables, SHAPE), kept)


# Data rules


@pytest.mark.integration
def test_one_job_measures_the_data_for_all_flows_and_seeds(registered, monkeypatch) -> None:
    """Trainings read the stored maps: another machine's LAPACK might rank near-ties otherwise."""
    change = {"seeds": [0, 1], "matrix": {"budget": []}}
    store, works = registered(sweep_of(["variance-low", "precision-low"], **change))
    first = works[0]
    assert (first.title, len(works)) == ("measure the data photos8", 5)
    complete(first)
    monkeypatch.setattr(bodies, "measure_data_maps", pytest.fail)
    complete(*works)
    prepared = open_images("photos8", first.place.data, first.job.data_digest)
    for data_map in measure_data_maps(prepared, 2):
        measured = data_map.measured
        stored = read_maps(store, first, measured.score)[measured.split - 1]
        assert np.array_equal(stored, measured.values)
    kept = read_kept(store)
    assert len(kept) == 4
    for (rule, _), masks in kept.items():
        maps = read_maps(store, first, rule)
        assert keeps_as(models.make_tables("LL", SHAPE, 2, maps=maps), masks)
    frame = store.view("results")
    assert sorted(set(frame.factorization)) == ["precision-low", "variance-low"]
    assert (frame.budget == 0).all()
    assert frame.map_options.isna().all()


# The rule `self`


def compute_self_maps(place: Place, work: Work, folder: Path, score: str) -> list[Any]:
    """Return the maps of `self`, each by a training from the start with the tables so far."""
    pretraining = work.subject
    assert pretraining is not None
    recipe = pretraining.recipe
    prepared = open_images("photos8", place.data, work.job.data_digest)
    images = Images(prepared.part("train").images, torch.device("cpu"))
    maps: list[Any] = []
    for split in (1, 2):
        tables = models.make_tables("checkerboard-even", SHAPE, 2)
        if split == 2:
            (first,) = models.make_tables("L", SHAPE, 1, maps=maps)
            tables = [first, *models.make_tables("checkerboard-even", (6, 4, 4), 1)]
        flow = models.build_from_tables(recipe.model, tables, seed=pretraining.seed)
        trainer = Trainer(
            flow=flow, optimization=recipe.optimization, seed=pretraining.seed, images=images
        )
        checkpoints = CheckpointFolder(folder / str(split))
        trainer.resume(checkpoints, at_most=0)
        trainer.run(10, checkpoints, Hooks())
        measured = measure_maps(trainer.flow, images, prepared.part("train").groups)
        (values,) = [m.values for m in measured if (m.split, m.score) == (split, score)]
        maps.append(values)
    return maps


@pytest.mark.integration
def test_self_finds_one_table_after_another(registered, place, tmp_path) -> None:
    score = "normalized"
    change = {"matrix": {"budget": 20}, "recipe": {"maps": {"score": score}}}
    store, works = registered(sweep_of("self", **change))
    segment, _ = works
    assert segment.title == "pretrain realnvp photos8 split by split to 20 seed 0"
    complete(*works)
    maps = read_maps(store, segment, score)
    assert are_equal(maps, compute_self_maps(place, segment, tmp_path / "expected", score))
    (kept,) = read_kept(store).values()
    assert keeps_as(models.make_tables("LL", SHAPE, 2, maps=maps), kept)
    curve = read_curve(store, segment.job_id, "train_bits_per_dim")
    assert [point.step for point in curve] == [10, 20]
    (row,) = store.view("results").to_dict("records")
    assert (row["factorization"], row["budget"], row["seed"]) == ("self", 20, 0)
    job = read_job(store, segment.job_id)
    assert (job.step, job.steps) == (20, 20)


@pytest.mark.integration
def test_self_with_no_budget_ranks_new_flows(registered) -> None:
    store, works = registered(sweep_of("self", matrix={"budget": 0}))
    complete(*works)
    assert len(read_maps(store, works[0], "cumulative")) == 2


def die_after(work: Work, steps: int) -> None:
    """Run a task until its worker dies after so many steps, and its lease is over."""
    make_step, counter = Trainer.make_step, iter(range(steps))

    def make_step_or_die(trainer: Trainer) -> Any:
        if next(counter, None) is None:
            raise Killed
        return make_step(trainer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "make_step", make_step_or_die)
        run_killed(replace(work, checkpoint_seconds=0.0, lease_seconds=0.3))
    time.sleep(0.3)


@pytest.mark.integration
def test_self_whose_workers_die_has_the_bits_of_an_undisturbed_run(registered, tmp_path) -> None:
    """They die in the first part, in the second before its first checkpoint, and after it."""
    store, works = registered(sweep_of("self", matrix={"budget": 30}))
    work = works[0]
    undisturbed = copy_elsewhere(work, tmp_path / "undisturbed")
    for steps in (12, 7, 14):
        die_after(work, steps)
    complete(work, undisturbed)
    assert compare_rows(read_rows(db.connect(undisturbed.place.db)), read_rows(store)) == []
    curve = read_curve(store, work.job_id, "train_bits_per_dim")
    assert [point.step for point in curve] == [10, 15, 25, 30]
    first_steps = store.view("attempts").sort_values("token").first_step.tolist()
    assert first_steps == [0, 10, 15, 25]
    assert check_integrity(store.database).findings == ()


@pytest.mark.slow
def test_members_of_a_stack_of_self_find_their_own_tables(registered, place) -> None:
    """Each member has the bits of a training by itself."""
    change = {"matrix": {"budget": 20}, "seeds": 2}
    change |= {"recipe": {"optimization": {"stacked": True}}}
    store, works = registered(sweep_of(["self", "low"], **change))
    shapes = find_shapes((work.job, work.subject) for work in works)
    segments = [work for work in select(works, "pretraining") if work.subject.form == "self"]
    assert len({shapes[work.job_id] for work in segments}) == 1
    assert len(set(shapes.values())) == 3, "self, the flow without splits, and trainings"
    single = copy_elsewhere(segments[1], place.runs.with_name("single"))
    assert [report.ending for report in run_works(segments)] == ["done"] * 2
    maps = [read_maps(store, work, "cumulative") for work in segments]
    assert maps[0][1].tobytes() != maps[1][1].tobytes()
    complete(single)
    assert are_equal(maps[1], read_maps(db.connect(single.place.db), single, "cumulative"))


def test_each_budget_of_self_has_its_own_pretraining() -> None:
    matrix = {"dataset": "photos16", "factorization": ["self", "low"], "budget": [10, 20]}

    def expand_with(**maps: str) -> Expansion:
        content = {"name": "x", "matrix": {"flow": "realnvp", **matrix}, "recipe": {"maps": maps}}
        return expand(specs.check(content, "here"))

    plain, flat, rank = expand_with(), expand_with(nms="flat"), expand_with(order="rank")
    forms = sorted((p.form, budgets) for p, budgets in plain.pretrainings.values())
    assert forms == [("self", (10,)), ("self", (20,)), ("squeezed", (10, 20))]
    assert len(plain.trials) == 4
    ids = [{t.id for t in e.trials if t.factorization == "self"} for e in (plain, flat)]
    assert ids[0] == ids[1], "self has no form without splits"
    self_ids = {key for key, (p, _) in plain.pretrainings.items() if p.form == "self"}
    assert not self_ids & {*rank.pretrainings}, "self trains with the order inside halves"


# The rule `online`


ONLINE: dict[str, Any] = {
    "maps": {"online": {"every": 10, "share": 0.3, "freeze": 0.25}},
    "training": {"steps": 40, "ema": 0.9, "select": "best", "holdout_every": 10},
}


@pytest.mark.integration
def test_online_stores_the_tables_of_its_flow(registered) -> None:
    store, (work,) = registered(sweep_of("online", recipe=ONLINE))
    complete(work)
    kept = read_kept(store)["online", 0]
    flow, _ = load_flow(store, work.place, find_facts(store, work))
    assert keeps_as([layer.table for layer in flow.layers if isinstance(layer, Split)], kept)
    assert not keeps_as(models.make_tables("checkerboard-even", SHAPE, 2), kept)
    for split, steps in ((1, [10, 30]), (2, [20])):
        curve = read_curve(store, work.job_id, f"changed_windows_{split}")
        assert [point.step for point in curve] == steps
    assert check_integrity(store.database).findings == ()


@pytest.mark.integration
@pytest.mark.slow_on("[self]", "precision-low")
@pytest.mark.parametrize("factorization", ["online", "self", "precision-low"])
def test_a_trial_of_these_rules_is_verified(registered, place, factorization) -> None:
    recipe = {"maps": {"online": {"every": 10, "share": 0.3}}, "training": {"steps": 20}}
    store, works = registered(sweep_of(factorization, recipe=recipe))
    complete(*works)
    assert reproduce(store, place, works[-1].subject.id, tolerance=0.0).equal


@pytest.mark.integration
def test_the_board_of_a_launch_ranks_every_rule(place, tmp_path, capsys) -> None:
    rules = ["conventional", "keep-ad", "keep-ac-bd", "low", *MAP_RULES]
    rules += ["random-lattice", "self", "online", *DATA_RULES]
    change = {
        "matrix": {"factorization": rules},
        "recipe": {
            "model": {"splits": 2},
            "optimization": {"stacked": True},
            "training": {"steps": 2},
        },
        "resources": {"gpus": 0, "cpus": os.cpu_count()},
    }
    (tmp_path / "rules.yaml").write_text(json.dumps(merged(SMALL, change)))
    command = ["launch", tmp_path / "rules.yaml", "--local", "--db", place.db]
    assert run_cli(capsys, *command, "--data", place.data, "--runs", place.runs)[0] == 0
    _, out, _ = run_cli(capsys, "board", "--db", place.db, "--json")
    (group,) = json.loads(out)["groups"]
    ranked = {(row["factorization"], row["budget"]) for row in group["rows"] if row["seeds"]}
    assert ranked == {
        ("checkerboard-even", None),
        ("keep-ac-bd", None),
        ("LL", 10),
        *((rule, 10) for rule in MAP_RULES),
        ("random-lattice", None),
        ("self", 10),
        ("online", None),
        *((rule, 0) for rule in DATA_RULES),
    }
    published = str(tmp_path / "published.sqlite")
    assert run_cli(capsys, "db", "publish", published, "--db", place.db)[0] == 0
    query = "SELECT DISTINCT score FROM contribution_maps"
    _, out, _ = run_cli(capsys, "sql", query, "--json", "--db", published)
    scores = {score for (score,) in json.loads(out)["rows"]}
    assert scores == {"cumulative", *DATA_RULES}
