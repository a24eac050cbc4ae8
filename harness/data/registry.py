"""The data sets that can be prepared, by name."""

import difflib
from dataclasses import dataclass

from harness.data.cifar10 import Cifar10
from harness.data.photos import Photos
from harness.data.source import Source
from sweeps.errors import UserError


@dataclass(frozen=True)
class DataSet:
    """A named set: a source, and by how much its images are box-filtered (1: not at all)."""

    name: str
    description: str
    source: Source
    box: int = 1
    variant: str = "u8"


@dataclass(frozen=True)
class SetInfo:
    """A line of the list of known sets; needs_path: `prepare` wants the place of its files."""

    name: str
    description: str
    needs_path: bool


_PHOTOS = "8-bit RGB crops of photographs that ship with scikit-image"
_CIFAR10 = "CIFAR-10 from the pickles of its python version, or a subset in their layout"

_SETS = {
    data_set.name: data_set
    for data_set in (
        DataSet("photos32", f"{_PHOTOS}, 32x32", Photos()),
        DataSet("photos16", "photos32 box-filtered by 2, 16x16", Photos(), box=2),
        DataSet("photos8", "photos32 box-filtered by 4, 8x8", Photos(), box=4),
        DataSet("cifar10", f"{_CIFAR10}, 32x32", Cifar10()),
        DataSet("cifar10-16", "cifar10 box-filtered by 2, 16x16", Cifar10(), box=2),
        DataSet("cifar10-8", "cifar10 box-filtered by 4, 8x8", Cifar10(), box=4),
    )
}


def names() -> list[SetInfo]:
    """The known sets, in the order in which a list should show them."""
    return [SetInfo(s.name, s.description, s.source.needs_path) for s in _SETS.values()]


def find(name: str) -> DataSet:
    """The set of that name. Raises UserError with the nearest names where there is none."""
    if name in _SETS:
        return _SETS[name]
    near = difflib.get_close_matches(name.lower(), _SETS, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(_SETS)}"
    raise UserError(f"unknown data set {name!r}: {hint} (lcma data list shows all)")
