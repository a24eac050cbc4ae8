"""A study of budgets: what it runs, what it shares with sweeps, and what Optuna sees of it."""

import time
from dataclasses import replace
from typing import Any

import pytest

from lcma import db
from lcma.db.integrity import check_integrity
from lcma.harness.launch import driver
from lcma.harness.launch.measuring import measure_trials
from lcma.harness.launch.plan import make_plan, make_works, register_plan
from lcma.harness.launch.policy import LimitReachedError, Limits
from lcma.harness.results.trials import choose_trials_with_results
from lcma.harness.train.trainer import Trainer
from lcma.harness.tuning.study import STARTUP, StudyTrial
from lcma.sweeps import spec as specs
from lcma.sweeps.errors import UserError
from tests.db.conftest import COST, ENVIRONMENT, World
from tests.harness.conftest import SMALL, merged
from tests.harness.launch.conftest import run_at_once, run_launch, with_ending
from tests.harness.tuning.conftest import POINTS, STEPS, TUNE, Tuning, load_measure, run_to_the_end
from tests.stores import list_lost, list_running

LONG = {"low": 10, "high": 200}
"""A range of 10 budgets with 0, for studies that train nothing."""


@pytest.mark.slow_on("postgresql")
def test_a_study_pretrains_once_and_trains_each_budget_once(on_each) -> None:
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

    longer = tuned.changed({"seeds": 2, "tune": {"trials": 7}})
    longer.run()
    assert tuned.history()[:2] == history
    assert tuned.budgets() == list(POINTS)
    assert tuned.steps("trial") == 2 * STEPS * (1 + len(POINTS))

    again = [job.job_id for job in tuned.store.job_facts(kind="trial") if job.seed == 0]
    assert tuned.store.rerun(again, by="me") == 1 + len(POINTS)
    longer.run()
    assert not tuned.store.reruns(), "of a study that is complete too"


@pytest.mark.integration
def test_optuna_reads_the_mean_of_the_holdout_part_and_the_cost(tuning) -> None:
    tuned = tuning({"seeds": 2, "tune": {"parallel": 2}})
    display = tuned.run()
    results, study = tuned.store.view("results"), tuned.study
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MINIMIZE"]
    assert study.metric_names == ["bits_per_dim", "million images"]
    for trial in study.trials:
        budget, (bits, cost) = trial.params["budget"], trial.values
        rows = results[results.budget == budget]
        assert bits == pytest.approx(rows.holdout_bits_per_dim.mean())
        assert cost == pytest.approx((budget + STEPS) * 8 / 1e6)
        assert f"trial {trial.number}, {budget} steps: {bits:.4f}" in display.notes
    assert 0 in {trial.params["budget"] for trial in study.best_trials}, "nothing is cheaper"
    assert check_integrity(db.locate(tuned.place.db)).findings == ()


def value_of(trial: StudyTrial) -> float:
    return abs(trial.budget - 100.0)


@pytest.mark.integration
@pytest.mark.parametrize("parallel", [1, 3])
@pytest.mark.slow_on("postgresql")
def test_processes_that_share_a_study_and_die_make_the_study_of_one(on_each, parallel) -> None:
    tuned = on_each({"tune": {"budget": LONG, "parallel": parallel, "trials": 30}})
    undisturbed = tuned.elsewhere()
    with undisturbed.opened() as tuner:
        while trials := tuner.ask():
            assert len(trials) <= parallel
            for trial in trials:
                tuner.study.tell(trial, value_of(trial))
    is_done = False
    while not is_done:
        with tuned.opened() as first, tuned.opened() as second:
            trials = first.ask()
            assert second.ask() == trials
            for trial in trials[:-1]:
                first.study.tell(trial, value_of(trial))
            assert second.ask() == trials[-1:]
        with tuned.opened() as third:  # it first asks for what they left running
            assert third.ask() == trials[-1:]
            for trial in trials:
                third.study.tell(trial, value_of(trial))
            is_done = not trials
    assert tuned.budgets() == list(tuned.target.tune.budgets)
    assert set(tuned.states()) == {"COMPLETE"}
    assert tuned.history() == undisturbed.history()
    assert len(tuned.history()) > STARTUP + 2, "not all budgets are drawn at random"


@pytest.mark.integration
def test_a_trial_that_a_user_adds_with_optuna_runs_if_the_study_has_its_budget(tuning) -> None:
    tuned = tuning({"tune": {"budget": LONG, "trials": 2}})
    with tuned.opened() as tuner:
        tuned.study.enqueue_trial({"budget": 20})
        assert tuned.study.ask().suggest_int("budget", 0, 200) == 20
        tuned.study.ask().suggest_int("budget", 44, 44)
        assert [trial.budget for trial in tuner.ask()] == [20]


@pytest.mark.integration
def test_a_failed_budget_runs_again_only_after_a_retry_of_its_jobs(tuning) -> None:
    change = {"recipe": {"optimization": {"learning_rate": 1e30, "clip": None}}}
    tuned = tuning(change)
    for _ in range(2):
        tuned.run()
        assert tuned.budgets() == list(POINTS)
    for trial in tuned.study.trials:  # of its training or its pretraining
        assert (
            "diverged: the loss or the evaluation was not finite at step"
            in trial.user_attrs["reason"]
        )
    tuned.store.retry([facts.job_id for facts in list_lost(tuned.store) if facts.budget == 0])
    tuned.run()
    assert [row[1] for row in tuned.history()][len(POINTS) :] == [0]
    assert set(tuned.states()) == {"FAIL"}
    with tuned.opened() as tuner:
        assert tuner.study.lost_budgets() == set(POINTS)


