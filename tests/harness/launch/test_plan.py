"""A plan is the difference between what is asked for and what the database has."""

import json

import pytest

from lcma import db
from lcma.db.merge import merge
from lcma.harness.launch.driver import Launch
from lcma.harness.launch.plan import make_plan, make_works, register_plan, require_valid
from lcma.harness.work.worker import run_work
from lcma.sweeps import spec as specs
from lcma.sweeps.errors import UserError
from tests.harness.conftest import SMALL, merged
from tests.harness.launch.conftest import Inline, Told, claim_elsewhere, end, with_ending


def statuses(plan) -> list[str]:
    return [c.status for c in plan.cells]


@pytest.fixture
def spec(small_sweep):
    return specs.check(small_sweep, "test")


def test_a_batch_of_more_images_than_there_are_is_refused(small_sweep, place) -> None:
    small_sweep["recipe"]["optimization"]["batch"] = 960
    make_plan(specs.check(small_sweep, "test"), place, None)
    small_sweep["recipe"]["optimization"]["batch"] = 961
    with pytest.raises(UserError, match=r"batch` of 961 is more than the 960 training images of"):
        make_plan(specs.check(small_sweep, "test"), place, None)


def test_work_is_new_running_and_there_and_new_again_when_its_worker_died(
    spec, place, registered
) -> None:
    store, works = registered()
    conventional = next(n for n in works if n.job.kind == "trial" and n.after is None)
    claim_elsewhere(store, conventional.job_id, "one")
    planned = make_plan(spec, place, store).cells[0]
    assert (planned.status, planned.note) == ("running", "on elsewhere, step 0 of 20")
    store.release("one")
    claim_elsewhere(store, conventional.job_id, "two", lease=0.0)
    assert statuses(make_plan(spec, place, store)) == ["new", "new"]
    store.release("two")
    run_work(conventional)
    plan = make_plan(spec, place, store)
    assert statuses(plan) == ["there", "new"]
    assert (plan.trainings_left, plan.pretrainings_left) == (1, 1)
    recipes = store.recipes([one.cell.trial.recipe.id for one in plan.cells]).values()
    assert {one.conventional for one in recipes} == {"checkerboard-even"}


def test_a_trial_behind_a_lost_pretraining_is_blocked(spec, place, registered) -> None:
    store, works = registered()
    pretraining = next(n for n in works if n.job.kind == "pretraining")
    end(store, claim_elsewhere(store, pretraining.job_id))
    plan = make_plan(spec, place, store)
    assert [c.status for c in plan.cells] == ["new", "blocked"]
    assert plan.cells[1].note == "its pretraining diverged; launch with --retry"
    assert (plan.trainings_left, plan.pretrainings_left, plan.lost) == (1, 0, 1)


def test_a_loss_that_a_longer_pretraining_is_beyond_blocks_its_own_budget_alone(
    place, registered
) -> None:
    change = {"matrix": {"factorization": "low", "budget": [10, 20, 30]}}
    store, works = registered(change)
    segments = [n for n in works if n.job.kind == "pretraining"]
    end(store, claim_elsewhere(store, segments[0].job_id), "oom")
    spec = specs.check(merged(SMALL, change), "test")
    plan = make_plan(spec, place, store)
    assert statuses(plan) == ["blocked"] * 3
    assert (plan.trainings_left, plan.pretrainings_left) == (0, 0)
    assert run_work(segments[1]).ending == "done"  # as in a sweep without the shorter budget
    plan = make_plan(spec, place, store)
    assert statuses(plan) == ["blocked", "new", "new"]
    assert [one.left for one in plan.pretrainings] == [(30,)]
    assert (plan.trainings_left, plan.pretrainings_left, plan.lost) == (2, 1, 1)
    works = make_works(plan, place, owner="again", device="cpu")
    assert len(with_ending(Launch(store, works, Inline(), Told()).run(), "done")) >= 3
    assert statuses(make_plan(spec, place, store)) == ["blocked", "there", "there"]


def test_invalid_cells_need_permission(small_sweep, place) -> None:
    small_sweep["matrix"]["factorization"] = ["conventional", "LLH"]
    plan = make_plan(specs.check(small_sweep, "test"), place, None)
    assert statuses(plan) == ["new", "invalid"]
    with pytest.raises(UserError, match=r"LLH.*3 letters.*1 splits.*--skip-invalid"):
        require_valid(plan, skip_invalid=False)
    require_valid(plan, skip_invalid=True)
    small_sweep["matrix"]["factorization"] = ["LLH"]
    plan = make_plan(specs.check(small_sweep, "test"), place, None)
    with pytest.raises(UserError, match="no cell can be run"):
        require_valid(plan, skip_invalid=True)


@pytest.mark.parametrize("first", [0, 1])
def test_two_training_lengths_share_a_pretraining_whoever_plans_or_merges_first(
    small_sweep, place, tmp_path, first
) -> None:
    sites = []
    for steps in (20, 10):
        small_sweep["recipe"]["training"]["steps"] = steps
        plan = make_plan(specs.check(small_sweep, "test"), place, None)
        store = db.connect(str(tmp_path / f"{steps}.db"))
        register_plan(plan, place, store)
        sites.append(store)
    source, target = sites[first], sites[1 - first]
    merge(source.database, target.database)
    counts = [
        target.sql(f"SELECT count(*) AS n FROM {table}").n[0]
        for table in ("pretrainings", "flow_trials", "recipes")
    ]
    assert counts == [1, 4, 3]
    part = target.sql(
        "SELECT body, steps FROM recipes WHERE id IN (SELECT recipe_id FROM pretrainings)"
    )
    assert [sorted(json.loads(body)) for body in part.body] == [["model", "optimization"]]
    assert list(part.steps) == [0]


def test_a_plan_that_is_registered_in_slices_is_the_same_and_may_be_cut_short(
    small_sweep, place, tmp_path, monkeypatch
) -> None:
    """The next registration adds what is missing; lines tell how far it is."""
    spec = specs.check(small_sweep | {"seeds": 5}, "test")
    plan = make_plan(spec, place, None)
    whole, sliced = (db.connect(f"sqlite:///{tmp_path / name}.db") for name in ("whole", "sliced"))
    register_plan(plan, place, whole)
    monkeypatch.setattr("lcma.harness.launch.plan.SLICE", 3)
    monkeypatch.setattr("lcma.harness.launch.plan.NOTE_SECONDS", 0.0)
    register, left = sliced.register, [None] * 4
    with monkeypatch.context() as patch:
        patch.setattr(sliced, "register", lambda part: left.pop() or register(part))
        with pytest.raises(IndexError):
            register_plan(plan, place, sliced)
    lines: list[str] = []
    register_plan(plan, place, sliced, lines.append)
    assert lines[-1] == f"registered 100 % of {len(plan.steps)} jobs"
    queries = [
        *(f"SELECT id FROM {table} ORDER BY id" for table in ("flow_trials", "jobs", "recipes")),
        "SELECT sweep_id, trial_id FROM sweep_trials ORDER BY 1, 2",
        "SELECT detail FROM events",
    ]
    for query in queries:
        assert sliced.sql(query).equals(whole.sql(query))
