"""Tasks get shares of GPUs, whole ones or none, from local workers and from a real Ray."""

import os
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from lcma.harness.launch.local import LocalExecutor
from lcma.harness.work.units import Terms
from lcma.sweeps.spec import Resources
from tests.harness.launch.conftest import (
    FakeDisplay,
    run_launch,
    using,
    wait_for_worker,
    with_ending,
)
from tests.harness.launch.machines import Machines

pytestmark = pytest.mark.integration


def count_at_once(workers: list[dict[str, Any]]) -> int:
    """Return how many workers at most shared a GPU at one time."""
    return max(
        sum(
            other["gpus"] == worker["gpus"] and other["began"] <= worker["began"] < other["ended"]
            for other in workers
        )
        for worker in workers
    )


def test_a_local_worker_sees_one_gpu_of_those_that_the_launch_sees(monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    with using(LocalExecutor(1, gpus=2)) as executor:
        assert executor._pools[0].submit(os.getenv, "CUDA_VISIBLE_DEVICES").result() == "3"


@pytest.mark.slow
def test_a_local_task_that_asks_for_a_whole_gpu_shares_it_with_none(
    described_trials, tmp_path
) -> None:
    """The two GPUs have two slots each."""
    shares = [0.5, 0.5, 0.5, 1.0, 0.5, 1.0]
    store, works = described_trials(6, seconds=0.3)
    works = [replace(work, gpus=share) for work, share in zip(works, shares, strict=True)]
    with using(LocalExecutor(4, gpus=2)) as executor:
        ended = run_launch(store, works, executor)
    assert len(with_ending(ended, "done")) == 6
    workers = [wait_for_worker(tmp_path, seed) for seed in range(6)]
    assert {worker["gpus"] for worker in workers} == {"0", "1"}
    assert count_at_once(workers) <= 2
    for sole in (workers[3], workers[5]):
        for worker in workers:
            if worker["gpus"] == sole["gpus"] and worker is not sole:
                assert worker["ended"] <= sole["began"] or sole["ended"] <= worker["began"]


@pytest.mark.xdist_group("ray")
def test_ray_packs_shares_and_each_task_sees_its_gpu(
    described_trials, tmp_path, monkeypatch
) -> None:
    """Two nodes claim two GPUs each; those of one node are named slices (MIG)."""
    from lcma.harness.launch.cluster import RayExecutor

    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    store, works = described_trials(12, seconds=0.5)
    shares = [0.5] * 9 + [1.0, 0.0, 0.0]
    works = [replace(work, gpus=share) for work, share in zip(works, shares, strict=True)]
    slices, display = ("MIG-a", "MIG-b"), FakeDisplay()
    with (
        closing(Machines()) as machines,
        using(RayExecutor(Resources(), machines.address)) as executor,
    ):
        machines.add(cpus=6, gpus=2, memory=10**9)
        machines.add(cpus=6, gpus=2, environment={"CUDA_VISIBLE_DEVICES": ",".join(slices)})
        executor.check(threads=1)
        lack = executor.lack(replace(works[0], terms=Terms(memory_gb=2000.0)))
        assert lack is not None
        assert "a trial asks for 1 CPU, 0.5 GPU, 2000 GB of memory, and no node has that" in lack
        assert executor.lack(works[9]) is None
        ended = run_launch(store, works, executor, display)
    assert (len(with_ending(ended, "done")), display.notes) == (12, [])
    workers = [wait_for_worker(tmp_path, seed) for seed in range(12)]
    on_gpus = workers[:10]
    assert {worker["gpus"] for worker in on_gpus} == {"0", "1", *slices}
    assert [worker["gpus"] for worker in workers[10:]] == ["", ""]
    assert {worker["threads"] for worker in workers} == {1}
    assert count_at_once(on_gpus) == 2
    sole = workers[9]
    assert count_at_once([sole, *(n for n in on_gpus if n["gpus"] == sole["gpus"])]) <= 2
    pids = {worker["pid"] for worker in on_gpus}
    assert len(pids) == len(on_gpus), "a process would keep the GPU of its first task"
    assert store.view("attempts").devices.isna().all()
