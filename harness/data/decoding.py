"""Decode an image file to pixels: formats that are accepted, converted and refused.

Pillow decodes all of them. It lets other threads run meanwhile, and gives the pixels of
torchvision's decoders, one of which ends the process at a damaged file (PNG, 0.29), and which are
going to be removed.
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

# What Pillow notes of a damaged file: the file is refused, or its pixels are whole.
logging.getLogger("PIL").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"PIL\.")

Pixels = npt.NDArray[np.uint8]
"""C x H x W, C being 1 or 3."""

Shape = tuple[Literal[1, 3], int, int]
"""Channels (1 grey, 3 colour), height and width as shown."""

FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "PPM", "QOI", "TGA", "TIFF", "WEBP")
"""Formats that Pillow may read: none that needs another program, holds pages or drawings, or
hides that it has more than 8 bits."""
LARGEST: Final = 2**26
"""Pixels of an image. 64 million are 8192 x 8192."""

_ORIENTATION: Final = 0x0112
_TURNS: Final = (b"eXIf", b"Raw profile type", b":Orientation")
_GREY: Final = ("1", "L", "LA", "La")
_COLOUR: Final = ("RGB", "RGBX", "RGBA", "RGBa", "P", "PA")


class BadImageError(Exception):
    """Raised for a file without an 8-bit grey or RGB image; the message says why."""


def read_shape(raw: bytes) -> Shape:
    """Read the shape from the header. Raises BadImageError if the image would be refused."""
    with _opened(raw) as (_, shape, _turn):
        return shape


def decode_image(raw: bytes) -> Pixels:
    """Decode the pixels, in the orientation that the file states. Raises BadImageError."""
    with _opened(raw) as (image, _, turn):
        if image.format == "PNG":
            _check_png(raw)
        return _read_pixels(image, turn)


def centre_square(pixels: Pixels) -> Pixels:
    """Crop to the centre square; one pixel nearer to the start if it cannot be centred."""
    _, h, w = pixels.shape
    side = min(h, w)
    top, left = (h - side) // 2, (w - side) // 2
    return pixels[:, top : top + side, left : left + side]


def shrink(pixels: Pixels, size: int) -> Pixels:
    """Shrink to size x size, bilinear with antialiasing, in integers as Pillow does it."""
    import torch

    if pixels.shape[1:] == (size, size):
        return pixels
    found = torch.nn.functional.interpolate(
        torch.from_numpy(pixels)[None], size=(size, size), mode="bilinear", antialias=True
    )
    shrunk: Pixels = found[0].numpy()
    return shrunk


def bilinear(pixels: Pixels, size: int) -> npt.NDArray[np.float32]:
    """Resize to size x size, bilinear without antialiasing, float32 in 0..255.

    On the grid of TensorFlow 1: pixel i is read at i times the scale, not at pixel centres.
    """
    resized = pixels.astype(np.float32)
    for axis in (2, 1):  # as it does, along rows first
        length = resized.shape[axis]
        at = np.arange(size, dtype=np.float32) * np.float32(length / size)
        low = at.astype(np.int64)
        part = (at - low).astype(np.float32).reshape(-1, *[1] * (2 - axis))
        first = resized.take(low, axis)
        second = resized.take(np.minimum(low + 1, length - 1), axis)
        resized = first + (second - first) * part
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
def _opened(raw: bytes) -> Iterator[tuple[Image.Image, Shape, int]]:
    Image.init()  # Pillow loads most formats only then
    try:
        with Image.open(io.BytesIO(raw), formats=FORMATS) as image:
            turn = _orientation(image, raw)
            yield image, _read_shape(image, turn), turn
    except BadImageError:
        raise
    except PIL.UnidentifiedImageError:
        raise BadImageError("no image of a known format") from None
    except Image.DecompressionBombError:  # Pillow's limit is higher, and comes first
        raise BadImageError(f"more than {LARGEST} pixels") from None
    except Exception as error:
        why = textwrap.shorten(str(error), 80, placeholder=" ...")
        raise BadImageError(f"damaged: {why}") from error


def _orientation(image: Image.Image, raw: bytes) -> int:
    # Pillow decodes a whole PNG file to look for what may come after the pixels.
    if image.format == "PNG" and not any(word in raw for word in _TURNS):
        return 1
    return int(image.getexif().get(_ORIENTATION, 1))


def _read_shape(image: Image.Image, turn: int) -> Shape:
    mode, width, height = image.mode, image.width, image.height
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise BadImageError("animated or of several pages")
    if mode.startswith(("I", "F")) or _is_deep(image):
        raise BadImageError("more than 8 bits a channel")
    if mode not in (*_GREY, *_COLOUR):
        raise BadImageError(f"{mode}, neither grey nor RGB")
    if width * height > LARGEST:
        raise BadImageError(f"{width}x{height}, more than {LARGEST} pixels")
    if turn in (5, 6, 7, 8):
        width, height = height, width
    return 1 if mode in _GREY else 3, height, width


def _is_deep(image: Image.Image) -> bool:
    """Return whether Pillow would drop bits: it reports RGB for 16-bit files too."""
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


def _check_png(raw: bytes) -> None:
    """Raise for a wrong checksum or a missing end, which decoding by Pillow lets pass.

    What is verified cannot be decoded afterwards, so it is opened once more.
    """
    with Image.open(io.BytesIO(raw), formats=("PNG",)) as image:
        image.verify()


def _read_pixels(image: Image.Image, turn: int) -> Pixels:
    shown = ImageOps.exif_transpose(image) if turn > 1 else image
    grey = shown.mode in _GREY
    if shown.mode in ("LA", "La", "RGBA", "RGBa", "PA") or "transparency" in shown.info:
        shown = shown.convert("RGBA")
        if shown.getchannel("A").getextrema() != (255, 255):
            raise BadImageError("transparent, and what lies behind it is not known")
    mode = "L" if grey else "RGB"
    pixels = np.asarray(shown if shown.mode == mode else shown.convert(mode))
    return np.array(pixels[None] if grey else pixels.transpose(2, 0, 1), order="C")
