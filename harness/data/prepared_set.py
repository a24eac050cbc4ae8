"""Prepared data sets on disk: open and check them, and read their parts."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lcma.harness.data.manifest import (
    FILE_NAME,
    PARTS,
    SEALED,
    Manifest,
    PartName,
    read_manifest,
    read_sealed,
)
from lcma.harness.data.registry import find_set, list_sets
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.input_files import open_regular

GROUPS_DTYPE = "int32"

_PIECE = 2**24


@dataclass(frozen=True, eq=False)
class PreparedPart:
    """Images of one part and the cluster of each.

    images: read-only memory map, N x C x H x W. groups: int32, N, an index into the manifest's
    names of the part's clusters; None where the set has no clusters.
    """

    images: npt.NDArray[Any]
    groups: npt.NDArray[np.int32] | None


@dataclass(frozen=True)
class PreparedSet:
    """A prepared set below a root; `Manifest.digest` is its identity."""

    manifest: Manifest
    root: Path

    @property
    def folder(self) -> Path:
        """Folder of its files, ``<root>/<name>``."""
        return self.root / self.manifest.name

    def part(self, part: PartName) -> PreparedPart:
        """Memory-map one part. Raises UserError if a file is not as the manifest says."""
        count = self.manifest.counts[part]
        images = self._open(images_file(part), self.manifest.dtype, (count, *self.manifest.shape))
        if self.manifest.groups is None:
            return PreparedPart(images, None)
        return PreparedPart(images, self._open(groups_file(part), GROUPS_DTYPE, (count,)))

    def pieces(self, part: PartName) -> Iterator[npt.NDArray[Any]]:
        """Yield a part's images, N x C x H x W, piece by piece and in order, about 16 MB each.

        They are read from the file: the pages of a map that is read through once would count as
        this process's memory. Raises UserError if the file is not as the manifest says.
        """
        return self._read(images_file(part), self.part(part).images)

    def verify(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Hash every byte of every part. Raises UserError naming the first damaged file.

        ``progress`` is called with the bytes read so far, and those of all files.
        """
        files: list[tuple[str, npt.NDArray[Any], str | None]] = []
        for name in PARTS:
            part, digest = self.part(name), self.manifest.digests[name]
            files.append((images_file(name), part.images, digest.images))
            if part.groups is not None:
                files.append((groups_file(name), part.groups, digest.groups))
        total = sum(array.nbytes for _, array, _ in files)
        done = 0
        for file_name, array, expected in files:
            sha256 = hashlib.sha256()
            for piece in self._read(file_name, array):
                sha256.update(piece.data)
                done += piece.nbytes
                if progress is not None:
                    progress(done, total)
            if sha256.hexdigest() != expected:
                raise UserError(
                    self._damaged(file_name, "its bytes differ from the manifest's sha256")
                )

    def files(self) -> tuple[Path, ...]:
        """Return the files of the images and their groups."""
        groups = () if self.manifest.groups is None else tuple(map(groups_file, PARTS))
        return tuple(self.folder / name for name in (*map(images_file, PARTS), *groups))

    def _read(self, name: str, array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
        """Yield the rows of a file, of which `array` is the map, about 16 MB at a time."""
        assert isinstance(array, np.memmap)
        rows = max(1, _PIECE // array[:1].nbytes)
        try:
            with open_regular(self.folder / name) as file:
                file.seek(array.offset)
                for start in range(0, len(array), rows):
                    size = array[start : start + rows].nbytes
                    raw = file.read(size)
                    if len(raw) < size:
                        raise UserError(self._damaged(name, "cut short"))
                    yield np.frombuffer(raw, array.dtype).reshape(-1, *array.shape[1:])
        except OSError as error:
            raise UserError(self._damaged(name, error.strerror or "unreadable")) from error

    def _open(self, name: str, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        path = self.folder / name
        try:
            with open_regular(path):
                array = np.lib.format.open_memmap(path, mode="r")
                size = path.stat().st_size
        except OSError as error:
            raise UserError(self._damaged(name, error.strerror or "unreadable")) from error
        except Exception as error:  # a header is Python source
            raise UserError(self._damaged(name, "cut short or not an npy file")) from error
        found = (array.dtype.name, array.shape)
        if found != (dtype, shape) or not array.flags.c_contiguous:
            raise UserError(
                self._damaged(
                    name, f"{found[0]} {found[1]} where the manifest says {dtype} {shape}"
                )
            )
        if size != array.offset + array.nbytes:
            raise UserError(self._damaged(name, "longer than its header says"))
        return array

    def _damaged(self, name: str, what: str) -> str:
        return (
            f"{self.folder / name} is damaged ({what}): remove {self.folder} and run: "
            + prepare_command(self.manifest.name, self.root)
        )


def images_file(part: PartName) -> str:
    """Return the file name of a part's images."""
    return f"{part}.npy"


def groups_file(part: PartName) -> str:
    """Return the file name of a part's group indices."""
    return f"{part}_groups.npy"


def prepare_command(name: str, root: Path) -> str:
    """Return the command that prepares a set."""
    return find_set(name, root).command


def load(name: str, root: Path) -> PreparedSet:
    """Open a prepared set, and check the manifest, shape, dtype and size of every file, and seals.

    Pixels are not hashed; `PreparedSet.verify` does that.

    Args:
        name: Name of the set, such as `cifar10`.
        root: Folder of prepared sets.

    Raises:
        UserError: If the set is unknown, not prepared below ``root``, or not as its manifest says.
    """
    known = [one.name for one in list_sets(root)]
    if name not in known:
        there = ", ".join(one for one in known if (root / one).exists()) or "none"
        near = suggest(name, known, "")
        near = near if near.endswith("?") else f"prepared in {root}: {there}"
        raise UserError(
            f"unknown data set {name!r}: {near} (lcma data list shows those that can be prepared, "
            "with lcma data prepare NAME)"
        )
    folder = root / name
    if not folder.exists():
        raise UserError(
            f"data set {name} is not prepared in {root}: run: {prepare_command(name, root)}"
        )
    path = folder / FILE_NAME
    if not path.exists():
        raise UserError(
            f"{folder} is not a prepared data set (no {FILE_NAME}): "
            f"use another root or remove it, then run: {prepare_command(name, root)}"
        )
    manifest = read_manifest(path)
    if manifest.name != name:
        raise UserError(
            f"{path} belongs to {manifest.name}, not {name}: rename the folder {folder} back, "
            f"or remove it and run: {prepare_command(name, root)}"
        )
    prepared = PreparedSet(manifest, root)
    for part in PARTS:
        prepared.part(part)
    for sealed in SEALED:
        read_sealed(folder / sealed)
    return prepared
