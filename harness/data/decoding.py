"""Decoding of image files: formats that are accepted, converted and refused.

Pillow decodes them, and other threads can run meanwhile. It gives the same pixels as torchvision's
decoders, which are going to be removed, and whose PNG decoder ends the process at a damaged file
(0.29).
"""

import contextlib
import io
import logging
import textwrap
import warnings
from collections.abc import Iterator
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, ImageOps, features

# Pillow's warnings about damaged files do not help: a file is refused, or its pixels are complete.
logging.getLogger("PIL").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"PIL\.")

Pixels = npt.NDArray[np.uint8]
"""(C, H, W) with C = 1 or 3."""

Shape = tuple[Literal[1, 3], int, int]
"""Channels (1 grey, 3 colour), height and width, after turning as the file says."""

FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "PPM", "QOI", "TGA", "TIFF", "WEBP")
"""Formats that Pillow may read. Others need another program, hold pages or drawings, or do not show
that they have more than 8 bits."""
MAX_PIXELS: Final = 2**26
"""Pixels of an image of 8192 x 8192."""

_ORIENTATION: Final = 0x0112
_ORIENTATION_MARKS: Final = (b"eXIf", b"Raw profile type", b":Orientation")
"""One of these is in each PNG file that states an orientation."""
_GREY: Final = ("1", "L", "LA", "La")
_COLOUR: Final = ("RGB", "RGBX", "RGBA", "RGBa", "P", "PA")


class BadImageError(Exception):
    """Raised for a file without an 8-bit grey or RGB image; the message says why."""


def read_shape(raw: bytes) -> Shape:
    """Read the shape from the header. Raises BadImageError if the header shows a refused image."""
    with _open_image(raw) as (_, shape, _orientation):
        return shape


def decode_image(raw: bytes) -> Pixels:
    """Decode the pixels, in the orientation that the file states. Raises BadImageError."""
    with _open_image(raw) as (image, _, orientation):
        if image.format == "PNG":
            _verify_png(raw)
        return _read_pixels(image, orientation)


def centre_square(pixels: Pixels) -> Pixels:
    """Crop to the centre square, or half a pixel nearer to the top left."""
    _, h, w = pixels.shape
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    return pixels[:, top : top + side, left : left + side]


def shrink(pixels: Pixels, size: int) -> Pixels:
    """Shrink to size x size, bilinear with antialiasing, in integers as Pillow does it."""
    import torch

    if pixels.shape[1:] == (size, size):
        return pixels
    batch = torch.nn.functional.interpolate(
        torch.from_numpy(pixels)[None], size=(size, size), mode="bilinear", antialias=True
    )
    shrunk: Pixels = batch[0].numpy()
    return shrunk


def bilinear(pixels: Pixels, size: int) -> npt.NDArray[np.float32]:
    """Resize to size x size, bilinear without antialiasing, float32 in 0..255.

    The grid is that of TensorFlow 1: pixel i is read at i times the scale, not at pixel centres.
    """
    resized = pixels.astype(np.float32)
    for axis in (2, 1):  # along rows first, as TensorFlow does
        length = resized.shape[axis]
        positions = np.arange(size, dtype=np.float32) * np.float32(length / size)
        low = positions.astype(np.int64)
        weight = (positions - low).astype(np.float32).reshape(-1, *[1] * (2 - axis))
        first = resized.take(low, axis)
        second = resized.take(np.minimum(low + 1, length - 1), axis)
        resized = first + (second - first) * weight
    return resized


def describe_decoder() -> str:
    """Return the software that decodes and resizes, with versions."""
    import torch

    turbo = features.version_feature("libjpeg_turbo")
    return (
        f"Pillow {PIL.__version__} with libjpeg{f'-turbo {turbo}' if turbo else ''}, "
        f"torch {torch.__version__} (resizing)"
    )


@contextlib.contextmanager
def _open_image(raw: bytes) -> Iterator[tuple[Image.Image, Shape, int]]:
    """Yield the image, its shape and its orientation. Raises BadImageError, in the block too."""
    Image.init()  # without it Pillow knows only some formats
    try:
        with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
            orientation = _read_orientation(image, raw)
            yield image, _read_shape(image), orientation
    except BadImageError:
        raise
    except PIL.UnidentifiedImageError:
        raise BadImageError("no image of a known format") from None
    except Image.DecompressionBombError:  # Pillow's limit is higher, and is checked first
        raise BadImageError(f"more than {MAX_PIXELS} pixels") from None
    except Exception as error:
        why = textwrap.shorten(str(error), 80, placeholder=" ...")
        raise BadImageError(f"damaged: {why}") from error


def _read_orientation(image: Image.Image, raw: bytes) -> int:
    # In a PNG file it may follow the pixels, and Pillow would decode these to find it.
    if image.format == "PNG" and not any(mark in raw for mark in _ORIENTATION_MARKS):
        return 1
    return int(image.getexif().get(_ORIENTATION, 1))


def _read_shape(image: Image.Image) -> Shape:
    mode, width, height = image.mode, image.width, image.height
    # Not `n_frames`, for which Pillow would walk all pages of a TIFF file.
    if image.format != "MPO" and getattr(image, "is_animated", False):
        raise BadImageError("animated or of several pages")
    if mode.startswith(("I", "F")) or _is_deep(image):
        raise BadImageError("more than 8 bits a channel")
    if mode not in (*_GREY, *_COLOUR):
        raise BadImageError(f"{mode}, neither grey nor RGB")
    if width * height > MAX_PIXELS:
        raise BadImageError(f"{width}x{height}, more than {MAX_PIXELS} pixels")
    return 1 if mode in _GREY else 3, height, width


def _is_deep(image: Image.Image) -> bool:
    """Return whether the file has more than 8 bits a channel, which Pillow reports as RGB too."""
    if image.format == "TIFF":
        bits: tuple[int, ...] = getattr(image, "tag_v2", {}).get(258, (8,))
        return max(bits) > 8
    words: list[Any] = []
    for tile in getattr(image, "tile", ()):
        arguments = tile[3]
        words += arguments if isinstance(arguments, tuple) else [arguments]
    if image.format == "PNG":
        return any(isinstance(word, str) and ";16" in word for word in words)
    return image.format == "PPM" and any(isinstance(w, int) and w > 255 for w in words)


def _verify_png(raw: bytes) -> None:
    """Raise for a wrong checksum or a missing end, which Pillow's decoder ignores."""
    # Opened once more: an image that was verified cannot be decoded.
    with Image.open(io.BytesIO(raw), formats=("PNG",)) as image:
        image.verify()


def _read_pixels(image: Image.Image, orientation: int) -> Pixels:
    turned = ImageOps.exif_transpose(image) if orientation > 1 else image
    is_grey = turned.mode in _GREY
    if turned.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in turned.info:
        turned = turned.convert("RGBA")
        if turned.getchannel("A").getextrema() != (255, 255):
            raise BadImageError("transparent, and its background is unknown")
    mode = "L" if is_grey else "RGB"
    pixels = np.asarray(turned if turned.mode == mode else turned.convert(mode))
    return np.array(pixels[None] if is_grey else pixels.transpose(2, 0, 1), order="C")
