"""What a Ray cluster cannot do is said in one line, and where there is none too."""

import json
import os
import pkgutil
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lcma.harness.launch import cluster as on_ray
from lcma.harness.launch.cluster import RayExecutor
from lcma.harness.launch.preflight import Preflight
from lcma.harness.launch.workers import Workers
from lcma.harness.place import Place
from lcma.sweeps.errors import UserError
from lcma.sweeps.spec import Resources
from tests.harness.conftest import SMALL
from tests.harness.launch.conftest import typed
from tests.harness.launch.machines import DEADLINE, Machines, until

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("ray")]


def test_ray_has_the_private_names_that_a_launch_uses() -> None:
    source = Path(on_ray.__file__).read_text()
    used = {"ray." + name for name in re.findall(r"ray\.(_private\.[\w.]+)", source)}
    for called, module in {
        "ray_constants": "ray._private.ray_constants",
        "internal_kv": "ray.experimental.internal_kv",
        "remembered": "ray._raylet",
    }.items():
        found = re.findall(rf"\b{called}\.(\w+(?:\.\w+)?)", source)
        used |= {f"{module}.{name}" for name in found}
    assert len(used) > 9
    for name in used:
        pkgutil.resolve_name(name)
    config = on_ray.JobConfig()
    assert hasattr(config, "_serialize")
    assert hasattr(config, "_py_driver_sys_path")


