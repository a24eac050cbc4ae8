"""A prepared data set on disk: opening it, checking it, handing out its parts."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.data import manifest as manifests
from harness.data.manifest import PARTS, Manifest, PartName
from harness.data.registry import find
from sweeps.errors import UserError

GROUPS_DTYPE = "int32"


@dataclass(frozen=True, eq=False)
class Part:
    """Images of one part and the cluster of each.

    images: read-only memory map, N x C x H x W. groups: int32, N, an index into the manifest's
    names of the part's clusters; None where the set has no clusters.
    """

    images: npt.NDArray[Any]
    groups: npt.NDArray[np.int32] | None


@dataclass(frozen=True)
class Prepared:
    """A prepared set below a root; `Manifest.digest` is its identity."""

    manifest: Manifest
    root: Path

    @property
    def folder(self) -> Path:
        """Where its files lie: ``<root>/<name>``."""
        return self.root / self.manifest.name

    def part(self, part: PartName) -> Part:
        """Memory-map one part. Raises UserError where a file is not as the manifest says."""
        count = self.manifest.counts[part]
        images = self._open(images_file(part), self.manifest.dtype, (count, *self.manifest.shape))
        if self.manifest.groups is None:
            return Part(images, None)
        return Part(images, self._open(groups_file(part), GROUPS_DTYPE, (count,)))

    def verify(self) -> None:
        """Hash every byte of every part. Raises UserError naming the first damaged file."""
        for name in PARTS:
            part, digest = self.part(name), self.manifest.digests[name]
            self._same(images_file(name), part.images, digest.images)
            if part.groups is not None:
                self._same(groups_file(name), part.groups, digest.groups)

    def _open(self, name: str, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        path = self.folder / name
        try:
            array = np.lib.format.open_memmap(path, mode="r")
            size = path.stat().st_size
        except OSError as error:
            raise UserError(self._damaged(name, error.strerror or "unreadable")) from error
        except (ValueError, TypeError, OverflowError) as error:
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

    def _same(self, name: str, array: npt.NDArray[Any], digest: str | None) -> None:
        if hashlib.sha256(array.reshape(-1).view(np.uint8).data).hexdigest() != digest:
            raise UserError(self._damaged(name, "its bytes differ from the manifest's sha256"))

    def _damaged(self, name: str, what: str) -> str:
        return (
            f"{self.folder / name} is damaged ({what}): remove {self.folder} and run: "
            + command(self.manifest.name, self.root)
        )


def images_file(part: PartName) -> str:
    """File name of a part's images."""
    return f"{part}.npy"


def groups_file(part: PartName) -> str:
    """File name of a part's group indices."""
    return f"{part}_groups.npy"


def command(name: str, root: Path) -> str:
    """The command that prepares a set."""
    return find(name, root).command


def load(name: str, root: Path) -> Prepared:
    """Open a prepared set: the manifest, and shape, dtype and size of every file are checked.

    Pixels are not hashed; `Prepared.verify` does that. Raises UserError where the set is unknown,
    not prepared below `root` or not as its manifest says.
    """
    find(name, root)
    folder = root / name
    if not folder.exists():
        raise UserError(f"data set {name} is not prepared in {root}: run: {command(name, root)}")
    path = folder / manifests.FILE_NAME
    if not path.exists():
        raise UserError(
            f"{folder} is not a prepared data set (no {manifests.FILE_NAME}): "
            f"use another root or remove it, then run: {command(name, root)}"
        )
    manifest = manifests.read(path)
    if manifest.name != name:
        raise UserError(
            f"{path} belongs to {manifest.name}, not {name}: rename the folder {folder} back, "
            f"or remove it and run: {command(name, root)}"
        )
    prepared = Prepared(manifest, root)
    for part in PARTS:
        prepared.part(part)
    return prepared
