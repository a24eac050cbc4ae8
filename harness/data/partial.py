"""The folder of an unfinished preparation, with which a later run goes on."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from lcma.harness.data.boxfilter import box_filter
from lcma.harness.data.manifest import PARTS, ByPart, PartDigest, PartName
from lcma.harness.data.prepared import GROUPS_DTYPE, groups_file, images_file
from lcma.harness.data.source import Done, OpenedSource, SourceStep
from lcma.harness.data.writer import NpyWriter

JOURNAL: Final = "journal.json"


class _Journal(BaseModel):
    """Record of what is on the disk for certain; files may hold more, which is cut off."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    steps: NonNegativeInt = 0
    counts: ByPart[NonNegativeInt] = ByPart(train=0, holdout=0, test=0)
    skipped: tuple[str, ...] = ()


class Partial:
    """The parts of a set while they are written, step by step.

    Raises OSError as the file system does.
    """

    def __init__(self, folder: Path, opened: OpenedSource, box: int, stack: ExitStack) -> None:
        """Begin in the folder, or go on from the step in the journal of an earlier run."""
        c, h, w = opened.shape
        self.shape = (c, h // box, w // box)
        self._folder, self._box, self._opened = folder, box, opened
        self._skipped: list[str] = []
        self._writers(_read(folder), stack)

    def _writers(self, journal: _Journal, stack: ExitStack) -> None:
        try:
            opened = [self._new(part, journal) for part in PARTS]
        except (ValueError, FileNotFoundError):
            # Not what the journal says: begin again.
            journal = _Journal()
            opened = [self._new(part, journal) for part in PARTS]
        self._steps, self._skipped = journal.steps, list(journal.skipped)
        self._images = dict(zip(PARTS, (images for images, _ in opened), strict=True))
        self._groups = {
            part: groups
            for part, (_, groups) in zip(PARTS, opened, strict=True)
            if groups is not None
        }
        for writer in (*self._images.values(), *self._groups.values()):
            stack.enter_context(writer)

    def _new(self, part: PartName, journal: _Journal) -> tuple[NpyWriter, NpyWriter | None]:
        count = journal.counts[part]
        images = self._folder / images_file(part)
        groups = self._folder / groups_file(part)
        return (
            NpyWriter(images, self._opened.dtype, self.shape, count),
            None if self._opened.groups is None else NpyWriter(groups, GROUPS_DTYPE, (), count),
        )

    @property
    def counts(self) -> ByPart[int]:
        """Images written so far."""
        return ByPart[int](**{part: self._images[part].count for part in PARTS})

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of images left out so far."""
        return tuple(self._skipped)

    @property
    def done(self) -> Done:
        """Steps and images so far."""
        return Done(self._steps, self.counts)

    @property
    def digests(self) -> ByPart[PartDigest]:
        """Digests of what is written."""
        return ByPart[PartDigest](
            **{
                part: PartDigest(
                    images=self._images[part].digest,
                    groups=self._groups[part].digest if self._groups else None,
                )
                for part in PARTS
            }
        )

    def add(self, step: SourceStep) -> None:
        """Write the images of a step, and record them once they are on the disk."""
        for chunk in step.chunks:
            pixels = chunk.images
            self._images[chunk.part].append(
                pixels if self._box == 1 else box_filter(pixels, self._box)
            )
            if chunk.groups is not None:
                self._groups[chunk.part].append(chunk.groups)
        self._skipped += step.skipped
        self._steps += 1
        for writer in (*self._images.values(), *self._groups.values()):
            writer.sync()
        journal = _Journal(steps=self._steps, counts=self.counts, skipped=self.skipped)
        temporary = self._folder / f"{JOURNAL}.new"
        with temporary.open("w", encoding="utf-8") as file:
            file.write(journal.model_dump_json())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._folder / JOURNAL)

    def finish(self) -> None:
        """Complete the files and remove the journal."""
        for writer in (*self._images.values(), *self._groups.values()):
            writer.finish()
        for name in (JOURNAL, f"{JOURNAL}.new"):
            (self._folder / name).unlink(missing_ok=True)


def _read(folder: Path) -> _Journal:
    try:
        text = (folder / JOURNAL).read_bytes()
        return _Journal.model_validate_json(text)
    except (OSError, ValidationError, json.JSONDecodeError):
        return _Journal()


def clear_partial(root: Path, name: str) -> None:
    """Remove the folders of unfinished preparations of a set below a root."""
    for folder in find_partial(root, name):
        shutil.rmtree(folder, ignore_errors=True)


def find_partial(root: Path, name: str) -> Iterator[Path]:
    """Return the folders of unfinished preparations of a set."""
    with contextlib.suppress(OSError):
        yield from sorted(root.glob(f".{name}.*.partial"))


def partial_folder(root: Path, name: str, origin: str) -> Path:
    """Return the folder for a set from one origin (hex digest)."""
    return root / f".{name}.{origin[:16]}.partial"
