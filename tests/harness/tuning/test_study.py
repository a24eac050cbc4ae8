"""A study of budgets: what it asks for, what it serves, and what Optuna sees of it."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.db.integrity import check_integrity
from lcma.harness.launch import driver
from lcma.harness.launch.driver import Launch
from lcma.harness.launch.measuring import measure_trials
from lcma.harness.launch.plan import make_plan, make_works, register_plan
from lcma.harness.launch.policy import LimitReachedError, Limits
from lcma.harness.results.trials import choose_trials_with_results
from lcma.harness.train.trainer import Trainer
from lcma.harness.tuning.study import STARTUP, StudyTrial, Tuner
from lcma.sweeps import spec as specs
from lcma.sweeps.errors import UserError
from tests.harness.conftest import SMALL, merged
from tests.harness.launch.conftest import Inline, Told, with_ending
from tests.harness.tuning.conftest import POINTS, STEPS, TUNE, Tuning, load_measure
from tests.stores import list_lost, list_running

Make = Callable[..., Tuning]

LONG = {"low": 10, "high": 200}
"""A range of 10 budgets with 0, for studies that train nothing."""


def run_to_the_end(tuner: Tuner) -> None:
    while asked := tuner.ask():
        tuner.run(asked)


@pytest.mark.slow_on("postgresql")
def test_a_study_pretrains_once_and_trains_each_budget_once(on_each: Make) -> None:
    tuned = on_each({"seeds": 2, "tune": {"trials": 2}})
    tuned.run()
    history = tuned.history()
    assert [row[:3] for row in history] == [(0, 0, "COMPLETE"), (1, POINTS[-1], "COMPLETE")]
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


@pytest.mark.integration
def test_plain_optuna_reads_the_mean_of_the_holdout_part_and_the_cost(tuning: Make) -> None:
    tuned = tuning({"seeds": 2, "tune": {"parallel": 2}})
    told = tuned.run()
    results, study = tuned.store.view("results"), tuned.study
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MINIMIZE"]
    assert study.metric_names == ["bits_per_dim", "million images"]
    for trial in study.trials:
        budget, (bits, cost) = trial.params["budget"], trial.values
        own = results[results.budget == budget]
        assert bits == pytest.approx(own.holdout_bits_per_dim.mean())
        assert cost == pytest.approx((budget + STEPS) * 8 / 1e6)
        assert f"trial {trial.number}, {budget} steps: {bits:.4f}" in told.notes
    assert 0 in {trial.params["budget"] for trial in study.best_trials}, "nothing is cheaper"
    assert check_integrity(db.locate(tuned.place.db)).findings == ()


def value_of(trial: StudyTrial) -> float:
    return abs(trial.budget - 100.0)


@pytest.mark.integration
@pytest.mark.parametrize("parallel", [1, 3])
@pytest.mark.slow_on("postgresql")
def test_processes_that_share_a_study_and_die_make_the_study_of_one(
    on_each: Make, parallel: int
) -> None:
    tuned = on_each({"tune": {"budget": LONG, "parallel": parallel, "trials": 30}})
    alone = tuned.elsewhere()
    with alone.opened() as tuner:
        while asked := tuner.ask():
            assert len(asked) <= parallel
            for trial in asked:
                tuner.study.tell(trial, value_of(trial))
    done = False
    while not done:
        with tuned.opened() as one, tuned.opened() as other:
            asked = one.ask()
            assert other.ask() == asked
            for trial in asked[:-1]:
                one.study.tell(trial, value_of(trial))
            assert other.ask() == asked[-1:]
        with tuned.opened() as after:  # what they left running, and nothing else before that
            assert after.ask() == asked[-1:]
            for trial in asked:
                after.study.tell(trial, value_of(trial))
            done = not asked
    history = tuned.history()
    assert sorted(row[1] for row in history) == list(tuned.target.tune.budgets)
    assert {row[2] for row in history} == {"COMPLETE"}
    assert history == alone.history()
    assert len(history) > STARTUP + 2, "not all of it is drawn at random"


@pytest.mark.integration
def test_of_what_a_person_adds_with_optuna_budgets_of_the_study_are_run(tuning: Make) -> None:
    tuned = tuning({"tune": {"budget": LONG, "trials": 2}})
    with tuned.opened() as tuner:
        tuned.study.enqueue_trial({"budget": 20})
        added = tuned.study.ask()
        assert added.suggest_int("budget", 0, 200) == 20
        strange = tuned.study.ask()
        strange.suggest_int("budget", 44, 44)
        assert [one.budget for one in tuner.ask()] == [20]


@pytest.mark.integration
def test_a_failed_budget_is_asked_for_again_once_its_jobs_were_put_back(tuning: Make) -> None:
    change = {"recipe": {"optimization": {"learning_rate": 1e30, "clip": None}}}
    tuned = tuning(change)
    for _ in range(2):  # launched once more, nothing is asked for again
        tuned.run()
        assert sorted(row[1] for row in tuned.history()) == list(POINTS)
    for trial in tuned.study.trials:  # of its training or its pretraining
        assert "diverged: the loss was not finite at step" in trial.user_attrs["reason"]
    zero = [one.job_id for one in list_lost(tuned.store) if one.budget == 0]
    tuned.store.retry(zero)
    tuned.run()
    assert [row[1] for row in tuned.history()][len(POINTS) :] == [0]
    assert {row[2] for row in tuned.history()} == {"FAIL"}
    with tuned.opened() as tuner:
        assert tuner.study.lost_budgets() == set(POINTS)


@pytest.mark.integration
def test_what_a_study_has_run_is_served_to_a_sweep_and_the_other_way_round(tuning: Make) -> None:
    tuned = tuning()
    launch(tuned, {"factorization": ["conventional", "low"], "budget": [0, 15]})
    trained = tuned.steps("trial")
    tuned.run()
    assert sorted(row[1] for row in tuned.history()) == list(POINTS)
    assert tuned.steps("trial") == trained + STEPS  # 10
    all_steps = tuned.steps("trial"), tuned.steps("pretraining")
    launch(tuned, {"factorization": ["conventional", "low"], "budget": list(POINTS)})
    assert (tuned.steps("trial"), tuned.steps("pretraining")) == all_steps


def launch(tuned: Tuning, matrix: dict[str, Any]) -> None:
    """Launch an ordinary sweep of the same recipe at the same place."""
    change = {"name": "swept", "recipe": TUNE["recipe"], "matrix": {"dataset": "few", **matrix}}
    plan = make_plan(specs.check(merged(SMALL, change), "test"), tuned.place, tuned.store)
    register_plan(plan, tuned.place, tuned.store)
    works = make_works(plan, tuned.place, owner="sweep", device="cpu")
    ended = Launch(tuned.store, works, Inline(), Told()).run()
    assert len(with_ending(ended, "done")) == len(works)


@pytest.mark.integration
def test_budgets_without_the_measure_fail_until_it_was_taken(tuning: Make, tmp_path: Path) -> None:
    """They are from before its plug-in was named."""
    tuned = tuning()
    launch(tuned, {"factorization": ["conventional", "low"], "budget": list(POINTS)})
    load_measure("width", tmp_path)
    tuned = tuned.changed({"tune": {"measure": "width"}})
    for _ in range(2):
        tuned.run()
        assert [row[2] for row in tuned.history()] == ["FAIL"] * len(POINTS)
    assert {t.user_attrs["reason"] for t in tuned.study.trials} == {"1 result without width"}
    able = choose_trials_with_results(tuned.store, None, None, {})
    measure_trials(tuned.store, tuned.place, able, ["width"])
    tuned.run()
    again = tuned.study.trials[len(POINTS) :]
    assert [(t.state.name, t.values[0]) for t in again] == [("COMPLETE", 8.0)] * len(POINTS)
    assert tuned.study.directions[0].name == "MAXIMIZE"


@pytest.mark.integration
def test_a_study_of_another_spec_is_refused_and_left(tuning: Make) -> None:
    tuned = tuning({"tune": {"trials": 2}})
    tuned.run()
    before = tuned.history()
    for change in (
        {"seeds": 3},
        {"tune": {"budget": {"high": 20}}},
        {"recipe": {"training": {"steps": 30}}},
    ):
        with pytest.raises(UserError, match="a study 'tuned' of another spec"):
            tuned.changed(change).run()
    assert tuned.history() == before
    tuned.changed({"tune": {"trials": 3, "parallel": 2}}).run()
    assert len(tuned.history()) == 3


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
def test_two_processes_at_once_share_the_work(on_each: Make) -> None:
    tuned, errors = on_each({"tune": {"parallel": 2}}), list[BaseException]()

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
    assert sorted(row[1] for row in tuned.history()) == list(POINTS)
    assert {row[2] for row in tuned.history()} == {"COMPLETE"}
    assert tuned.steps("pretraining") == POINTS[-1]
    assert tuned.steps("trial") == STEPS * (1 + len(POINTS))


@pytest.mark.integration
def test_a_limit_counts_for_all_launches_of_a_tuner_and_the_next_goes_on(
    tuning: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    tuned = tuning()
    monkeypatch.setattr(driver, "LIMIT_SECONDS", 0.1)
    with monkeypatch.context() as slowly:
        step = Trainer.make_step
        slowly.setattr(Trainer, "make_step", lambda self: (time.sleep(0.2), step(self))[1])
        with tuned.opened(Limits(device_hours=2 / 3600)) as tuner:
            tuner.run(tuner.ask())
            with pytest.raises(LimitReachedError, match="the launch has taken"):
                run_to_the_end(tuner)
    *ended, last = (row[2] for row in tuned.history())
    assert (set(ended), last) == ({"COMPLETE"}, "RUNNING")
    assert list_running(tuned.store) == []
    tuned.run()
    undisturbed = tuned.elsewhere()
    undisturbed.run()
    assert tuned.history() == undisturbed.history()
    assert tuned.bits() == undisturbed.bits()
