"""Launches with local worker processes, and on a Ray cluster of this machine."""

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.db.store import Store
from lcma.harness.launch.executor import Executor
from lcma.harness.launch.local import LocalExecutor
from lcma.harness.launch.measuring import measure_trials
from lcma.harness.place import Place
from lcma.harness.work.units import Work
from lcma.sweeps import plugins
from lcma.sweeps.spec import Resources
from tests.harness.conftest import register
from tests.harness.launch.conftest import (
    FakeDisplay,
    InlineExecutor,
    complete,
    run_cli,
    run_launch,
    using,
    with_ending,
)
from tests.harness.launch.machines import HOOK, SLOW_STEPS, wait_until
from tests.stores import list_running


@pytest.fixture(
    scope="module", params=["local", pytest.param("ray", marks=pytest.mark.xdist_group("ray"))]
)
def executor(request) -> Iterator[Executor]:
    """An executor for all tests of the module, since its processes take seconds to start."""
    if request.param == "ray":
        yield request.getfixturevalue("ray_executor")
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(HOOK, SLOW_STEPS)
        local = LocalExecutor(2)
    with using(local):
        yield local


@pytest.fixture(scope="module")
def ray_executor(cluster: Any) -> Iterator[Any]:
    from lcma.harness.launch.cluster import RayExecutor

    with using(RayExecutor(Resources(), cluster.address)) as executor:
        yield executor


def test_a_launch_of_a_sweep_that_is_done_submits_nothing(registered) -> None:
    class Idle(InlineExecutor):
        def submit(self, works: Sequence[Work]) -> None:
            raise AssertionError([work.title for work in works])

    store, works = registered({"matrix": {"budget": [0, 10]}})
    complete(*works)
    assert len(with_ending(run_launch(store, works, Idle()), "done")) == len(works) == 5


def _kill_one(store: Store) -> str:
    """Kill the first worker that trains, soon after it began; return its command line."""
    (job,) = wait_until(lambda: list_running(store), 60)
    time.sleep(0.1)  # the training is over before a heartbeat would tell its step
    command_line = Path(f"/proc/{job.pid}/cmdline").read_text()
    os.kill(job.pid, signal.SIGKILL)
    return command_line


@pytest.mark.slow_on("ray")
def test_a_killed_worker_costs_one_attempt(registered, executor) -> None:
    """Another worker goes on long before the lease is over."""
    steps = 60 if isinstance(executor, LocalExecutor) else 400
    change = {"matrix": {"factorization": "conventional"}, "recipe": {"training": {"steps": steps}}}
    store, (work,) = registered(change)
    with ThreadPoolExecutor(1) as pool:
        command_line = pool.submit(_kill_one, store)
        ended = run_launch(store, [replace(work, lease_seconds=600.0)], executor)
    assert len(with_ending(ended, "done")) == 1
    outcomes = store.view("attempts").sort_values("token").outcome.tolist()
    assert outcomes == ["node_lost", "done"]
    assert len(store.view("results")) == 1
    if not isinstance(executor, LocalExecutor):  # Ray's dashboard shows the same name
        title = "train realnvp photos8 checkerboard-even seed 0"
        assert command_line.result().startswith(f"ray::{title}")


@pytest.mark.slow_on("ray")
def test_a_pretraining_that_diverges_blocks_only_the_trials_with_its_maps(
    registered, executor
) -> None:
    store, works = registered({"matrix": {"budget": 20}})
    works = [_make_diverge(work) if work.job.kind == "pretraining" else work for work in works]
    display = FakeDisplay()
    run_launch(store, works, executor, display)
    endings = sorted(report.ending for report in display.ended.values())
    assert endings == ["blocked", "diverged", "done"]


def _make_diverge(work: Work) -> Work:
    recipe = work.subject.recipe
    wild = {"learning_rate": 1e30, "warmup": 0, "clip": None}
    optimization = recipe.optimization.model_copy(update=wild)
    recipe = recipe.model_copy(update={"optimization": optimization})
    return replace(work, subject=replace(work.subject, recipe=recipe))


LEVEL = """
import lcma

@lcma.measure("level", unit="levels", direction="lower", meaning="mean of images")
def level(flow, images, seed):
    return float(images.float().mean())
"""


@pytest.fixture
def trained_place(current_postgres_url: str, photos_root: Path, tmp_path: Path) -> Place:
    """A place with three trained trials in a database of the server."""
    place = Place(current_postgres_url, tmp_path / "runs", photos_root)
    matrix, recipe = {"factorization": "conventional"}, {"training": {"steps": 2}}
    store, works = register(place, {"matrix": matrix, "recipe": recipe, "seeds": 3})
    with store:
        complete(*works)
    return place


@pytest.mark.integration
@pytest.mark.xdist_group("ray")
def test_measures_on_a_cluster_equal_those_taken_here(
    ray_executor, trained_place, tmp_path, capsys, monkeypatch
) -> None:
    """The processes that the launches above left take them, which have imported all modules."""

    def connect(resources: Resources, threads: int, options: Mapping[str, Any]) -> Executor:
        assert options == {"ray": ray_executor.address, "any_code": False}
        monkeypatch.setattr(ray_executor, "resources", resources)
        ray_executor.check(threads)
        return ray_executor

    monkeypatch.setattr("lcma.harness.launch.workers._make_executor", connect)
    monkeypatch.setattr(ray_executor, "close", lambda kill: None)
    monkeypatch.setattr(ray_executor, "_question", None)  # no later launch has its place
    (tmp_path / "level.py").write_text(LEVEL)
    plugins.load_file(tmp_path / "level.py")

    def measure(*options: str) -> tuple[int, dict[str, dict[str, Any]], str]:
        places = [
            f"--db={trained_place.db}",
            f"--runs={trained_place.runs}",
            f"--data={trained_place.data}",
        ]
        words = ["measure", "swd", "level", "--samples=40", "--json"]
        code, out, err = run_cli(capsys, *words, *options, *places)
        values: dict[str, dict[str, Any]] = {"swd": {}, "level": {}}
        for row in json.loads(out):
            name = "level" if "level" in row["measures"] else "swd"
            values[name][row["trial_id"]] = row["measures"][name]["value"], row["new"]
        return code, values, err

    with db.connect(trained_place.db) as store:
        trial_ids = sorted(store.view("results").trial_id)
        measured, unmeasured, damaged = store.job_facts(trial_ids=trial_ids)
        (weights,) = Path(trained_place.runs).rglob(f"{damaged.trial_id}-*/weights.*.safetensors")
        weights.write_bytes(b"damaged")
        names, options = ("swd", "level"), {"samples": 40}
        results, _ = measure_trials(store, trained_place, [measured], names, options)
        for words, new in (([f"--ray={ray_executor.address}"], True), ([], False)):
            code, values, err = measure(*words)
            assert code == 1
            for name in names:
                value = results[name][0].result.value(name)
                assert values[name].keys() == {measured.trial_id, unmeasured.trial_id}
                assert values[name][measured.trial_id] == (value, False)
                assert values[name][unmeasured.trial_id][1] is new
            assert values["level"][unmeasured.trial_id][0] == value, "it reads only the images"
            for line in err.splitlines()[-2:]:
                assert line.startswith("lcma: 1 of 3 trials cannot be measured: ")
                assert "are damaged (sha256 differs)" in line
        attempts = store.view("attempts")
        for name in names:
            stored = attempts[attempts["protocol"] == results[name][0].result.protocol]
            assert sorted(stored["job_id"]) == sorted((measured.job_id, unmeasured.job_id))
    plugins.unload()
