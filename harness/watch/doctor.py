"""What `lcma doctor` looks at."""

import importlib.metadata
import os
import shutil
import tempfile
from dataclasses import dataclass
from typing import Literal

import torch

from lcma import db
from lcma.harness import data, storage
from lcma.harness.environment import read_environment
from lcma.harness.place import Place
from lcma.harness.run.preflight import require_here
from lcma.sweeps.errors import UserError
from lcma.sweeps.spec import Resources

_LITTLE_DISK = 2 * 2**30


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``bad`` means that a launch would fail on it."""

    what: str
    verdict: Literal["good", "note", "bad"]
    said: str


@dataclass(frozen=True)
class _Workers:
    """How many could work at once, and where that is: on this machine, or on a cluster."""

    most: int
    where: str


def run_checks(place: Place, ray: str | None = None) -> list[Finding]:
    """Every check, in the order in which a launch would meet them; of the Ray cluster at an
    address too, if there is one."""
    cluster, workers = _ray(ray)
    found = [*_code(), *_devices(), *_database(place, workers), *_folders(place)]
    return [*found, *_data_sets(place), *cluster]


def _code() -> list[Finding]:
    current = read_environment("cpu")
    changed = " with uncommitted changes" if current.dirty else ""
    said = f"lcma {current.code_version}{changed}, Python {current.python}, torch {current.torch}"
    return [Finding("code", "good", said)]


def _devices() -> list[Finding]:
    cores = os.cpu_count() or 1
    found = [Finding("cpu", "good", f"{cores} cores, {torch.backends.cpu.get_cpu_capability()}")]
    if not torch.cuda.is_available():
        return [*found, Finding("gpu", "note", "none that PyTorch can use; sweeps run on the CPU")]
    for index in range(torch.cuda.device_count()):
        found.append(Finding("gpu", "good", torch.cuda.get_device_name(index)))
    return found


def _database(place: Place, workers: _Workers) -> list[Finding]:
    try:
        database = db.locate(place.db)
        said = f"{database.name} ({database.version()})"
        if not database.identify().exists:
            return [Finding("database", "note", f"{said}: nothing yet; the first launch makes it")]
        store = db.connect(place.db, create=False)
        counts = store.job_counts()
    except UserError as error:
        return [Finding("database", "bad", str(error))]
    trials = counts.trial
    said += f": {trials.done} of {trials.total} trials done, {trials.running} running"
    return [Finding("database", "good", said), *_connections(store, workers)]


def _connections(store: db.Store, wanted: _Workers) -> list[Finding]:
    """How many workers a server lets in: a training and its heartbeat may each hold a connection
    for a moment, and so may the driver and what a person types."""
    limits = store.database.connections()
    if limits is None:
        return []
    workers = max(0, (limits.free - 2) // 2)
    said = (
        f"{limits.most} at most, {limits.used} in use: enough for {workers} workers at once "
        f"(raise max_connections for more); {wanted.where} may run {wanted.most}"
    )
    enough = workers >= wanted.most
    return [Finding("connections", "good" if enough else "note", said)]


def _folders(place: Place) -> list[Finding]:
    found = []
    for what, folder in (("runs", place.runs), ("data", place.data)):
        if isinstance(folder, str):
            found.append(_elsewhere(folder))
            continue
        there = next(p for p in (folder, *folder.parents) if p.exists())
        try:
            with tempfile.TemporaryFile(dir=there):
                pass
        except OSError as error:
            said = f"{folder} cannot be written ({error.strerror}): give --{what} DIR"
            found.append(Finding(what, "bad", said))
            continue
        free = shutil.disk_usage(there).free
        verdict: Literal["good", "note"] = "good" if free > _LITTLE_DISK else "note"
        found.append(Finding(what, verdict, f"{folder}, {free / 2**30:.1f} GiB free"))
    return found


def _elsewhere(runs: str) -> Finding:
    """Whether this host can write and read checkpoints at a URL."""
    try:
        require_here(runs)
    except UserError as error:
        return Finding("runs", "bad", str(error))
    return Finding("runs", "good", f"{storage.open_folder(runs).name} can be written and read")


def _data_sets(place: Place) -> list[Finding]:
    found = []
    for known in data.names(place.data):
        if not (place.data / known.name).exists():
            continue
        try:
            data.load(known.name, place.data).verify()
        except UserError as error:
            found.append(Finding("data set", "bad", str(error)))
        else:
            found.append(Finding("data set", "good", f"{known.name} is intact"))
    none = Finding("data set", "note", "none prepared; launches prepare those that need no files")
    return found or [none]


def _ray(address: str | None) -> tuple[list[Finding], _Workers]:
    """What is said of Ray; and as many workers as there are cores, which is the most."""
    here = _Workers(os.cpu_count() or 1, "this machine")
    version = f"version {importlib.metadata.version('ray')}"
    if address is None:
        return [Finding("ray", "good", version)], here
    from lcma.harness.run.cluster import RayExecutor

    try:
        executor = RayExecutor(Resources(), address)
    except UserError as error:
        return [Finding("ray", "bad", str(error))], here
    try:
        cpus, gpus = executor.total("CPU"), executor.total("GPU")
        hosts = ", ".join(executor.hosts())
    finally:
        executor.close(kill=False)
    said = f"{version}; the cluster at {address} has {cpus:g} CPUs and {gpus:g} GPUs on {hosts}"
    return [Finding("ray", "good", said)], _Workers(max(1, int(cpus)), "the cluster")
