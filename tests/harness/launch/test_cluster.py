"""A Ray cluster: what it refuses in one line, how it waits for nodes, and how it counts slots."""

import json
import os
import pkgutil
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
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
from tests.harness.launch.conftest import run_cli, using
from tests.harness.launch.machines import DEADLINE, Machines, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("ray")]


def test_ray_has_the_private_names_that_a_launch_uses() -> None:
    source = Path(on_ray.__file__).read_text()
    names = {"ray." + name for name in re.findall(r"ray\.(_private\.[\w.]+)", source)}
    for alias, module in {
        "ray_constants": "ray._private.ray_constants",
        "internal_kv": "ray.experimental.internal_kv",
        "remembered": "ray._raylet",
    }.items():
        attributes = re.findall(rf"\b{alias}\.(\w+(?:\.\w+)?)", source)
        names |= {f"{module}.{attribute}" for attribute in attributes}
    assert len(names) > 9
    for name in names:
        pkgutil.resolve_name(name)
    config = on_ray.JobConfig()
    assert hasattr(config, "_serialize")
    assert hasattr(config, "_py_driver_sys_path")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--ray", "ADDRESS"],
            "the cluster has 2 hosts.*give --db postgresql://USER@HOST/DATABASE",
        ),
        (["--ray", "ADDRESS", "--wait-nodes", "3"], "has 2 nodes .*not the 3 of --wait-nodes"),
        (["--wait-nodes", "3"], "waits for nodes of a cluster: give --ray ADDRESS too"),
    ],
)
def test_a_launch_that_the_cluster_cannot_run_makes_nothing(
    cluster, in_tmp, photos_root, capsys, monkeypatch, options, message
) -> None:
    monkeypatch.setattr("lcma.harness.launch.cluster.WAIT_NODES_SECONDS", 0.0)
    command = ["launch", "demo", "--dataset", "photos8", "--db", "lcma.db", "--data", photos_root]
    options = [cluster.address if option == "ADDRESS" else option for option in options]
    code, _, err = run_cli(capsys, *command, *options)
    assert (code, len(err.splitlines())) == (2, 1)
    assert re.search(message, err)
    assert list(in_tmp.iterdir()) == []


def test_a_launch_waits_for_nodes_that_come(cluster) -> None:
    with using(RayExecutor(Resources(), cluster.address)) as executor:
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(executor.wait_for_nodes, 3)
            time.sleep(0.5)
            assert not waiting.done()
            node = cluster.add_node(num_cpus=1, include_log_monitor=False)
            waiting.result()
        cluster.remove_node(node)


def test_workers_import_nothing_from_the_current_folder(cluster, in_tmp) -> None:
    """A user's own `models` or `db` would hide the module of that name."""
    import ray

    (in_tmp / "users_module.py").touch()

    def find() -> tuple[bool, list[str]]:
        import importlib.util
        import sys

        return importlib.util.find_spec("users_module") is not None, sys.path

    with using(RayExecutor(Resources(), cluster.address)):
        is_found, path = ray.get(ray.remote(find).remote())
    assert not is_found, path


def test_a_node_that_does_not_answer_is_named_with_the_remedy(
    cluster, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr("lcma.harness.launch.cluster.ASK_SECONDS", 0.0)
    stages: list[str] = []

    def stage(title: str) -> AbstractContextManager[None]:
        stages.append(title)
        return nullcontext()

    place = Place("postgresql://nobody@127.0.0.1:1/none", tmp_path / "runs", tmp_path)
    message = "did not report within 0 s .*: if it is busy, launch again later; else see "
    with (
        Workers(Resources(), 1, stage, {"ray": cluster.address}) as workers,
        pytest.raises(UserError, match=message),
    ):
        workers.require(place, {})
    assert stages == ["starting workers", "asking 2 nodes for code, database, checkpoints and data"]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", r"cannot reach Ray at 127\.0\.0\.1:1: .*refused.*leave --ray out"),
        ("[::1]:1", r"cannot reach Ray at \[::1\]:1: .*(refused|assign)"),
        ("ray://127.0.0.1:1", "on one of the cluster's machines, with --ray HOST"),
        ("auto", "ray://127.0.0.1:1 asks for a client"),
        ("127.0.0.1:99999999", "cannot reach Ray"),
        ("head", "give HOST:PORT"),
        ("", "give HOST:PORT"),
    ],
)
def test_an_address_without_ray_is_refused_in_one_line(address, message, monkeypatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "ray://127.0.0.1:1")
    with pytest.raises(UserError, match=message):
        RayExecutor(Resources(), address)


