"""The files of a trial or a pretraining: their names, and those that stay when the job is done."""

import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from lcma.db import Job, Kind, PlannedJob, Store
from lcma.harness.results.lookup import parse_object
from lcma.harness.train.checkpoint import CheckpointFile, CheckpointFolder
from lcma.sweeps.spec import Keep

_RUN = re.compile(r"([0-9a-f]{20}-[0-9a-f]{12})(?:-[0-9a-f]+)?")
_FINAL = re.compile(  # earlier code wrote tables too
    r"(?:weights|tables)\.(\d+)\.([0-9a-f]{8})\.safetensors"
)


def run_name(job: PlannedJob | Job, rerun: str = "") -> str:
    """Return the folder's name for the job's trial or pretraining on its exact data.

    Each rerun (`Claim.rerun`) has its own folder, so that it does not resume earlier files.
    """
    name = f"{job.trial_id or job.pretraining_id}-{job.data_digest[:12]}"
    return f"{name}-{rerun}" if rerun else name


def first_run_name(folder: str) -> str | None:
    """Return a folder's name without its rerun; None if the name is not one of `run_name`."""
    match = _RUN.fullmatch(folder)
    return match and match[1]


@dataclass(frozen=True)
class Writer:
    """The attempt that wrote weights."""

    token: int
    launch: str  # a short hash of its owner

    @classmethod
    def make(cls, token: int, owner: str) -> "Writer":
        return cls(token, hashlib.sha256(owner.encode()).hexdigest()[:8])

    @classmethod
    def parse(cls, file: str) -> "Writer | None":
        """Return the writer of a file by its name; None if it has no weights."""
        match = _FINAL.fullmatch(file)
        return cls(int(match[1]), match[2]) if match else None

    @property
    def weights(self) -> str:
        """The name of the weights, which no other worker writes, not even of another database."""
        return f"weights.{self.token}.{self.launch}.safetensors"


def find_superfluous_checkpoints(
    checkpoints: Sequence[CheckpointFile], kind: Kind, keep: Keep
) -> list[CheckpointFile]:
    """Return the checkpoints to remove once a trial or every budget of a pretraining is done.

    ``checkpoints`` are all checkpoints by step.
    """
    last = list(checkpoints[-1:])  # from which a longer budget of a pretraining goes on
    if kind == "trial":
        stay = last if keep.checkpoints == "last" else []
    elif keep.snapshots == "all":
        stay = [checkpoint for checkpoint in checkpoints if checkpoint.kept or checkpoint in last]
    else:
        stay = last if keep.snapshots == "longest" else []
    return [checkpoint for checkpoint in checkpoints if checkpoint not in stay]


def read_keep(spec: str) -> Keep:
    """Read what a stored sweep keeps; the default if another version wrote its spec."""
    try:
        return Keep.model_validate(parse_object(spec).get("keep", {}))
    except ValidationError:
        return Keep()


def join_keeps(keep: Keep, other: Keep) -> Keep:
    """Return what either keeps."""
    snapshots = ("none", "longest", "all")
    return Keep(
        checkpoints="last" if "last" in (keep.checkpoints, other.checkpoints) else "none",
        weights=keep.weights or other.weights,
        snapshots=max(keep.snapshots, other.snapshots, key=snapshots.index),
    )


def read_keeps(store: Store, job: PlannedJob, keep: Keep) -> Keep:
    """Return what ``keep``, or any sweep with the job, keeps."""
    trial_ids = [job.trial_id or ""]
    if job.pretraining_id is not None:
        readers = store.job_facts(pretraining_ids=[job.pretraining_id], kind="trial")
        trial_ids = [reader.subject for reader in readers]
    sweep_ids = {member.sweep_id for member in store.memberships(trial_ids)}
    keeps = (read_keep(sweep.spec) for sweep in store.sweeps() if sweep.id in sweep_ids)
    return functools.reduce(join_keeps, keeps, keep)


def tidy_files(store: Store, folder: CheckpointFolder, job: PlannedJob, keep: Keep) -> None:
    """Remove the checkpoints of a job that was just done which neither ``keep`` nor another sweep
    keeps.

    Raises UserError. Then `lcma clean` removes the rest.
    """
    keep = read_keeps(store, job, keep)
    if job.kind == "trial" and keep.checkpoints == "none":
        folder.clear()
        return
    # Before the segments are read, so that the last of concurrent jobs removes the files.
    checkpoints = folder.list()
    ids = [job.pretraining_id] if job.pretraining_id else []
    segments = store.job_facts(pretraining_ids=ids, data_digest=job.data_digest, kind="pretraining")
    if all(segment.state == "done" for segment in segments):
        folder.remove(find_superfluous_checkpoints(checkpoints, job.kind, keep))
