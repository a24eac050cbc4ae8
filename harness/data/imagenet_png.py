"""Downsampled ImageNet in the older release of PixelRNN: a PNG file for each image."""

from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

from lcma.harness.data.decoding import BadImageError, decode_image, describe_decoder
from lcma.harness.data.image_files import FolderFiles, Reading, hash_files, list_folder
from lcma.harness.data.manifest import ByPart, SourceRecord
from lcma.harness.data.source import (
    NO_DOWNLOAD,
    OpenedSource,
    ReportStep,
    SourceOptions,
    describe_split,
    split_count,
)
from lcma.sweeps.errors import UserError

TRAIN, TEST = 1_281_149, 49_999
HOLDOUT_EVERY: Final = 50


class ImageNetPng:
    """The source of imagenet32-png and imagenet64-png: folders train_SxS and valid_SxS."""

    needs_path: ClassVar[bool] = True
    can_skip: ClassVar[bool] = True

    def __init__(self, size: int) -> None:
        self.size = size

    def open(self, path: Path | None, options: SourceOptions, progress: ReportStep) -> OpenedSource:
        """Find and hash the files. Raises UserError if a folder is missing or empty."""
        if path is None:
            raise UserError(
                f"imagenet{self.size}-png needs its files: add --from PATH, of the folder above "
                f"train_{self.size}x{self.size} and valid_{self.size}x{self.size}; {NO_DOWNLOAD}"
            )
        train, test = self._locate(path)
        reader = describe_decoder()
        of_train, of_test = (list_folder(folder, (".png",)) for folder in (train, test))
        for folder, names in ((train, of_train), (test, of_test)):
            if not names:
                raise UserError(f"{folder} has no PNG files: unpack the archive into it")
        names = [f"{train.name}/{n}" for n in of_train] + [f"{test.name}/{n}" for n in of_test]
        hashed, _ = hash_files(FolderFiles(path, names, options.skip_bad), progress)
        first_test = len(of_train)

        def assign(
            images: npt.NDArray[Any], indices: npt.NDArray[np.int64], before: int
        ) -> npt.NDArray[np.int64]:
            place = before + np.arange(len(indices))
            held_out = place % HOLDOUT_EVERY == HOLDOUT_EVERY - 1
            return np.where(indices >= first_test, 2, held_out.astype(np.int64))

        reading = Reading(hashed, self._convert, assign, options.skip_bad, 3 * self.size**2)
        kept, held_out = split_count(TRAIN, HOLDOUT_EVERY)
        complete = (len(of_train), len(of_test)) == (TRAIN, TEST)
        return OpenedSource(
            record=SourceRecord(
                layout=f"PNG folders {train.name} and {test.name}",
                package=None,
                reader=reader,
                files=(hashed.record("*/*.png"),),
                verdict=(
                    "published counts"
                    if complete
                    else f"subset or other ({len(of_train)} of {TRAIN} training and "
                    f"{len(of_test)} of {TEST} validation images)"
                ),
            ),
            shape=(3, self.size, self.size),
            dtype="uint8",
            groups=None,
            expected=ByPart(train=kept, holdout=held_out, test=TEST),
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
                f"{path} is no folder: give the one above train_{s}x{s} with --from PATH"
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
