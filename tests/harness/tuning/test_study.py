"""A study of budgets: what it asks, what it serves, what it stops, and what Optuna sees of it."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.db.integrity import check_integrity
from lcma.harness.place import Place
from lcma.harness.results.trials import choose_trials_with_results
from lcma.harness.run import limits
from lcma.harness.run.driver import Launch
from lcma.harness.run.limits import Limits
from lcma.harness.run.measuring import make_measurement, measure_trials
from lcma.harness.run.plan import make_nodes, make_plan, register_plan
from lcma.harness.train.trainer import Trainer
from lcma.harness.tuning.budgets import BudgetTuner
from lcma.harness.tuning.local import run_local
from lcma.harness.tuning.outcome import render_outcome
from lcma.harness.tuning.study import STARTUP, StudyTrial
from lcma.harness.tuning.tuner import Tuner
from lcma.sweeps import spec as specs
from lcma.sweeps.errors import UserError
from tests.harness.conftest import SMALL, merged
from tests.harness.run.conftest import Inline, Told
from tests.harness.tuning.conftest import (
    POINTS,
    STEPS,
    TUNE,
    Tuning,
    load_measure,
    make,
    rendered,
)
from tests.stores import list_lost, list_running

Make = Callable[..., Tuning]


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory, few_root: Path) -> Place:
    """A place where a sweep has trained all that a study of one seed may ask for."""
    folder = tmp_path_factory.mktemp("swept")
    place = Place(f"sqlite:///{folder / 'lcma.db'}", folder / "runs", few_root)
    launched(make(place), a_sweep({"factorization": ["conventional", "low"], "budget": [*POINTS]}))
    return place


@pytest.fixture
def served(swept: Place, tmp_path: Path) -> Make:
    """Makes a study at a copy of that place, a new one each time."""
    copies = (tmp_path / f"served{number}.db" for number in count())

    def at_a_copy(change: dict[str, object] | None = None) -> Tuning:
        copy = db.locate(swept.db).backup(next(copies))
        return make(replace(swept, db=f"sqlite:///{copy}"), change)

    return at_a_copy


@pytest.mark.slow_on("postgresql")
def test_a_study_pretrains_once_and_trains_each_budget_once(on_each: Make) -> None:
    tuned = on_each({"seeds": 2, "tune": {"trials": 2}})
    tuned.run()
    history = tuned.history()
    assert [row[0] for row in history] == [0, 1]
    assert {row[2] for row in history} == {"COMPLETE"}
    assert [row[1] for row in history] == [0, POINTS[-1]]
    # Two seeds; one pretraining each, to the longest; baseline and each budget trained once.
    assert tuned.steps("pretraining") == 2 * POINTS[-1]
    assert tuned.steps("trial") == 2 * STEPS * (1 + 2)
    segments = tuned.store.sql("SELECT budget, state FROM jobs WHERE kind = 'pretraining'")
    assert sorted(set(segments.budget)) == list(POINTS)
    assert set(segments.state) == {"done"}

    tuned.changed({"seeds": 2, "tune": {"trials": 7}}).run()
    assert tuned.history()[:2] == history
    assert sorted(row[1] for row in tuned.history()) == list(POINTS)
    assert tuned.steps("trial") == 2 * STEPS * (1 + len(POINTS))


LONG = {"low": 10, "high": 200}
"""A range of 10 budgets with 0, for studies that train nothing."""


@pytest.mark.integration
@pytest.mark.parametrize(("sampler", "parallel"), [("tpe", 2), ("gp", 1), ("grid", 2)])
@pytest.mark.slow_on("postgresql", "gp", "grid")
def test_tuners_that_share_a_study_and_die_ask_for_each_budget_once(
    on_each: Make, sampler: str, parallel: int
) -> None:
    tune = {"budget": LONG, "sampler": sampler, "parallel": parallel, "trials": 30}
    tuned = on_each({"tune": tune})
    for _ in range(2):  # each pair ends with trials in work, which the next takes up
        with tuned.opened() as one, tuned.opened() as other:
            held = [(tuner.study, tuner.study.ask()) for tuner in (one, other, one, other)]
            for study, trial in held[:-1]:
                if isinstance(trial, StudyTrial):
                    study.complete(trial.number, [abs(trial.budget - 100.0)], {})
    with tuned.opened() as last:
        while isinstance(trial := last.study.ask(), StudyTrial):
            last.study.complete(trial.number, [abs(trial.budget - 100.0)], {})
        assert trial is None
        points = tuned.target.tune.points
        assert len(points) == 10
        assert sorted(row[1] for row in tuned.history()) == list(points)
    assert {row[2] for row in tuned.history()} == {"COMPLETE"}


def test_a_budget_whose_trial_was_stopped_early_is_not_asked_for_again(tuning: Make) -> None:
    tuned = tuning({"tune": {"trials": 30}})
    with tuned.opened() as tuner:
        while isinstance(trial := tuner.study.ask(), StudyTrial):
            tuner.study.prune(trial.number, {})
    assert sorted(row[1] for row in tuned.history()) == list(POINTS)


@pytest.mark.integration
def test_a_failed_budget_is_asked_for_again_once_its_jobs_were_put_back(tuning: Make) -> None:
    change = {"recipe": {"optimization": {"learning_rate": 1e30, "clip": None}}}
    tuned = tuning(change)
    assert tuned.run().baseline_lost.startswith("diverged: the loss was not finite")
    tuned.run()
    assert sorted(row[1] for row in tuned.history()) == list(POINTS)
    reasons = {t.user_attrs["budget"]: t.user_attrs["reason"] for t in tuned.study.trials}
    assert "the loss was not finite at step" in reasons[0]
    assert "the loss was not finite at step" in reasons[15]  # of its pretraining
    lost = list_lost(tuned.store)
    zero = [one.job_id for one in lost if one.budget == 0]
    tuned.store.retry(zero)
    tuned.run()
    assert [row[1] for row in tuned.history()][len(POINTS) :] == [0]
    tuned.store.retry([one.job_id for one in list_lost(tuned.store)])
    tuned.run()
    assert sorted(row[1] for row in tuned.history()[len(POINTS) + 1 :]) == list(POINTS)
    assert {row[2] for row in tuned.history()} == {"FAIL"}


@pytest.mark.integration
def test_what_a_study_has_run_is_served_to_a_sweep_and_the_other_way_round(tuning: Make) -> None:
    spec = a_sweep({"factorization": ["conventional", "low"], "budget": [0, 15]})
    tuned = tuning({"tune": {"sampler": "grid", "trials": 4}})
    launched(tuned, spec)
    trained = tuned.steps("trial")
    tuned.run()
    assert sorted(row[1] for row in tuned.history()) == list(POINTS)
    assert tuned.steps("trial") == trained + STEPS  # 10
    rows = {row.budget: row.served for row in tuned.outcome().rows if row.number is not None}
    assert rows == {0: True, 10: False, 15: True}
    all_steps = tuned.steps("trial"), tuned.steps("pretraining")
    launched(tuned, spec.model_copy(update={"name": "again"}))
    assert (tuned.steps("trial"), tuned.steps("pretraining")) == all_steps


def a_sweep(
    matrix: dict[str, object], seeds: int = 1, recipe: dict[str, Any] = TUNE["recipe"]
) -> specs.Spec:
    """An ordinary sweep of the same recipe."""
    content = merged(merged(SMALL, {"recipe": recipe}), {"seeds": seeds})
    return specs.check(merged(content, {"matrix": {"dataset": "few", **matrix}}), "test")


def launched(tuned: Tuning, spec: specs.Spec) -> None:
    """An ordinary sweep at the same place."""
    store = tuned.store
    plan = make_plan(spec, tuned.place, store)
    register_plan(plan, tuned.place, store)
    nodes = make_nodes(plan, tuned.place, owner="sweep", device="cpu")
    assert len(Launch(store, nodes, Inline(), Told()).run().with_ending("done")) == len(nodes)


@pytest.mark.integration
def test_the_value_is_of_the_holdout_part_and_the_cost_is_stand_alone(served: Make) -> None:
    tuned = served({"tune": {"cost_weight": 50.0}})
    tuned.run()
    results = tuned.store.view("results")
    for trial in tuned.study.trials:
        budget = trial.user_attrs["budget"]
        own = results[results.budget == budget]
        images = (budget + STEPS) * 8
        assert trial.user_attrs["cost_images"] == images
        assert trial.user_attrs["bits_per_dim"] == pytest.approx(own.holdout_bits_per_dim.mean())
        assert trial.user_attrs["test_bits_per_dim"] == pytest.approx(own.bits_per_dim.mean())
        expected = own.holdout_bits_per_dim.mean() + 50.0 * images / 1e6
        assert trial.value == pytest.approx(expected)
    rows = tuned.outcome().rows
    assert (rows[0].name, rows[0].budget, rows[0].state) == ("conventional", None, "COMPLETE")
    longest = 0
    for row in rows[1:]:
        assert row.saved_images == min(row.budget, longest) * 8
        longest = max(longest, row.budget)


def test_two_objectives(served: Make) -> None:
    tuned = served({"tune": {"objective": "pareto", "trials": 4}})
    tuned.run()
    study = tuned.study
    assert [d.name for d in study.directions] == ["MINIMIZE", "MINIMIZE"]
    assert study.metric_names == ["bits_per_dim", "cost"]
    for trial in study.trials:
        bits, cost = trial.values
        assert bits == trial.user_attrs["bits_per_dim"]
        assert cost == pytest.approx((trial.user_attrs["budget"] + STEPS) * 8 / 1e6)
    assert 0 in {t.user_attrs["budget"] for t in study.best_trials}  # nothing is cheaper


def asked(tuner: Tuner) -> StudyTrial:
    """The next trial that the tuner's study has for it."""
    assert isinstance(tuner, BudgetTuner)
    trial = tuner.study.ask()
    assert isinstance(trial, StudyTrial)
    return trial


