"""Downsampled ImageNet in the npz release of Chrabaszcz et al. (2017)."""

import contextlib
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from lcma.harness.data.imagenet_png import HOLDOUT_EVERY
from lcma.harness.data.manifest import ByPart, SourceFile, SourceRecord
from lcma.harness.data.source import (
    NO_DOWNLOAD,
    Chunk,
    Hashed,
    OpenedSource,
    ReportStep,
    SourceOptions,
    SourceStep,
    describe_split,
    open_zip,
    split_count,
    split_training,
)
from lcma.sweeps.errors import UserError

TRAIN, TEST = 1_281_167, 50_000
_TRAIN: Final = tuple(f"train_data_batch_{k}.npz" for k in range(1, 11))
_TEST: Final = "val_data.npz"
_CLASSES: Final = 1000
_MOST: Final = 2 * 10**6
_REMEDY: Final = "give the original files"
_STEP_BYTES: Final = 2**25


@dataclass(frozen=True)
class _Batch:
    """One file: its hash, its number of images, and how many of them make a step."""

    hashed: Hashed
    count: int
    rows: int


class ImageNetNpz:
    """The source of imagenet32 and imagenet64."""

    needs_path: ClassVar[bool] = True
    can_skip: ClassVar[bool] = False

    def __init__(self, size: int) -> None:
        self.size = size

    def open(self, path: Path | None, options: SourceOptions, progress: ReportStep) -> OpenedSource:
        """Find and hash the files, and check shapes and labels. Raises UserError where one is
        missing or not as it should be."""
        if path is None:
            raise UserError(
                f"imagenet{self.size} needs its files: add --from PATH, of the folder of "
                f"{_TRAIN[0]} to 10 and {_TEST}; {NO_DOWNLOAD}"
            )
        self._locate(path)
        batches = []
        for done, name in enumerate((*_TRAIN, _TEST), start=1):
            batches.append(self._batch(path / name))
            progress(f"checking {name}", done, len(_TRAIN) + 1)
        counts = [batch.count for batch in batches]
        train, test = sum(counts[:-1]), counts[-1]
        kept, held_out = split_count(TRAIN, HOLDOUT_EVERY)
        return OpenedSource(
            record=SourceRecord(
                layout=f"{_TRAIN[0]} to 10 and {_TEST}",
                package=None,
                reader=f"numpy {np.__version__} headers, rows by zipfile",
                files=tuple(
                    SourceFile(name=b.hashed.path.name, sha256=b.hashed.sha256) for b in batches
                ),
                verdict=(
                    "published counts"
                    if (train, test) == (TRAIN, TEST)
                    else f"subset or other ({train} of {TRAIN} training and {test} of {TEST} "
                    "validation images)"
                ),
            ),
            shape=(3, self.size, self.size),
            dtype="uint8",
            groups=None,
            expected=ByPart(train=kept, holdout=held_out, test=TEST),
            preprocessing="pixels as stored",
            holdout_rule=describe_split(HOLDOUT_EVERY),
            n_steps=sum(-(-batch.count // batch.rows) for batch in batches),
            steps=lambda: self._steps(batches),
        )

    def _locate(self, path: Path) -> None:
        s = self.size
        if not path.is_dir():
            raise UserError(f"{path} is no folder: give that of {_TRAIN[0]} with --from PATH")
        pictures = next((p for p in (s, 96 - s) if (path / f"train_{p}x{p}").is_dir()), None)
        if pictures is not None:
            raise UserError(
                f"{path} has the older PNG release, which is another data set: "
                f"lcma data prepare imagenet{pictures}-png --from {path}"
            )
        missing = [name for name in (*_TRAIN, _TEST) if not (path / name).is_file()]
        if missing:
            raise UserError(
                f"{path} lacks {', '.join(missing)}: give the folder of the npz files with "
                "--from PATH"
            )

    def _batch(self, path: Path) -> _Batch:
        width = 3 * self.size**2
        with _open_array(path, "data") as (_, shape, dtype):
            if dtype != np.uint8 or len(shape) != 2 or not 0 < shape[0] <= _MOST:
                raise UserError(
                    f"{path}: 'data' is {dtype} of shape {shape}, not uint8 of shape "
                    f"(N, {width}): {_REMEDY}"
                )
            if shape[1] != width:
                other = 96 - self.size
                command = f"lcma data prepare imagenet{other} --from {path.parent}"
                raise UserError(
                    f"{path}: 'data' has shape {shape}, not (N, {width}): "
                    + (command if shape[1] == 3 * other**2 else _REMEDY)
                )
        n = shape[0]
        with _open_array(path, "labels") as (stream, shape, dtype):
            if dtype.kind not in "ui" or shape not in ((n,), (n, 1)):
                raise UserError(
                    f"{path}: 'labels' is {dtype} of shape {shape} for {n} images: {_REMEDY}"
                )
            (labels,) = _read_rows(path, stream, dtype, (n,), n)
        if labels.min() < 1 or labels.max() > _CLASSES:
            raise UserError(f"{path}: 'labels' holds other values than 1..{_CLASSES}: {_REMEDY}")
        return _Batch(Hashed.of(path), n, max(1, _STEP_BYTES // width))

    def _steps(self, batches: list[_Batch]) -> Iterator[SourceStep]:
        before = 0
        for batch in batches:
            path = batch.hashed.path
            batch.hashed.check()
            with _open_array(path, "data") as (stream, _, dtype):
                shape = (batch.count, 3, self.size, self.size)
                for images in _read_rows(path, stream, dtype, shape, batch.rows):
                    batch.hashed.check()
                    if path.name == _TEST:
                        yield SourceStep(path.name, (Chunk("test", images),))
                        continue
                    yield SourceStep(path.name, split_training(images, before, HOLDOUT_EVERY))
                    before += len(images)


@contextlib.contextmanager
def _open_array(path: Path, key: str) -> Iterator[tuple[IO[bytes], tuple[int, ...], np.dtype[Any]]]:
    """Open the array that `np.load` finds under a key, after its header; no room is made for it."""
    with open_zip(path) as archive:
        if f"{key}.npy" not in archive.namelist():
            raise UserError(f"{path} has no array {key!r}: {_REMEDY}")
        try:
            stream = archive.open(f"{key}.npy")
            if np.lib.format.read_magic(stream) != (1, 0):
                raise ValueError("another version of the npy format")
            with warnings.catch_warnings(action="ignore"):  # of Python 2's numbers
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
            if not all(0 <= size < 2**32 for size in shape):
                raise ValueError("a shape that no array has")
        except Exception as error:  # a header is Python source
            raise _damaged(path, error) from error
        if fortran and len(shape) > 1:
            raise UserError(f"{path}: {key!r} is stored column by column: {_REMEDY}")
        yield stream, shape, dtype


def _read_rows(
    path: Path, stream: IO[bytes], dtype: np.dtype[Any], shape: tuple[int, ...], most: int
) -> Iterator[npt.NDArray[Any]]:
    """Yield the rows of an array, `most` at a time. Raises UserError if there are not as many."""
    width = dtype.itemsize * math.prod(shape[1:])
    try:
        for start in range(0, shape[0], most):
            count = min(most, shape[0] - start)
            raw = stream.read(count * width)
            if len(raw) != count * width:
                raise EOFError("fewer bytes than its header says")
            yield np.frombuffer(raw, dtype).reshape(count, *shape[1:])
        # The end of a member is where its checksum is compared.
        if stream.read(1):
            raise ValueError("more bytes than its header says")
    except Exception as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    why = " ".join(str(error).split())[:120]
    return UserError(f"{path} is damaged ({why}): fetch the file again")
