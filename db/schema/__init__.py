"""The schema: every table and column with its type and meaning. Views are in `lcma.db.views`."""

from lcma.db.schema.base import OPTUNA_TABLES, REVISION, VERSION_TABLE, metadata
from lcma.db.schema.evidence import (
    artifacts,
    attempts,
    contribution_maps,
    events,
    index_tables,
    launches,
    measures,
    metrics,
    protocols,
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
from lcma.db.schema.summary import measure_kinds, t_quantiles

__all__ = [
    "OPTUNA_TABLES",
    "REVISION",
    "VERSION_TABLE",
    "artifacts",
    "attempts",
    "bars",
    "contribution_maps",
    "data_sets",
    "environments",
    "events",
    "index_tables",
    "jobs",
    "launches",
    "measure_kinds",
    "measures",
    "metadata",
    "metrics",
    "pretrainings",
    "protocols",
    "recipes",
    "sweep_trials",
    "sweeps",
    "t_quantiles",
    "trials",
]
