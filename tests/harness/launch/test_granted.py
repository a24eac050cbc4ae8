"""What tasks are granted: shares of GPUs, whole ones, none; in processes here and on a real Ray."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from lcma.harness.launch.driver import Launch
from lcma.harness.launch.local import LocalExecutor
from lcma.harness.work.units import Terms, Work
from lcma.sweeps.spec import Resources
from tests.harness.launch.conftest import Told, told, with_ending
from tests.harness.launch.machines import Machines

pytestmark = pytest.mark.integration


def _with(work: Work, **changes: Any) -> Work:
    return dataclasses.replace(work, **changes)


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
def test_here_a_whole_gpu_is_waited_for_and_had_alone(telling: Any, tmp_path: Path) -> None:
    """Two GPUs of two slots each: whoever wants one whole has it to himself."""
    shares = [0.5, 0.5, 0.5, 1.0, 0.5, 1.0]
    store, works = telling(6, seconds=0.3)
    works = [_with(work, gpus=share) for work, share in zip(works, shares, strict=True)]
    executor = LocalExecutor(4, per_gpu=2)
    try:
        ended = Launch(store, works, executor, Told()).run()
    finally:
        executor.close(kill=True)
    assert len(with_ending(ended, "done")) == 6
    said = [told(tmp_path, seed) for seed in range(6)]
    assert {one["gpus"] for one in said} == {"0", "1"}
    assert most_at_once(said) <= 2
    for whole in (said[3], said[5]):
        beside = [one for one in said if one["gpus"] == whole["gpus"] and one is not whole]
        assert all(
            one["ended"] <= whole["began"] or whole["ended"] <= one["began"] for one in beside
        )


@pytest.mark.xdist_group("ray")
def test_on_ray_shares_are_packed_and_each_task_sees_what_it_was_granted(
    telling: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On nodes that claim two GPUs each, those of one as slices with names (MIG)."""
    from lcma.harness.launch.cluster import RayExecutor

    monkeypatch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    store, works = telling(12, seconds=0.5)
    shares = [0.5] * 9 + [1.0, 0.0, 0.0]
    works = [_with(work, gpus=share) for work, share in zip(works, shares, strict=True)]
    machines, slices = Machines(), ("MIG-a", "MIG-b")
    machines.add(cpus=6, gpus=2, memory=10**9)
    machines.add(cpus=6, gpus=2, environment={"CUDA_VISIBLE_DEVICES": ",".join(slices)})
    executor = RayExecutor(Resources(), machines.address)
    display = Told()
    try:
        executor.check(threads=1)
        more = _with(works[0], terms=Terms(memory_gb=2000.0))
        lack = executor.lack(more)
        assert lack is not None
        assert "a trial asks for 1 CPU, 0.5 GPU, 2000 GB of memory, and no node has that" in lack
        assert executor.lack(works[9]) is None
        ended = Launch(store, works, executor, display).run()
    finally:
        executor.close(kill=True)
        machines.close()
    assert (len(with_ending(ended, "done")), display.notes) == (12, [])
    said = [told(tmp_path, seed) for seed in range(12)]
    on_gpus = said[:10]
    assert {one["gpus"] for one in on_gpus} == {"0", "1", *slices}
    assert [one["gpus"] for one in said[10:]] == ["", ""]
    assert {one["threads"] for one in said} == {1}
    assert most_at_once(on_gpus) == 2
    whole = said[9]
    assert most_at_once([whole, *(o for o in on_gpus if o["gpus"] == whole["gpus"])]) <= 2
    pids = {one["pid"] for one in on_gpus}
    assert len(pids) == len(on_gpus), "a process would keep the GPU of its first task"
    assert store.view("attempts").devices.isna().all()
