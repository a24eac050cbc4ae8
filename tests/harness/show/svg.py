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
    svg = ElementTree.fromstring(path.read_bytes())
    assert svg.tag == f"{SVG}svg"
    ids = [element.get("id") for element in svg.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    for element in svg.iter():
        assert element.tag.split("}")[1] not in ("script", "foreignObject", "a"), element.tag
        assert element.get(LINK, "#").startswith(("#", "data:image/png;base64,")), element.tag
        assert not any(name.startswith("on") for name in element.attrib), element.attrib
    return svg


def texts(path: Path) -> list[str]:
    """Every line of text in order."""
    elements = root(path).iter(f"{SVG}text")
    return ["".join(line.itertext()) for text in elements for line in (list(text) or [text])]


def words(path: Path) -> tuple[str, str]:
    """The title and the description."""
    svg = root(path)
    return svg.findtext(f"{SVG}title", ""), svg.findtext(f"{SVG}desc", "")


def images(path: Path) -> list[np.ndarray]:
    """The arrays that are drawn entry by entry, (H, W, 3), and not to be smoothed."""
    arrays = []
    for element in root(path).iter(f"{SVG}image"):
        if "image-rendering: pixelated" not in element.get("style", ""):
            continue  # the colours of a bar
        content = base64.b64decode(element.get(LINK, "").partition(",")[2])
        arrays.append(np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))
    return arrays


def curves(path: Path) -> int:
    """How many curves are drawn as means are."""
    return sum(curve.get("stroke-width") == "1.8" for curve in root(path).iter(f"{SVG}path"))
