"""The driver's loop with real worker processes, and with a real Ray cluster on this machine."""

import dataclasses
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.db.store import Store
from lcma.harness.launch.driver import Launch
from lcma.harness.launch.executor import Executor
from lcma.harness.launch.local import LocalExecutor
from lcma.harness.launch.measuring import measure_trials
from lcma.harness.place import Place
from lcma.harness.work.worker import run_work
from lcma.sweeps import plugins
from lcma.sweeps.spec import Resources
from tests.harness.launch.conftest import Told, register, typed, with_ending
from tests.harness.launch.machines import HOOK, SLOW_STEPS
from tests.stores import list_running


@pytest.fixture(
    scope="module",
    params=["local", pytest.param("ray", marks=pytest.mark.xdist_group("ray"))],
)
def executor(request) -> Iterator[Executor]:
    """One for all tests of the module, since its processes take seconds to start."""
    if request.param == "local":
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(HOOK, SLOW_STEPS)
            made: Executor = LocalExecutor(2)
    else:
        yield request.getfixturevalue("ray_executor")
        return
    yield made
    made.close(kill=True)


@pytest.fixture(scope="module")
def ray_executor(cluster: Any) -> Iterator[Any]:
    """The same on Ray."""
    from lcma.harness.launch.cluster import RayExecutor

    made = RayExecutor(Resources(), cluster.address)
    yield made
    made.close(kill=True)


def with_long_leases(works):
    return [dataclasses.replace(n, lease_seconds=600.0) for n in works]


@pytest.mark.slow_on("local")
def test_a_sweep_runs_to_its_end_and_a_second_launch_has_nothing_to_do(
    registered, executor
) -> None:
    store, works = registered({"matrix": {"budget": [0, 10]}})
    ended = Launch(store, works, executor, Told()).run()
    assert len(with_ending(ended, "done")) == len(works) == 5
    assert not getattr(executor, "_refs", None), "Ray would keep every report of a long launch"
    attempts = store.view("attempts")
    assert len(attempts) == 5
    assert len(store.view("results")) == 3
    again = Launch(store, works, executor, Told()).run()
    assert len(with_ending(again, "done")) == 5
    assert store.view("attempts").equals(attempts)


def _kill_one(store: Store, command_lines: list[str] | None = None) -> None:
    """SIGKILL to the first worker that trains, soon after it began."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for job in list_running(store):
            time.sleep(0.1)  # a heartbeat would tell its step when such a training is over
            if command_lines is not None:
                command_lines.append(Path(f"/proc/{job.pid}/cmdline").read_text())
            os.kill(job.pid, signal.SIGKILL)
            return
        time.sleep(0.05)


@pytest.mark.slow_on("ray")
def test_a_killed_worker_costs_one_attempt(registered, executor) -> None:
    """SIGKILL in the middle of a training: another goes on, long before the lease is over."""
    store, works = registered(
        {
            "matrix": {"factorization": "conventional"},
            "recipe": {"training": {"steps": 60 if isinstance(executor, LocalExecutor) else 400}},
        }
    )
    works = with_long_leases(works)
    command_lines: list[str] = []
    killer = threading.Thread(target=_kill_one, args=[store, command_lines])
    killer.start()
    ended = Launch(store, works, executor, Told()).run()
    killer.join()
    assert len(with_ending(ended, "done")) == 1
    outcomes = store.view("attempts").sort_values("token").outcome.tolist()
    assert outcomes == ["node_lost", "done"]
    assert len(store.view("results")) == 1
    if not isinstance(executor, LocalExecutor):  # Ray's dashboard shows the same name
        title = "train realnvp photos8 checkerboard-even seed 0"
        assert command_lines[0].startswith(f"ray::{title}")


@pytest.mark.slow_on("ray")
def test_failures_block_what_needs_them_and_nothing_else(registered, executor) -> None:
    """A pretraining that diverges; the trial without a map does not care."""
    store, works = registered({"matrix": {"budget": 20}})
    works = [_diverging(n) if n.job.kind == "pretraining" else n for n in works]
    display = Told()
    Launch(store, works, executor, display).run()
    endings = sorted(report.ending for report in display.ended.values())
    assert endings == ["blocked", "diverged", "done"]


def _diverging(work):
    pretraining = work.subject
    recipe = pretraining.recipe
    wild = {"learning_rate": 1e30, "warmup": 0, "clip": None}
    optimization = recipe.optimization.model_copy(update=wild)
    recipe = recipe.model_copy(update={"optimization": optimization})
    changed = dataclasses.replace(pretraining, recipe=recipe)
    return dataclasses.replace(work, subject=changed)


LEVEL = """
import lcma

@lcma.measure("level", unit="levels", direction="lower", meaning="mean of images")
def level(flow, images, seed):
    return float(images.float().mean())
"""


@pytest.fixture
def trained(current_postgres_url: str, photos_root: Path, tmp_path: Path) -> Place:
    """Three trained trials in a database of the server."""
    place = Place(current_postgres_url, tmp_path / "runs", photos_root)
    matrix = {"factorization": "conventional"}
    store, works = register(
        place, {"matrix": matrix, "recipe": {"training": {"steps": 2}}, "seeds": 3}
    )
    with store:
        for work in works:
            assert run_work(work).ending == "done"
    return place


@pytest.mark.integration
@pytest.mark.xdist_group("ray")
def test_measures_are_taken_on_the_nodes_of_a_cluster_as_they_are_here(
    ray_executor: Any,
    trained: Place,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By processes that the launches above have left, which have imported all that they need."""

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

    def measure(*more: str) -> tuple[int, dict[str, dict[str, Any]], str]:
        places = [f"--db={trained.db}", f"--runs={trained.runs}", f"--data={trained.data}"]
        words = ["measure", "swd", "level", "--samples=40", "--json"]
        code, out, err = typed(capsys, *words, *more, *places)
        found: dict[str, dict[str, Any]] = {"swd": {}, "level": {}}
        for row in json.loads(out):
            name = "level" if "level" in row["measures"] else "swd"
            found[name][row["trial_id"]] = row["measures"][name]["value"], row["new"]
        return code, found, err

    with db.connect(trained.db) as store:
        by_hand, other, damaged = store.job_facts(trial_ids=sorted(store.view("results").trial_id))
        (weights,) = Path(trained.runs).rglob(f"{damaged.trial_id}-*/weights.*.safetensors")
        weights.write_bytes(b"damaged")
        names, options = ("swd", "level"), {"samples": 40}
        here, _ = measure_trials(store, trained, [by_hand], names, options)
        for more, new in (([f"--ray={ray_executor.address}"], True), ([], False)):
            code, found, err = measure(*more)
            assert code == 1
            for name in names:
                value = here[name][0].result.value(name)
                assert found[name].keys() == {by_hand.trial_id, other.trial_id}
                assert found[name][by_hand.trial_id] == (value, False)
                assert found[name][other.trial_id][1] is new
            assert found["level"][other.trial_id][0] == value, "it is only of the images"
            for line in err.splitlines()[-2:]:
                assert line.startswith("lcma: 1 of 3 trials cannot be measured: ")
                assert "are damaged (sha256 differs)" in line
        attempts = store.view("attempts")
        for name in names:
            stored = attempts[attempts["protocol"] == here[name][0].result.protocol]
            assert sorted(stored["job_id"]) == sorted((by_hand.job_id, other.job_id))
    plugins.unload()
