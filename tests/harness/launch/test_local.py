"""Workers of this machine: whose copies they are, and with whom they end."""

import importlib.util
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.harness.launch.driver import Launch
from lcma.harness.launch.local import LocalExecutor
from lcma.harness.work.units import Work
from tests.harness.launch.conftest import Told, told, with_ending
from tests.harness.launch.machines import until

DRIVER = """
import pickle, sys
from lcma.harness.launch.local import LocalExecutor

if __name__ == "__main__":
    executor = LocalExecutor(1)
    executor.submit([pickle.load(open(sys.argv[1], "rb"))])
    executor.wait(600)
"""

OTHERS = """
import pathlib
pathlib.Path(__file__).with_suffix(".imported").touch()
raise ImportError("another program's module")
"""


def environment(found: Mapping[str, str]) -> dict[str, str]:
    """Less what PyTorch and a training set for themselves."""
    own = "CUBLAS_WORKSPACE_CONFIG", "TORCHINDUCTOR_CACHE_DIR"
    return {name: value for name, value in found.items() if name not in own}


def run(store: db.Store, works: list[Work], executor: LocalExecutor) -> None:
    assert len(with_ending(Launch(store, works, executor, Told()).run(), "done")) == len(works)


@pytest.mark.slow
def test_a_worker_is_as_if_this_process_had_started_it_now(
    telling: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the first one started with."""
    store, works = telling(4)
    for seed, variable in enumerate(("LCMA_OF_THE_TEST", "LCMA_OF_THE_TEST", "OF_THE_TEST")):
        here = tmp_path / f"here{seed}"
        here.mkdir()
        monkeypatch.chdir(here)
        monkeypatch.setenv(variable, str(seed))
        executor = LocalExecutor(1)
        run(store, [works[seed]], executor)
        executor.close(kill=False)
        found = told(tmp_path, seed)
        assert found["folder"] == str(here)
        assert environment(found["environment"]) == environment(os.environ)
    monkeypatch.undo()
    executor = LocalExecutor(1)
    run(store, [works[3]], executor)
    executor.close(kill=False)
    assert environment(told(tmp_path, 3)["environment"]) == environment(os.environ)
    drawn = [told(tmp_path, seed)["drawn"] for seed in range(4)]
    assert len(set(drawn)) == 4, "numpy's own generator is not the same in all"


def test_workers_are_copies_of_a_server_after_ray_and_its_tune_were_used_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ray puts a folder at the front of the path, a study sets variables of Tune."""
    ray = importlib.util.find_spec("ray")
    assert ray is not None
    assert ray.origin is not None
    said = "__import__('os').getppid(), __import__('gc').isenabled(), "
    said += "__import__('gc').get_freeze_count()"
    found = []
    for _ in range(2):
        executor = LocalExecutor(1)
        found.append(executor._pools[0].submit(eval, said).result())
        executor.close(kill=False)
        monkeypatch.syspath_prepend(str(Path(ray.origin).parent / "thirdparty_files"))
        monkeypatch.setenv("TUNE_DISABLE_SIGINT_HANDLER", "1")
    first, second = found
    assert first[0] == second[0] != os.getpid()
    assert first[1]
    assert first[2] > 100_000, "the collector of garbage need not look at what is a copy"


@pytest.mark.slow
def test_a_server_that_dies_is_started_again(telling: Any, tmp_path: Path) -> None:
    store, works = telling(2)
    executor = LocalExecutor(1)
    run(store, works[:1], executor)
    server = told(tmp_path, 0)["parent"]
    assert server != os.getpid()
    os.kill(server, signal.SIGKILL)
    run(store, works[1:], executor)
    assert told(tmp_path, 1)["parent"] not in (server, os.getpid())
    executor.close(kill=True)


@pytest.mark.integration
def test_nothing_outlives_a_killed_driver_and_no_module_of_its_folder_is_taken(
    telling: Any, tmp_path: Path
) -> None:
    _, works = telling(1, seconds=600.0)
    work, driver, here = tmp_path / "work", tmp_path / "bin" / "driver.py", tmp_path / "here"
    work.write_bytes(pickle.dumps(works[0]))
    for folder in (driver.parent, here):
        folder.mkdir()
    driver.write_text(DRIVER)
    for name in ("torch", "numpy", "yaml", "lcma"):
        (here / f"{name}.py").write_text(OTHERS)
    process = subprocess.Popen([sys.executable, str(driver), str(work)], cwd=here)
    found = told(tmp_path, 0)
    process.kill()
    process.wait()
    assert found["parent"] != process.pid
    until(lambda: not any(_lives(found[name]) for name in ("pid", "parent")))
    assert not list(here.glob("*.imported"))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_imports_no_compiler(one_trial: Callable[..., Any], tmp_path: Path) -> None:
    """Which would take as long as PyTorch, in each process that trains."""
    store, work = one_trial(f"sqlite:///{tmp_path / 'imports.db'}", lease=60.0)
    executor = LocalExecutor(1)
    run(store, [work], executor)
    # Nothing of the tests, which import all of them, gets there.
    loaded = executor._pools[0].submit(eval, "set(__import__('sys').modules)").result()
    executor.close(kill=True)
    assert "torch" in loaded
    assert not {"torch._dynamo", "ray", "pandas"} & loaded
