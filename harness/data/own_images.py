"""The user's own images: every image below a folder, cut to a square and shrunk."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lcma.harness.data.decoding import (
    BadImageError,
    Shape,
    centre_square,
    decode_image,
    describe_decoder,
    read_shape,
    shrink,
)
from lcma.harness.data.image_files import FolderFiles, ImageReader, hash_files, make_bad_image_error
from lcma.harness.data.manifest import SourceRecord
from lcma.harness.data.source import (
    OpenedSource,
    ReportStep,
    Source,
    SourceOptions,
    make_unreadable_error,
)
from lcma.sweeps.errors import UserError

MIN_SIZE, MAX_SIZE = 4, 1024

_NO_IMAGES = {
    ".pdf",
    ".ps",
    ".eps",
    ".h5",
    ".hdf",
    ".fit",
    ".fits",
    ".mpg",
    ".mpeg",
    ".grib",
    ".bufr",
}
"""Extensions that Pillow knows, of files that are seldom one image."""


class OwnImages(Source):
    """The source of a set of the user's own images."""

    can_skip = True

    def open(self, path: Path, options: SourceOptions, progress: ReportStep) -> OpenedSource:
        """Find and hash every image, and read its shape.

        Raises UserError if there is no image, if one is refused, or if grey and colour images are
        mixed without ``options.grey_to_rgb``.
        """
        if options.size is None:
            raise UserError("images of your own need a size: add --size S")
        size = options.size
        if not (MIN_SIZE <= size <= MAX_SIZE and size & (size - 1) == 0):
            raise UserError(f"--size {size}: give a power of two from {MIN_SIZE} to {MAX_SIZE}")
        if not path.is_dir():
            raise UserError(f"{path} is not a folder: give that of your images with --from FOLDER")
        names, others = _list_images(path)
        if not names:
            raise UserError(f"{path} has no image files: give another folder")
        reader = describe_decoder()
        files = FolderFiles(path, names, options.skip_bad)

        def inspect(index: int, raw: bytes) -> Shape | None:
            try:
                shape = read_shape(raw)
                _check_size(*shape[1:], size)
            except BadImageError as error:
                if options.skip_bad:
                    return None
                raise make_bad_image_error(files.describe_place(index), error) from error
            return shape

        hashed, shapes = hash_files(files, progress, inspect)
        channels = _choose_channels(files, shapes, options)

        def convert(raw: bytes) -> npt.NDArray[Any]:
            pixels = decode_image(raw)
            _check_size(pixels.shape[1], pixels.shape[2], size)
            image = shrink(centre_square(pixels), size)
            if len(image) > channels:
                raise BadImageError("colour where the header says grey")
            return image if len(image) == channels else np.repeat(image, channels, axis=0)

        reading = ImageReader(hashed, convert, _assign, options.skip_bad, channels * size**2)
        return OpenedSource(
            record=SourceRecord(
                layout="images below a folder",
                package=None,
                reader=reader,
                files=(hashed.record("**"),),
                verdict=f"a person's own; {others} other files and folders were left alone",
            ),
            shape=(channels, size, size),
            dtype="uint8",
            groups=None,
            expected=None,
            preprocessing=(
                f"turned as the file says, centre square, shrunk to {size}x{size} bilinearly with "
                f"antialiasing, {'grey' if channels == 1 else 'RGB'}"
                + (", grey images as three equal channels" if options.grey_to_rgb else "")
            ),
            holdout_rule=(
                "by the first eight bytes of the sha256 of an image's final pixels, modulo 10: 8 "
                "is held out, 9 is test; equal images are in one part"
            ),
            n_steps=reading.n_steps,
            steps=reading.steps,
        )


def _list_images(folder: Path) -> tuple[list[str], int]:
    """Return the sorted image files below a folder, and the number of other entries.

    Raises UserError if a folder below it cannot be read.
    """
    from PIL import Image

    endings = {*Image.registered_extensions(), ".heic", ".heif"} - _NO_IMAGES
    names, others = [], 0

    def refuse(error: OSError) -> None:
        raise make_unreadable_error(Path(error.filename or folder), error) from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        others += sum(n.startswith(".") or (Path(parent) / n).is_symlink() for n in folders)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            relative = (Path(parent) / name).relative_to(folder).as_posix()
            if Path(name).suffix.lower() in endings and not name.startswith("."):
                names.append(relative)
            else:
                others += 1
    return sorted(names), others


def _check_size(height: int, width: int, size: int) -> None:
    if min(height, width) < size:
        raise BadImageError(f"{width}x{height}, smaller than {size}")


def _choose_channels(
    files: FolderFiles, shapes: Sequence[Shape | None], options: SourceOptions
) -> int:
    grey = [i for i, shape in enumerate(shapes) if shape is not None and shape[0] == 1]
    readable = sum(shape is not None for shape in shapes)
    if not readable:
        raise UserError(f"{files.folder} has no image that can be taken: give another folder")
    if options.grey_to_rgb or not grey:
        return 3
    if len(grey) == readable:
        return 1
    raise UserError(
        f"{files.describe_place(grey[0])} is grey, as {len(grey)} of {readable} images are: take "
        "them as RGB with --grey-to-rgb, or leave them out of the folder"
    )


def _assign(
    images: npt.NDArray[Any], indices: npt.NDArray[np.int64], before: int
) -> npt.NDArray[np.int64]:
    digits = [
        int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:8], "big") % 10 for image in images
    ]
    return np.maximum(np.array(digits, np.int64) - 7, 0)
