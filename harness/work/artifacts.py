"""The files of a trial or a pretraining: their names, and which stay once the job is done."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lcma.db import Job, Kind, PlannedJob, Store
from lcma.harness.train.checkpoint import CheckpointFile, CheckpointFolder
from lcma.sweeps.spec import Keep

_RUN = re.compile(r"([0-9a-f]{20}-[0-9a-f]{12})(?:-[0-9a-f]+)?")
_FINAL = re.compile(r"(?:weights|tables)\.(\d+)\.([0-9a-f]{8})\.safetensors")


def run_name(job: PlannedJob | Job, rerun: str = "") -> str:
    """Return the name of the folder of the job's trial or pretraining on its exact data.

    Each rerun (`Claim.rerun`) has a folder of its own, so that it goes on from nothing that was
    there before.
    """
    name = f"{job.trial_id or job.pretraining_id}-{job.data_digest[:12]}"
    return f"{name}-{rerun}" if rerun else name


def first_run_name(folder: str) -> str | None:
    """Return the folder's name without its rerun; None for a folder that `run_name` never names."""
    found = _RUN.fullmatch(folder)
    return found and found[1]


@dataclass(frozen=True)
class Writer:
    """The attempt that wrote weights or tables: its token, and a short hash of its launch."""

    token: int
    launch: str

    @classmethod
    def of(cls, token: int, owner: str) -> "Writer":
        return cls(token, hashlib.sha256(owner.encode()).hexdigest()[:8])

    @classmethod
    def named_by(cls, file: str) -> "Writer | None":
        """Return the writer of a file by its name; None for a file of neither kind."""
        found = _FINAL.fullmatch(file)
        return cls(int(found[1]), found[2]) if found else None

    @property
    def weights(self) -> str:
        """The name of the file. No other worker writes it, not even one of another database."""
        return f"weights.{self.token}.{self.launch}.safetensors"

    @property
    def tables(self) -> str:
        """The name of the file with the history of the tables of `online`, beside the weights."""
        return f"tables.{self.token}.{self.launch}.safetensors"


def find_superfluous_checkpoints(
    checkpoints: Sequence[CheckpointFile], kind: Kind, keep: Keep
) -> list[CheckpointFile]:
    """Return the checkpoints to remove once a trial or every budget of a pretraining is done.

    ``checkpoints`` are all, by step. A longer budget of a pretraining goes on from the last one.
    """
    last = list(checkpoints[-1:])
    if kind == "trial":
        stay = last if keep.checkpoints == "last" else []
    elif keep.snapshots == "all":
        stay = [one for one in checkpoints if one.kept or one in last]
    else:
        stay = last if keep.snapshots == "longest" else []
    return [one for one in checkpoints if one not in stay]


def tidy_files(store: Store, folder: CheckpointFolder, job: PlannedJob, keep: Keep) -> None:
    """Remove the superfluous checkpoints of a job that has just been done.

    Raises UserError, with the rest left for `lcma clean`.
    """
    if job.kind == "trial" and keep.checkpoints == "none":
        folder.clear()
        return
    found = folder.list()  # before the segments are read: the last of concurrent jobs removes
    of = [job.pretraining_id] if job.pretraining_id else []
    segments = store.job_facts(pretraining_ids=of, data_digest=job.data_digest, kind="pretraining")
    if all(one.state == "done" for one in segments):
        folder.remove(find_superfluous_checkpoints(found, job.kind, keep))
