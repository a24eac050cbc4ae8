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
    """Median and quartiles of second / first over the pairs of one run."""

    median: float
    quartile_1: float
    quartile_3: float


@dataclass(frozen=True)
class Times:
    """Ratios by wall and by CPU time; ``seconds_*`` and ``cpu_seconds_*`` are medians of a step."""

    wall: Ratio
    cpu: Ratio
    seconds_first: float
    seconds_second: float
    cpu_seconds_first: float
    cpu_seconds_second: float


def interleave(first: Step, second: Step, repeats: int, device: torch.device) -> Times:
    """Steps in the order first, second, first, second ..."""
    for _ in range(WARM_UP):
        first()
        second()
    wall, cpu = np.zeros((repeats, 2)), np.zeros((repeats, 2))
    for pair in range(repeats):
        for k, step in enumerate((first, second)):
            _wait(device)
            began, began_cpu = time.perf_counter(), time.process_time()
            step()
            _wait(device)
            wall[pair, k] = time.perf_counter() - began
            cpu[pair, k] = time.process_time() - began_cpu
    seconds, cpu_seconds = np.median(wall, axis=0), np.median(cpu, axis=0)
    return Times(
        _ratio(wall),
        _ratio(cpu),
        *(float(s) for s in seconds),
        *(float(s) for s in cpu_seconds),
    )


def _ratio(times: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Ratio:
    low, middle, high = np.percentile(times[:, 1] / times[:, 0], (25, 50, 75))
    return Ratio(float(middle), float(low), float(high))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure_peak(step: Step, device: torch.device) -> float:
    """Return by how many MiB a step raises what PyTorch has allocated on a GPU; on a CPU, where
    nobody counts, the same as `count_peak`."""
    if device.type != "cuda":
        return count_peak(step)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    step()
    return (torch.cuda.max_memory_allocated(device) - before) / 2**20


def count_peak(step: Step) -> float:
    """Return the MiB of all tensors that a step makes and that are there at once, at most."""
    with _Counted() as counted:
        step()
    return counted.most / 2**20


class _Counted(TorchDispatchMode):  # type: ignore[no-untyped-call]  # it comes without types
    """Counts the bytes of tensors that are made meanwhile."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.most = self._now = 0
        self._known = weakref.WeakSet[Any]()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        found = operation(*args, **(kwargs or {}))
        if not operation.is_view and not operation._schema.is_mutable:
            for one in pytree.tree_leaves(found):
                if isinstance(one, Tensor) and (own := one.untyped_storage()) not in self._known:
                    self._known.add(own)
                    self._now += own.nbytes()
                    self.most = max(self.most, self._now)
                    weakref.finalize(own, self._release, own.nbytes())
        return found

    def _release(self, size: int) -> None:
        self._now -= size