def test_a_cluster_of_several_hosts_refuses_a_file(
    cluster: Any, in_tmp: Path, photos_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is made before it is refused."""
    command = ["launch", "demo", "--dataset", "photos8", "--ray", cluster.address]
    code, _, err = typed(capsys, *command, "--db", "lcma.db", "--data", photos_root)
    assert code == 2
    (line,) = err.splitlines()
    assert "the cluster has 2 hosts" in line
    assert "give --db postgresql://USER@HOST/DATABASE" in line
    assert list(in_tmp.iterdir()) == []


def test_nodes_that_do_not_come_end_a_launch_that_waits_for_them(
    cluster: Any,
    in_tmp: Path,
    photos_root: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is made before."""
    monkeypatch.setattr("lcma.harness.launch.cluster.WAIT_NODES_SECONDS", 0.0)
    command = ["launch", "demo", "--dataset", "photos8", "--db", "lcma.db", "--data", photos_root]
    for address, said in (
        (["--ray", cluster.address], "has 2 nodes after 0 minutes, and not the 3 of --wait-nodes"),
        ([], "--wait-nodes waits for nodes of a cluster: give --ray ADDRESS too"),
    ):
        code, _, err = typed(capsys, *command, "--wait-nodes", "3", *address)
        assert (code, len(err.splitlines())) == (2, 1)
        assert said in err
    assert list(in_tmp.iterdir()) == []


def test_a_launch_waits_for_nodes_that_come(cluster: Any) -> None:
    executor = RayExecutor(Resources(), cluster.address)
    try:
        with ThreadPoolExecutor() as pool:
            waited = pool.submit(executor.wait_for_nodes, 3)
            time.sleep(0.5)
            assert not waited.done()
            late = cluster.add_node(num_cpus=1, include_log_monitor=False)
            waited.result()
        cluster.remove_node(late)
    finally:
        executor.close(kill=True)


def test_workers_import_nothing_from_the_current_folder(cluster: Any, in_tmp: Path) -> None:
    """Somebody's own `models` or `db` would be taken for a module that was meant."""
    import ray

    (in_tmp / "of_somebody.py").touch()

    def find() -> tuple[bool, list[str]]:
        import importlib.util
        import sys

        return importlib.util.find_spec("of_somebody") is not None, sys.path

    executor = RayExecutor(Resources(), cluster.address)
    try:
        found, path = ray.get(ray.remote(find).remote())
    finally:
        executor.close(kill=True)
    assert not found, path


def test_a_busy_node_is_waited_for_in_sight_and_named_with_the_remedy(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No node answers within no time."""
    monkeypatch.setattr("lcma.harness.launch.cluster.ASK_SECONDS", 0.0)
    stages: list[str] = []

    def stage(what: str) -> AbstractContextManager[None]:
        stages.append(what)
        return nullcontext()

    place = Place("postgresql://nobody@127.0.0.1:1/none", tmp_path / "runs", tmp_path)
    said = "did not report within 0 s .*: if it is busy, launch again later; else see "
    with (
        Workers(Resources(), 1, stage, {"ray": cluster.address}) as workers,
        pytest.raises(UserError, match=said),
    ):
        workers.require(place, {})
    assert stages == [
        "starting workers",
        "asking 2 nodes for code, database, checkpoints and data",
    ]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:1", r"cannot reach Ray at 127\.0\.0\.1:1: .*refused.*leave --ray out"),
        ("ray://127.0.0.1:1", r"cannot reach Ray at ray://127\.0\.0\.1:1"),
        ("127.0.0.1:99999999", "cannot reach Ray"),
        ("head", "give HOST:PORT"),
        ("", "give HOST:PORT"),
    ],
)
def test_no_ray_at_an_address_is_one_line(address: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        RayExecutor(Resources(), address)


@pytest.mark.slow
def test_a_call_whose_node_is_lost_runs_on_one_that_joined_or_says_that_none_is_left(
    tmp_path: Path, photos_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machines = Machines()
    first = machines.add()
    executor = RayExecutor(Resources(), machines.address)
    preflight = Preflight(Place(str(tmp_path / "lcma.db"), tmp_path / "runs", photos_root), {})
    began = tmp_path / "began"

    try:
        preflight.require_machines(executor.ask)
        text = f"__import__('pathlib').Path({str(began)!r}).touch() or __import__('time').sleep(3)"
        with ThreadPoolExecutor() as pool:
            found = pool.submit(list, executor.run_each(eval, [("wait", (f"({text}) or 1",))]))
            while not began.exists() and not found.done():
                time.sleep(0.05)
            machines.lose(first)
            machines.add()
            assert found.result() == [1]
        machines.clear()
        monkeypatch.setattr("lcma.harness.launch.cluster.NO_NODE_SECONDS", 1.0)
        with pytest.raises(UserError, match=r"^no node is left that can wait, for 1 s: see `ray"):
            list(executor.run_each(eval, [("wait", ("1",))]))
    finally:
        preflight.close()
        executor.close(kill=True)
        machines.close()


def report_node_group(cpus: float, gpus: float, most: int) -> None:
    """Tell Ray, as some providers' autoscalers do, what nodes could be added."""
    import ray._raylet
    from ray.core.generated.autoscaler_pb2 import ClusterConfig, NodeGroupConfig
    from ray.experimental import internal_kv

    group = NodeGroupConfig(name="workers", max_count=most)
    group.resources.update({"CPU": int(cpus), "GPU": int(gpus)})
    internal_kv._internal_kv_put(
        ray._raylet.GCS_AUTOSCALER_CLUSTER_CONFIG_KEY,
        ClusterConfig(node_group_configs=[group]).SerializeToString(),
        namespace=ray._raylet.GCS_AUTOSCALER_STATE_NAMESPACE,
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_launch_on_a_cluster_without_nodes_waits_for_one_that_an_autoscaler_could_add(
    in_tmp: Path, photos_root: Path
) -> None:
    (in_tmp / "zero.yaml").write_text(json.dumps(SMALL))
    machines, said = Machines(), in_tmp / "said"
    command = [sys.executable, "-m", "lcma", "launch", "zero.yaml", "--no-pictures", "--gpus", "0"]
    command += ["--ray", machines.address, "--data", str(photos_root)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "300"}
    waits = "a trial asks for 1 CPU, and no node has that (the nearest has 0 CPU, 0 GPU): waiting"
    executor = RayExecutor(Resources(), machines.address)
    try:
        report_node_group(1, 0, most=2)
        executor.close(kill=True)
        with said.open("w") as out:
            launch = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
        until(lambda: launch.poll() is not None or waits in said.read_text())
        assert launch.poll() is None, said.read_text()
        machines.add()
        assert launch.wait(DEADLINE) == 0, said.read_text()
    finally:
        machines.close()


@pytest.fixture(scope="module")
def executor(cluster: Any) -> Iterator[RayExecutor]:
    """One for the tests below, whose start costs most. Tests that make one of their own come before
    them: a process has one at a time."""
    made = RayExecutor(Resources(), cluster.address)
    yield made
    made.close(kill=True)


def test_what_an_autoscaler_could_add_counts_as_there(
    executor: RayExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "resources", Resources(gpus=1.0))
    try:
        report_node_group(8, 1, most=4)
        executor.check(threads=1)
        for cpus, gpus, most in ((8, 0, 4), (8, 1, 0)):
            report_node_group(cpus, gpus, most)
            with pytest.raises(UserError, match="asks for 1 CPU, 1 GPU, and no node has that"):
                executor.check(threads=1)
    finally:
        report_node_group(0, 0, most=0)


REFUSES = """(_ for _ in ()).throw(
    __import__("lcma.sweeps.errors", fromlist=["UserError"]).UserError("no file")
)"""


def test_a_call_that_is_lost_runs_again_and_what_it_raises_is_one_line(
    executor: RayExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each argument is evaluated by Python itself on a node."""
    monkeypatch.setattr("lcma.harness.launch.cluster.LOSSES", 2)
    dies_once = (
        f"(os.mkdir({str(tmp_path / 'died')!r}), os._exit(1)) "
        f"if not os.path.exists({str(tmp_path / 'died')!r}) else 7"
    ).replace("os.", "__import__('os').")

    def calls(*texts: str) -> list[tuple[str, tuple[str]]]:
        return [("sum", (text,)) for text in texts]

    monkeypatch.setattr(executor, "resources", Resources())
    executor.check(threads=1)
    assert sorted(executor.run_each(eval, calls(dies_once, "6", "5"))) == [5, 6, 7]
    assert (tmp_path / "died").exists()
    with pytest.raises(UserError, match=r"^ZeroDivisionError: division by zero$"):
        list(executor.run_each(eval, calls("1 / 0")))
    with pytest.raises(UserError, match=r"^no file$"):
        list(executor.run_each(eval, calls(REFUSES)))
    with pytest.raises(UserError, match=r"^cannot sum, its process was lost \(WorkerCrash"):
        list(executor.run_each(eval, calls("__import__('os')._exit(1)")))


def test_free_slots_are_counted_node_by_node_without_what_fits_nowhere(
    executor: RayExecutor, registered: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, works = registered({"matrix": {"factorization": "conventional"}})
    monkeypatch.setattr(executor, "resources", Resources(cpus=0.4))
    work = works[0]
    too_large = replace(work, terms=replace(work.terms, memory_gb=1e6))
    assert executor.free_slots(work) == 4
    assert executor.free_slots(too_large) == 0
    executor.submit([too_large])
    assert executor.free_slots(work) == 4
    executor.submit([work])
    assert executor.free_slots(work) == 3
