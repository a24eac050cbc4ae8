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
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.comparisons import Comparison, comparisons


@dataclass(frozen=True)
class Conditions:
    """What the numbers depend on besides the code."""

    torch: str
    normflows: str
    python: str
    device: str
    threads: int
    cores: int
    load_average: float
    repeats: int


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step_time", description=__doc__)
    parser.add_argument("rows", nargs="*", help="only rows whose name starts so (default: all)")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--repeats", type=int, help="pairs of steps of a row (default: 30)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes and few pairs: a check")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here too")
    given = parser.parse_args(arguments)
    repeats = given.repeats or (3 if given.quick else 30)
    chosen = [
        c
        for c in comparisons(quick=given.quick)
        if not given.rows or c.name.startswith(tuple(given.rows))
    ]
    if not chosen:
        names = ", ".join(c.name for c in comparisons(quick=given.quick))
        parser.error(f"no such row; rows are {names}")
    if importlib.util.find_spec("normflows") is None:
        parser.error("normflows is not installed: pip install -e '.[benchmarks]'")

    import torch

    from lcma.harness.run.evaluation import settle_device

    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("this torch sees no CUDA device: use --device cpu")
    settle_device(given.device, given.threads)
    conditions = Conditions(
        torch=torch.__version__,
        normflows=importlib.metadata.version("normflows"),
        python=platform.python_version(),
        device=torch.cuda.get_device_name() if given.device == "cuda" else _processor(),
        threads=given.threads,
        cores=os.cpu_count() or 0,
        load_average=os.getloadavg()[0],
        repeats=repeats,
    )
    print(", ".join(f"{k} {v}" for k, v in asdict(conditions).items()), flush=True)
    rows = [_row(c, repeats, given.device, given.threads, given.quick) for c in chosen]
    if given.json:
        document = {"conditions": asdict(conditions), "rows": rows}
        given.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


def _row(
    comparison: Comparison, repeats: int, device_name: str, threads: int, quick: bool
) -> dict[str, object]:
    import torch

    from benchmarks.measure import convolution_seconds, interleave, peak_memory
    from benchmarks.sides import prepare

    device = torch.device(device_name)
    first, second = (prepare(s, device) for s in (comparison.first, comparison.second))
    times = interleave(first, second, repeats, device)
    # A thread's CPU time is its wall time less what other programs took.
    alone = device_name == "cpu" and threads == 1
    share_first = convolution_seconds(first, device) / (
        times.cpu_seconds_first if alone else times.seconds_first
    )
    share_second = convolution_seconds(second, device) / (
        times.cpu_seconds_second if alone else times.seconds_second
    )
    memories = [
        peak_memory(
            comparison.name,
            which,
            device=device_name,
            threads=threads,
            steps=2 if quick else 5,
            quick=quick,
        )
        for which in ("first", "second")
    ]
    row = {
        "name": comparison.name,
        "aim": comparison.aim,
        "first": comparison.first.about,
        "second": comparison.second.about,
        "differs": comparison.differs,
        "times": asdict(times),
        "memory_first": asdict(memories[0]),
        "memory_second": asdict(memories[1]),
        "convolution_share_first": share_first,
        "convolution_share_second": share_second,
    }
    a, b = memories
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
        f"peak memory {a.peak:.0f} and {b.peak:.0f} MiB, of which steps {a.steps:.0f} and "
        f"{b.steps:.0f}; convolutions {share_first:.0%} and {share_second:.0%} of a step",
        flush=True,
    )
    return row


def _processor() -> str:
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if named:
            return named[0]
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    raise SystemExit(main())
