"""Checkpoints in a local folder or any other place. Each is complete or absent."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lcma.harness.storage import (
    Folder,
    LocalFolder,
    MissingFileError,
    StoredFile,
    UnreachableError,
    is_temporary,
    sha256_of,
)

FORMAT = 3
"""Format of the state in a checkpoint. Checkpoints of another format are skipped."""

_NAME = re.compile(r"step-(\d{9})\.([0-9a-f]{16})(\.kept)?\.pt")


@dataclass(frozen=True)
class CheckpointFile:
    """The file of a checkpoint."""

    name: str
    step: int
    digest: str  # the first 16 digits of the content's sha256
    kept: bool  # stays when newer ones are written


def parse_checkpoint_name(name: str) -> CheckpointFile | None:
    """Return the checkpoint of a file name; None for another file."""
    match = _NAME.fullmatch(name)
    return match and CheckpointFile(name, int(match[1]), match[2], match[3] is not None)


def sort_checkpoints(names: Iterable[str]) -> list[CheckpointFile]:
    """Return the checkpoints among file names, oldest first."""
    checkpoints = filter(None, map(parse_checkpoint_name, names))
    return sorted(checkpoints, key=lambda checkpoint: (checkpoint.step, checkpoint.kept))


class CheckpointFolder:
    """The checkpoints of one run.

    The parts of a run share one folder, and each part counts its steps from 0. ``first`` is the
    step of the run at which this part begins; a checkpoint there belongs to the part before.

    Every method raises StorageError: UnreachableError if the same may work later.
    """

    def __init__(self, folder: Path | Folder, *, newest: int = 2, first: int = 0) -> None:
        self.folder = LocalFolder(folder) if isinstance(folder, Path) else folder
        self.newest, self.first = newest, first
        self.skipped: list[str] = []  # names of unusable files that the last `load` came across

    def list(self) -> list[CheckpointFile]:
        """Return all checkpoints, oldest first."""
        return sort_checkpoints(file.name for file in self.folder.files())

    def save(self, step: int, state: dict[str, Any], *, keep: bool = False) -> StoredFile:
        """Write the state of a step, and remove older checkpoints except the newest and the kept.

        Later ones stay: they belong to a longer run of the same training.
        """
        mark = ".kept" if keep else ""
        step += self.first
        stored = self.folder.put(
            lambda file: torch.save({"format": FORMAT, **state}, file),
            lambda digest: f"step-{step:09d}.{digest[:16]}{mark}.pt",
            moment="checkpoint",
        )
        removable = [file for file in self.list() if not file.kept and file.step <= step]
        self.remove(removable[: -self.newest])
        return stored

    def remove(self, checkpoints: Iterable[CheckpointFile]) -> None:
        """Remove some checkpoints."""
        for checkpoint in checkpoints:
            self.folder.remove(checkpoint.name)

    def clear(self) -> None:
        """Remove all checkpoints and unfinished files, once the run is over."""
        for file in self.folder.files():
            if parse_checkpoint_name(file.name) or is_temporary(file.name):
                self.folder.remove(file.name)

    def load(self, *, at_most: int) -> tuple[int, dict[str, Any]] | None:
        """Return step and state, on the CPU, of the newest usable checkpoint up to a step, or None.

        A checkpoint is skipped, and its name added to ``skipped``, if its content does not match
        the digest in its name, if it cannot be read, or if it has another format.
        """
        self.skipped = []
        for checkpoint in reversed(self.list()):
            step = checkpoint.step - self.first
            if step > at_most or (self.first and step <= 0):
                continue
            try:
                state = self._read(checkpoint)
            except MissingFileError:  # removed meanwhile
                continue
            if state is not None:
                return step, state
            self.skipped.append(checkpoint.name)
        return None

    def _read(self, checkpoint: CheckpointFile) -> dict[str, Any] | None:
        try:
            with self.folder.open_file(checkpoint.name) as file:
                if sha256_of(file)[:16] != checkpoint.digest:
                    return None
                file.seek(0)
                # Not to a GPU, on which a lack of memory would look like damage.
                state: Any = torch.load(file, map_location="cpu", weights_only=True)
        except (UnreachableError, MissingFileError, MemoryError):
            raise
        except Exception:  # noqa: BLE001 - what torch raises for damage is not documented
            return None
        return state if isinstance(state, dict) and state.pop("format", None) == FORMAT else None
