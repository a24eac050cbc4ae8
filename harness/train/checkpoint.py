"""Checkpoints, each whole or not there, in any place; the digest is part of the name."""

import pickle
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
    StorageError,
    StoredFile,
    UnreachableError,
    is_temporary,
    sha256_of,
)

FORMAT = 3
"""Format of the state in a checkpoint; one of another format is passed over."""

_NAME = re.compile(r"step-(\d{9})\.([0-9a-f]{16})(\.kept)?\.pt")


@dataclass(frozen=True)
class CheckpointFile:
    """The file of a checkpoint; ``kept`` ones are never thinned out."""

    name: str
    step: int
    digest: str
    kept: bool


def parse_checkpoint_name(name: str) -> CheckpointFile | None:
    """Return the checkpoint of a file name, None for another file."""
    match = _NAME.fullmatch(name)
    return match and CheckpointFile(name, int(match[1]), match[2], match[3] is not None)


def sort_checkpoints(names: Iterable[str]) -> list[CheckpointFile]:
    """Return the checkpoints among file names, oldest first."""
    all_found = filter(None, (parse_checkpoint_name(name) for name in names))
    return sorted(all_found, key=lambda one: (one.step, one.kept))


class CheckpointFolder:
    """The checkpoints of one run, in a folder of a local disk or of any other place.

    Steps are counted from ``first``: a run of several parts, each of which begins at step 0, has
    one folder. What is at ``first`` itself is the end of the part before.

    Every method raises StorageError: UnreachableError if the same may work later.
    """

    def __init__(self, folder: Path | Folder, *, newest: int = 2, first: int = 0) -> None:
        self.folder = LocalFolder(folder) if isinstance(folder, Path) else folder
        self.newest, self.first = newest, first
        self.passed_over: list[str] = []

    def list(self) -> list[CheckpointFile]:
        """Return all checkpoints, oldest first."""
        return sort_checkpoints(file.name for file in self.folder.files())

    def save(self, step: int, state: dict[str, Any], *, keep: bool = False) -> StoredFile:
        """Write the state of a step, and remove older ones but for the newest and the kept.

        Later ones stay: they belong to a longer run of the same training.
        """
        kind = ".kept" if keep else ""
        step += self.first
        stored = self.folder.put(
            lambda file: torch.save({"format": FORMAT, **state}, file),
            lambda digest: f"step-{step:09d}.{digest[:16]}{kind}.pt",
            moment="checkpoint",
        )
        thinned = [f for f in self.list() if not f.kept and f.step <= step]
        self.remove(thinned[: -self.newest])
        return stored

    def remove(self, checkpoints: Iterable[CheckpointFile]) -> None:
        """Remove some checkpoints."""
        for one in checkpoints:
            self.folder.remove(one.name)

    def clear(self) -> None:
        """Remove all checkpoints and unfinished files, once the run is over."""
        for file in self.folder.files():
            if parse_checkpoint_name(file.name) or is_temporary(file.name):
                self.folder.remove(file.name)

    def load(self, *, at_most: int, device: torch.device) -> tuple[int, dict[str, Any]] | None:
        """Return step and state of the newest whole checkpoint up to a step, or None.

        A file whose content does not match the digest in its name, that cannot be read, or that
        another version wrote, is passed over, and its name kept in ``passed_over``.
        """
        self.passed_over = []
        for one in reversed(self.list()):
            step = one.step - self.first
            if step > at_most or (self.first and step <= 0):
                continue
            try:
                state = self._read(one, device)
            except MissingFileError:  # removed meanwhile
                continue
            if state is not None:
                return step, state
            self.passed_over.append(one.name)
        return None

    def _read(self, one: CheckpointFile, device: torch.device) -> dict[str, Any] | None:
        try:
            with self.folder.open_file(one.name) as file:
                if sha256_of(file)[:16] != one.digest:
                    return None
                file.seek(0)
                state: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
        except (UnreachableError, MissingFileError):
            raise
        except (StorageError, OSError, RuntimeError, pickle.UnpicklingError):
            return None
        return state if state.pop("format", None) == FORMAT else None