def halving(rungs: list[int], reduction: int = 2) -> dict[str, Any]:
    stop = {"rungs": rungs, "pruner": "halving", "reduction": reduction}
    training = {"training": {"steps": rungs[-1] + 10}}
    return {"recipe": training, "tune": {"budget": LONG, "trials": 10, "stop": stop}}


@pytest.mark.integration
@pytest.mark.parametrize(("rungs", "reduction"), [([100, 150], 2), ([100, 2000], 3)])
def test_halving_lets_one_in_so_many_go_on_at_each_rung(
    tuning: Make, rungs: list[int], reduction: int
) -> None:
    """Each trial is the best so far at the first rung; at the second it comes in as is listed."""
    tuned = tuning(halving(rungs, reduction))
    second = [5.0, 4.0, 6.0, 3.0, 3.5, 7.0, 3.2]
    stopped: list[tuple[bool, bool]] = []
    with tuned.opened() as tuner:
        for number, value in enumerate(second):
            trial = asked(tuner)
            at_first = tuner.study.report(trial.number, rungs[0], -float(number))
            stopped.append((at_first, tuner.study.report(trial.number, rungs[1], value)))
            tuner.study.complete(trial.number, [value], {})
    by_hand = [
        value > sorted(second[: n + 1])[max(1, (n + 1) // reduction) - 1]
        for n, value in enumerate(second)
    ]
    assert stopped == [(False, stop) for stop in by_hand]


def test_a_trial_that_halving_stopped_is_stopped_again_by_the_next_tuner(tuning: Make) -> None:
    tuned = tuning(halving([100, 150]))
    with tuned.opened() as tuner:
        trial = asked(tuner)
        assert not tuner.study.report(trial.number, 100, 4.0)
        tuner.study.complete(trial.number, [4.0], {})
        trial = asked(tuner)
        assert tuner.study.report(trial.number, 100, 9.0)
    with tuned.opened() as other:
        assert asked(other) == trial
        assert other.study.report(trial.number, 100, 9.0)
        assert other.study.report(asked(other).number, 100, math.nan)


@pytest.mark.integration
def test_a_measure_without_a_holdout_part_is_called_what_it_is(served: Make) -> None:
    tuned = served({"tune": {"measure": "train_bits_per_dim"}})
    tuned.run()
    text = rendered(render_outcome(tuned.outcome()))
    assert "what is optimized, and not of the holdout part: on as many images of the train" in text
    assert "test is only reported" not in text
    assert " test " not in text.splitlines()[1], "no column of the same values"
    results = tuned.store.view("results")
    for trial in tuned.study.trials:
        own = results[results.budget == trial.user_attrs["budget"]]
        assert trial.value == own.train_bits_per_dim.mean()
        assert "test_train_bits_per_dim" not in trial.user_attrs


@pytest.mark.integration
def test_budgets_without_the_measure_fail_until_it_was_taken(served: Make, tmp_path: Path) -> None:
    """They are from before its plug-in was named, and so is the baseline."""
    load_measure("width", tmp_path)
    tuned = served({"tune": {"measure": "width", "trials": 4}})
    for _ in range(2):  # launched once more, nothing is asked for again
        tuned.run()
        base, *rows = tuned.outcome().rows
        assert (base.state, base.mean) == ("missing", None)
        assert [row.state for row in rows] == ["FAIL"] * len(POINTS)
        for row in (base, *rows):
            assert "1 result without width: take it with " in row.reason
            assert "lcma measure width --where recipe_id=" in row.reason
    able = choose_trials_with_results(tuned.store, None, None, {})
    measure_trials(tuned.store, tuned.place, able, make_measurement("width"))
    tuned.run()
    base, *rows = tuned.outcome().rows
    assert (base.state, base.mean) == ("COMPLETE", 8.0)
    assert [row.state for row in rows] == ["FAIL"] * len(POINTS) + ["COMPLETE"] * len(POINTS)


BEST = {"steps": 21, "ema": 0.9, "select": "best", "holdout_every": 20}
"""Of a training: looks at the holdout part, by which weights are chosen, at some rungs alone."""


def holdout_curves(tuned: Tuning) -> dict[str, list[tuple[int, float]]]:
    """Return the points on the holdout part's curve, of every training."""
    rows = tuned.store.database.query(
        "select jobs.trial_id, metrics.step, value from metrics "
        "join attempts on attempts.id = metrics.attempt_id "
        "join jobs on jobs.id = attempts.job_id where name = 'holdout_bits_per_dim' order by 1, 2",
        limit=None,
        timeout=10,
    ).rows
    return {one: [row[1:] for row in rows if row[0] == one] for one in {row[0] for row in rows}}


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
@pytest.mark.parametrize("pruner", ["median", pytest.param("halving", marks=pytest.mark.slow)])
def test_a_stopped_trial_is_pruned_and_a_sweep_continues_it_to_the_same_bits(
    on_each: Make, pruner: str
) -> None:
    """With rungs at which it looks at the holdout part, and others."""
    # What costs much is stopped for certain: the weight enters the values at rungs too.
    stop = {"rungs": [10, 20], "startup": 1, "pruner": pruner}
    recipe = {"training": BEST}
    tune = {"stop": stop, "cost_weight": 1e6, "trials": 2}
    tuned = on_each({"seeds": 2, "recipe": recipe, "tune": tune})
    tuned.run()
    first, second = tuned.study.trials
    assert (first.state.name, list(first.intermediate_values)) == ("COMPLETE", [10, 20])
    assert (second.state.name, list(second.intermediate_values)) == ("PRUNED", [10])
    assert first.value is not None
    images = [trial.user_attrs["cost_images"] for trial in (first, second)]
    assert images == [8 * 21, 8 * (15 + 10)], "steps after the rung did not run"
    assert tuned.steps("trial") == 2 * (21 + 21 + 10)
    jobs = tuned.store.database.query(
        "select state, outcome, jobs.step from jobs join attempts on attempts.id = attempt_id "
        "join flow_trials on flow_trials.id = trial_id where flow_trials.budget = 15",
        limit=None,
        timeout=10,
    )
    assert jobs.rows == (("pending", "pruned", 10),) * 2

    launched(tuned, a_sweep({"factorization": "low", "budget": [0, 15]}, 2, recipe))
    assert tuned.steps("trial") == 2 * (21 + 21 + 21)
    undisturbed = tuned.elsewhere()
    matrix: dict[str, object] = {"factorization": ["conventional", "low"], "budget": [0, 15]}
    launched(undisturbed, a_sweep(matrix, 1, recipe))
    never_stopped = undisturbed.bits()
    assert len(never_stopped) == 3  # of the first seed
    assert never_stopped.items() <= tuned.bits().items()
    curves = holdout_curves(undisturbed)
    assert all([step for step, _ in points] == [20, 21] for points in curves.values())
    assert curves.items() <= holdout_curves(tuned).items()
    assert check_integrity(db.locate(tuned.place.db)).findings == ()


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
def test_two_tuners_on_one_study(on_each: Make) -> None:
    tuned = on_each({"tune": {"trials": 6, "parallel": 2}})
    errors: list[BaseException] = []

    def run() -> None:
        try:
            tuned.run()
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    history = tuned.history()
    assert [row[0] for row in history] == list(range(len(POINTS)))
    assert {row[2] for row in history} == {"COMPLETE"}
    assert sorted(row[1] for row in history) == list(POINTS)
    assert tuned.steps("pretraining") == POINTS[-1]
    assert tuned.steps("trial") == STEPS * (1 + len(POINTS))


@pytest.mark.integration
def test_a_study_of_another_spec_is_refused_and_left(served: Make) -> None:
    tuned = served({"tune": {"trials": 2}})
    tuned.run()
    before = tuned.history()
    for change in (
        {"seeds": 3},
        {"tune": {"cost_weight": 1.0}},
        {"recipe": {"training": {"steps": 30}}},
    ):
        with pytest.raises(UserError, match="a study 'tuned' of another spec"):
            tuned.changed(change).run()
    assert tuned.history() == before
    tuned.changed({"tune": {"trials": 3, "parallel": 2, "cost_hours": 1}}).run(parallel=2)
    assert len(tuned.history()) == 3


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
@pytest.mark.parametrize(
    "limit",
    [
        Limits(device_hours=0.5 / 3600),
        pytest.param(Limits(hours=1 / 3600), marks=pytest.mark.slow),
    ],
    ids=["device-hours", "hours"],
)
def test_a_limit_ends_a_tuner_in_a_training_and_the_next_makes_the_same_study(
    on_each: Make, limit: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One process trains, so that nothing but the tuner's own watch can see the limit."""
    change = {"recipe": {"training": {"steps": 12}}, "tune": {"trials": 2}}
    tuned = on_each(change)
    with monkeypatch.context() as slowly:
        step = Trainer._one_step
        slowly.setattr(Trainer, "_one_step", lambda self: (time.sleep(0.4), step(self))[1])
        slowly.setattr(limits, "LOOK_SECONDS", 0.2)
        with tuned.opened(limit) as tuner:
            run_local(tuner, Inline(), Told(), 1)
        said = "the launch ran for" if limit.hours else "the launch has taken"
        assert said in tuner.limited
        assert tuner.next_task() is None
    assert list_running(tuned.store) == []
    (attempt,) = tuned.store.view("attempts").itertuples()
    assert attempt.outcome == "cancelled"
    assert said in attempt.message
    assert 0 < attempt.last_step < 12
    again = tuned.run()
    assert again.limited is None
    attempts = tuned.store.attempts([attempt.job_id])
    assert [one.first_step for one in attempts] == [0, attempt.last_step]
    undisturbed = tuned.elsewhere()
    undisturbed.run()
    assert tuned.history() == undisturbed.history()
    assert len(tuned.bits()) == 3
    assert tuned.bits() == undisturbed.bits()


@pytest.mark.integration
def test_no_limit_is_said_of_a_study_that_is_complete(served: Make) -> None:
    tuned = served()
    tuned.run()
    query = "select ending from launches where ending is not null"
    with tuned.opened(Limits(hours=1e-9)) as tuner:
        while tuned.store.sql(query).empty:
            time.sleep(0.1)
        assert tuner.next_task() is None
    assert tuner.limited is None


@pytest.mark.integration
def test_what_others_spent_on_the_same_trials_is_no_cost_of_the_study(served: Make) -> None:
    tuned = served({"tune": {"cost_hours": 1e-9}})
    tuner = tuned.run()
    assert [row.served for row in tuned.outcome().rows] == [None] + [True] * len(POINTS)
    assert tuner.spent == ""


@pytest.mark.integration
@pytest.mark.parametrize(
    "sampler", ["tpe", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gp", "grid"))]
)
def test_every_sampler_asks_the_same_again(tuning: Make, sampler: str) -> None:
    """After the first trials, which are drawn at random, too."""
    tuned = tuning({"tune": {"budget": LONG, "sampler": sampler, "trials": 10}})
    other = tuned.elsewhere()
    for one in (tuned, other):
        with one.opened() as tuner:
            for _ in range(STARTUP + 2):
                trial = asked(tuner)
                tuner.study.complete(trial.number, [abs(trial.budget - 100.0)], {})
    history = tuned.history()
    assert len({row[1] for row in history}) == STARTUP + 2
    assert other.history() == history


@pytest.mark.integration
def test_an_orphan_of_a_tuner_that_lives_is_left_to_it(tuning: Make) -> None:
    tuned = tuning()
    with tuned.opened() as one, tuned.opened() as other:
        first = one.study.ask()
        second = other.study.ask()
        assert (first.number, second.number) == (0, 1)
        assert other.study.ask(more=False) == "wait"
    with tuned.opened() as third:  # both have let go
        assert [third.study.ask(more=False) for _ in range(2)] == [first, second]
        assert third.study.ask(more=False) == "wait"
