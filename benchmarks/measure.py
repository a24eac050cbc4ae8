"""Times of two steps in alternation."""

import time
from dataclasses import dataclass

import numpy as np
import torch

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
