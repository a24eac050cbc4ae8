"""Device hours as `lcma plan` and `lcma launch` predict them, on both engines."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lcma import db
from lcma.db.schema import data_sets, jobs
from lcma.harness import shards
from lcma.harness.launch.plan import list_histories
from lcma.harness.launch.prediction import predict_hours
from lcma.sweeps import known_sets
from lcma.sweeps import spec as specs
from lcma.sweeps.spec import Resources
from tests.db.conftest import EVALUATOR, result
from tests.db.measuring import find_done_attempt
from tests.harness.cli.conftest import Lcma
from tests.harness.cli.history import SWEEP, History
from tests.harness.conftest import merged
from tests.stores import beat

pytestmark = pytest.mark.slow_on("postgresql")

SHIPPED = shards.EVIDENCE_FOLDER


def list_seconds(plan: dict[str, Any]) -> list[float]:
    """Return the low, expected and high number of seconds."""
    hours = plan["predicted"]["hours"]
    return [3600 * hours[name] for name in ("low", "expected", "high")]


def list_parts(plan: dict[str, Any], *, known: bool) -> dict[str, tuple[int, int, int]]:
    """Return jobs, steps and attempts of the known or unknown parts, by their names."""
    return {
        part["what"]: (part["jobs"], part["steps"], part["attempts"])
        for part in plan["predicted"]["parts"]
        if (part["hours"] is not None) == known
    }


def test_without_such_a_job_the_time_is_not_known(history: History) -> None:
    plan = history.plan()
    assert plan["left"] == {"pretrainings": 3, "trainings": 9}
    assert plan["unshared"] == {"pretrainings": 6, "trainings": 9}
    assert plan["predicted"]["hours"] is None
    assert list_parts(plan, known=False) == {"training": (9, 180, 0), "pretraining": (6, 60, 0)}
    line = "not known for realnvp: no job of this shape has run on a CPU"
    assert f"\nTime    {line}\n" in history.text()


def test_hours_are_the_medians_and_quantiles_of_measured_jobs(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Factorization, seed and the first step of an attempt do not matter."""
    trials = [*history.trials("checkerboard-even"), *history.trials("L")]
    measured = [(1.0, 10.0, 0), (2.0, 30.0, 0), (4.0, 20.0, 10)]
    for work, (step, rest, start) in zip(trials, measured, strict=False):
        history.finish(work, step=step, rest=rest, start=start)
    history.finish(history.segments(10)[0], step=0.5, rest=5.0)
    plan = history.plan()
    assert list_parts(plan, known=True) == {"training": (6, 120, 3), "pretraining": (5, 50, 1)}
    quantiles = ((1.2, 12), (2, 20), (3.6, 28))  # of 1, 2, 4; of 10, 20, 30
    pretraining = 50 * 0.5 + 5 * 5.0
    assert list_seconds(plan) == pytest.approx(
        [120 * step + 6 * rest + pretraining for step, rest in quantiles]
    )
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1}, raising=False)
    line = "about 205 s on these 2 cores (133 s to 325 s), from realnvp on some CPU"
    counts = "9 trainings (3 there, 6 new) + 3 pretrainings shared by 2 trials each"
    assert f"\n{counts} (6 without sharing)\nTime    {line}\n" in history.text()


def test_jobs_of_the_same_shape_predict_other_lengths_and_settings(history: History) -> None:
    history.finish(history.trials("checkerboard-even")[0], step=1.0, rest=10.0)
    history.finish(history.segments(10)[0], step=2.0, rest=4.0)
    settings = ("training.steps=50", "training.ema=0.9", "optimization.learning_rate=0.1")
    plan = history.plan(*(word for setting in settings for word in ("--set", setting)))
    assert list_seconds(plan) == pytest.approx([9 * (50 + 10) + 60 * 2 + 6 * 4] * 3)
    for shape in ("model.architecture.width=8", "optimization.batch=4", "optimization.threads=2"):
        assert history.plan("--set", shape)["predicted"]["hours"] is None, shape


def test_without_a_pretraining_a_training_of_the_shape_predicts_it(history: History) -> None:
    history.finish(history.trials("checkerboard-even")[0], step=1.0, rest=10.0)
    plan = history.plan()
    assert list_seconds(plan) == pytest.approx([8 * 30 + 60 + 6 * 10] * 3)


def test_the_time_beside_steps_grows_with_the_number_of_images(history: History) -> None:
    history.finish(history.trials("checkerboard-even")[0], step=1.0, rest=10.0)
    history.finish(history.segments(10)[0], step=1.0, rest=10.0)
    plan = history.make_plan(SWEEP)
    larger = dataclasses.replace(plan, images={"photos8": 2 * plan.images["photos8"]})
    hours = predict_hours(larger, list_histories(history.store), Resources()).hours
    assert hours is not None
    assert 3600 * hours.expected == pytest.approx(8 * (20 + 20) + 50 + 5 * 20)


def test_the_rest_is_that_of_the_data_sets_that_are_nearest_in_size(history: History) -> None:
    first, second, _ = history.trials("checkerboard-even")
    history.finish(first, step=1.0, rest=10.0)
    history.finish(second, step=3.0, rest=1.0)
    history.finish(history.segments(10)[0], step=1.0, rest=10.0)
    with sa.create_engine(history.store.url, poolclass=sa.NullPool).begin() as connection:
        (row,) = connection.execute(sa.select(data_sets)).mappings()
        small = dict(row) | {"digest": "s" * 64, "train": 1, "holdout": 1, "test": 1}
        connection.execute(sa.insert(data_sets).values(small))
        other = {"data_digest": small["digest"]}
        connection.execute(sa.update(jobs).where(jobs.c.id == second.job_id).values(other))
    plan = history.make_plan(SWEEP)
    hours = predict_hours(plan, list_histories(history.store), Resources()).hours
    assert hours is not None
    assert 3600 * hours.expected == pytest.approx(7 * (20 * 2 + 10) + 50 + 5 * 10)


