"""Evaluations of kept weights add measures and an attempt, and change nothing else."""

import dataclasses
from typing import Any

import pytest

from lcma import db
from tests.db.conftest import COST, EVALUATOR
from tests.db.measuring import make_measures

BOUND = {"bound_draws": 10, "bound_images": 100, "bound_bits_per_dim": 3.2, "bound_gain": 0.05}
SERIES = {"series_terms": 20, "series_bias": 1e-4, "series_bias_standard_error": 1e-5}


def by_name(*measures: db.Measurement) -> dict[str, db.Measurement]:
    return {measure.name: measure for measure in measures}


def read_result(filled: Any, protocol: str) -> db.Result:
    """Read the result of the trial that the tests evaluate."""
    result = filled.store.result("LLL-0-100", "d" * 64, protocol)
    assert isinstance(result, db.Result)
    return result


def test_a_result_reads_as_it_was_written(filled: Any) -> None:
    result, written = read_result(filled, "plain"), filled.result("LLL-0-100", 3.25)
    assert by_name(*result.measures) == by_name(*written.measures)
    assert dataclasses.replace(result, measures=written.measures) == written
    assert filled.store.result("LLL-0-100", "d" * 64, "published") is None
    assert filled.store.result("LLL-0-100", "e" * 64, "plain") is None


def test_an_evaluation_adds_a_row_and_an_attempt(filled: Any) -> None:
    before, job = filled.dump(), filled.job(filled.trials[2])
    assert filled.evaluate(2, **SERIES)
    after = filled.dump()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"jobs", "attempts", "measurements", "protocols", "events"}
    assert after["events"][-1].event == "evaluate"
    (last,) = [row for row in after["attempts"] if row not in before["attempts"]]
    assert [row for row in after["attempts"] if row != last] == before["attempts"]
    assert len(after["measurements"]) == len(before["measurements"]) + 6
    assert filled.job(job.id) == dataclasses.replace(job, token=job.token + 1)
    last = last._mapping
    assert (last["job_id"], last["token"]) == (job.id, job.token + 1)
    assert (last["protocol"], last["outcome"], last["owner"]) == ("published", "done", "evaluator")
    assert (last["started"], last["ended"], last["seconds"]) == (1990.0, 2000.0, 7.0)
    assert (last["first_step"], last["last_step"]) == (500, 500)
    assert read_result(filled, "published").value("series_bias") == 1e-4


def test_the_same_evaluation_again_changes_nothing(filled: Any) -> None:
    assert filled.evaluate(2, **BOUND, **SERIES)
    before = filled.dump()
    assert not filled.evaluate(2, **BOUND, **SERIES)
    assert not filled.evaluate(2)
    assert filled.dump() == before


def test_further_measures_of_a_result_may_come_later(filled: Any) -> None:
    plain = read_result(filled, "plain")
    assert filled.evaluate(2, "plain", **BOUND)
    assert filled.evaluate(2, "plain", **SERIES)
    (attempt_id,) = filled.store.view("results", trial_id="LLL-0-100").attempt_id
    measures = by_name(*plain.measures, *make_measures(**BOUND, **SERIES))
    assert by_name(*read_result(filled, "plain").measures) == measures
    assert not filled.evaluate(2, "plain", **(BOUND | {"bound_draws": 9, "bound_images": 1000}))
    more_draws = BOUND | {"bound_draws": 11, "bound_gain": 0.06}
    assert filled.evaluate(2, "plain", **more_draws)
    measures |= by_name(*make_measures(**more_draws))
    assert by_name(*read_result(filled, "plain").measures) == measures
    frame = filled.store.view("results", trial_id="LLL-0-100")
    row = frame.iloc[0]
    assert row.attempt_id == attempt_id
    assert {name: row[name] for name in more_draws | SERIES} == more_draws | SERIES
    assert (row.log_det, row.log_prior) == (-100.0, -700.0)
    assert frame.images_per_second.tolist() == [1000.0], "the result is still the training's"


@pytest.mark.parametrize("more", [{}, BOUND])
def test_another_value_is_a_conflict(filled: Any, more: dict[str, Any]) -> None:
    before = filled.dump()
    with pytest.raises(db.Conflict, match="the same weights gave two values"):
        filled.evaluate(2, "plain", bits_per_dim=3.26, **more)
    assert filled.dump() == before


def test_only_a_done_trial_can_be_evaluated(filled: Any) -> None:
    before = filled.dump()
    with pytest.raises(ValueError, match="not of a trial"):
        filled.evaluate(1)
    with pytest.raises(ValueError, match="not of a trial"):
        filled.evaluate(2, data_digest="e" * 64)
    result = filled.result("LLL-0-100")
    for job_id, error in ((filled.trials[3], ValueError), ("nowhere", LookupError)):
        with pytest.raises(error):
            filled.store.add_evaluation(job_id, result, attempt_id=1, by=EVALUATOR, cost=COST)
    assert filled.dump() == before
