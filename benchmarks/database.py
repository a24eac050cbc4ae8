"""The results database beside MLflow's tracking store and Optuna's RDB storage, and with
200,000 trials in 20,000 cells, on SQLite and PostgreSQL.

One command, one run: `python -m benchmarks.database`. What each row means is in
benchmarks/README.md.
"""

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.places import Site, default_folder, sites

ROWS = ("lifecycle", "ingest", "maps", "queries", "plan", "merge", "export")


@dataclass(frozen=True, slots=True)
class Size:
    """How much a run does."""

    rounds: int
    seconds: float
    processes: tuple[int, ...]
    points: int
    trials: int
    cells: int
    merged: int


FULL = Size(3, 4.0, (1, 8, 32), 200_000, 200_000, 10_000, 100_000)
QUICK = Size(1, 1.0, (1, 4), 20_000, 20_000, 1_000, 2_000)


@dataclass(frozen=True, slots=True)
class Options:
    size: Size
    folder: Path


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.database", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all if none")
    parser.add_argument("--engine", choices=("sqlite", "postgresql"), help="only this one")
    parser.add_argument("--rounds", type=int, help="times that all sides take turns (3)")
    parser.add_argument("--quick", action="store_true", help="small sizes, one round: a check")
    parser.add_argument("--folder", type=Path, default=default_folder(), help="for the databases")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers here too")
    given = parser.parse_args(arguments)
    rows = given.rows or ROWS
    unknown = sorted(set(rows) - set(ROWS))
    if unknown:
        parser.error(f"there is no row {unknown[0]}; rows are {', '.join(ROWS)}")
    for package in ("mlflow", "optuna"):
        if importlib.util.find_spec(package) is None:
            parser.error(f"{package} is not installed: pip install -e '.[benchmarks]'")
    size = QUICK if given.quick else FULL
    if given.rounds:
        size = Size(**(asdict(size) | {"rounds": given.rounds}))
    given.folder.mkdir(parents=True, exist_ok=True)
    engines = (given.engine,) if given.engine else ("sqlite", "postgresql")
    document: dict[str, Any] = {"conditions": conditions(given.folder)}
    print(shown(document["conditions"]), flush=True)
    with sites(given.folder, engines) as found:
        for site in found:
            print(f"\n{site.engine}: {shown(site.settings())}", flush=True)
            document[site.engine] = {"settings": site.settings()} | {
                row: _ROWS[row](site, Options(size, given.folder)) for row in rows
            }
    if given.json:
        given.json.write_text(json.dumps(document, indent=1) + "\n")
    return 0


def conditions(folder: Path) -> dict[str, str]:
    """What the numbers depend on besides the code, with the disk of the folder."""
    named = ("sqlalchemy", "psycopg", "mlflow-skinny", "optuna")
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in named},
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "load_average": f"{os.getloadavg()[0]:.1f}",
        "fsync_ms": f"{_fsync_milliseconds(folder):.2f}",
    }


def shown(values: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _lifecycle(site: Site, options: Options) -> Any:
    from benchmarks.racing import lifecycles

    return lifecycles(site, options.size.processes, options.size.rounds, options.size.seconds)


def _ingest(site: Site, options: Options) -> Any:
    from benchmarks.writing import ingest

    return ingest(site, options.size.points, options.size.rounds)


def _maps(site: Site, options: Options) -> Any:
    from benchmarks.writing import maps

    return maps(site, 10 * options.size.rounds)


def _queries(site: Site, options: Options) -> Any:
    from benchmarks.many_trials import ask

    return ask(site, options.size.trials)


def _plan(site: Site, options: Options) -> Any:
    from benchmarks.planning import plan

    return plan(site, options.folder, options.size.trials, options.size.cells)


def _merge(site: Site, options: Options) -> Any:
    from benchmarks.merging import merge

    return merge(site, options.size.merged)


def _export(site: Site, options: Options) -> Any:
    from benchmarks.exporting import export

    return export(site, options.size.merged, options.size.trials)


_ROWS: dict[str, Callable[[Site, Options], Any]] = {
    "lifecycle": _lifecycle,
    "ingest": _ingest,
    "maps": _maps,
    "queries": _queries,
    "plan": _plan,
    "merge": _merge,
    "export": _export,
}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


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
