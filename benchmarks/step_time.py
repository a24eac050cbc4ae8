"""Our training step compared with that of normflows, and our own variants with one another.

`python -m benchmarks.step_time` runs the two sides of each row in alternation. benchmarks/README.md
explains the rows.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.comparisons import Comparison, list_comparisons
from benchmarks.measure import interleave, measure_peak
from benchmarks.sides import prepare
from lcma.harness.environment import read_environment
from lcma.harness.train.devices import configure_device


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step_time", description=__doc__)
    parser.add_argument("rows", nargs="*", help="beginnings of names of rows (default: all)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--repeats", type=int, help="pairs of steps of a row (default: 30)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--quick", action="store_true", help="only check: tiny sizes, few pairs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    options = parser.parse_args(arguments)
    rows = list_comparisons(quick=options.quick)
    chosen = [row for row in rows if not options.rows or row.name.startswith(tuple(options.rows))]
    if not chosen:
        parser.error(f"no such row; rows are {', '.join(row.name for row in rows)}")
    if importlib.util.find_spec("normflows") is None:
        parser.error("normflows is not installed: pip install -e '.[benchmarks]'")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("this torch has no CUDA device: use --device cpu")
    configure_device(options.device, options.threads)
    repeats = options.repeats or (3 if options.quick else 30)
    conditions = {
        "torch": torch.__version__,
        "normflows": importlib.metadata.version("normflows"),
        "python": platform.python_version(),
        "device": read_environment(options.device).device,
        "threads": options.threads,
        "cores": os.cpu_count(),
        "load_average": os.getloadavg()[0],
        "repeats": repeats,
    }
    print(", ".join(f"{k} {v}" for k, v in conditions.items()), flush=True)
    device = torch.device(options.device)
    measured = [_measure_row(row, device, repeats) for row in chosen]
    if options.json:
        document = {"conditions": conditions, "rows": measured}
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


def _measure_row(comparison: Comparison, device: torch.device, repeats: int) -> dict[str, Any]:
    first, second = (prepare(s, device) for s in (comparison.first, comparison.second))
    times = interleave(first, second, repeats, device)
    peaks = measure_peak(first, device), measure_peak(second, device)
    wall, cpu = times.wall, times.cpu
    print(
        f"\n{comparison.name}\n"
        f"  first   {comparison.first.description}\n"
        f"  second  {comparison.second.description}\n"
        f"  differs {comparison.differs}\n"
        f"  second / first: time {wall.median:.2f} ({wall.quartile_1:.2f} to "
        f"{wall.quartile_3:.2f}), CPU time {cpu.median:.2f} ({cpu.quartile_1:.2f} to "
        f"{cpu.quartile_3:.2f}); aim {comparison.aim}\n"
        f"  a step: {1e3 * times.seconds_first:.1f} and {1e3 * times.seconds_second:.1f} ms "
        f"(CPU {1e3 * times.cpu_seconds_first:.1f} and {1e3 * times.cpu_seconds_second:.1f}); "
        f"memory {peaks[0]:.0f} and {peaks[1]:.0f} MiB",
        flush=True,
    )
    return {
        "name": comparison.name,
        "aim": comparison.aim,
        "first": comparison.first.description,
        "second": comparison.second.description,
        "differs": comparison.differs,
        "times": asdict(times),
        "mebibytes": dict(zip(("first", "second"), peaks, strict=True)),
    }


if __name__ == "__main__":
    raise SystemExit(main())
