"""Normalizing flows for images, with the log-determinant of every dimension.

Each name is imported at its first use, so that index tables can be made without PyTorch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lcma.models.builder import build, build_from_tables, build_nms
    from lcma.models.check import check_flow
    from lcma.models.factorization import Map, SplitTable, make_tables
    from lcma.models.flow import Flow, Likelihood
    from lcma.models.nets import CouplingNets

_MODULES = {
    "builder": ("build", "build_from_tables", "build_nms"),
    "check": ("check_flow",),
    "factorization": ("Map", "SplitTable", "make_tables"),
    "flow": ("Flow", "Likelihood"),
    "nets": ("CouplingNets",),
}

__all__ = [
    "CouplingNets",
    "Flow",
    "Likelihood",
    "Map",
    "SplitTable",
    "build",
    "build_from_tables",
    "build_nms",
    "check_flow",
    "make_tables",
]


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(f"lcma.models.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