@pytest.mark.integration
def test_a_study_and_a_sweep_share_their_trials(tuning) -> None:
    tuned = tuning()
    launch(tuned, {"factorization": ["conventional", "low"], "budget": [0, 15]})
    steps = tuned.steps("trial")
    tuned.run()
    assert tuned.budgets() == list(POINTS)
    assert tuned.steps("trial") == steps + STEPS  # budget 10
    all_steps = tuned.steps("trial"), tuned.steps("pretraining")
    launch(tuned, {"factorization": ["conventional", "low"], "budget": list(POINTS)})
    assert (tuned.steps("trial"), tuned.steps("pretraining")) == all_steps


@pytest.mark.integration
def test_a_study_has_the_segments_that_it_passes(tuning) -> None:
    tuned = tuning({"tune": {"trials": 2}})
    tuned.run()
    (study,) = tuned.store.sweeps()
    segments = tuned.store.job_facts(kind="pretraining")
    assert [segment.budget for segment in segments] == list(POINTS)
    launch(tuned, {"factorization": "low", "budget": 10})
    assert {segment.job_id for segment in segments} <= set(tuned.store.job_ids(study.id))


def launch(tuned: Tuning, matrix: dict[str, Any]) -> None:
    """Launch a sweep of the same recipe at the same place."""
    change = {"name": "swept", "recipe": TUNE["recipe"], "matrix": {"dataset": "few", **matrix}}
    plan = make_plan(specs.check(merged(SMALL, change), "test"), tuned.place, tuned.store)
    register_plan(plan, tuned.place, tuned.store)
    works = make_works(plan, tuned.place, owner="sweep", device="cpu")
    assert len(with_ending(run_launch(tuned.store, works), "done")) == len(works)


@pytest.mark.integration
def test_budgets_that_lack_the_measure_fail_until_it_is_taken(tuning, tmp_path) -> None:
    """Their trials ran before the plug-in of the measure was named."""
    tuned = tuning()
    launch(tuned, {"factorization": ["conventional", "low"], "budget": list(POINTS)})
    load_measure("width", tmp_path)
    tuned = tuned.changed({"tune": {"measure": "width"}})
    for _ in range(2):
        tuned.run()
        assert tuned.states() == ["FAIL"] * len(POINTS)
    assert {t.user_attrs["reason"] for t in tuned.study.trials} == {"1 result without width"}
    trials = choose_trials_with_results(tuned.store, None, {})
    measure_trials(tuned.store, tuned.place, trials, ["width"])
    tuned.run()
    retried = tuned.study.trials[len(POINTS) :]
    assert [(t.state.name, t.values[0]) for t in retried] == [("COMPLETE", 8.0)] * len(POINTS)
    assert tuned.study.directions[0].name == "MAXIMIZE"


@pytest.mark.integration
def test_a_budget_whose_rerun_is_lost_keeps_its_value(tuning) -> None:
    tuned = tuning()
    launch(tuned, {"factorization": ["conventional", "low"], "budget": list(POINTS)})
    (job,) = (job for job in tuned.store.job_facts(kind="trial") if job.budget == POINTS[-1])
    assert tuned.store.rerun([job.job_id], by="me") == 1
    tuned.store.add_environment(ENVIRONMENT)
    claim = World(tuned.store).win(job.job_id, now=None)
    assert tuned.store.finish(claim, "code_error", last_step=1, cost=COST, message="it broke")
    tuned.run()
    assert tuned.states() == ["COMPLETE"] * len(POINTS)


@pytest.mark.integration
def test_a_study_with_another_spec_is_refused_and_unchanged(tuning) -> None:
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
def test_two_processes_at_once_share_the_work(on_each) -> None:
    tuned = on_each({"tune": {"parallel": 2}})
    run_at_once(tuned.run, tuned.run)
    assert tuned.budgets() == list(POINTS)
    assert set(tuned.states()) == {"COMPLETE"}
    assert tuned.steps("pretraining") == POINTS[-1]
    assert tuned.steps("trial") == STEPS * (1 + len(POINTS))


@pytest.mark.integration
def test_the_launches_of_a_tuner_share_a_limit_and_the_next_tuner_goes_on(
    tuning, monkeypatch
) -> None:
    tuned = tuning()
    monkeypatch.setattr(driver, "LIMIT_SECONDS", 0.1)
    with monkeypatch.context() as patch:
        step = Trainer.make_step
        patch.setattr(Trainer, "make_step", lambda self: (time.sleep(0.2), step(self))[1])
        with tuned.opened() as tuner:
            tuner.run(tuner.ask())
            spent = tuner.store.device_hours(owner=tuner.workers.owner)
            tuner.policy = replace(tuner.policy, limits=Limits(device_hours=spent + 1 / 3600))
            with pytest.raises(LimitReachedError, match="the launch has taken"):
                run_to_the_end(tuner)
    *ended, last = tuned.states()
    assert (set(ended), last) == ({"COMPLETE"}, "RUNNING")
    assert list_running(tuned.store) == []
    tuned.run()
    undisturbed = tuned.elsewhere()
    undisturbed.run()
    assert tuned.history() == undisturbed.history()
    assert tuned.bits() == undisturbed.bits()
