"""`lcma tune` on Ray Tune: what it prints and leaves, and how it goes on after a kill."""

import json
import os
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import optuna
import pytest
import yaml

from lcma.harness.launch import driver, plan
from lcma.harness.place import Place
from tests.faults.moments import hooked
from tests.harness.launch.machines import Machines, wait_until
from tests.harness.tuning.conftest import POINTS, Tuning, make, make_in, make_spec
from tests.stores import list_running

pytestmark = [pytest.mark.integration, pytest.mark.ray, pytest.mark.xdist_group("ray")]


def test_tune_runs_a_study_and_a_second_command_extends_it(
    folder, few_root, tune, tmp_path, monkeypatch
) -> None:
    """No file of Ray Tune holds the database's URL, and its trial no CPU while it waits."""
    import ray

    scratch, names, leaks = tmp_path / "scratch", set[str](), list[str]()
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))

    def look(name: str, when: str) -> None:
        for path in scratch.rglob("lcma-tune-*/**/*"):
            if path.is_file():
                names.add(path.name)
                leaks.extend([path.name] * (b"lcma.db" in path.read_bytes()))
        if (name, when) == ("tell", "before"):  # the launch is over, and its trial still there
            (group,) = ray.util.placement_group_table().values()
            assert group["state"] == "CREATED"
            wait_until(
                lambda: ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"]
            )

    change = {"tune": {"trials": 2, "parallel": 2}}
    with hooked(look):
        code, printed, _ = tune(change)
    assert code == 0
    assert ("tuner.pkl" in names, leaks) == (True, [])
    assert list(scratch.rglob("lcma-tune-*")) == []
    assert "trial 0, 0 steps: " in printed
    assert "steps is shown to be enough within 0.01 bits/dim" in " ".join(printed.split())
    assert "lcma budgets --sweep tuned" in printed
    assert f"optuna-dashboard sqlite:///{folder / 'lcma.db'}" in printed
    code, printed, _ = tune(change, "--trials", "3", "--json")
    assert code == 0
    (curve,) = json.loads(printed)
    assert [row["budget"] for row in curve["rows"]] == list(POINTS)
    assert make_in(folder, few_root, change).budgets() == list(POINTS)
    code, _, error = tune(change | {"seeds": 2})
    assert code == 2
    assert "a study 'tuned' of another spec" in error


@pytest.mark.slow
def test_tune_ends_with_code_1_if_a_trial_is_lost(tune) -> None:
    change = {"recipe": {"optimization": {"learning_rate": 1e30, "clip": None}}}
    code, printed, _ = tune(change | {"tune": {"trials": 2}})
    assert code == 1
    assert "failed: diverged: the loss or the evaluation was not finite" in " ".join(
        printed.split()
    )
    assert "See why with: lcma status" in printed


@pytest.mark.slow
def test_tune_ends_with_code_4_at_a_limit_and_leaves_no_running_job(
    folder, few_root, tune, monkeypatch
) -> None:
    # Limits are checked often, and heartbeats are sent often, so that workers soon end.
    monkeypatch.setattr(driver, "LIMIT_SECONDS", 0.1)
    monkeypatch.setattr(plan, "Work", partial(plan.Work, lease_seconds=2.0))
    change = {"recipe": {"training": {"steps": 100_000}}}
    code, printed, _ = tune(change, "--max-device-hours", "0.0001")
    assert code == 4
    assert "At most 0.0001 device hours" in printed
    assert "Ended in good order: the launch " in printed
    assert "Go on with: lcma tune tuned.yaml --max-device-hours 0.0001\n" in printed
    tuned = make_in(folder, few_root, change)
    assert list_running(tuned.store) == []
    assert set(tuned.store.view("attempts").outcome) <= {"cancelled", "done"}  # a map of 0 steps
    assert tuned.store.view("results").empty


@pytest.mark.timeout(900)
def test_a_study_killed_twice_equals_an_undisturbed_one(folder, tmp_path, few_root) -> None:
    """It is killed in its first launch and in its second; Optuna itself reads it."""
    change = {"recipe": {"training": {"steps": 300}}, "tune": {"budget": {"high": 20}}}
    (folder / "tuned.yaml").write_text(yaml.safe_dump(make_spec(change)))
    killed = make_in(folder, few_root, change)
    for completed in (0, 1):
        with begin(folder, few_root) as process:
            wait_until_it_trains(process, killed, completed)
            process.kill()
        assert killed.states() == ["COMPLETE"] * completed + ["RUNNING"]
    with begin(folder, few_root) as process:
        assert process.wait() == 0
    url = f"sqlite:///{folder / 'lcma.db'}"
    study = optuna.load_study(study_name="tuned", storage=url)
    assert {trial.state.name for trial in study.trials} == {"COMPLETE"}
    assert [trial.params["budget"] for trial in study.trials][:2] == [0, 20]
    (tmp_path / "other").mkdir()
    undisturbed = make_in(tmp_path / "other", few_root, change)
    undisturbed.run()
    assert killed.history() == undisturbed.history()
    assert killed.bits() == undisturbed.bits()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_on_a_cluster_goes_on_after_a_node_is_lost(
    folder, few_root, current_postgres_url
) -> None:
    """The head, where the trial of Ray Tune waits, has no CPU."""
    change = {"recipe": {"training": {"steps": 300}}, "tune": {"parallel": 2}}
    (folder / "tuned.yaml").write_text(yaml.safe_dump(make_spec(change)))
    tuned = make(Place(current_postgres_url, folder / "lcma-runs", few_root), change)
    with closing(Machines()) as machines:
        first, _ = (machines.add(address=f"127.0.0.{number}") for number in (2, 3))
        options = ["--ray", machines.address, "--db", current_postgres_url]
        with begin(folder, few_root, *options) as process:
            wait_until_it_trains(process, tuned, completed=0)
            machines.lose(first)
            assert process.wait() == 0
    undisturbed = make_in(folder, few_root, change)
    undisturbed.run()
    assert tuned.history() == undisturbed.history()
    assert tuned.bits() == undisturbed.bits()


def begin(folder: Path, few_root: Path, *options: str) -> "subprocess.Popen[bytes]":
    """Start `lcma tune` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "lcma", "tune", "tuned.yaml", *options],
        cwd=folder,
        env={**os.environ, "LCMA_DATA": str(few_root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def wait_until_it_trains(process: "subprocess.Popen[bytes]", tuned: Tuning, completed: int) -> None:
    """Wait until so many trials are complete, and this process has begun a job of the next one."""
    known = set(tuned.store.view("attempts").id)
    while process.poll() is None:
        new = {facts.attempt_id for facts in list_running(tuned.store)} - known
        if new and len(tuned.history()) > completed:
            return
        time.sleep(0.2)
    raise AssertionError(f"it ended with {process.returncode}")
