"""Normalizing flows for images whose log-determinant is known dimension by dimension."""

from models.build import build, nms
from models.factorization import Map, Table, tables
from models.flow import Flow, Likelihood
from models.nets import CouplingNets

__all__ = ["CouplingNets", "Flow", "Likelihood", "Map", "Table", "build", "nms", "tables"]
