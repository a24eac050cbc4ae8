"""The results database beside MLflow's tracking store and Optuna's RDB storage, on SQLite and
PostgreSQL; a merge; and the site of 20,000 trials in 2,000 cells.

One command, one run: `python -m benchmarks.database`. What each row means is in
benchmarks/README.md.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.lifecycles import compare_lifecycles
from benchmarks.places import Site, default_folder, sites
from benchmarks.trackers import Ours
from lcma import db
from lcma.db.merge import merge
from lcma.db.migrate import current_version
from lcma.harness.environment import read_environment


@dataclass(frozen=True, slots=True)
class Size:
    """How much a run does."""

    rounds: int
    seconds: float
    processes: tuple[int, ...]
    trials: int


FULL = Size(3, 4.0, (1, 8, 32), 20_000)
QUICK = Size(1, 1.0, (1, 4), 500)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.database", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all if none")
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), help="only this one")
    parser.add_argument("--rounds", type=int, help="times that all sides take turns (3)")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: a check")
    parser.add_argument("--folder", type=Path, default=default_folder(), help="for the databases")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here too")
    given = parser.parse_args(arguments)
    rows = given.rows or list(ROWS)
    unknown = sorted(set(rows) - set(ROWS))
    if unknown:
        parser.error(f"there is no row {unknown[0]}; rows are {', '.join(ROWS)}")
    for package in ("mlflow", "optuna") if "lifecycle" in rows else ():
        if importlib.util.find_spec(package) is None:
            parser.error(f"{package} is not installed: pip install -e '.[benchmarks]'")
    size = QUICK if given.quick else FULL
    size = replace(size, rounds=given.rounds or size.rounds)
    given.folder.mkdir(parents=True, exist_ok=True)
    engines = (given.engine,) if given.engine else ("sqlite", "postgresql")
    document: dict[str, Any] = {"conditions": conditions(given.folder)}
    print(shown(document["conditions"]), flush=True)
    with sites(given.folder, engines) as found:
        for site in found:
            print(f"\n{site.engine}: {shown(site.settings())}", flush=True)
            document[site.engine] = {"settings": site.settings()} | {
                row: ROWS[row](site, size, given.folder) for row in rows
            }
    if given.json:
        given.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


def conditions(folder: Path) -> dict[str, str]:
    """What the numbers depend on besides the code, with the disk of the folder."""
    known = ("sqlalchemy", "psycopg", "mlflow-skinny", "optuna")
    there = {one.metadata["Name"].lower() for one in importlib.metadata.distributions()}
    named = [name for name in known if name in there]
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in named},
        "processor": read_environment("cpu").device,
        "cores": str(os.cpu_count()),
        "load_average": f"{os.getloadavg()[0]:.1f}",
        "fsync_ms": f"{_fsync_milliseconds(folder):.2f}",
    }


def shown(values: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def measure_lifecycles(site: Site, size: Size, folder: Path) -> list[dict[str, Any]]:
    """Take trials through their lives, beside the peers."""
    return compare_lifecycles(site, size.processes, size.rounds, size.seconds)


def make_database(folder: Path, trials: int) -> str:
    """Return the URL of the SQLite database of so many trials, in cells of ten seeds, that is kept
    in a folder; take all of them through their lives where it is not there."""
    path = folder / f"lcma_{trials}_trials_{current_version().replace('-', '_')}.db"
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        ours = Ours(f"sqlite:///{unfinished}")
        ours.make(trials)
        ours.open()
        for number in range(trials):
            ours.live(number)
        ours.store.close()
        unfinished.rename(path)
    return f"sqlite:///{path}"


def measure_merge(site: Site, size: Size, folder: Path) -> dict[str, Any]:
    """Merge a SQLite database of so many trials into an empty one of this engine, and again."""
    source = db.locate(make_database(folder, size.trials))
    times = {}
    with site.fresh() as target:
        for name in ("new", "again"):
            began = time.perf_counter()
            merge(source, db.locate(target))
            times[name] = time.perf_counter() - began
        with db.connect(target) as store:
            came = store.job_counts().trial.done
    print(
        f"  merge of {size.trials} trials: {times['new']:.0f} s; again, with nothing new, "
        f"{times['again']:.0f} s; {came} done there",
        flush=True,
    )
    return {"trials": size.trials, "seconds": times, "done": came}


# In a small process between, since a command's peak counts what its parent held when it began.
_WATCH = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


def measure_site(site: Site, size: Size, folder: Path) -> dict[str, Any] | None:
    """Export the site of a SQLite database of so many trials, as typed, from start to end."""
    if site.engine != "sqlite":
        return None
    url = make_database(folder, size.trials)
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-c", _WATCH, sys.executable, "-m", "lcma", "export"]
        command += ["--format", "html", "--out", f"{out}/site", "--db", url]
        printed = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
        lengths = [file.stat().st_size for file in Path(out, "site").glob("*")]
    code, seconds, cpu, mebibytes = json.loads(printed)
    if code:
        raise RuntimeError(f"the site of {size.trials} trials: exit code {code}")
    print(
        f"  the site of {size.trials} trials: {seconds:.1f} s ({cpu:.1f} s of CPU), "
        f"{mebibytes:.0f} MiB; {len(lengths)} files of {sum(lengths) / 1e6:.1f} MB",
        flush=True,
    )
    times = {"seconds": seconds, "cpu_seconds": cpu, "mebibytes": mebibytes}
    return {"trials": size.trials, **times, "files": len(lengths), "bytes": sum(lengths)}


ROWS: Mapping[str, Callable[[Site, Size, Path], Any]] = {
    "lifecycle": measure_lifecycles,
    "merge": measure_merge,
    "site": measure_site,
}


def _fsync_milliseconds(folder: Path) -> float:
    """Median time to write a page and have the disk confirm it."""
    path = folder / "fsync"
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    times = []
    for place in range(50):
        os.pwrite(file, bytes(8192), 8192 * place)
        began = time.perf_counter()
        os.fsync(file)
        times.append(time.perf_counter() - began)
    os.close(file)
    path.unlink()
    return 1000 * median(times)


if __name__ == "__main__":
    raise SystemExit(main())
