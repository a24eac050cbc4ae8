"""The speed of the results database on SQLite and PostgreSQL: lifecycles, a merge, and the site.

Lifecycles are compared with MLflow's tracking store and Optuna's RDB storage. The merge and the
site are of 20,000 trials in 2,000 cells. `python -m benchmarks.database` runs all rows, which
benchmarks/README.md explains.
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
from benchmarks.places import Site, find_default_folder, open_sites
from benchmarks.trackers import Ours
from lcma import db
from lcma.db.merge import merge
from lcma.db.migrate import current_version
from lcma.harness.environment import read_environment


@dataclass(frozen=True, slots=True)
class Size:
    """The extent of a run."""

    rounds: int
    seconds: float  # of each run of lifecycles
    processes: tuple[int, ...]
    trials: int  # of the merge and of the site


FULL = Size(3, 4.0, (1, 8, 32), 20_000)
QUICK = Size(1, 1.0, (1, 4), 500)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.database", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"{', '.join(ROWS)} (default: all)")
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), help="only this engine")
    parser.add_argument("--rounds", type=int, help="runs of each side, in turn (default: 3)")
    parser.add_argument("--quick", action="store_true", help="only check: small sizes, one round")
    folder = find_default_folder()
    parser.add_argument("--folder", type=Path, default=folder, help="folder of the databases")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    options = parser.parse_args(arguments)
    rows = options.rows or list(ROWS)
    unknown = sorted(set(rows) - set(ROWS))
    if unknown:
        parser.error(f"there is no row {unknown[0]}; rows are {', '.join(ROWS)}")
    for package in ("mlflow", "optuna") if "lifecycle" in rows else ():
        if importlib.util.find_spec(package) is None:
            parser.error(f"{package} is not installed: pip install -e '.[benchmarks]'")
    size = QUICK if options.quick else FULL
    size = replace(size, rounds=options.rounds or size.rounds)
    options.folder.mkdir(parents=True, exist_ok=True)
    engines = (options.engine,) if options.engine else ("sqlite", "postgresql")
    document: dict[str, Any] = {"conditions": read_conditions(options.folder)}
    print(format_facts(document["conditions"]), flush=True)
    with open_sites(options.folder, engines) as sites:
        for site in sites:
            settings = site.read_settings()
            print(f"\n{site.engine}: {format_facts(settings)}", flush=True)
            document[site.engine] = {"settings": settings} | {
                row: ROWS[row](site, size, options.folder) for row in rows
            }
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


def read_conditions(folder: Path) -> dict[str, str]:
    """Return what the numbers depend on, except the code: packages, processor, load, disk."""
    names = ("sqlalchemy", "psycopg", "mlflow-skinny", "optuna")
    installed = {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions()}
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "python": platform.python_version(),
        **{name: installed[name] for name in names if name in installed},
        "processor": read_environment("cpu").device,
        "cores": str(os.cpu_count()),
        "load_average": f"{os.getloadavg()[0]:.1f}",
        "fsync_ms": f"{_measure_fsync(folder):.2f}",
    }


def format_facts(facts: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def measure_lifecycles(site: Site, size: Size, folder: Path) -> list[dict[str, Any]]:
    """Time the lifecycles of trials, in our database and in those of the peers."""
    return compare_lifecycles(site, size.processes, size.rounds, size.seconds)


def make_database(folder: Path, trials: int) -> str:
    """Return the URL of a SQLite database of that many trials, in cells of ten seeds.

    It is made once in the folder, by the lifecycles of all trials.
    """
    path = folder / f"lcma_{trials}_trials_{current_version().replace('-', '_')}.db"
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        unfinished.unlink(missing_ok=True)
        tracker = Ours(f"sqlite:///{unfinished}")
        tracker.make(trials)
        tracker.open()
        for number in range(trials):
            tracker.run_lifecycle(number)
        tracker.store.close()
        unfinished.rename(path)
    return f"sqlite:///{path}"


def measure_merge(site: Site, size: Size, folder: Path) -> dict[str, Any]:
    """Merge a SQLite database into an empty one of this engine, twice."""
    source = db.locate(make_database(folder, size.trials))
    times = {}
    with site.make_temporary() as target:
        for name in ("new", "again"):
            start = time.perf_counter()
            merge(source, db.locate(target))
            times[name] = time.perf_counter() - start
        with db.connect(target) as store:
            done = store.job_counts().trial.done
    print(
        f"  merge of {size.trials} trials: {times['new']:.0f} s; again, with nothing new, "
        f"{times['again']:.0f} s; {done} of them done in the target",
        flush=True,
    )
    return {"trials": size.trials, "seconds": times, "done": done}


# Runs a command from a small process, since its peak memory includes its parent's at the fork.
_MEASURE_COMMAND = """
import json, resource, subprocess, sys, time
began = time.perf_counter()
code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
seconds, used = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
"""


def measure_site(site: Site, size: Size, folder: Path) -> dict[str, Any] | None:
    """Export the site of a SQLite database by its command."""
    if site.engine != "sqlite":
        return None
    url = make_database(folder, size.trials)
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-c", _MEASURE_COMMAND, sys.executable, "-m", "lcma", "export"]
        command += ["--format", "html", "--out", f"{out}/site", "--db", url]
        output = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
        lengths = [file.stat().st_size for file in Path(out, "site").glob("*")]
    code, seconds, cpu, mebibytes = json.loads(output)
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


def _measure_fsync(folder: Path) -> float:
    """Return the median time in milliseconds until the disk confirms a written page."""
    path = folder / "fsync"
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    times = []
    for page in range(50):
        os.pwrite(file, bytes(8192), 8192 * page)
        start = time.perf_counter()
        os.fsync(file)
        times.append(time.perf_counter() - start)
    os.close(file)
    path.unlink()
    return 1000 * median(times)


if __name__ == "__main__":
    raise SystemExit(main())
