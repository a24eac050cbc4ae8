"""Prepared image data sets for density models: read once, kept as memory-mapped arrays.

`prepare` makes ``<root>/<name>/`` from a source, `load` opens it, `list_sets` lists the known sets.
Both return a `PreparedSet`: its `Manifest` says what the pixels are and where they came from, its
parts hold the images.
"""

from lcma.harness.data.manifest import (
    PARTS,
    ByPart,
    Manifest,
    PartDigest,
    PartName,
    SourceFile,
    SourceRecord,
)
from lcma.harness.data.preparation import prepare
from lcma.harness.data.prepared_set import PreparedPart, PreparedSet, load
from lcma.harness.data.registry import PreparableSet, list_sets, register_own_sets
from lcma.harness.data.source import SourceOptions

__all__ = [
    "PARTS",
    "ByPart",
    "Manifest",
    "PartDigest",
    "PartName",
    "PreparableSet",
    "PreparedPart",
    "PreparedSet",
    "SourceFile",
    "SourceOptions",
    "SourceRecord",
    "list_sets",
    "load",
    "prepare",
    "register_own_sets",
]
