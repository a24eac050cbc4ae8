"""The schema: every table, view and column with its type and meaning."""

from lcma.db.schema.base import OPTUNA_TABLES, REVISIONS, VERSION_TABLE, metadata
from lcma.db.schema.evidence import (
    artifacts,
    attempts,
    contribution_maps,
    curves,
    events,
    index_tables,
    metrics,
    results,
    table_overlaps,
)
from lcma.db.schema.plan import (
    bars,
    data_sets,
    environments,
    jobs,
    pretrainings,
    recipes,
    sweep_trials,
    sweeps,
    trials,
)
from lcma.db.schema.summary import cells, dictionary, reference_results
from lcma.db.schema.views import trial_results, views
from lcma.db.schema.work_views import coverage, failures

__all__ = [
    "OPTUNA_TABLES",
    "REVISIONS",
    "VERSION_TABLE",
    "artifacts",
    "attempts",
    "bars",
    "cells",
    "contribution_maps",
    "coverage",
    "curves",
    "data_sets",
    "dictionary",
    "environments",
    "events",
    "failures",
    "index_tables",
    "jobs",
    "metadata",
    "metrics",
    "pretrainings",
    "recipes",
    "reference_results",
    "results",
    "sweep_trials",
    "sweeps",
    "table_overlaps",
    "trial_results",
    "trials",
    "views",
]
