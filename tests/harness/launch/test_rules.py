"""Rules beyond the paper as jobs: what they leave, how they are shared, stopped and resumed."""

import json
import os
import shutil
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
from lcma.harness.work.units import Report, Work
from lcma.harness.work.worker import run_work, run_works
from lcma.models import SplitTable
from lcma.models.split import Split
from lcma.sweeps import spec as specs
from lcma.sweeps.expansion import Expansion, expand
from lcma.sweeps.factorizations import DATA_RULES, MAP_RULES
from tests.faults.contents import compare_rows, read_rows
from tests.harness.conftest import SMALL, merged
from tests.harness.launch.conftest import (
    Killed,
    copy_elsewhere,
    place_in,
    register,
    run_killed,
    typed,
)
from tests.stores import list_files, read_curve, read_job

Registered = Callable[..., tuple[db.Store, list[Work]]]
SHAPE = (3, 8, 8)
TWO_SPLITS: dict[str, Any] = {"recipe": {"model": {"splits": 2}, "training": {"steps": 10}}}


def sweep_of(factorization: Any, **change: Any) -> dict[str, Any]:
    base = merged(TWO_SPLITS, {"matrix": {"factorization": factorization}})
    return merged(base, change)


def run_all(works: list[Work]) -> dict[str, Report]:
    return {work.job_id: run_work(work) for work in works}


def read_kept(store: db.Store) -> dict[tuple[str, int], list[Any]]:
    """The dimensions that the trained flows' tables keep, by factorization and seed, by split."""
    found: dict[tuple[str, int], list[Any]] = {}
    query = (
        "SELECT factorization, seed, split, kept FROM index_tables "
        "JOIN flow_trials ON flow_trials.id = trial_id ORDER BY split"
    )
    for row in store.database.query(query, limit=None, timeout=10).rows:
        mask = np.unpackbits(np.frombuffer(row[3], dtype=np.uint8))[:192]
        found.setdefault((row[0], row[1]), []).append(mask.astype(bool).reshape(SHAPE))
    return found


def read_maps(store: db.Store, work: Any, score: str) -> list[Any]:
    maps = store.maps(pretraining_id=work.subject.id, budget=work.job.budget, score=score)
    return [one.values for one in maps]


def same_masks(kept: list[Any], tables: list[SplitTable]) -> bool:
    masks = make_kept_masks(tables, SHAPE)
    return all(np.array_equal(a, b) for a, b in zip(kept, masks, strict=True))


# The data alone


