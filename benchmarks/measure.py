"""Times in alternation, peak memory in a process of its own, the share of convolutions."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.comparisons import Which
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
    """Wall and CPU time; ``seconds_*`` are medians of a step's wall time."""

    wall: Ratio
    cpu: Ratio
    seconds_first: float
    seconds_second: float


@dataclass(frozen=True)
class Memory:
    """Peak of a process in MiB, and by how much the steps raised it (CPU: resident set; GPU:
    allocated by PyTorch)."""

    peak: float
    steps: float


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
    seconds = np.median(wall, axis=0)
    return Times(_ratio(wall), _ratio(cpu), float(seconds[0]), float(seconds[1]))


def _ratio(times: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> Ratio:
    low, middle, high = np.percentile(times[:, 1] / times[:, 0], (25, 50, 75))
    return Ratio(float(middle), float(low), float(high))


def convolution_share(step: Step, device: torch.device, steps: int = 3) -> float:
    """Self time of convolutions and their backward over the time of the profiled steps.

    The profiler's own time, which falls on small operations above all, is in the denominator.
    """
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    step()
    _wait(device)
    with torch.profiler.profile(activities=activities) as profile:
        began = time.perf_counter()
        for _ in range(steps):
            step()
        _wait(device)
        whole = time.perf_counter() - began
    found = [e for e in profile.key_averages() if e.key.startswith("aten::") and "conv" in e.key]
    on_device = device.type == "cuda"
    micro = sum(e.self_device_time_total if on_device else e.self_cpu_time_total for e in found)
    return float(micro) * 1e-6 / whole


def peak_memory(
    name: str, which: Which, *, device: str, threads: int, steps: int, quick: bool
) -> Memory:
    """The peak of one side of a row, alone in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.memory", name, which]
    command += ["--device", device, "--threads", str(threads), "--steps", str(steps)]
    command += ["--quick"] if quick else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"the memory of {name} {which} was not measured:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return Memory(**found)


def shares(sides: Sequence[Step], device: torch.device) -> tuple[float, ...]:
    return tuple(convolution_share(side, device) for side in sides)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
