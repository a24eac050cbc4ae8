"""Workers of this machine: what they inherit, and when they end."""

import importlib.util
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from lcma import db
from lcma.harness.launch.local import LocalExecutor
from lcma.harness.work.units import Work
from tests.harness.launch.conftest import run_launch, using, wait_for_worker, with_ending
from tests.harness.launch.machines import wait_until

DRIVER = """
import pickle, sys
from lcma.harness.launch.local import LocalExecutor

if __name__ == "__main__":
    executor = LocalExecutor(1)
    executor.submit([pickle.load(open(sys.argv[1], "rb"))])
    executor.wait(600)
"""

HOSTILE_MODULE = """
import pathlib
pathlib.Path(__file__).with_suffix(".imported").touch()
raise ImportError("another program's module")
"""


def list_inherited(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables minus those that PyTorch and a training set for themselves."""
    own = "CUBLAS_WORKSPACE_CONFIG", "TORCHINDUCTOR_CACHE_DIR"
    return {name: value for name, value in variables.items() if name not in own}


def run(store: db.Store, work: Work, executor: LocalExecutor) -> None:
    assert len(with_ending(run_launch(store, [work], executor), "done")) == 1


@pytest.mark.slow
def test_a_worker_has_the_folder_and_environment_of_its_launch(
    described_trials, tmp_path, monkeypatch
) -> None:
    """The server that forks workers started earlier, with others."""
    store, works = described_trials(4)
    for seed, variable in enumerate(("LCMA_OF_THE_TEST", "LCMA_OF_THE_TEST", "OF_THE_TEST")):
        folder = tmp_path / f"folder{seed}"
        folder.mkdir()
        monkeypatch.chdir(folder)
        monkeypatch.setenv(variable, str(seed))
        executor = LocalExecutor(1)
        run(store, works[seed], executor)
        executor.close(kill=False)
        worker = wait_for_worker(tmp_path, seed)
        assert worker["folder"] == str(folder)
        assert list_inherited(worker["environment"]) == list_inherited(os.environ)
    monkeypatch.undo()
    executor = LocalExecutor(1)
    run(store, works[3], executor)
    executor.close(kill=False)
    worker = wait_for_worker(tmp_path, 3)
    assert list_inherited(worker["environment"]) == list_inherited(os.environ)
    numbers = {wait_for_worker(tmp_path, seed)["drawn"] for seed in range(4)}
    assert len(numbers) == 4, "numpy's global generator differs between workers"


def test_workers_are_forked_from_one_server_also_after_ray_was_used(monkeypatch) -> None:
    """Ray puts a folder at the front of the path, and a study sets variables of Tune."""
    ray = importlib.util.find_spec("ray")
    assert ray is not None
    assert ray.origin is not None
    facts = "__import__('os').getppid(), __import__('gc').isenabled(), "
    facts += "__import__('gc').get_freeze_count()"
    workers = []
    for _ in range(2):
        executor = LocalExecutor(1)
        workers.append(executor._pools[0].submit(eval, facts).result())
        executor.close(kill=False)
        monkeypatch.syspath_prepend(str(Path(ray.origin).parent / "thirdparty_files"))
        monkeypatch.setenv("TUNE_DISABLE_SIGINT_HANDLER", "1")
    first, second = workers
    assert first[0] == second[0] != os.getpid()
    assert first[1]
    assert first[2] > 100_000, "garbage collection leaves out the copied objects"


@pytest.mark.slow
def test_a_server_that_dies_is_started_again(described_trials, tmp_path) -> None:
    store, works = described_trials(2)
    with using(LocalExecutor(1)) as executor:
        run(store, works[0], executor)
        server = wait_for_worker(tmp_path, 0)["parent"]
        assert server != os.getpid()
        os.kill(server, signal.SIGKILL)
        run(store, works[1], executor)
        assert wait_for_worker(tmp_path, 1)["parent"] not in (server, os.getpid())


@pytest.mark.integration
def test_no_process_outlives_a_killed_driver(described_trials, tmp_path) -> None:
    """None of them imports a module from the current folder."""
    _, (work,) = described_trials(1, seconds=600.0)
    file, driver, folder = tmp_path / "work", tmp_path / "bin" / "driver.py", tmp_path / "folder"
    file.write_bytes(pickle.dumps(work))
    driver.parent.mkdir()
    folder.mkdir()
    driver.write_text(DRIVER)
    for name in ("torch", "numpy", "yaml", "lcma"):
        (folder / f"{name}.py").write_text(HOSTILE_MODULE)
    process = subprocess.Popen([sys.executable, str(driver), str(file)], cwd=folder)
    worker = wait_for_worker(tmp_path, 0)
    process.kill()
    process.wait()
    assert worker["parent"] != process.pid
    wait_until(lambda: not any(_is_alive(worker[name]) for name in ("pid", "parent")))
    assert not list(folder.glob("*.imported"))


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_imports_no_compiler(register_trial) -> None:
    """The import would take as long as PyTorch's, in each process that trains."""
    store, work = register_trial(lease=60.0)
    with using(LocalExecutor(1)) as executor:
        run(store, work, executor)
        # The tests' process has imported all of them, and workers are not its copies.
        modules = executor._pools[0].submit(eval, "set(__import__('sys').modules)").result()
    assert "torch" in modules
    assert not {"torch._dynamo", "ray", "pandas"} & modules
