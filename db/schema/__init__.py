"""The schema: every table and column with its type and meaning. Views are in `lcma.db.views`."""

from lcma.db.schema.base import OPTUNA_TABLES, REVISION, VERSION_TABLE, metadata
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

__all__ = [
    "OPTUNA_TABLES",
    "REVISION",
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
    "metadata",
    "metrics",
    "pretrainings",
    "recipes",
    "reference_results",
    "results",
    "sweep_trials",
    "sweeps",
    "table_overlaps",
    "trials",
]
