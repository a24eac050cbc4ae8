"""A person's own images: every image below a folder, cut to a square and shrunk."""

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
from lcma.harness.data.image_files import FolderFiles, ImageReader, bad_image, hash_files
from lcma.harness.data.manifest import SourceRecord
from lcma.harness.data.source import (
    OpenedSource,
    ReportStep,
    Source,
    SourceOptions,
    unreadable_error,
)
from lcma.sweeps.errors import UserError

LEAST, MOST = 4, 1024


class OwnImages(Source):
    """The source of a set of a person's own."""

    can_skip = True

    def open(self, path: Path, options: SourceOptions, progress: ReportStep) -> OpenedSource:
        """Find, hash and look at every image. Raises UserError where there is none, one is not
        taken, or grey and colour are mixed and are not to be."""
        size = options.size or 0
        if not (LEAST <= size <= MOST and size & (size - 1) == 0):
            raise UserError(f"--size {size}: give a power of two from {LEAST} to {MOST}")
        if not path.is_dir():
            raise UserError(f"{path} is no folder: give the one of your images with --from FOLDER")
        names, others = _walk(path)
        if not names:
            raise UserError(f"{path} has no image files: give another folder")
        reader = describe_decoder()
        files = FolderFiles(path, names, options.skip_bad)

        def look(index: int, raw: bytes) -> Shape | None:
            try:
                shape = read_shape(raw)
                _check_size(*shape[1:], size)
            except BadImageError as error:
                if options.skip_bad:
                    return None
                raise bad_image(files.where(index), error) from error
            return shape

        hashed, shapes = hash_files(files, progress, look)
        channels = _channels(files, shapes, options)

        def convert(raw: bytes) -> npt.NDArray[Any]:
            pixels = decode_image(raw)
            _check_size(pixels.shape[1], pixels.shape[2], size)
            small = shrink(centre_square(pixels), size)
            if len(small) > channels:
                raise BadImageError("colour where the header says grey")
            return small if len(small) == channels else np.repeat(small, channels, axis=0)

        reading = ImageReader(hashed, convert, _assign, options.skip_bad, channels * size**2)
        return OpenedSource(
            record=SourceRecord(
                layout="images below a folder",
                package=None,
                reader=reader,
                files=(hashed.record("**"),),
                verdict=f"a person's own; {others} other files and linked folders were left alone",
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


def _walk(folder: Path) -> tuple[list[str], int]:
    """Return the image files below a folder, sorted, and the number of other entries.

    Raises UserError where a folder cannot be read: which images it has is not known.
    """
    from PIL import Image

    endings = set(Image.registered_extensions()) | {".heic", ".heif"}
    names, others = [], 0

    def refuse(error: OSError) -> None:
        raise unreadable_error(Path(error.filename or folder), error) from error

    for at, folders, files in os.walk(folder, onerror=refuse):
        others += sum((Path(at) / name).is_symlink() for name in folders)
        for name in files:
            relative = (Path(at) / name).relative_to(folder).as_posix()
            if Path(name).suffix.lower() in endings and not name.startswith("."):
                names.append(relative)
            else:
                others += 1
    return sorted(names), others


def _check_size(height: int, width: int, size: int) -> None:
    if min(height, width) < size:
        raise BadImageError(f"{width}x{height}, smaller than {size}")


def _channels(files: FolderFiles, shapes: Sequence[Shape | None], options: SourceOptions) -> int:
    grey = [i for i, shape in enumerate(shapes) if shape is not None and shape[0] == 1]
    taken = sum(shape is not None for shape in shapes)
    if not taken:
        raise UserError(f"{files.folder} has no image that can be taken: give another folder")
    if options.grey_to_rgb or not grey:
        return 3
    if len(grey) == taken:
        return 1
    raise UserError(
        f"{files.where(grey[0])} is grey, as {len(grey)} of {taken} images are: take them as RGB "
        "with --grey-to-rgb, or leave them out of the folder"
    )


def _assign(
    images: npt.NDArray[Any], indices: npt.NDArray[np.int64], before: int
) -> npt.NDArray[np.int64]:
    digits = [
        int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:8], "big") % 10 for image in images
    ]
    return np.maximum(np.array(digits, np.int64) - 7, 0)
