"""A plan is the difference between a sweep and what the database has of it."""

import json

import pytest

from lcma import db
from lcma.db.merge import merge
from lcma.harness.launch.plan import make_plan, make_works, register_plan, require_valid
from lcma.harness.launch.workers import missing_data
from lcma.harness.watch.why import explain_job
from lcma.harness.work.worker import run_work
from lcma.sweeps import spec as specs
from lcma.sweeps.errors import UserError
from tests.harness.conftest import SMALL, merged
from tests.harness.launch.conftest import (
    claim_elsewhere,
    complete,
    end_job,
    run_launch,
    select,
    with_ending,
)


def statuses(plan) -> list[str]:
    return [cell.status for cell in plan.cells]


@pytest.fixture
def spec(small_sweep):
    return specs.check(small_sweep, "test")


def test_a_batch_larger_than_the_training_set_is_refused(small_sweep, place) -> None:
    small_sweep["recipe"]["optimization"]["batch"] = 960
    make_plan(specs.check(small_sweep, "test"), place, None)
    small_sweep["recipe"]["optimization"]["batch"] = 961
    with pytest.raises(UserError, match=r"batch` of 961 is more than the 960 training images of"):
        make_plan(specs.check(small_sweep, "test"), place, None)


def test_a_cell_is_new_then_running_then_there_and_new_again_after_a_crash(
    spec, place, registered
) -> None:
    store, works = registered()
    conventional = next(work for work in select(works, "trial") if work.after is None)
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
    recipes = store.recipes([planned.cell.trial.recipe.id for planned in plan.cells]).values()
    assert {recipe.conventional for recipe in recipes} == {"checkerboard-even"}


def test_a_trial_behind_a_lost_pretraining_is_blocked(spec, place, registered) -> None:
    store, works = registered()
    (pretraining,) = select(works, "pretraining")
    end_job(store, claim_elsewhere(store, pretraining.job_id))
    plan = make_plan(spec, place, store)
    assert statuses(plan) == ["new", "blocked"]
    assert plan.cells[1].note == "its pretraining diverged; launch with --retry"
    assert (plan.trainings_left, plan.pretrainings_left, plan.lost) == (1, 0, 1)


def test_a_segment_that_only_another_sweep_reads_is_not_waited_for(place, registered) -> None:
    store, works = registered({"matrix": {"factorization": "low", "budget": 10}})
    (short,) = select(works, "pretraining")
    end_job(store, claim_elsewhere(store, short.job_id), "oom")
    store, works = registered({"name": "long", "matrix": {"factorization": "low", "budget": 20}})
    (longer,) = select(works, "pretraining")
    (sweep,) = [sweep for sweep in store.sweeps() if sweep.name == "long"]
    assert store.job_ids(sweep.id) == sorted(work.job_id for work in works)
    (trial,) = store.job_facts([work.job_id for work in select(works, "trial")])
    causes = explain_job(store, trial).causes
    assert [cause.job_id for cause, _ in causes] == [trial.job_id, longer.job_id]


def test_a_lost_segment_blocks_only_its_budget_once_a_longer_one_is_done(place, registered) -> None:
    change = {"matrix": {"factorization": "low", "budget": [10, 20, 30]}}
    store, works = registered(change)
    segments = select(works, "pretraining")
    end_job(store, claim_elsewhere(store, segments[0].job_id), "oom")
    spec = specs.check(merged(SMALL, change), "test")
    plan = make_plan(spec, place, store)
    assert statuses(plan) == ["blocked"] * 3
    assert (plan.trainings_left, plan.pretrainings_left) == (0, 0)
    complete(segments[1])  # as in a sweep without the shorter budget
    plan = make_plan(spec, place, store)
    assert statuses(plan) == ["blocked", "new", "new"]
    assert [pretraining.left for pretraining in plan.pretrainings] == [(30,)]
    assert (plan.trainings_left, plan.pretrainings_left, plan.lost) == (2, 1, 1)
    works = make_works(plan, place, owner="again", device="cpu")
    assert len(with_ending(run_launch(store, works), "done")) >= 3
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
    small_sweep["exclude"] = [{"dataset": "photos8"}]
    plan = make_plan(specs.check(small_sweep, "test"), place, None)
    with pytest.raises(UserError, match="`exclude` leaves out every cell"):
        require_valid(plan, skip_invalid=True)


def test_data_that_no_trial_uses_need_not_be_prepared(small_sweep, place) -> None:
    small_sweep["matrix"]["dataset"] = ["photos8", "imagenet64"]
    plan = make_plan(specs.check(small_sweep, "test"), place, None)
    with pytest.raises(UserError, match="imagenet64 is not prepared"):
        missing_data(plan, place)
    small_sweep["exclude"] = [{"dataset": "imagenet64"}]
    plan = make_plan(specs.check(small_sweep, "test"), place, None)
    assert missing_data(plan, place) == []


@pytest.mark.parametrize("first", [0, 1])
def test_merged_sweeps_of_two_training_lengths_share_a_pretraining(
    small_sweep, place, tmp_path, first
) -> None:
    stores = []
    for steps in (20, 10):
        small_sweep["recipe"]["training"]["steps"] = steps
        plan = make_plan(specs.check(small_sweep, "test"), place, None)
        store = db.connect(str(tmp_path / f"{steps}.db"))
        register_plan(plan, place, store)
        stores.append(store)
    source, target = stores[first], stores[1 - first]
    merge(source.database, target.database)
    counts = [
        target.sql(f"SELECT count(*) AS n FROM {table}").n[0]
        for table in ("pretrainings", "flow_trials", "recipes")
    ]
    assert counts == [1, 4, 3]
    (recipe,) = target.sql(
        "SELECT body, steps FROM recipes WHERE id IN (SELECT recipe_id FROM pretrainings)"
    ).to_dict("records")
    assert sorted(json.loads(recipe["body"])) == ["model", "optimization"]
    assert recipe["steps"] == 0


def test_a_registration_in_slices_that_was_cut_short_is_completed_by_the_next(
    small_sweep, place, tmp_path, monkeypatch
) -> None:
    """Lines tell how far it is."""
    spec = specs.check(small_sweep | {"seeds": 5}, "test")
    plan = make_plan(spec, place, None)
    unsliced, sliced = (
        db.connect(f"sqlite:///{tmp_path / name}.db") for name in ("whole", "sliced")
    )
    register_plan(plan, place, unsliced)
    monkeypatch.setattr("lcma.harness.launch.plan.SLICE", 3)
    monkeypatch.setattr("lcma.harness.launch.plan.NOTE_SECONDS", 0.0)
    register, calls = sliced.register, [None] * 4
    with monkeypatch.context() as patch:
        patch.setattr(sliced, "register", lambda part: calls.pop() or register(part))
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
        assert sliced.sql(query).equals(unsliced.sql(query))
