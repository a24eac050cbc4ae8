"""The data sets that can be prepared, by name: those of the package, and the user's own."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lcma.harness.data.celeba import CelebA
from lcma.harness.data.cifar10 import Cifar10
from lcma.harness.data.imagenet import ImageNetNpz, ImageNetPng
from lcma.harness.data.manifest import FILE_NAME, read_manifest
from lcma.harness.data.own_images import OwnImages
from lcma.harness.data.packaged import Digits, Photos
from lcma.harness.data.source import Source
from lcma.sweeps import known_sets
from lcma.sweeps.errors import UserError, suggest
from lcma.sweeps.known_sets import DataSetFacts

_SOURCES: dict[str, Source] = {
    "photos32": Photos(),
    "digits": Digits(),
    "cifar10": Cifar10(),
    "imagenet32": ImageNetNpz(32),
    "imagenet64": ImageNetNpz(64),
    "imagenet32-png": ImageNetPng(32),
    "imagenet64-png": ImageNetPng(64),
    "celeba64": CelebA("u8"),
    "celeba64-float": CelebA("float"),
}


@dataclass(frozen=True)
class PreparableSet:
    """A named set that can be prepared."""

    name: str
    dataset: str  # with the variant, its key in trials and results
    variant: str
    description: str
    source: Source
    box: int = 1  # factor of its box filter
    own: bool = False  # of the user's own images

    @property
    def needs_path(self) -> bool:
        """True if `prepare` needs the path of its files."""
        return self.source.needs_path

    @property
    def filtered(self) -> bool:
        """True for a box-filtered form of another set."""
        return self.box > 1

    @property
    def extra(self) -> str | None:
        """The extra of this package that brings its files."""
        return "digits" if isinstance(self.source, Digits) else None

    @property
    def command(self) -> str:
        """The command that prepares it."""
        path = " --from PATH" if self.needs_path else ""
        return f"lcma data prepare {self.name}{path}{' --size S' if self.own else ''}"


def list_sets(root: Path | None = None) -> list[PreparableSet]:
    """Return the known sets in the order in which they are listed; with a root also the user's
    own sets below it."""
    return [*_shipped().values(), *map(make_own_set, list_own_names(root) if root else ())]


def find_set(name: str, root: Path | None = None) -> PreparableSet:
    """Return the set with a name; with a root also one of the user's own sets below it.

    Raises UserError with the nearest names if there is none.
    """
    data_sets = {data_set.name: data_set for data_set in list_sets(root)}
    if name in data_sets:
        return data_sets[name]
    raise UserError(
        f"unknown data set {name!r}: {suggest(name, [*data_sets])} (lcma data list shows most; "
        f"{known_sets.OWN_IMAGES})"
    )


def make_own_set(name: str) -> PreparableSet:
    """Return the set of the user's own images with a name. Raises UserError for an invalid name."""
    known_sets.check_own(name)
    return PreparableSet(name, name, "u8", "images of a folder", OwnImages(), own=True)


def list_own_names(root: Path) -> list[str]:
    """Return the sorted names of the user's own sets that are prepared below a root."""
    shipped = _shipped()
    try:
        folders = sorted(root.iterdir())
    except OSError:
        return []
    return [
        folder.name
        for folder in folders
        if folder.name not in shipped
        and known_sets.can_be_own(folder.name)
        and _is_file(folder / FILE_NAME)
    ]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # somebody else's folder
        return False


def register_own_sets(root: Path) -> None:
    """Make the user's own sets below a root known to sweeps."""
    for name in list_own_names(root):
        try:
            manifest = read_manifest(root / name / FILE_NAME)
        except UserError:
            continue
        channels, size, _ = manifest.shape
        facts = DataSetFacts(size=size, channels=channels, dataset=name, about="images of a folder")
        known_sets.register(name, facts)


@cache
def _shipped() -> dict[str, PreparableSet]:
    data_sets = {}
    for name, facts in known_sets.shipped().items():
        base = facts.filtered_from or name
        box = known_sets.shipped()[base].size // facts.size
        data_sets[name] = PreparableSet(
            name, facts.dataset, facts.variant, facts.about, _SOURCES[base], box
        )
    return data_sets
