"""What is in a picture of the format SVG."""

import base64
import io
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"


def root(path: Path) -> ElementTree.Element:
    """The picture, which refers to nothing outside itself and runs nothing."""
    found = ElementTree.fromstring(path.read_bytes())
    assert found.tag == f"{SVG}svg"
    ids = [one.get("id") for one in found.iter() if one.get("id")]
    assert len(ids) == len(set(ids))
    for one in found.iter():
        assert one.tag.split("}")[1] not in ("script", "foreignObject", "a"), one.tag
        assert one.get(LINK, "#").startswith(("#", "data:image/png;base64,")), one.tag
        assert not any(name.startswith("on") for name in one.attrib), one.attrib
    return found


def texts(path: Path) -> list[str]:
    """Every line of text in order."""
    found = root(path).iter(f"{SVG}text")
    return ["".join(line.itertext()) for one in found for line in (list(one) or [one])]


def words(path: Path) -> tuple[str, str]:
    """The title and the description."""
    found = root(path)
    return found.findtext(f"{SVG}title", ""), found.findtext(f"{SVG}desc", "")


def images(path: Path) -> list[np.ndarray]:
    """The arrays that are drawn entry by entry, (H, W, 3), and not to be smoothed."""
    found = []
    for one in root(path).iter(f"{SVG}image"):
        if "image-rendering: pixelated" not in one.get("style", ""):
            continue  # the colours of a bar
        content = base64.b64decode(one.get(LINK, "").partition(",")[2])
        found.append(np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))
    return found


def curves(path: Path) -> int:
    """How many curves are drawn as means are."""
    return sum(one.get("stroke-width") == "1.8" for one in root(path).iter(f"{SVG}path"))