def test_before_it_is_prepared_a_set_counts_as_large_as_it_is_published(history: History) -> None:
    history.finish(history.trials("checkerboard-even")[0], step=1.0, rest=10.0)
    published = known_sets.known()["photos8"].images
    plans = [
        dataclasses.replace(history.make_plan(SWEEP), images=images)
        for images in ({}, {"photos8": published}, {"photos8": 9 * published})
    ]
    known = list_histories(history.store)
    before, after, larger = (predict_hours(plan, known, Resources()).hours for plan in plans)
    assert before == after != larger


def test_failed_attempts_and_evaluations_do_not_count(history: History) -> None:
    done, failed, running = history.trials("checkerboard-even")
    history.finish(done, step=1.0, rest=10.0)
    history.finish(history.segments(10)[0], step=1.0, rest=10.0)
    slow = db.Cost(seconds=9e9, cpu_seconds=1.0, images_per_second=1e-9)
    history.store.finish(history.claim(failed), "oom", last_step=1, cost=slow)
    beat(history.store, history.claim(running), step=15, lease_seconds=600.0)
    evaluation = dataclasses.replace(
        result(str(done.job.trial_id)), data_digest=done.job.data_digest, protocol="published"
    )
    attempt = find_done_attempt(history.store, done.job_id)
    assert history.store.add_evaluation(
        done.job_id, evaluation, attempt_id=attempt, by=EVALUATOR, cost=slow
    )
    plan = history.plan()
    assert list_parts(plan, known=True)["training"] == (7, 6 * 20 + 5, 1), "one runs, at step 15"
    assert list_seconds(plan) == pytest.approx([6 * 20 + 5 + 7 * 10 + 50 + 5 * 10] * 3)


def test_neither_a_cpu_nor_another_share_predicts_a_gpu(history: History) -> None:
    cpu, half, _ = history.trials("checkerboard-even")
    history.finish(half, step=1.0, share=0.5)
    assert history.plan()["predicted"]["hours"] is None
    history.finish(cpu, step=3.0)
    assert {d for p in history.plan()["predicted"]["parts"] for d in p["devices"]} == {"some CPU"}
    history.write(merged(SWEEP, {"resources": {"gpus": 0.5}}))
    assert list_seconds(history.plan()) == pytest.approx([(7 * 20 + 60) * 0.5] * 3)  # device hours
    assert re.search(r"of one GPU \(.*\), from realnvp on NVIDIA H100\n", history.text())
    history.write(merged(SWEEP, {"resources": {"gpus": 1.0}}))
    assert history.plan()["predicted"]["hours"] is None
    assert "no job of this shape has run on a GPU\n" in history.text()


@pytest.mark.integration
@pytest.mark.parametrize("history", ["sqlite"], indirect=True)
def test_a_first_plan_predicts_by_the_reference(
    history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The README's sweep and the demo are planned without prepared images."""
    monkeypatch.setattr(shards, "EVIDENCE_FOLDER", SHIPPED)
    readme = Path(__file__).parents[3] / "README.md"
    demo = Path(specs.__file__).parent / "specs" / "demo.yaml"
    (readme_sweep,) = re.findall(r"```yaml\n(name: .*?)```", readme.read_text(), re.DOTALL)
    line = r"\nTime    about [1-9].*, from \S+ in the reference, on other machines\n"
    for text in (readme_sweep, demo.read_text()):
        Path("small.yaml").write_text(text)
        assert re.search(line, history.text("--db", "absent.db"))
    assert not Path("absent.db").exists()


def test_a_launch_says_its_limits_beside_the_prediction_and_ends_at_them(
    history: History, lcma: Lcma, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends before anything runs, since earlier launches of the sweep have reached the limit."""
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1}, raising=False)
    history.finish(history.trials("checkerboard-even")[0], step=1.0, rest=10.0)
    (sweep,) = history.store.sweeps()
    history.store.begin_launch("o", sweep.id)
    history.write(merged(SWEEP, {"resources": {"max_device_hours": 0.005}}))
    line = "At most 0.005 device hours of all launches of the sweep"
    text = history.text()
    assert f"{line}; predicted 0.1\n" in text
    assert "\nTime    about 180 s on these 2 cores (" in text
    options = ["--local", "--max-hours", "2.0", "--parallel", "1"]
    launch = ["launch", "small.yaml", *options]
    code, out, _ = lcma(*launch)
    assert code == 4
    assert f"{line}, 2 hours by the clock; predicted 0.1\n" in out
    assert re.search(r"\nTime    about 360 s on these 2 cores \(.*\), from realnvp on ", out)
    reason = "the sweep has taken 0.00833 of 0.005 device hours that `resources.max_device_hours`"
    reason += " allows: raise that limit to go on"
    assert f"Ended in good order: {reason}. What is left: 14 jobs.\n" in out
    assert f"Go on with: lcma {' '.join(launch)}\n" in out
    assert len(history.store.view("attempts")) == 1
