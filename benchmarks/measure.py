"""Times in alternation, peak memory in a process of its own, the share of convolutions."""

import json
import subprocess
import sys
import time
from collections import defaultdict
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
    """Ratios by wall and by CPU time; ``seconds_*`` and ``cpu_seconds_*`` are medians of a step."""

    wall: Ratio
    cpu: Ratio
    seconds_first: float
    seconds_second: float
    cpu_seconds_first: float
    cpu_seconds_second: float


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


def convolution_seconds(step: Step, device: torch.device, steps: int = 5) -> float:
    """Self time of convolutions and their backward in a step.

    On a CPU every kind of call, by operation and shapes, counts with its median, which other
    programs on the machine do not move.
    """
    on_device = device.type == "cuda"
    activities = [torch.profiler.ProfilerActivity.CPU]
    if on_device:
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    step()
    _wait(device)
    with torch.profiler.profile(activities=activities, record_shapes=True) as profile:
        for _ in range(steps):
            step()
        _wait(device)
    if on_device:
        found = [e.self_device_time_total for e in profile.key_averages() if _convolves(e.key)]
        return float(sum(found)) * 1e-6 / steps
    calls: dict[str, list[float]] = defaultdict(list)
    for event in profile.events():
        if _convolves(event.name):
            calls[f"{event.name} {event.input_shapes}"].append(event.self_cpu_time_total)
    return sum(float(np.median(c)) * len(c) for c in calls.values()) * 1e-6 / steps


def _convolves(operation: str) -> bool:
    return operation.startswith("aten::") and "conv" in operation


def peak_memory(
    name: str, which: Which, *, device: str, threads: int, steps: int, quick: bool
) -> Memory:
    """The peak of one side of a row, alone in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.memory", name, which]
    command += ["--device", device, "--threads", str(threads), "--steps", str(steps)]
    command += ["--quick"] if quick else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise RuntimeError(f"the memory of {name} {which} was not measured:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return Memory(**found)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
