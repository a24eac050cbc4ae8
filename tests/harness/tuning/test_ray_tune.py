"""`lcma tune` on Ray Tune: what it prints and leaves, and that it goes on when it is killed."""

import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import optuna
import pytest
import yaml

from lcma.harness.cli import tuning
from lcma.harness.launch import driver
from lcma.harness.place import Place
from tests.faults.moments import hooked
from tests.harness.launch.machines import Machines, until
from tests.harness.tuning.conftest import POINTS, Tuning, Typed, content, make, tuned_in
from tests.stores import list_running

pytestmark = [pytest.mark.integration, pytest.mark.ray, pytest.mark.xdist_group("ray")]


def test_the_verb_tunes_tells_and_goes_on(
    folder: Path,
    few_root: Path,
    tune: Typed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No file of Tune's holds the database's URL, and its trial no CPU while it waits."""
    import ray

    scratch, seen, leaks = tmp_path / "scratch", set[str](), list[str]()
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))

    def look(name: str, when: str) -> None:
        for path in scratch.rglob("lcma-tune-*/**/*"):
            if path.is_file():
                seen.add(path.name)
                leaks.extend([path.name] * (b"lcma.db" in path.read_bytes()))
        if (name, when) == ("tell", "before"):  # the launch is over, and its trial still there
            (group,) = ray.util.placement_group_table().values()
            assert group["state"] == "CREATED"
            until(lambda: ray.available_resources().get("CPU") == ray.cluster_resources()["CPU"])

    change = {"tune": {"trials": 2, "parallel": 2}}
    with hooked(look):
        code, printed, _ = tune(change)
    assert code == 0
    assert ("tuner.pkl" in seen, leaks) == (True, [])
    assert list(scratch.rglob("lcma-tune-*")) == []
    assert "trial 0, 0 steps: " in printed
    assert "steps is shown to be enough within 0.01 bits/dim" in " ".join(printed.split())
    assert "lcma budgets --sweep tuned" in printed
    assert f"optuna-dashboard sqlite:///{folder / 'lcma.db'}" in printed
    code, printed, _ = tune(change, "--trials", "3", "--json")
    assert code == 0
    (curve,) = json.loads(printed)
    assert [row["budget"] for row in curve["rows"]] == list(POINTS)
    tuned = tuned_in(folder, few_root, change)
    assert sorted(row[1] for row in tuned.history()) == list(POINTS)
    code, _, error = tune(change | {"seeds": 2})
    assert code == 2
    assert "a study 'tuned' of another spec" in error


@pytest.mark.slow
def test_where_something_is_lost_the_code_is_1(tune: Typed) -> None:
    change = {"recipe": {"optimization": {"learning_rate": 1e30, "clip": None}}}
    code, printed, _ = tune(change | {"tune": {"trials": 2}})
    assert code == 1
    assert "failed: diverged: the loss was not finite" in " ".join(printed.split())
    assert "See why with: lcma status" in printed


@pytest.mark.slow
def test_at_a_limit_the_code_is_4_and_nothing_runs(
    folder: Path, few_root: Path, tune: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Looks and heartbeats come often, so that workers hear of the end soon.
    monkeypatch.setattr(driver, "LIMIT_SECONDS", 0.1)
    monkeypatch.setattr(tuning, "TuneCommand", partial(tuning.TuneCommand, lease_seconds=2.0))
    change = {"recipe": {"training": {"steps": 100_000}}}
    code, printed, _ = tune(change, "--max-device-hours", "0.0001")
    assert code == 4
    assert "At most 0.0001 device hours" in printed
    assert "Ended in good order: the launch " in printed
    assert "Go on with: lcma tune tuned.yaml --max-device-hours 0.0001\n" in printed
    tuned = tuned_in(folder, few_root, change)
    assert list_running(tuned.store) == []
    assert set(tuned.store.view("attempts").outcome) <= {"cancelled", "done"}  # a map of 0 steps
    assert tuned.store.view("results").empty


@pytest.mark.timeout(900)
def test_a_study_killed_and_begun_again_is_that_of_one_left_alone(
    folder: Path, tmp_path: Path, few_root: Path
) -> None:
    """By SIGKILL while it trains, in its first launch and in its second; plain Optuna reads it."""
    change = {"recipe": {"training": {"steps": 300}}, "tune": {"budget": {"high": 20}}}
    (folder / "tuned.yaml").write_text(yaml.safe_dump(content(change)))
    killed = tuned_in(folder, few_root, change)
    for told in (0, 1):
        with begin(folder, few_root) as process:
            until_it_trains(process, killed, told)
            process.kill()
        states = [row[2] for row in killed.history()]
        assert states == ["COMPLETE"] * told + ["RUNNING"]
    with begin(folder, few_root) as process:
        assert process.wait() == 0
    url = f"sqlite:///{folder / 'lcma.db'}"
    study = optuna.load_study(study_name="tuned", storage=url)
    assert {trial.state.name for trial in study.trials} == {"COMPLETE"}
    assert [trial.params["budget"] for trial in study.trials][:2] == [0, 20]
    (tmp_path / "other").mkdir()
    alone = tuned_in(tmp_path / "other", few_root, change)
    alone.run()
    assert killed.history() == alone.history()
    assert killed.bits() == alone.bits()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_study_on_a_cluster_goes_on_without_a_node(
    folder: Path, few_root: Path, current_postgres_url: str
) -> None:
    """The head, where Tune's trial waits, has no CPU."""
    change = {"recipe": {"training": {"steps": 300}}, "tune": {"parallel": 2}}
    (folder / "tuned.yaml").write_text(yaml.safe_dump(content(change)))
    tuned = make(Place(current_postgres_url, folder / "lcma-runs", few_root), change)
    machines = Machines()
    try:
        first, _ = (machines.add(address=f"127.0.0.{number}") for number in (2, 3))
        options = ["--ray", machines.address, "--db", current_postgres_url]
        with begin(folder, few_root, *options) as process:
            until_it_trains(process, tuned, told=0)
            machines.lose(first)
            assert process.wait() == 0
    finally:
        machines.close()
    alone = tuned_in(folder, few_root, change)
    alone.run()
    assert tuned.history() == alone.history()
    assert tuned.bits() == alone.bits()


def begin(folder: Path, few_root: Path, *options: str) -> "subprocess.Popen[bytes]":
    """Type the verb in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "lcma", "tune", "tuned.yaml", *options],
        cwd=folder,
        env={**os.environ, "LCMA_DATA": str(few_root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def until_it_trains(process: "subprocess.Popen[bytes]", tuned: Tuning, told: int) -> None:
    """Wait until so many trials are told, and jobs of the next one run under this process."""
    known = set(tuned.store.view("attempts").id)
    while process.poll() is None:
        begun = {one.attempt_id for one in list_running(tuned.store)} - known
        if begun and len(tuned.history()) > told:
            return
        time.sleep(0.2)
    raise AssertionError(f"it ended with {process.returncode}")
