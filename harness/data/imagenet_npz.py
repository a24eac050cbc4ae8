"""Downsampled ImageNet in the npz release of Chrabaszcz et al. (2017)."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import numpy as np

from lcma.harness.data.imagenet_png import HOLDOUT_EVERY
from lcma.harness.data.manifest import ByPart, SourceFile, SourceRecord
from lcma.harness.data.npy_stream import NpyMember, find_array
from lcma.harness.data.safe_zip import open_zip
from lcma.harness.data.source import (
    NO_DOWNLOAD,
    Chunk,
    Hashed,
    OpenedSource,
    ReportStep,
    SourceOptions,
    SourceStep,
    describe_split,
    split_count,
    split_training,
)
from lcma.sweeps.errors import UserError

TRAIN, TEST = 1_281_167, 50_000
_TRAIN: Final = tuple(f"train_data_batch_{k}.npz" for k in range(1, 11))
_TEST: Final = "val_data.npz"
_CLASSES: Final = 1000
_MOST: Final = 2 * 10**6
_STEP_BYTES: Final = 2**25


@dataclass(frozen=True)
class _Batch:
    """One file: its hash, its images (N, 3 S S), and how many of them make a step."""

    hashed: Hashed
    data: NpyMember
    rows: int

    @property
    def steps(self) -> int:
        return -(-self.data.shape[0] // self.rows)


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
        counts = [batch.data.shape[0] for batch in batches]
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
            n_steps=sum(batch.steps for batch in batches),
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
        with open_zip(path) as archive:
            data = find_array(archive, path, "data")
            labels = find_array(archive, path, "labels")
            if data.dtype != np.uint8 or len(data.shape) != 2 or not 0 < data.shape[0] <= _MOST:
                raise UserError(
                    f"{path}: 'data' is {data.dtype} of shape {data.shape}, not uint8 of shape "
                    f"(N, {width}): give the original files"
                )
            if data.shape[1] != width:
                other = 96 - self.size
                right = data.shape[1] == 3 * other**2
                raise UserError(
                    f"{path}: 'data' has shape {data.shape}, not (N, {width}): "
                    + (
                        f"lcma data prepare imagenet{other} --from {path.parent}"
                        if right
                        else "give the original files"
                    )
                )
            _check_labels(path, archive, labels, data.shape[0])
        return _Batch(Hashed.of(path), data, max(1, _STEP_BYTES // width))

    def _steps(self, batches: list[_Batch]) -> Iterator[SourceStep]:
        before = 0
        for batch in batches:
            path = batch.hashed.path
            batch.hashed.check()
            with open_zip(path) as archive:
                for rows in batch.data.rows(archive, batch.rows):
                    images = rows.reshape(-1, 3, self.size, self.size)
                    batch.hashed.check()
                    if path.name == _TEST:
                        yield SourceStep(path.name, (Chunk("test", images),))
                        continue
                    yield SourceStep(path.name, split_training(images, before, HOLDOUT_EVERY))
                    before += len(images)


def _check_labels(path: Path, archive: zipfile.ZipFile, labels: NpyMember, n: int) -> None:
    if labels.dtype.kind not in "ui" or labels.shape not in ((n,), (n, 1)):
        raise UserError(
            f"{path}: 'labels' is {labels.dtype} of shape {labels.shape} for {n} images: give the "
            "original files"
        )
    for rows in labels.rows(archive, n):
        if rows.min() < 1 or rows.max() > _CLASSES:
            raise UserError(
                f"{path}: 'labels' holds other values than 1..{_CLASSES}: give the original files"
            )
