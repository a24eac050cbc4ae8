"""Our training step against normflows', and our own variants against each other.

One command, one run, sides in alternation: `python -m benchmarks.step_time`. What each row means
is in benchmarks/README.md.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.comparisons import Comparison, Side, comparisons
from benchmarks.measure import interleave
from benchmarks.sides import prepare
from lcma.harness.environment import read_environment
from lcma.harness.train.devices import settle_device

SIDES = ("first", "second")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step_time", description=__doc__)
    parser.add_argument("rows", nargs="*", help="only rows whose name starts so (default: all)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--repeats", type=int, help="pairs of steps of a row (default: 30)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes and few pairs: a check")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here too")
    parser.add_argument("--memory-of", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    rows = comparisons(quick=given.quick)
    chosen = [c for c in rows if not given.rows or c.name.startswith(tuple(given.rows))]
    if not chosen:
        parser.error(f"no such row; rows are {', '.join(c.name for c in rows)}")
    if importlib.util.find_spec("normflows") is None:
        parser.error("normflows is not installed: pip install -e '.[benchmarks]'")
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("this torch sees no CUDA device: use --device cpu")
    settle_device(given.device, given.threads)
    if given.memory_of:
        (row,) = (c for c in chosen if c.name == given.rows[0])
        side = getattr(row, given.memory_of)
        print(json.dumps(measure_memory(side, torch.device(given.device), given.repeats)))
        return 0
    given.repeats = given.repeats or (3 if given.quick else 30)
    conditions = {
        "torch": torch.__version__,
        "normflows": importlib.metadata.version("normflows"),
        "python": platform.python_version(),
        "device": read_environment(given.device).device,
        "threads": given.threads,
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "repeats": given.repeats,
    }
    print(", ".join(f"{k} {v}" for k, v in conditions.items()), flush=True)
    document = {"conditions": conditions, "rows": [_row(c, given) for c in chosen]}
    if given.json:
        given.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


def _row(comparison: Comparison, given: argparse.Namespace) -> dict[str, Any]:
    device = torch.device(given.device)
    first, second = (prepare(s, device) for s in (comparison.first, comparison.second))
    times = interleave(first, second, given.repeats, device)
    a, b = (_measure_apart(comparison.name, side, given) for side in SIDES)
    wall, cpu = times.wall, times.cpu
    print(
        f"\n{comparison.name}\n"
        f"  first   {comparison.first.about}\n"
        f"  second  {comparison.second.about}\n"
        f"  differs {comparison.differs}\n"
        f"  second / first: time {wall.median:.2f} ({wall.quartile_1:.2f} to "
        f"{wall.quartile_3:.2f}), CPU time {cpu.median:.2f} ({cpu.quartile_1:.2f} to "
        f"{cpu.quartile_3:.2f}); aim {comparison.aim}\n"
        f"  a step: {1e3 * times.seconds_first:.1f} and {1e3 * times.seconds_second:.1f} ms "
        f"(CPU {1e3 * times.cpu_seconds_first:.1f} and {1e3 * times.cpu_seconds_second:.1f}); "
        f"peak memory {a['peak']:.0f} and {b['peak']:.0f} MiB, of which steps {a['steps']:.0f} "
        f"and {b['steps']:.0f}",
        flush=True,
    )
    return {
        "name": comparison.name,
        "aim": comparison.aim,
        "first": comparison.first.about,
        "second": comparison.second.about,
        "differs": comparison.differs,
        "times": asdict(times),
        "memory_first": a,
        "memory_second": b,
    }


def _measure_apart(name: str, side: str, given: argparse.Namespace) -> dict[str, float]:
    """Return the memory of one side of a row, alone in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.step_time", name, "--memory-of", side]
    command += ["--device", given.device, "--threads", str(given.threads)]
    command += ["--repeats", "2", "--quick"] if given.quick else ["--repeats", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the memory of {name} {side} was not measured:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def measure_memory(side: Side, device: torch.device, steps: int) -> dict[str, float]:
    """Return the peak of this process in MiB, and by how much so many steps raised it (CPU:
    resident set; GPU: allocated by PyTorch)."""
    step = prepare(side, device)
    before = _start(device)
    for _ in range(steps):
        step()
    on_gpu = device.type == "cuda"
    peak = torch.cuda.max_memory_allocated(device) / 2**20 if on_gpu else _peak()
    return {"peak": peak, "steps": peak - before}


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


if __name__ == "__main__":
    raise SystemExit(main())
