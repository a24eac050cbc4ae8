"""Downsampled ImageNet: the npz release of Chrabaszcz et al. (2017), and the older release of
PixelRNN, which has a PNG file for each image and is another data set."""

import contextlib
import hashlib
import math
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from lcma.harness.data.decoding import BadImageError, decode_image, describe_decoder
from lcma.harness.data.image_files import FolderFiles, ImageReader, hash_files, list_folder
from lcma.harness.data.manifest import ByPart, SourceFile, SourceRecord
from lcma.harness.data.source import (
    NO_DOWNLOAD,
    HashedFile,
    OpenedSource,
    ReportStep,
    Source,
    SourceOptions,
    SourceStep,
    describe_split,
    require_other_images,
    split_training,
)
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import open_regular

HOLDOUT_EVERY: Final = 50
_TRAIN: Final = tuple(f"train_data_batch_{k}.npz" for k in range(1, 11))
_TEST: Final = "val_data.npz"
_CLASSES: Final = 1000
_REMEDY: Final = "give the original files"
_MAX_IMAGES: Final = 2 * 128_117  # twice the largest file of the release
_STEP_BYTES: Final = 2**25


class ImageNetNpz(Source):
    """The source of imagenet32 and imagenet64."""

    published = (1_281_167, 50_000)
    needed = f"the folder of {_TRAIN[0]} to 10 and {_TEST}; {NO_DOWNLOAD}"

    def __init__(self, size: int) -> None:
        self.size = size

    def open(self, path: Path, options: SourceOptions, progress: ReportStep) -> OpenedSource:
        """Find and hash the files, and check the labels. Raises UserError if a file is missing or
        is not of this release."""
        self._require_files(path)
        files: list[tuple[HashedFile, int]] = []
        for done, name in enumerate((*_TRAIN, _TEST), start=1):
            count = self._count_images(path / name)
            files.append((HashedFile.of(path / name), count))
            progress(f"checking {name}", done, len(_TRAIN) + 1)
        counts = [count for _, count in files]
        return OpenedSource(
            record=SourceRecord(
                layout=f"{_TRAIN[0]} to 10 and {_TEST}",
                package=None,
                reader=f"numpy {np.__version__}",
                files=tuple(SourceFile(name=h.path.name, sha256=h.sha256) for h, _ in files),
                verdict=_judge_counts(sum(counts[:-1]), counts[-1], self.published),
            ),
            shape=(3, self.size, self.size),
            dtype="uint8",
            groups=None,
            expected=_count_parts(self.published),
            preprocessing="pixels as stored",
            holdout_rule=describe_split(HOLDOUT_EVERY),
            n_steps=sum(-(-count // self._step_images) for count in counts),
            steps=lambda: self._read_steps(files),
        )

    @property
    def _step_images(self) -> int:
        return max(1, _STEP_BYTES // (3 * self.size**2))

    def _require_files(self, path: Path) -> None:
        sizes = self.size, 96 - self.size  # the release has 32 and 64
        if not path.is_dir():
            raise UserError(f"{path} is not a folder: give that of {_TRAIN[0]} with --from PATH")
        png_size = next((s for s in sizes if (path / f"train_{s}x{s}").is_dir()), None)
        if png_size is not None:
            raise UserError(
                f"{path} has the older PNG release, which is another data set: "
                f"lcma data prepare imagenet{png_size}-png --from {path}"
            )
        missing = [name for name in (*_TRAIN, _TEST) if not (path / name).is_file()]
        if missing:
            raise UserError(
                f"{path} lacks {', '.join(missing)}: give the folder of the npz files with "
                "--from PATH"
            )

    def _count_images(self, path: Path) -> int:
        """Check labels and shapes, before the file is read whole; return the number of images."""
        with _open_array(path, "labels") as array:
            count = array.shape[0] if len(array.shape) == 1 else 0
            if array.dtype.kind not in "iu" or not 0 < count <= _MAX_IMAGES:
                raise UserError(
                    f"{path}: 'labels' is {array}, not 1 to {_MAX_IMAGES} integers: {_REMEDY}"
                )
            labels = np.frombuffer(array.read(count), array.dtype)
            array.end()
        if labels.min() < 1 or labels.max() > _CLASSES:
            raise UserError(f"{path}: 'labels' has values outside 1..{_CLASSES}: {_REMEDY}")
        with _open_array(path, "data") as array:
            width = 3 * self.size**2
            if array.dtype != np.uint8 or array.shape != (count, width):
                other = 96 - self.size
                remedy = _REMEDY
                if array.shape[1:] == (3 * other**2,):
                    remedy = f"lcma data prepare imagenet{other} --from {path.parent}"
                raise UserError(
                    f"{path}: 'data' is {array}, not uint8 of shape ({count}, {width}): {remedy}"
                )
        size, limit = path.stat().st_size, 2 * (count * width + 2**20)
        if size > limit:
            raise UserError(
                f"{path} has {size} bytes where at most {limit} are expected: {_REMEDY}"
            )
        return count

    def _read_steps(self, files: Sequence[tuple[HashedFile, int]]) -> Iterator[SourceStep]:
        before = 0
        seen: dict[str, Path] = {}
        for hashed, count in files:
            name, digest = hashed.path.name, hashlib.sha256()
            hashed.check()
            for images in self._read_images(hashed.path, count):
                digest.update(images.data)
                if name == _TEST:
                    yield SourceStep(name, {"test": images})
                else:
                    yield SourceStep(name, split_training(images, before, HOLDOUT_EVERY))
                    before += len(images)
            hashed.check()
            require_other_images(seen, hashed.path, digest.hexdigest())

    def _read_images(self, path: Path, count: int) -> Iterator[npt.NDArray[np.uint8]]:
        """Yield the images of a file, N x 3 x H x W, in pieces."""
        with _open_array(path, "data") as array:
            for start in range(0, count, self._step_images):
                raw = array.read(min(self._step_images, count - start))
                yield np.frombuffer(raw, np.uint8).reshape(-1, 3, self.size, self.size)
            array.end()


class _NpzArray:
    """An array of an npz file, read from its first row to its last."""

    def __init__(self, stream: IO[bytes]) -> None:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):  # other versions may announce a header of any length
            raise ValueError(f"npy version {version}")
        self.shape, by_columns, self.dtype = np.lib.format.read_array_header_1_0(stream)
        if by_columns:
            raise ValueError("stored by columns")
        self._stream = stream

    def __str__(self) -> str:
        return f"{self.dtype} of shape {self.shape}"

    def read(self, rows: int) -> bytes:
        """Return the next rows. Raises ValueError if there are fewer."""
        size = rows * math.prod(self.shape[1:]) * self.dtype.itemsize
        raw = self._stream.read(size)
        if len(raw) != size:
            raise ValueError("cut short")
        return raw

    def end(self) -> None:
        """Raise ValueError if more follows. The archive then checks its checksum."""
        if self._stream.read(1):
            raise ValueError("longer than its shape")


@contextlib.contextmanager
def _open_array(path: Path, key: str) -> Iterator[_NpzArray]:
    """Open an array of an npz file. Raises UserError, in the block too, if it cannot be read."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            members = [m for m in archive.infolist() if m.filename == f"{key}.npy"]
            if len(members) != 1:
                count = "two arrays" if members else "no array"
                raise UserError(f"{path} has {count} {key!r}: {_REMEDY}")
            # Python unpacks a piece of the others to any size at once.
            if members[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError("an unusual compression")
            with archive.open(members[0]) as stream:
                yield _NpzArray(stream)
    except UserError:
        raise
    except Exception as error:
        why = printable(" ".join(str(error).split()))[:120]
        raise UserError(f"{path} is damaged ({why}): fetch the file again") from error


def _judge_counts(train: int, test: int, published: tuple[int, int]) -> str:
    if (train, test) == published:
        return "published counts"
    return (
        f"subset or other ({train} of {published[0]} training and {test} of {published[1]} "
        "validation images)"
    )


def _count_parts(published: tuple[int, int]) -> ByPart[int]:
    total, test = published
    holdout = total // HOLDOUT_EVERY
    return ByPart(train=total - holdout, holdout=holdout, test=test)


class ImageNetPng(Source):
    """The source of imagenet32-png and imagenet64-png: folders train_SxS and valid_SxS."""

    can_skip = True
    published = (1_281_149, 49_999)

    def __init__(self, size: int) -> None:
        self.size = size
        self.needed = f"the folder above train_{size}x{size} and valid_{size}x{size}; {NO_DOWNLOAD}"

    def open(self, path: Path, options: SourceOptions, progress: ReportStep) -> OpenedSource:
        """Find and hash the files. Raises UserError if a folder is missing or empty."""
        train, test = self._locate(path)
        reader = describe_decoder()
        names: list[str] = []
        counts = []
        for folder in (train, test):
            folder_names = list_folder(folder, (".png",))
            if not folder_names:
                raise UserError(f"{folder} has no PNG files: unpack the archive into it")
            names += [f"{folder.name}/{name}" for name in folder_names]
            counts.append(len(folder_names))
        files = FolderFiles(path, names, options.skip_bad)
        hashed, _ = hash_files(files, progress, lambda index, raw: None)

        def assign(
            images: npt.NDArray[Any], indices: npt.NDArray[np.int64], before: int
        ) -> npt.NDArray[np.int64]:
            numbers = before + np.arange(len(indices))
            held_out = numbers % HOLDOUT_EVERY == HOLDOUT_EVERY - 1
            return np.where(indices >= counts[0], 2, held_out.astype(np.int64))

        reading = ImageReader(hashed, self._convert, assign, options.skip_bad, 3 * self.size**2)
        return OpenedSource(
            record=SourceRecord(
                layout=f"PNG folders {train.name} and {test.name}",
                package=None,
                reader=reader,
                files=(hashed.record("*/*.png"),),
                verdict=_judge_counts(counts[0], counts[1], self.published),
            ),
            shape=(3, self.size, self.size),
            dtype="uint8",
            groups=None,
            expected=_count_parts(self.published),
            preprocessing="pixels as stored; grey files as three equal channels",
            holdout_rule=describe_split(HOLDOUT_EVERY),
            n_steps=reading.n_steps,
            steps=reading.steps,
        )

    def _locate(self, path: Path) -> tuple[Path, Path]:
        s = self.size
        folders = path / f"train_{s}x{s}", path / f"valid_{s}x{s}"
        if all(folder.is_dir() for folder in folders):
            return folders
        if not path.is_dir():
            raise UserError(
                f"{path} is not a folder: give the folder above train_{s}x{s} with --from PATH"
            )
        other = 96 - s
        if (path / f"train_{other}x{other}").is_dir():
            raise UserError(
                f"{path} has images of {other}x{other}: "
                f"lcma data prepare imagenet{other}-png --from {path}"
            )
        if any(path.glob("train_data_batch_*.npz")):
            raise UserError(
                f"{path} has the npz release, which is another data set: "
                f"lcma data prepare imagenet{s} --from {path}"
            )
        missing = " and ".join(folder.name for folder in folders if not folder.is_dir())
        raise UserError(f"{path} lacks {missing}: give the folder above them with --from PATH")

    def _convert(self, raw: bytes) -> npt.NDArray[Any]:
        pixels = decode_image(raw)
        c, h, w = pixels.shape
        if (h, w) != (self.size, self.size):
            raise BadImageError(f"{w}x{h} where this release has {self.size}x{self.size}")
        return pixels if c == 3 else np.repeat(pixels, 3, axis=0)