@pytest.mark.slow
def test_a_call_whose_node_is_lost_runs_on_another_node_that_joins(
    tmp_path, photos_root, monkeypatch
) -> None:
    began = tmp_path / "began"
    place = Place(str(tmp_path / "lcma.db"), tmp_path / "runs", photos_root)
    with (
        closing(Machines()) as machines,
        closing(Preflight(place, {})) as preflight,
        using(RayExecutor(Resources(), machines.address)) as executor,
    ):
        node = machines.add()
        preflight.require_machines(executor.ask)
        text = f"__import__('pathlib').Path({str(began)!r}).touch() or __import__('time').sleep(3)"
        with ThreadPoolExecutor() as pool:
            call = pool.submit(list, executor.run_each(eval, [("wait", (f"({text}) or 1",))]))
            wait_until(lambda: began.exists() or call.done())
            machines.lose(node)
            machines.add()
            assert call.result() == [1]
        machines.clear()
        monkeypatch.setattr("lcma.harness.launch.cluster.NO_NODE_SECONDS", 1.0)
        with pytest.raises(UserError, match=r"^no node is left that can wait, for 1 s: see `ray"):
            list(executor.run_each(eval, [("wait", ("1",))]))


def report_node_group(cpus: float, gpus: float, most: int) -> None:
    """Tell Ray, as some providers' autoscalers do, which nodes could be added."""
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
def test_a_launch_waits_for_the_first_node_of_an_autoscaler(in_tmp, photos_root) -> None:
    (in_tmp / "zero.yaml").write_text(json.dumps(SMALL))
    log = in_tmp / "log"
    command = [sys.executable, "-m", "lcma", "launch", "zero.yaml", "--gpus", "0"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "300"}
    note = "a trial asks for 1 CPU, and no node has that (the nearest has 0 CPU, 0 GPU): waiting"
    with closing(Machines()) as machines:
        command += ["--ray", machines.address, "--data", str(photos_root)]
        with using(RayExecutor(Resources(), machines.address)):
            report_node_group(1, 0, most=2)
        with log.open("w") as out:
            launch = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
        wait_until(lambda: launch.poll() is not None or note in log.read_text())
        assert launch.poll() is None, log.read_text()
        machines.add()
        assert launch.wait(DEADLINE) == 0, log.read_text()


@pytest.fixture(scope="module")
def executor(cluster: Any) -> Iterator[RayExecutor]:
    """The executor of the tests below, which takes long to start.

    Tests that start their own come before, since a process has one at a time.
    """
    with using(RayExecutor(Resources(), cluster.address)) as executor:
        yield executor


def test_a_node_that_an_autoscaler_could_add_is_enough(executor, monkeypatch) -> None:
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


def test_a_lost_call_runs_again_and_an_error_is_one_line(executor, tmp_path, monkeypatch) -> None:
    """A node evaluates each argument as Python."""
    monkeypatch.setattr("lcma.harness.launch.cluster.LOSSES", 2)
    died = tmp_path / "died"
    dies_once = "(os.mkdir(PATH), os._exit(1)) if not os.path.exists(PATH) else 7"
    dies_once = dies_once.replace("os.", "__import__('os').").replace("PATH", repr(str(died)))

    def calls(*texts: str) -> list[tuple[str, tuple[str]]]:
        return [("sum", (text,)) for text in texts]

    monkeypatch.setattr(executor, "resources", Resources())
    executor.check(threads=1)
    assert sorted(executor.run_each(eval, calls(dies_once, "6", "5"))) == [5, 6, 7]
    assert died.exists()
    with pytest.raises(UserError, match=r"^ZeroDivisionError: division by zero$"):
        list(executor.run_each(eval, calls("1 / 0")))
    with pytest.raises(UserError, match=r"^no file$"):
        list(executor.run_each(eval, calls(REFUSES)))
    with pytest.raises(UserError, match=r"^cannot sum, its process was lost \(WorkerCrash"):
        list(executor.run_each(eval, calls("__import__('os')._exit(1)")))


def test_free_slots_are_counted_node_by_node(executor, registered, monkeypatch) -> None:
    """A task that fits no node takes none."""
    _, (work,) = registered({"matrix": {"factorization": "conventional"}})
    monkeypatch.setattr(executor, "resources", Resources(cpus=0.4))
    too_large = replace(work, terms=replace(work.terms, memory_gb=1e6))
    assert executor.free_slots(work) == 4
    assert executor.free_slots(too_large) == 0
    executor.submit([too_large])
    assert executor.free_slots(work) == 4
    executor.submit([work])
    assert executor.free_slots(work) == 3
