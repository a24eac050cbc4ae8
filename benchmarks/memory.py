"""Peak memory of one side of a row; `benchmarks.step_time` starts it in a fresh process."""

import argparse
import json
import resource
import sys
from pathlib import Path

import torch

from benchmarks.comparisons import comparisons
from benchmarks.sides import prepare
from lcma.harness.run.evaluation import settle_device

_STATUS = Path("/proc/self/status")


def _peak() -> float:
    """Peak resident set in MiB."""
    if _STATUS.exists():  # on Linux getrusage counts the parent's memory before exec too
        return _status("VmHWM")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _status(key: str) -> float:
    """A field of Linux's process status, in MiB."""
    (line,) = (s for s in _STATUS.read_text().splitlines() if s.startswith(f"{key}:"))
    return int(line.split()[1]) / 2**10


def _start(device: torch.device) -> float:
    """Forget the peak so far; what is in use now, in MiB."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device) / 2**20
    if _STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    return _peak()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("which", choices=("first", "second"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    settle_device(given.device, given.threads)
    device = torch.device(given.device)
    rows = {c.name: c for c in comparisons(quick=given.quick)}
    step = prepare(getattr(rows[given.name], given.which), device)
    before = _start(device)
    for _ in range(given.steps):
        step()
    on_gpu = device.type == "cuda"
    peak = torch.cuda.max_memory_allocated(device) / 2**20 if on_gpu else _peak()
    print(json.dumps({"peak": peak, "steps": peak - before}))


if __name__ == "__main__":
    main()
