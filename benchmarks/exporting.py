"""What a person waits for with many trials: exports and the board, as typed, from start to end."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.many_trials import made
from benchmarks.places import Site

PROGRAM = (sys.executable, "-m", "lcma")

EXPORTS = {
    "results as csv": ("export", "results", "--format", "csv"),
    "results as parquet": ("export", "results", "--format", "parquet"),
    "by factorization and budget": ("export", "--by", "factorization,budget"),
}


def export(site: Site, exported: int, ranked: int) -> list[dict[str, Any]]:
    """Exports of so many trials, and the board and the site of so many."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "export"
        url, _ = made(site, exported)
        for name, arguments in EXPORTS.items():
            found.append(_run(f"{name}, {exported} trials", *arguments, "--out", out, "--db", url))
        url, _ = made(site, ranked)
        for form in ("csv", "json"):
            whole = ("export", "board", "--format", form, "--out", out, "--db", url)
            found.append(_run(f"the whole board as {form}, {ranked} trials", *whole))
        pages = ("export", "--format", "html", "--no-samples", "--out", Path(folder) / "site")
        found.append(_run(f"the site, {ranked} trials", *pages, "--db", url))
    found.append(_run(f"board, {ranked} trials", "board", "--db", url))
    one = ("--flow", "realnvp", "--dataset", "cifar10")
    found.append(_run(f"board of one flow and set, {ranked} trials", "board", *one, "--db", url))
    return found


# In a small process between, since a command's peak counts what its parent held when it began.
_WATCH = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


def _run(name: str, *arguments: object) -> dict[str, Any]:
    """Seconds and the most memory of a command of its own."""
    watched = [sys.executable, "-c", _WATCH, *PROGRAM, *map(str, arguments)]
    printed = subprocess.run(watched, stdout=subprocess.PIPE, check=True).stdout  # noqa: S603 - our own arguments
    code, seconds, cpu, mebibytes = json.loads(printed)
    if code:
        raise RuntimeError(f"{name}: exit code {code}")
    print(f"  {name}: {seconds:.1f} s ({cpu:.1f} s of CPU), {mebibytes:.0f} MiB", flush=True)
    return {"what": name, "seconds": seconds, "cpu_seconds": cpu, "mebibytes": mebibytes}
