"""What tasks are granted: shares of GPUs, whole ones, none; in processes here and on a real Ray."""

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.harness.place import Place
from lcma.harness.run.driver import Launch
from lcma.harness.run.local import LocalExecutor
from lcma.harness.run.plan import Node, make_nodes, make_plan, register_plan
from lcma.harness.run.work import Terms
from lcma.sweeps import spec as specs
from lcma.sweeps.errors import UserError
from lcma.sweeps.spec import Resources
from tests.harness.conftest import SMALL, merged
from tests.harness.run.conftest import Told

pytestmark = pytest.mark.integration

RULE = '''
import json
import os
import time
from pathlib import Path

import numpy as np
import torch

from lcma.sweeps.plugins import factorization


@factorization("{name}", reads="seed")
def rule(shape, split, seed, values):
    """Says what its process has, and for how long; it is called more than once."""
    began = time.monotonic()
    time.sleep({seconds})
    said = {{
        "gpus": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "threads": torch.get_num_threads(),
        "pid": os.getpid(),
        "began": began,
        "ended": time.monotonic(),
    }}
    with Path({folder!r}, f"{{seed}}.json").open("a") as file:
        file.write(json.dumps(said) + "\\n")
    stays = np.zeros(shape, dtype=bool)
    stays[:, :, 1::2] = True
    return stays
'''


@pytest.fixture
def telling(place: Place, tmp_path: Path) -> Any:
    """Registers trials that tell what their processes have; and reads what they told."""

    def make(gpus: list[float], seconds: float) -> tuple[db.Store, list[Node], Path]:
        folder = tmp_path / "told"
        folder.mkdir()
        rule = tmp_path / "rule.py"
        name = f"telling-{tmp_path.name[-12:].replace('_', '-')}"
        rule.write_text(RULE.format(name=name, folder=str(folder), seconds=seconds))
        change = {"matrix": {"factorization": name}, "seeds": len(gpus)}
        spec = specs.check(merged(SMALL, {**change, "plugins": str(rule)}), "test", tmp_path)
        store = db.connect(place.db)
        plan = make_plan(spec, place, store)
        register_plan(plan, place, store)
        nodes = make_nodes(plan, place, owner="a launch", device="cpu")
        return (
            store,
            [_with(node, gpus=share) for node, share in zip(nodes, gpus, strict=True)],
            folder,
        )

    return make


def _with(node: Node, **changes: Any) -> Node:
    return dataclasses.replace(node, work=dataclasses.replace(node.work, **changes))


def read(folder: Path, count: int) -> list[dict[str, Any]]:
    """What each process said, by seed."""
    told = [(folder / f"{seed}.json").read_text().splitlines() for seed in range(count)]
    return [json.loads(lines[-1]) | {"began": json.loads(lines[0])["began"]} for lines in told]


def most_at_once(said: list[dict[str, Any]]) -> int:
    """So many worked at the same time, on each GPU."""
    return max(
        sum(o["gpus"] == one["gpus"] and o["began"] <= one["began"] < o["ended"] for o in said)
        for one in said
    )


def test_here_a_worker_keeps_to_a_gpu_that_the_launch_may_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is asked before it has imported what a training needs."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    executor = LocalExecutor(1, per_gpu=1)
    try:
        assert executor._pools[0].submit(os.getenv, "CUDA_VISIBLE_DEVICES").result() == "3"
    finally:
        executor.close(kill=True)


@pytest.mark.slow
def test_here_a_whole_gpu_is_waited_for_and_had_alone(telling: Any) -> None:
    """Two GPUs of two slots each: whoever wants one whole has it to himself."""
    store, nodes, folder = telling([0.5, 0.5, 0.5, 1.0, 0.5, 1.0], seconds=0.3)
    executor = LocalExecutor(4, per_gpu=2)
    try:
        ended = Launch(store, nodes, executor, Told()).run()
    finally:
        executor.close(kill=True)
    assert len(ended.with_ending("done")) == 6
    said = read(folder, 6)
    assert {one["gpus"] for one in said} == {"0", "1"}
    assert most_at_once(said) <= 2
    for whole in (said[3], said[5]):
        beside = [one for one in said if one["gpus"] == whole["gpus"] and one is not whole]
        assert all(
            one["ended"] <= whole["began"] or whole["ended"] <= one["began"] for one in beside
        )


@pytest.fixture
def clusters() -> Iterator[Any]:
    """Starts Ray clusters of these nodes, one at a time."""
    from ray.cluster_utils import Cluster

    made: list[Any] = []

    def start(*nodes: dict[str, Any]) -> Any:
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        made.append(cluster)
        for node in nodes:
            cluster.add_node(**node)
        cluster.wait_for_nodes()
        return cluster

    yield start
    for cluster in made:
        cluster.shutdown()


@pytest.mark.slow
@pytest.mark.xdist_group("ray")
def test_on_ray_shares_are_packed_and_each_task_sees_what_it_was_granted(
    telling: Any, clusters: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lcma.harness.run.cluster import RayExecutor

    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    store, nodes, folder = telling([0.3] * 5 + [1.0, 0.0, 0.0], seconds=1.0)
    cluster = clusters({"num_cpus": 8, "num_gpus": 2, "memory": 10**9})
    executor = RayExecutor(Resources(), cluster.address)
    told = Told()
    try:
        executor.check(threads=1)
        more = _with(nodes[0], terms=Terms(memory_gb=2000.0)).work
        assert executor.lack(more) == (
            "a trial asks for 1 CPU, 0.3 GPU, 2000 GB of memory, and no node has that "
            "(the nearest has 8 CPU, 2 GPU, 1 GB of memory)"
        )
        assert executor.lack(nodes[5].work) is None
        ended = Launch(store, nodes, executor, told).run()
    finally:
        executor.close(kill=True)
    assert (len(ended.with_ending("done")), told.notes) == (8, [])
    said = read(folder, 8)
    assert {one["gpus"] for one in said[:6]} <= {"0", "1"}
    assert [one["gpus"] for one in said[6:]] == ["", ""]
    assert {one["threads"] for one in said} == {1}
    assert most_at_once(said[:6]) == 3
    whole = said[5]
    assert most_at_once([whole, *(one for one in said[:5] if one["gpus"] == whole["gpus"])]) <= 3
    on_gpus = [one["pid"] for one in said[:6]]
    assert len(set(on_gpus)) == 6, "a process would keep the GPU of its first task"
    assert store.attempts().devices.isna().all()
    with pytest.raises(UserError, match=r"`resources.gpus`: input should be less than or equal"):
        specs.check(merged(SMALL, {"resources": {"gpus": 1.5}}), "test")
