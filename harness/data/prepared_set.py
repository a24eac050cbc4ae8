"""Prepared data sets on disk: opening and checking them, and reading their parts."""

import hashlib
import shlex
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
from lcma.harness.data.registry import list_sets, make_own_set
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.input_files import open_regular

GROUPS_DTYPE = "int32"

_PIECE_BYTES = 2**24


@dataclass(frozen=True, eq=False)
class PreparedPart:
    """The images of one part."""

    images: npt.NDArray[Any]
    """Read-only memory map, N x C x H x W."""
    groups: npt.NDArray[np.int32] | None
    """The cluster of each image, an index (N,) into `Manifest.groups`; None without clusters."""


@dataclass(frozen=True)
class PreparedSet:
    """A prepared set below a root. `Manifest.digest` is its identity."""

    manifest: Manifest
    root: Path

    @property
    def folder(self) -> Path:
        """The folder of its files, ``<root>/<name>``."""
        return self.root / self.manifest.name

    def part(self, part: PartName) -> PreparedPart:
        """Memory-map one part. Raises UserError if a file does not match the manifest."""
        count = self.manifest.counts[part]
        images = self._open(images_file(part), self.manifest.dtype, (count, *self.manifest.shape))
        if self.manifest.groups is None:
            return PreparedPart(images, None)
        return PreparedPart(images, self._open(groups_file(part), GROUPS_DTYPE, (count,)))

    def pieces(self, part: PartName) -> Iterator[npt.NDArray[Any]]:
        """Yield a part's images, N x C x H x W, in pieces of about 16 MB.

        They are read from the file: the pages of a memory map would count as memory of this
        process. Raises UserError if the file does not match the manifest.
        """
        return self._read(images_file(part), self.part(part).images)

    def verify(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Hash every byte of every part.

        Args:
            progress: Called with the number of bytes read so far, and of all files.

        Raises:
            UserError: A file is damaged; the message names the first.
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
                raise self._make_error(file_name, "its bytes differ from the manifest's sha256")

    def files(self) -> tuple[Path, ...]:
        """Return the files of the images and their groups."""
        groups = () if self.manifest.groups is None else tuple(map(groups_file, PARTS))
        return tuple(self.folder / name for name in (*map(images_file, PARTS), *groups))

    def _read(self, name: str, array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
        """Yield the rows of a file with a memory map, in pieces of about 16 MB."""
        assert isinstance(array, np.memmap)
        rows = max(1, _PIECE_BYTES // array[:1].nbytes)
        try:
            with open_regular(self.folder / name) as file:
                file.seek(array.offset)
                for start in range(0, len(array), rows):
                    size = array[start : start + rows].nbytes
                    raw = file.read(size)
                    if len(raw) < size:
                        raise self._make_error(name, "cut short")
                    yield np.frombuffer(raw, array.dtype).reshape(-1, *array.shape[1:])
        except OSError as error:
            raise self._make_error(name, error.strerror or "unreadable") from error

    def _open(self, name: str, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        path = self.folder / name
        try:
            with open_regular(path):
                array = np.lib.format.open_memmap(path, mode="r")
                size = path.stat().st_size
        except OSError as error:
            raise self._make_error(name, error.strerror or "unreadable") from error
        except Exception as error:  # numpy evaluates the header as Python source
            raise self._make_error(name, "cut short or not an npy file") from error
        if (array.dtype.name, array.shape) != (dtype, shape) or not array.flags.c_contiguous:
            raise self._make_error(
                name,
                f"{array.dtype.name} {array.shape} where the manifest says {dtype} {shape}",
            )
        if size != array.offset + array.nbytes:
            raise self._make_error(name, "longer than its header says")
        return array

    def _make_error(self, name: str, why: str) -> UserError:
        command = prepare_command(self.manifest.name, self.root)
        return UserError(
            f"{self.folder / name} is damaged ({why}): remove {self.folder} and run: {command}"
        )


def images_file(part: PartName) -> str:
    """Return the file name of a part's images."""
    return f"{part}.npy"


def groups_file(part: PartName) -> str:
    """Return the file name of a part's group indices."""
    return f"{part}_groups.npy"


def prepare_command(name: str, root: Path) -> str:
    """Return the command that prepares a set below a root."""
    known = {data_set.name: data_set for data_set in list_sets()}
    data_set = known.get(name) or make_own_set(name)
    return f"{data_set.command} --to {shlex.quote(str(root))}"


def load(name: str, root: Path) -> PreparedSet:
    """Open a prepared set. Check its manifest, the shape, dtype and size of every file, and seals.

    Pixels are not hashed; `PreparedSet.verify` does that.

    Args:
        name: Name of the set, such as `cifar10`.
        root: Folder of prepared sets.

    Returns:
        The set.

    Raises:
        UserError: If the set is unknown, not prepared below ``root``, or does not match its
            manifest.
    """
    names = [data_set.name for data_set in list_sets(root)]
    if name not in names:
        hint = suggest(name, names, "")
        if not hint.endswith("?"):
            prepared_names = ", ".join(known for known in names if (root / known).exists())
            hint = f"prepared in {root}: {prepared_names or 'none'}"
        raise UserError(
            f"unknown data set {name!r}: {hint} (lcma data list shows those that can be prepared, "
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
            f"use another root or move it away, then run: {prepare_command(name, root)}"
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
