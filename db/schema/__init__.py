"""The schema: every table, view and column with its type and meaning."""

from db.schema.base import REVISIONS, VERSION_TABLE, metadata
from db.schema.evidence import artifacts, attempts, contribution_maps, metrics, results
from db.schema.plan import (
    data_sets,
    environments,
    jobs,
    pretrainings,
    recipes,
    sweep_trials,
    sweeps,
    trials,
)
from db.schema.views import trial_results, views

__all__ = [
    "REVISIONS",
    "VERSION_TABLE",
    "artifacts",
    "attempts",
    "contribution_maps",
    "data_sets",
    "environments",
    "jobs",
    "metadata",
    "metrics",
    "pretrainings",
    "recipes",
    "results",
    "sweep_trials",
    "sweeps",
    "trial_results",
    "trials",
    "views",
]
