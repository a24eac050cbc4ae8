"""Device hours as `lcma plan` and `lcma launch` tell them, on both engines."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from lcma import db
from lcma.harness.cli import main as cli
from lcma.harness.place import Place
from lcma.harness.run.plan import Node, make_nodes, make_plan, register_plan
from lcma.sweeps import spec as specs
from tests.db.conftest import ENVIRONMENT, contribution_map, result
from tests.db.measuring import left_by
from tests.harness.conftest import SMALL, merged

SWEEP = merged(SMALL, {"matrix": {"budget": [10, 20]}, "seeds": 3})
"""Six trainings of 20 steps in batches of 8, and of nine cells three pretrainings."""

GPU = dataclasses.replace(ENVIRONMENT, device="NVIDIA H100")


class History:
    """The sweep in a database, whose jobs are done in as many seconds as one likes."""

    def __init__(self, store: db.Store, place: Place, capsys: Any, folder: Path) -> None:
        self.store, self._capsys, self._file = store, capsys, folder / "small.yaml"
        self._file.write_text(yaml.safe_dump(SWEEP))
        spec = specs.check(SWEEP, "test")
        plan = make_plan(spec, place, store)
        register_plan(plan, place, store)
        self.nodes = make_nodes(plan, place, owner="o", device="cpu")
        for environment in (ENVIRONMENT, GPU):
            store.add_environment(environment)

    def trials(self, factorization: str) -> list[Node]:
        own = [n for n in self.nodes if n.work.trial]
        return [n for n in own if n.work.trial and n.work.trial.factorization == factorization]

    def segments(self, budget: int) -> list[Node]:
        return [n for n in self.nodes if n.work.pretraining and n.work.job.budget == budget]

    def claim(self, node: Node, *, on: db.Environment = ENVIRONMENT) -> db.Claim:
        claim = self.store.claim(
            node.work.job_id,
            owner="o",
            host="h",
            pid=1,
            environment_id=on.id,
            device="cpu" if on is ENVIRONMENT else "cuda",
            threads=1,
            lease_seconds=600.0,
        )
        assert isinstance(claim, db.Claim)
        return claim

    def finish(
        self, node: Node, *, step: float, rest: float, start: int = 0, share: float | None = None
    ) -> None:
        """The job, done by an attempt with so many seconds for a step from ``start`` on, and so
        many for the rest; on a ``share`` of a GPU, or a CPU."""
        job = node.work.job
        claim = self.claim(node, on=ENVIRONMENT if share is None else GPU)
        self.store.heartbeat(claim, step=start, lease_seconds=600.0, first_step=start)
        seconds = step * (job.steps - start) + rest
        cost = db.Cost(
            seconds=seconds,
            cpu_seconds=1.0,
            images_per_second=8 / step if step else None,
            gpu_seconds=None if share is None else share * seconds,
        )
        made: dict[str, Any] = {}
        if job.trial_id is not None:
            of_trial = result(job.trial_id)
            made["result"] = dataclasses.replace(of_trial, data_digest=job.data_digest)
        else:
            made["maps"] = [
                dataclasses.replace(
                    contribution_map(1, job.steps),
                    pretraining_id=job.pretraining_id,
                    data_digest=job.data_digest,
                )
            ]
        assert self.store.finish(claim, "done", last_step=job.steps, cost=cost, **made)

    def plan(self, *options: str) -> dict[str, Any]:
        """What `lcma plan --json` predicts."""
        found: dict[str, Any] = json.loads(self.text("--json", *options))["predicted"]
        return found

    def text(self, *options: str) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.main(["plan", str(self._file), *options])
        assert not ended.value.code
        return str(self._capsys.readouterr().out)


@pytest.fixture(params=["sqlite", "postgresql"])
def history(
    request: pytest.FixtureRequest,
    place: Place,
    capsys: Any,
    in_tmp: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> History:
    url = place.db
    if request.param == "postgresql":
        url = str(request.getfixturevalue("current_postgres_url"))
    monkeypatch.setenv("LCMA_DB", url)
    monkeypatch.setenv("LCMA_DATA", str(place.data))
    monkeypatch.setenv("COLUMNS", "200")
    return History(db.connect(url), dataclasses.replace(place, db=url), capsys, in_tmp)


def hours(amount: dict[str, Any]) -> list[float]:
    """In seconds, for numbers that can be read."""
    return [3600 * amount[name] for name in ("low", "expected", "high")]


def without_history(amount: dict[str, Any]) -> set[tuple[str, int, int]]:
    return {(part["what"], part["jobs"], part["steps"]) for part in amount["no_history"]}


@pytest.mark.slow_on("postgresql")
def test_without_a_history_it_is_said_what_has_none(history: History) -> None:
    found = history.plan()
    assert found["devices"] == []
    assert without_history(found) == {("training", 9, 180), ("pretraining", 6, 60)}
    said = "realnvp on photos8 (9 trainings, 6 segments of pretrainings)"
    assert f"No prediction: no history for: {said}" in history.text()


def test_hours_are_the_medians_with_quantiles_of_what_was_measured(history: History) -> None:
    """Whatever the factorization and the seed, and from which step an attempt went on."""
    trials = [*history.trials("checkerboard-even"), *history.trials("L")]
    measured = [(1.0, 10.0, 0), (2.0, 30.0, 0), (4.0, 20.0, 10)]
    for node, (step, rest, start) in zip(trials, measured, strict=False):
        history.finish(node, step=step, rest=rest, start=start)
    history.finish(history.segments(10)[0], step=0.5, rest=5.0)
    (device,) = history.plan()["devices"]
    assert device["device"] == "CPU (some CPU, AVX512)"
    left = device["left"]
    parts = {part["what"]: part for part in left["parts"]}
    assert {w: (p["jobs"], p["steps"], p["attempts"]) for w, p in parts.items()} == {
        "training": (6, 120, 3),
        "pretraining": (5, 50, 1),
    }
    # quantiles of 1, 2, 4: 1.2, 2, 3.6; of 10, 20, 30: 12, 20, 28
    training = [120 * 1.2 + 6 * 12, 120 * 2 + 6 * 20, 120 * 3.6 + 6 * 28]
    pretraining = 50 * 0.5 + 5 * 5.0
    assert hours(left) == pytest.approx([seconds + pretraining for seconds in training])
    # all of it: 9 trainings, and 3 pretrainings in two segments, or one for each of 6 cells
    assert hours(device["shared"])[1] == pytest.approx(180 * 2 + 9 * 20 + 60 * 0.5 + 6 * 5)
    assert hours(device["unshared"])[1] == pytest.approx(180 * 2 + 9 * 20 + 90 * 0.5 + 6 * 5)
    text = history.text()
    said = "410 s (266 s to 11 min), from 1-3 attempts of each kind"
    assert f"Predicted device hours on CPU (some CPU, AVX512): {said}\n" in text
    said = "10 min (384 s to 16 min), each cell alone 10 min"
    assert f"  the whole sweep from the start: {said}" in text


@pytest.mark.slow_on("postgresql")
def test_the_length_of_the_training_matters_only_to_the_number_of_steps(history: History) -> None:
    history.finish(history.trials("checkerboard-even")[0], step=1.0, rest=10.0)
    (device,) = history.plan("--set", "training.steps=50")["devices"]
    assert hours(device["left"]) == pytest.approx([9 * (50 + 10)] * 3)
    assert without_history(device["left"]) == {("pretraining", 6, 60)}


@pytest.mark.slow_on("postgresql")
def test_a_pretraining_is_the_same_whatever_follows_it(history: History) -> None:
    history.finish(history.segments(10)[0], step=1.0, rest=10.0)
    (device,) = history.plan("--set", "training.ema=0.9")["devices"]
    assert hours(device["left"]) == pytest.approx([50 + 5 * 10] * 3)
    assert without_history(device["left"]) == {("training", 9, 180)}


@pytest.mark.slow_on("postgresql")
@pytest.mark.parametrize("setting", ["training.ema=0.9", "model.architecture.width=8"])
def test_another_recipe_has_a_history_of_its_own(history: History, setting: str) -> None:
    history.finish(history.trials("checkerboard-even")[0], step=1.0, rest=10.0)
    assert history.plan("--set", setting)["devices"] == []


@pytest.mark.slow_on("postgresql")
def test_what_did_not_end_well_and_evaluations_do_not_count(history: History) -> None:
    first, second, _ = history.trials("checkerboard-even")
    history.finish(first, step=1.0, rest=10.0)
    slow = db.Cost(seconds=9e9, cpu_seconds=1.0, images_per_second=1e-9)
    history.store.finish(history.claim(second), "oom", last_step=1, cost=slow)
    job = first.work.job
    evaluated = dataclasses.replace(
        result(str(job.trial_id)), data_digest=job.data_digest, protocol="published"
    )
    by = db.Evaluator(
        owner="o", host="h", environment_id=ENVIRONMENT.id, device="cpu", threads=1, started=1.0
    )
    left = left_by(history.store, first.work.job_id)
    assert history.store.add_evaluation(
        first.work.job_id, evaluated, attempt_id=left, by=by, cost=slow
    )
    (device,) = history.plan()["devices"]
    (part,) = device["left"]["parts"]
    assert (part["attempts"], part["jobs"]) == (1, 7)
    assert hours(device["left"]) == pytest.approx([7 * 30] * 3)


@pytest.mark.slow_on("postgresql")
def test_a_job_that_runs_counts_from_where_it_stands(history: History) -> None:
    first, second, _ = history.trials("checkerboard-even")
    history.finish(first, step=1.0, rest=0.0)
    history.store.heartbeat(history.claim(second), step=15, lease_seconds=600.0)
    (device,) = history.plan()["devices"]
    assert hours(device["left"]) == pytest.approx([7 * 20 + 5] * 3)


@pytest.mark.slow_on("postgresql")
def test_each_device_and_each_share_of_a_gpu_has_a_history_of_its_own(history: History) -> None:
    cpu, half, _ = history.trials("checkerboard-even")
    history.finish(half, step=1.0, rest=0.0, share=0.5)
    assert history.plan()["devices"] == []
    history.finish(cpu, step=3.0, rest=0.0)
    assert [d["device"] for d in history.plan()["devices"]] == ["CPU (some CPU, AVX512)"]
    sweep = merged(SWEEP, {"resources": {"gpus": 0.5}})
    Path("small.yaml").write_text(yaml.safe_dump(sweep))
    (device,) = history.plan()["devices"]
    assert device["device"] == "0.5 of NVIDIA H100"
    assert hours(device["left"]) == pytest.approx([7 * 20 * 0.5] * 3)  # device hours


@pytest.mark.slow_on("postgresql")
def test_a_launch_says_its_limits_beside_the_prediction_and_ends_at_them(
    history: History, capsys: Any
) -> None:
    """Here before anything runs, since former launches of the sweep have reached them."""
    history.finish(history.trials("checkerboard-even")[0], step=1.0, rest=10.0)
    (sweep,) = history.store.sweeps()
    history.store.begin_launch("o", sweep.id)
    limited = merged(SWEEP, {"resources": {"max_device_hours": 0.005}})
    Path("small.yaml").write_text(yaml.safe_dump(limited))
    said = "At most 0.005 device hours of all launches of the sweep"
    assert f"{said}; predicted 0.067\n" in history.text()
    launch = ["launch", "small.yaml", "--local", "--max-hours", "2.0", "--no-pictures"]
    with pytest.raises(SystemExit) as ended:
        cli.main(launch)
    out = capsys.readouterr().out
    assert ended.value.code == 4
    assert f"{said}, 2 h by the wall; predicted 0.067\n" in out
    why = "the sweep has taken 0.00833 of 0.005 device hours that `resources.max_device_hours`"
    assert f"Ended in good order: {why} lets it take. What is left: 14 jobs.\n" in out
    assert f"Go on with: lcma {' '.join(launch)}\n" in out
    assert len(history.store.attempts()) == 1
