"""Times of two steps in alternation, and the memory of one."""

import time
import weakref
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.sides import Step

WARM_UP = 3


@dataclass(frozen=True)
class Ratio:
    """Median and quartiles of second / first over pairs of steps."""

    median: float
    quartile_1: float
    quartile_3: float


@dataclass(frozen=True)
class Times:
    """Ratios by wall and by CPU time, and medians of a step."""

    wall: Ratio
    cpu: Ratio
    seconds_first: float
    seconds_second: float
    cpu_seconds_first: float
    cpu_seconds_second: float


def interleave(first: Step, second: Step, repeats: int, device: torch.device) -> Times:
    """Time two steps in the order first, second, first, second ..."""
    for _ in range(WARM_UP):
        first()
        second()
    wall, cpu = np.zeros((repeats, 2)), np.zeros((repeats, 2))
    for pair in range(repeats):
        for k, step in enumerate((first, second)):
            _wait(device)
            start, start_cpu = time.perf_counter(), time.process_time()
            step()
            _wait(device)
            wall[pair, k] = time.perf_counter() - start
            cpu[pair, k] = time.process_time() - start_cpu
    seconds, cpu_seconds = np.median(wall, axis=0), np.median(cpu, axis=0)
    return Times(
        _compute_ratio(wall),
        _compute_ratio(cpu),
        *(float(s) for s in seconds),
        *(float(s) for s in cpu_seconds),
    )


def _compute_ratio(times: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Ratio:
    low, middle, high = np.percentile(times[:, 1] / times[:, 0], (25, 50, 75))
    return Ratio(float(middle), float(low), float(high))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure_peak(step: Step, device: torch.device) -> float:
    """Return by how many MiB a step raises PyTorch's memory on a GPU; on a CPU, as `count_peak`."""
    if device.type != "cuda":
        return count_peak(step)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    step()
    return (torch.cuda.max_memory_allocated(device) - before) / 2**20


def count_peak(step: Step) -> float:
    """Return the most MiB of the tensors made by a step that exist at the same time."""
    with _TensorBytes() as counted:
        step()
    return counted.peak / 2**20


class _TensorBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no type of it
    """Counts the bytes of tensors that are made while it is active."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch has no type of it
        self.peak = self._now = 0
        self._known = weakref.WeakSet[Any]()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        outputs = operation(*args, **(kwargs or {}))
        if not operation.is_view and not operation._schema.is_mutable:
            for leaf in pytree.tree_leaves(outputs):
                if not isinstance(leaf, Tensor):
                    continue
                storage = leaf.untyped_storage()
                if storage not in self._known:
                    self._known.add(storage)
                    self._now += storage.nbytes()
                    self.peak = max(self.peak, self._now)
                    weakref.finalize(storage, self._release, storage.nbytes())
        return outputs

    def _release(self, size: int) -> None:
        self._now -= size
