"""Checks of the installation, the database, the folders, the data sets and a cluster."""

import importlib.metadata
import shutil
import tempfile
from dataclasses import dataclass
from typing import Literal

import torch

from lcma import db
from lcma.harness import data, storage
from lcma.harness.cpus import count_cpus
from lcma.harness.environment import read_environment
from lcma.harness.files import find_existing
from lcma.harness.launch.preflight import require_here
from lcma.harness.place import Place
from lcma.harness.train.devices import find_device_fault
from lcma.sweeps.errors import UserError
from lcma.sweeps.spec import Resources

MIN_FREE_BYTES = 2 * 2**30
"""Free space of a folder's disk below which a check makes a note."""

WORKERS_PER_CONNECTION = 3
"""As measured in benchmarks/README.md: 300 workers share 97 connections and lose no lease."""


@dataclass(frozen=True)
class CheckResult:
    """The result of one check."""

    what: str
    verdict: Literal["good", "note", "bad"]  # "bad": a launch would fail
    said: str


def run_checks(place: Place, ray: str | None = None) -> list[CheckResult]:
    """Run all checks, in the order in which a launch would meet them.

    Args:
        place: The database and folders to check.
        ray: Address of a Ray cluster to check too.
    """
    ray_results, workers = _check_ray(ray)
    return [
        *_check_code(),
        *_check_devices(),
        *_check_database(place, workers),
        *_check_folders(place),
        *_check_data_sets(place),
        *ray_results,
    ]


def _check_code() -> list[CheckResult]:
    current = read_environment("cpu")
    changed = " with uncommitted changes" if current.dirty else ""
    text = f"lcma {current.code_version}{changed}, Python {current.python}, torch {current.torch}"
    return [CheckResult("code", "good", text)]


def _check_devices() -> list[CheckResult]:
    cores = count_cpus()
    cpu = CheckResult("cpu", "good", f"{cores} cores, {torch.backends.cpu.get_cpu_capability()}")
    if not torch.cuda.is_available():
        text = "none that PyTorch can use: profiles for a GPU need --gpus 0, or a cluster"
        return [cpu, CheckResult("gpu", "note", text)]
    return [cpu, *map(_check_gpu, range(torch.cuda.device_count()))]


def _check_gpu(index: int) -> CheckResult:
    if fault := find_device_fault(torch.device("cuda", index)):
        return CheckResult("gpu", "bad", f"number {index} cannot multiply two matrices: {fault}")
    return CheckResult("gpu", "good", torch.cuda.get_device_name(index))


def _check_database(place: Place, workers: tuple[int, str]) -> list[CheckResult]:
    try:
        database = db.locate(place.db)
        text = f"{database.name} ({database.version()})"
        if not database.identify().exists:
            if not database.may_create():
                text += ": none yet, and this user may not make tables"
                return [CheckResult("database", "bad", text)]
            return [CheckResult("database", "note", f"{text}: none yet; the first launch makes it")]
        store = db.connect(place.db, create=False)
        counts = store.job_counts()
        store.require_writable()
    except UserError as error:
        return [CheckResult("database", "bad", str(error))]
    trials = counts.trial
    text += f": {trials.done} of {trials.total} trials done, {trials.running} running"
    return [CheckResult("database", "good", text), *_check_connections(store, workers)]


def _check_connections(store: db.Store, workers: tuple[int, str]) -> list[CheckResult]:
    connections = store.database.connections()
    if connections is None:
        return []
    (limit, used), (count, where) = connections, workers
    # A worker holds a connection for a moment every few seconds, and tries again if none is free.
    # The driver and a command that a user types hold one each.
    supported = WORKERS_PER_CONNECTION * max(0, limit - used - 2)
    text = (
        f"{limit} at most, {used} in use: enough for {supported} workers at once "
        f"(raise max_connections or use PgBouncer for more); {where} may run {count}"
    )
    verdict: Literal["good", "note"] = "good" if supported >= count else "note"
    return [CheckResult("connections", verdict, text)]


def _check_folders(place: Place) -> list[CheckResult]:
    results = []
    for option, folder in (("runs", place.runs), ("data", place.data)):
        if isinstance(folder, str):
            results.append(_check_runs_url(folder))
            continue
        existing = find_existing(folder)
        try:
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as error:
            text = f"{folder} cannot be written ({error.strerror}): give --{option} DIR"
            enough = option == "data" and bool(_list_prepared(place))
            text += " to prepare more sets" if enough else ""
            results.append(CheckResult(option, "note" if enough else "bad", text))
            continue
        free = shutil.disk_usage(existing).free
        verdict: Literal["good", "note"] = "good" if free > MIN_FREE_BYTES else "note"
        results.append(CheckResult(option, verdict, f"{folder}, {free / 2**30:.1f} GiB free"))
    return results


def _check_runs_url(runs: str) -> CheckResult:
    try:
        require_here(runs)
    except UserError as error:
        return CheckResult("runs", "bad", str(error))
    return CheckResult("runs", "good", f"{storage.open_folder(runs).name} can be written and read")


def _check_data_sets(place: Place) -> list[CheckResult]:
    results = []
    for name in _list_prepared(place):
        try:
            data.load(name, place.data).verify()
        except UserError as error:
            results.append(CheckResult("data set", "bad", str(error)))
        else:
            results.append(CheckResult("data set", "good", f"{name} is intact"))
    none = "none prepared; launches prepare those that need no files"
    return results or [CheckResult("data set", "note", none)]


def _list_prepared(place: Place) -> list[str]:
    names = (data_set.name for data_set in data.list_sets(place.data))
    return [name for name in names if find_existing(path := place.data / name) == path]


def _check_ray(address: str | None) -> tuple[list[CheckResult], tuple[int, str]]:
    """Return the check of Ray; and how many workers could run, one for each core, and where."""
    here = count_cpus(), "this machine"
    version = f"version {importlib.metadata.version('ray')}"
    if address is None:
        return [CheckResult("ray", "good", version)], here
    from lcma.harness.launch.cluster import RayExecutor

    try:
        executor = RayExecutor(Resources(), address)
    except UserError as error:
        return [CheckResult("ray", "bad", str(error))], here
    try:
        cpus, gpus = executor.total("CPU"), executor.total("GPU")
        hosts = ", ".join(executor.hosts())
    finally:
        executor.close(kill=False)
    text = f"{version}; the cluster at {address} has {cpus:g} CPUs and {gpus:g} GPUs on {hosts}"
    return [CheckResult("ray", "good", text)], (max(1, int(cpus)), "the cluster")
