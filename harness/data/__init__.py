"""Image data sets for density models, prepared once and kept as memory-mapped arrays.

`prepare` makes ``<root>/<name>/`` from a source, `load` opens it, and both return a `PreparedSet`.
Its `Manifest` describes the pixels and their origin, its parts hold the images. `list_sets` lists
the known sets.
"""

from lcma.harness.data.manifest import PARTS, Manifest
from lcma.harness.data.preparation import prepare
from lcma.harness.data.prepared_set import PreparedSet, load
from lcma.harness.data.registry import list_sets, register_own_sets
from lcma.harness.data.source import SourceOptions

__all__ = [
    "PARTS",
    "Manifest",
    "PreparedSet",
    "SourceOptions",
    "list_sets",
    "load",
    "prepare",
    "register_own_sets",
]
