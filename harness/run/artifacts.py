"""The files of a trial or a pretraining: where they lie, and which of them stay when it is done."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lcma.db import Kind, Owner, PlannedJob, Store
from lcma.harness.train.checkpoint import CheckpointFile, CheckpointFolder
from lcma.sweeps.spec import Keep

_RUN = re.compile(r"([0-9a-f]{20})-([0-9a-f]{12})")
_WEIGHTS = re.compile(r"weights\.(\d+)\.([0-9a-f]{8})\.safetensors")


def run_name(job: PlannedJob | Owner) -> str:
    """The folder, in the place of all, of the job's trial or pretraining on its exact data set."""
    return f"{job.trial_id or job.pretraining_id}-{job.data_digest[:12]}"


def is_run(name: str) -> bool:
    """Whether a folder of that name is one of these."""
    return _RUN.fullmatch(name) is not None


@dataclass(frozen=True)
class Writer:
    """The attempt that wrote a file of weights: its token, and its launch by a short hash."""

    token: int
    launch: str

    @classmethod
    def of(cls, token: int, owner: str) -> "Writer":
        return cls(token, hashlib.sha256(owner.encode()).hexdigest()[:8])

    @classmethod
    def named_by(cls, file: str) -> "Writer | None":
        """The writer by the file's name, None for another file."""
        found = _WEIGHTS.fullmatch(file)
        return cls(int(found[1]), found[2]) if found else None

    @property
    def weights(self) -> str:
        """The file's name: no other worker writes it, not even one of another database."""
        return f"weights.{self.token}.{self.launch}.safetensors"


def superfluous_checkpoints(
    checkpoints: Sequence[CheckpointFile], kind: Kind, keep: Keep
) -> list[CheckpointFile]:
    """Which checkpoints go, of all by step, once a trial or every budget of a pretraining is done.

    The last one is what a longer budget of the pretraining would go on from.
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
    """Remove what a job that has just been done leaves behind and nobody needs.

    Raises UserError, with the rest left for `lcma gc`.
    """
    if job.kind == "trial" and keep.checkpoints == "none":
        folder.clear()
        return
    found = folder.list()  # before the look at the segments: who is later sees what is left
    segments = store.segments(job.pretraining_id, job.data_digest) if job.pretraining_id else []
    if all(one.state == "done" for one in segments):
        folder.remove(superfluous_checkpoints(found, job.kind, keep))