@pytest.mark.integration
def test_one_job_measures_the_data_for_all_flows_and_seeds(
    registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has stored is read: another machine's LAPACK might rank near-ties otherwise."""
    change = {"seeds": [0, 1], "matrix": {"budget": []}}
    store, works = registered(sweep_of(["variance-low", "precision-high"], **change))
    assert [n.title for n in works][:1] == ["measure the data photos8"]
    assert len(works) == 5
    first = works[0]
    assert run_work(first).ending == "done"
    monkeypatch.setattr(bodies, "measure_data_maps", pytest.fail)
    assert {r.ending for r in run_all(works).values()} == {"done"}
    prepared = open_images("photos8", first.place.data, first.job.data_digest)
    for one in measure_data_maps(prepared, 2):
        assert np.array_equal(
            read_maps(store, first, one.measured.score)[one.measured.split - 1],
            one.measured.values,
        )
    kept = read_kept(store)
    assert len(kept) == 4
    for (rule, _), masks in kept.items():
        word = "LL" if rule.endswith("low") else "HH"
        maps = read_maps(store, first, rule)
        assert same_masks(masks, models.make_tables(word, SHAPE, 2, maps=maps))
    frame = store.view("results")
    assert sorted(set(frame.factorization)) == ["precision-high", "variance-low"]
    assert (frame.budget == 0).all()
    assert frame.map_options.isna().all()


# Self


def self_by_hand(place: Place, work: Work, folder: Path, score: str) -> list[Any]:
    """The maps of `self` by trainings written out: each from the start, with the tables so far."""
    pretraining = work.subject
    assert pretraining is not None
    recipe = pretraining.recipe
    prepared = open_images("photos8", place.data, work.job.data_digest)
    images = Images(prepared.part("train").images, torch.device("cpu"))
    found: list[Any] = []
    for split in (1, 2):
        tables = models.make_tables("checkerboard-even", SHAPE, 2)
        if split == 2:
            (first,) = models.make_tables("L", SHAPE, 1, maps=found)
            half = (6, 4, 4)
            tables = [first, *models.make_tables("checkerboard-even", half, 1)]
        flow = models.build_from_tables(recipe.model, tables, seed=pretraining.seed)
        trainer = Trainer(
            flow=flow, optimization=recipe.optimization, seed=pretraining.seed, images=images
        )
        own = CheckpointFolder(folder / str(split))
        trainer.resume(own, at_most=0)
        trainer.run(10, own, Hooks())
        measured = measure_maps(trainer.flow, images, prepared.part("train").groups)
        (chosen,) = [m.values for m in measured if (m.split, m.score) == (split, score)]
        found.append(chosen)
    return found


@pytest.mark.integration
def test_self_finds_one_table_after_the_other(
    registered: Registered, place: Place, tmp_path: Path
) -> None:
    score = "normalized"
    change = {"matrix": {"budget": 20}, "recipe": {"maps": {"score": score}}}
    store, works = registered(sweep_of("self", **change))
    segment, _ = works
    assert segment.title == "pretrain realnvp photos8 split by split to 20 seed 0"
    assert {r.ending for r in run_all(works).values()} == {"done"}
    maps = read_maps(store, segment, score)
    by_hand = self_by_hand(place, segment, tmp_path / "by hand", score)
    assert all(np.array_equal(a, b) for a, b in zip(maps, by_hand, strict=True))
    (kept,) = read_kept(store).values()
    assert same_masks(kept, models.make_tables("LL", SHAPE, 2, maps=maps))
    curve = read_curve(store, segment.job_id, "train_bits_per_dim")
    assert [point.step for point in curve] == [10, 20]
    (row,) = store.view("results").to_dict("records")
    assert (row["factorization"], row["budget"], row["seed"]) == ("self", 20, 0)
    job = read_job(store, segment.job_id)
    assert (job.step, job.steps) == (20, 20)


@pytest.mark.integration
def test_self_with_no_budget_ranks_new_flows(registered: Registered) -> None:
    store, works = registered(sweep_of("self", matrix={"budget": 0}))
    assert {r.ending for r in run_all(works).values()} == {"done"}
    assert len(read_maps(store, works[0], "cumulative")) == 2


def die_after(work: Work, steps: int) -> None:
    """Run a work until its worker dies after so many steps, and its lease is over."""
    one_step, left = Trainer.make_step, [None] * steps

    def dying(trainer: Trainer) -> Any:
        if not left:
            raise Killed
        left.pop()
        return one_step(trainer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "make_step", dying)
        run_killed(replace(work, checkpoint_seconds=0.0, lease_seconds=0.3))
    time.sleep(0.3)


@pytest.mark.integration
def test_self_killed_anywhere_and_run_again_gives_the_same_bits(
    registered: Registered, tmp_path: Path
) -> None:
    """In its first part, then when the second one has no checkpoint yet, so that the end of the
    first is gone on from, then in the second."""
    store, works = registered(sweep_of("self", matrix={"budget": 30}))
    work = works[0]
    elsewhere = copy_elsewhere(work, tmp_path / "elsewhere")
    for steps in (12, 7, 14):
        die_after(work, steps)
    assert run_work(work).ending == "done"
    assert run_work(elsewhere).ending == "done"
    assert compare_rows(read_rows(db.connect(elsewhere.place.db)), read_rows(store)) == []
    curve = read_curve(store, work.job_id, "train_bits_per_dim")
    assert [point.step for point in curve] == [10, 15, 25, 30]
    went_on = store.view("attempts").sort_values("token").first_step.tolist()
    assert went_on == [0, 10, 15, 25]
    assert check_integrity(store.database).findings == ()


@pytest.mark.slow
def test_self_in_stacks(registered: Registered, place: Place) -> None:
    """Members of a stack find tables of their own, with the bits of any other stack."""
    change = {"matrix": {"budget": 20}, "seeds": 2}
    change |= {"recipe": {"optimization": {"stacked": True}}}
    store, works = registered(sweep_of(["self", "low"], **change))
    shapes = find_shapes((n.job, n.subject) for n in works)
    segments = [w for w in works if w.job.kind == "pretraining" and w.subject.form == "self"]
    assert len({shapes[work.job_id] for work in segments}) == 1
    assert len(set(shapes.values())) == 3, "self, the flow without splits, and trainings"
    alone = copy_elsewhere(segments[1], place.runs.with_name("alone"))
    assert [r.ending for r in run_works(segments)] == ["done"] * 2
    found = [read_maps(store, work, "cumulative") for work in segments]
    assert len({maps[1].tobytes() for maps in found}) == 2
    assert run_work(alone).ending == "done"
    again = read_maps(db.connect(alone.place.db), segments[1], "cumulative")
    assert all(np.array_equal(a, b) for a, b in zip(found[1], again, strict=True))


def test_each_budget_of_self_is_a_pretraining_of_its_own() -> None:
    matrix = {"dataset": "photos16", "factorization": ["self", "low"], "budget": [10, 20]}

    def expand_with(**maps: str) -> Expansion:
        content = {"name": "x", "matrix": {"flow": "realnvp", **matrix}, "recipe": {"maps": maps}}
        return expand(specs.check(content, "here"))

    found, flat, rank = expand_with(), expand_with(nms="flat"), expand_with(order="rank")
    forms = sorted((p.form, budgets) for p, budgets in found.pretrainings.values())
    assert forms == [("self", (10,)), ("self", (20,)), ("squeezed", (10, 20))]
    assert len(found.trials) == 4
    ids = [{t.id for t in e.trials if t.factorization == "self"} for e in (found, flat)]
    assert ids[0] == ids[1], "self has no form without splits"
    assert not {key for key, (p, _) in found.pretrainings.items() if p.form == "self"} & {
        *rank.pretrainings
    }, "the order inside halves is that of the tables trained with"


# Online


ONLINE: dict[str, Any] = {
    "maps": {"online": {"every": 10, "share": 0.3, "freeze": 0.25}},
    "training": {"steps": 40, "ema": 0.9, "select": "best", "holdout_every": 10},
}


@pytest.fixture(scope="module")
def online_once(tmp_path_factory: pytest.TempPathFactory, photos_root: Path) -> Path:
    """A folder in which `online` was trained with two seeds, of a sweep that has `low` too."""
    folder = tmp_path_factory.mktemp("online")
    works = plan_online(place_in(folder, photos_root))
    for work in works["online"]:
        assert run_work(work).ending == "done"
    return folder


def plan_online(place: Place) -> dict[str, list[Work]]:
    """Register that sweep; its work by the factorization that it is for, by seed and in order."""
    _, works = register(place, sweep_of(["online", "low"], seeds=2, recipe=ONLINE))
    online = [w for w in works if w.job.kind == "trial" and w.subject.factorization == "online"]
    return {"online": online, "low": [w for w in works if w not in online]}


@pytest.fixture
def online(online_once: Path, tmp_path: Path, photos_root: Path) -> dict[str, list[Work]]:
    """The same in a place of its own."""
    folder = Path(shutil.copytree(online_once, tmp_path / "online"))
    return plan_online(place_in(folder, photos_root))


@pytest.mark.integration
def test_online_leaves_the_tables_that_its_flow_has(online: dict[str, list[Work]]) -> None:
    work = online["online"][0]
    store = db.connect(work.place.db)
    kept = read_kept(store)["online", 0]
    (one,) = store.job_facts(trial_ids=[work.subject.id])
    flow, _ = load_flow(store, work.place, one)
    found = [layer.table for layer in flow.layers if isinstance(layer, Split)]
    assert same_masks(kept, found)
    assert not same_masks(kept, models.make_tables("checkerboard-even", SHAPE, 2))
    for split, looks in ((1, [10, 30]), (2, [20])):
        changed = read_curve(store, work.job_id, f"changed_windows_{split}")
        assert [point.step for point in changed] == looks
    assert check_integrity(store.database).findings == ()


@pytest.mark.integration
def test_the_tables_on_the_way_are_kept_and_removed(
    online: dict[str, list[Work]], capsys: Any
) -> None:
    for work in online["low"]:
        assert work.subject.seed or run_work(work).ending == "done"
    place = work.place
    store = db.connect(place.db)
    db_only = ["--db", place.db]
    at = [*db_only, "--runs", str(place.runs)]
    trained = store.job_facts(trial_ids=set(store.view("results", factorization="online").trial_id))
    kept = {one.job_id: [a.kind for a in list_files(store, one.job_id)] for one in trained}
    assert list(kept.values()) == [["tables", "weights"]] * 2
    others = store.job_facts(trial_ids=set(store.view("results", factorization="LL").trial_id))
    assert {a.kind for one in others for a in list_files(store, one.job_id)} == {"weights"}

    assert typed(capsys, "db", "check", *db_only)[0] == 0
    assert json.loads(typed(capsys, "clean", "--json", *at)[1])["removed"] == []
    removed = json.loads(typed(capsys, "clean", "--json", "--weights", *at)[1])["removed"]
    assert [(one["what"], one["files"]) for one in removed] == [("named", 2 * 2 + len(others))]
    assert not [*place.runs.glob("*/tables.*")]
    assert [list_files(store, one.job_id) for one in trained] == [[], []]


def test_weights_that_are_not_kept_leave_no_history(registered: Registered) -> None:
    store, (work,) = registered(sweep_of("online", keep={"weights": False}))
    assert run_work(work).ending == "done"
    assert list_files(store, work.job_id) == []


@pytest.mark.integration
@pytest.mark.slow_on("[self]", "precision-low")
@pytest.mark.parametrize("factorization", ["online", "self", "precision-low"])
def test_a_trial_of_these_rules_is_verified(
    registered: Registered, place: Place, factorization: str
) -> None:
    recipe = {"maps": {"online": {"every": 10, "share": 0.3}}, "training": {"steps": 20}}
    store, works = registered(sweep_of(factorization, recipe=recipe))
    assert {r.ending for r in run_all(works).values()} == {"done"}
    made = reproduce(store, place, works[-1].subject.id, tolerance=0.0)
    assert made.equal


@pytest.mark.integration
def test_a_launch_ranks_every_rule(place: Place, tmp_path: Path, capsys: Any) -> None:
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
    at = ["--db", place.db, "--data", str(place.data), "--runs", str(place.runs)]
    command = ["launch", tmp_path / "rules.yaml", "--local", "--no-pictures", *at]
    assert typed(capsys, *command)[0] == 0
    _, out, _ = typed(capsys, "board", "--db", place.db, "--json")
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
    assert typed(capsys, "db", "publish", published, "--db", place.db)[0] == 0
    query = "SELECT DISTINCT score FROM contribution_maps"
    _, out, _ = typed(capsys, "sql", query, "--json", "--db", published)
    scores = {score for (score,) in json.loads(out)["rows"]}
    assert scores == {"cumulative", *DATA_RULES}
