"""Merging of what another site's database has into this one."""

from lcma.db.merging.merger import merge
from lcma.db.merging.report import Counts, Difference, Left, MergeReport

__all__ = ["Counts", "Difference", "Left", "MergeReport", "merge"]
