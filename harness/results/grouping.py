"""Results summed up by columns, as `lcma export --group-by` and `--stat` write them."""

from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from lcma.db import QueryResult
from lcma.harness.results.statistics import summarize
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError, suggest

if TYPE_CHECKING:
    import pandas as pd

COMPARABLE = ("dataset", "variant", "data_digest", "protocol", "precision", "recipe_id")
"""Results that differ in one of these are never summed up together."""

OF_CELL = ["factorization", "budget", "map_options"]
"""In what else they may differ beside the seed."""

STATISTICS = ("n", "mean", "std", "low", "high", "min", "median", "max")
"""Statistics of bits/dim: `std` is of the sample, (low, high) the 95 % t-interval."""

DEFAULT_STATISTICS = ("n", "mean", "std", "low", "high")

OF_SEEDS = frozenset({"std", "low", "high"})
"""Statistics of seeds, which are independent; other results of one seed are not."""


def group_rows(frame: "pd.DataFrame", by: Sequence[str], statistics: Sequence[str]) -> QueryResult:
    """Return a row for each combination of values of ``by`` and `COMPARABLE`.

    ``frame`` has rows of `results`. A statistic that one result alone does not have is None.
    Raises UserError for an unknown column or statistic, and where results that differ in more than
    their seed would have an interval together.
    """
    for name in by:
        if name not in frame.columns or name == "bits_per_dim":
            known = [str(c) for c in frame.columns if c != "bits_per_dim"]
            hint = suggest(name, known, "choose among")
            raise UserError(f"--group-by {printable(name)!r}: no such column; {hint}")
    for name in statistics:
        if name not in STATISTICS:
            hint = suggest(name, STATISTICS, "choose among")
            raise UserError(f"--stat {printable(name)!r} is none: {hint}")
    keys = list(dict.fromkeys([*COMPARABLE, *by]))
    columns = (*keys, *statistics)
    if frame.empty:
        return QueryResult(columns, (), truncated=False)
    found = []
    groups = list(frame.groupby(keys, dropna=False, sort=False))
    if OF_SEEDS & set(statistics):
        _require_seeds_alone([group for _, group in groups], by)
    for values, group in groups:
        numbers = _compute_statistics(group["bits_per_dim"].tolist())
        found.append((*map(_plain_value, values), *(numbers[name] for name in statistics)))
    found.sort(key=lambda row: [(v is not None, _sortable(v)) for v in row[: len(keys)]])
    return QueryResult(columns, tuple(found), truncated=False)


def _require_seeds_alone(groups: "Sequence[pd.DataFrame]", by: Sequence[str]) -> None:
    mixed = [group for group in groups if len(group.value_counts(OF_CELL, dropna=False)) > 1]
    if not mixed:
        return
    differ = [
        name for name in OF_CELL if any(group[name].nunique(dropna=False) > 1 for group in mixed)
    ]
    raise UserError(
        f"--group-by {','.join(by)}: deviation and interval are over seeds, and results that "
        f"would be summed up differ in {' and '.join(differ)} too: give "
        f"--group-by {','.join((*by, *differ))}, "
        "choose with --where, or ask for --stat n,mean"
    )


def _compute_statistics(values: Sequence[float]) -> dict[str, int | float | None]:
    found = summarize(values)
    return {
        "n": found.n,
        "mean": found.mean,
        "std": found.deviation,
        "low": found.low,
        "high": found.high,
        "min": min(values),
        "median": median(values),
        "max": max(values),
    }


def _plain_value(value: Any) -> Any:
    """Return a Python value: pandas has types of its own, and others for null."""
    import pandas as pd

    if pd.isna(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _sortable(value: Any) -> Any:
    return 0 if value is None else value
