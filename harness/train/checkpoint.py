"""Checkpoints that are whole or are not there: written aside, digested, renamed."""

import hashlib
import os
import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from harness import moments

FORMAT = 2
"""Of the state in a checkpoint; one of another format is passed over."""

_NAME = re.compile(r"step-(\d{9})\.([0-9a-f]{16})(\.kept)?\.pt")


@dataclass(frozen=True)
class Found:
    """A checkpoint file; ``kept`` ones are never thinned out."""

    path: Path
    step: int
    digest: str
    kept: bool


class CheckpointFolder:
    """The checkpoints of one run. The digest is part of the file's name."""

    def __init__(self, folder: Path, *, newest: int = 2) -> None:
        self.folder = folder
        self.newest = newest
        self.passed_over: list[str] = []

    def list(self) -> list[Found]:
        """All checkpoints, oldest first."""
        if not self.folder.is_dir():
            return []
        found = []
        for path in self.folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match:
                found.append(Found(path, int(match[1]), match[2], match[3] is not None))
        return sorted(found, key=lambda f: (f.step, f.kept))

    def save(self, step: int, state: dict[str, Any], *, keep: bool = False) -> Path:
        """Write the state of a step; of those up to it, all but the newest and the kept go.

        Later ones stay: they belong to a longer run of the same training.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        aside = self.folder / f".{os.getpid()}.{step}.tmp"
        try:
            with aside.open("wb") as file:
                torch.save({"format": FORMAT, **state}, file)
                file.flush()
                os.fsync(file.fileno())
            kind = ".kept" if keep else ""
            path = self.folder / f"step-{step:09d}.{_digest(aside)}{kind}.pt"
            with moments.around("checkpoint"):
                aside.rename(path)
        finally:
            aside.unlink(missing_ok=True)
        _sync_folder(self.folder)
        thinned = [f for f in self.list() if not f.kept and f.step <= step]
        for old in thinned[: -self.newest]:
            old.path.unlink(missing_ok=True)
        return path

    def clear(self) -> None:
        """Remove all checkpoints: the run is over and nothing continues it."""
        for found in self.list():
            found.path.unlink(missing_ok=True)
        for aside in self.folder.glob(".*.tmp"):  # of a worker killed while it wrote
            aside.unlink(missing_ok=True)

    def load(self, *, at_most: int, device: torch.device) -> tuple[int, dict[str, Any]] | None:
        """Step and state of the newest whole checkpoint up to a step, or None.

        A file whose content does not match the digest in its name, or that another version
        wrote, is passed over, and its name kept in ``passed_over``.
        """
        self.passed_over = []
        for found in reversed(self.list()):
            if found.step > at_most:
                continue
            state = self._read(found, device)
            if state is not None:
                return found.step, state
            self.passed_over.append(found.path.name)
        return None

    def _read(self, found: Found, device: torch.device) -> dict[str, Any] | None:
        try:
            if _digest(found.path) != found.digest:
                return None
            state: dict[str, Any] = torch.load(found.path, map_location=device, weights_only=True)
        except (OSError, RuntimeError, pickle.UnpicklingError):
            return None
        return state if state.pop("format", None) == FORMAT else None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
