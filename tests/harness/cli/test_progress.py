"""The progress of a launch where there is no terminal."""

import io
import time
from typing import Any

import pytest

from lcma import db
from lcma.harness.launch.prediction import Hours, PredictedPart, Prediction
from lcma.harness.terminal import Console
from lcma.harness.watch import progress
from lcma.harness.watch.jobs import describe_progress
from lcma.harness.watch.progress import Bars, TimeLeft
from lcma.harness.work import log
from lcma.harness.work.units import Report
from tests.db.conftest import World
from tests.stores import beat, list_running

pytestmark = pytest.mark.slow_on("postgresql")


@pytest.fixture(autouse=True)
def _show_all_news(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((progress, "LINE_SECONDS"), (log, "SHARE_SECONDS")):
        monkeypatch.setattr(module, name, 0.0)


def predict(hours: float | None, share: float = 0.0, source: str = "here") -> Prediction:
    """Return a prediction for a thousand steps of training; None: no such job is known."""
    expected = None if hours is None else Hours(hours, hours, hours)
    part = PredictedPart("training", "realnvp", "photos16", 2, 1000, 3, source, (), expected)
    return Prediction((part,), share)


def run_trial(planned: World, index: int, step: int, **news: Any) -> db.Claim:
    claim = planned.win(planned.trials[index])
    assert beat(planned.store, claim, step=step, lease_seconds=60.0, **news)
    return claim


def test_a_line_has_the_counts_and_the_running_jobs(planned: World) -> None:
    """No line repeats the last one. A job after its last step evaluates, without a time left."""
    text = io.StringIO()
    run_trial(planned, 0, 250, bits_per_dim=3.4567)
    with Bars(Console(file=text, width=200)) as bars:
        bars.update(0, 5, [])
        assert text.getvalue() == "", "nothing runs"
        running = list_running(planned.store)
        for jobs in (running, running, running * 5):
            bars.update(1, 5, jobs)
        planned.store.release("me")
        run_trial(planned, 1, 500, bits_per_dim=3.4567)
        bars._time_left = TimeLeft(predict(1e-9))
        bars.update(1, 5, list_running(planned.store))
    title = "train realnvp photos16 channel seed 0, step 250/500, 3.457 bits/dim"
    assert text.getvalue().strip().splitlines() == [
        f"1/5 jobs; {title}",
        f"1/5 jobs; {title}; {title}; 3 more run",
        "1/5 jobs; train realnvp photos16 channel seed 1, evaluating, 3.457 bits/dim",
    ]


def test_notes_of_a_job_and_the_last_line_of_its_traceback_are_printed() -> None:
    text = io.StringIO()
    with Bars(Console(file=text, width=200)) as bars:
        bars.job_ended("train a", Report("1", "done", "no sharpness: Error\nno holdout: Error"))
        bars.job_ended("train b", Report("2", "failed", "Traceback\nValueError: wrong"))
    assert text.getvalue().splitlines() == [
        "    done  train a: no sharpness: Error; no holdout: Error",
        "  failed  train b: ValueError: wrong",
    ]


def test_only_news_and_long_silence_make_a_line(
    planned: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    claim = planned.win(planned.trials[0])
    text = io.StringIO()
    with Bars(Console(file=text, width=200)) as bars:
        for step, bits in ((250, 3.456), (252, 3.4561), (275, 3.456), (276, 3.466)):
            beat(planned.store, claim, step=step, lease_seconds=60.0, bits_per_dim=bits)
            bars.update(0, 1, list_running(planned.store))
        assert [line.split(", ")[1] for line in text.getvalue().splitlines()] == [
            *("step 250/500", "step 275/500", "step 276/500")
        ]
        now += progress.SILENT_SECONDS
        bars.update(0, 1, list_running(planned.store))
        assert len(text.getvalue().splitlines()) == 4


def test_a_job_that_evaluates_says_how_many_images_are_done(planned: World) -> None:
    """Its heartbeats carry the end of its log, which has the number."""
    text = io.StringIO()
    with log.Log() as messages:
        add_share = log.make_share_log(log.EVALUATING)
        for _ in range(3):
            add_share(100, 10_000)
    assert len(messages.text.splitlines()) == 1, "not one for each percent"
    run_trial(planned, 0, 500, log=f"{'x' * 200}\n{messages.text}")
    (job,) = list_running(planned.store)
    assert describe_progress(job, job.updated).startswith("evaluating, 200 of 10000 images on ")
    with Bars(Console(file=text, width=200)) as bars:
        bars.update(0, 1, [job])
    assert ", evaluating, 200 of 10000 images\n" in text.getvalue()


def test_the_time_left_is_predicted_from_the_steps_left(planned: World) -> None:
    """An hour of a device takes two on half a GPU."""
    time_left = TimeLeft(predict(1.0, share=0.5))
    assert time_left.seconds(0, []) is None
    claim = run_trial(planned, 0, 100)  # what it had before is not predicted
    time_left.update(list_running(planned.store))
    beat(planned.store, claim, step=350, lease_seconds=60.0)
    running = list_running(planned.store)
    time_left.update(running)
    assert time_left.seconds(0, running) == pytest.approx(0.75 * 7200)
    time_left.update([])
    assert time_left.seconds(0, []) is None


@pytest.mark.parametrize(("hours", "predicted"), [(None, None), (1.0, 0.75 * 3600)])
def test_without_a_prediction_from_here_the_pace_counts_once_a_job_has_ended(
    planned: World, monkeypatch: pytest.MonkeyPatch, hours: float | None, predicted: float | None
) -> None:
    """Before that, a prediction by the reference is used."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    time_left = TimeLeft(predict(hours, source="reference"))
    claim = run_trial(planned, 0, 0)
    time_left.update(list_running(planned.store))
    beat(planned.store, claim, step=250, lease_seconds=60.0)
    running = list_running(planned.store)
    now = 160.0
    time_left.update(running)
    assert time_left.seconds(0, running) == predicted
    assert time_left.seconds(1, running) == pytest.approx(60.0 * 750 / 250)
    now = 400.0
    time_left.update(running)
    assert time_left.seconds(1, running) == pytest.approx(60.0 * 750 / 250), "nothing has moved"
