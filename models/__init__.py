"""Normalizing flows for images whose log-determinant is known dimension by dimension."""

from lcma.models.build import build, nms
from lcma.models.factorization import Map, Table, tables
from lcma.models.flow import Flow, Likelihood
from lcma.models.nets import CouplingNets

__all__ = ["CouplingNets", "Flow", "Likelihood", "Map", "Table", "build", "nms", "tables"]
