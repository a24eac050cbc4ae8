"""Prepared image data sets for density models: read once, kept as memory-mapped arrays.

`prepare` makes ``<root>/<name>/`` from a source, `load` opens it, `names` lists the known sets.
Both return a `Prepared`: its `Manifest` says what the pixels are and where they came from, its
parts hold the images.
"""

from lcma.harness.data.build import prepare
from lcma.harness.data.manifest import (
    PARTS,
    ByPart,
    Manifest,
    PartDigest,
    PartName,
    SourceFile,
    SourceRecord,
)
from lcma.harness.data.prepared import Prepared, PreparedPart, load
from lcma.harness.data.registry import PreparableSet, know_own, names
from lcma.harness.data.source import SourceOptions

__all__ = [
    "PARTS",
    "ByPart",
    "Manifest",
    "PartDigest",
    "PartName",
    "PreparableSet",
    "Prepared",
    "PreparedPart",
    "SourceFile",
    "SourceOptions",
    "SourceRecord",
    "know_own",
    "load",
    "names",
    "prepare",
]
