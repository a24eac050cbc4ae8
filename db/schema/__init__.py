"""The schema: every table, view and column with its type and meaning."""

from db.schema.base import OPTUNA_TABLES, REVISIONS, VERSION_TABLE, metadata
from db.schema.evidence import (
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
from db.schema.plan import (
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
from db.schema.summary import cells, dictionary, reference_results
from db.schema.views import map_statistics, table_statistics, trial_results, views

__all__ = [
    "OPTUNA_TABLES",
    "REVISIONS",
    "VERSION_TABLE",
    "artifacts",
    "attempts",
    "bars",
    "cells",
    "contribution_maps",
    "curves",
    "data_sets",
    "dictionary",
    "environments",
    "events",
    "index_tables",
    "jobs",
    "map_statistics",
    "metadata",
    "metrics",
    "pretrainings",
    "recipes",
    "reference_results",
    "results",
    "sweep_trials",
    "sweeps",
    "table_overlaps",
    "table_statistics",
    "trial_results",
    "trials",
    "views",
]
