"""Normalizing flows for images whose log-determinant is known dimension by dimension."""

from lcma.models.build import build, build_from_tables, build_nms
from lcma.models.check import check_flow
from lcma.models.factorization import Map, SplitTable, make_tables
from lcma.models.flow import Flow, Likelihood
from lcma.models.nets import CouplingNets

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
