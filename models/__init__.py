"""Normalizing flows for images whose log-determinant is known dimension by dimension."""

from models.build import build, nms
from models.factorization import Table, tables
from models.flow import Flow, Likelihood

__all__ = ["Flow", "Likelihood", "Table", "build", "nms", "tables"]
