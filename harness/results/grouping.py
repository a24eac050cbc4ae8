"""Results summed up by columns, as `lcma export --group-by` and `--stat` write them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from lcma.db import QueryResult
from lcma.harness.results.statistics import summarize
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError, suggest

COMPARABLE = ("dataset", "variant", "data_digest", "protocol", "precision", "recipe_id")
"""Results that differ in one of these are never summed up together."""

OF_CELL = ("factorization", "budget", "map_options")
"""In what else they may differ beside the seed."""

STATISTICS = ("n", "mean", "std", "low", "high", "min", "median", "max")
"""Statistics of bits/dim: `std` is of the sample, (low, high) the 95 % t-interval."""

DEFAULT_STATISTICS = ("n", "mean", "std", "low", "high")

OF_SEEDS = frozenset({"std", "low", "high"})
"""Statistics of seeds, which are independent; other results of one seed are not."""


def group_rows(results: QueryResult, by: Sequence[str], statistics: Sequence[str]) -> QueryResult:
    """Return a row for each combination of values of ``by`` and `COMPARABLE`.

    ``results`` are rows of the view `results`. A statistic that one result alone does not have is
    None. Raises UserError for an unknown column or statistic, and where results that differ in more
    than their seed would have an interval together.
    """
    for name in by:
        known = [column for column in results.columns if column != "bits_per_dim"]
        if name not in known:
            hint = suggest(name, known, "choose among")
            raise UserError(f"--group-by {printable(name)!r}: no such column; {hint}")
    for name in statistics:
        if name not in STATISTICS:
            hint = suggest(name, STATISTICS, "choose among")
            raise UserError(f"--stat {printable(name)!r} is none: {hint}")
    keys = list(dict.fromkeys([*COMPARABLE, *by]))
    groups: defaultdict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for row in results.rows:
        record = dict(zip(results.columns, row, strict=True))
        groups[tuple(record[name] for name in keys)].append(record)
    if OF_SEEDS & set(statistics):
        _require_seeds_alone(list(groups.values()), by)
    found = []
    for values, group in groups.items():
        numbers = _compute_statistics([one["bits_per_dim"] for one in group])
        found.append((*values, *(numbers[name] for name in statistics)))
    found.sort(key=lambda row: [(v is not None, 0 if v is None else v) for v in row[: len(keys)]])
    return QueryResult((*keys, *statistics), tuple(found), truncated=False)


def _require_seeds_alone(groups: Sequence[Sequence[Mapping[str, Any]]], by: Sequence[str]) -> None:
    differ = [name for name in OF_CELL if any(len({r[name] for r in some}) > 1 for some in groups)]
    if differ:
        raise UserError(
            f"--group-by {','.join(by)}: deviation and interval are over seeds, and results that "
            f"would be summed up differ in {' and '.join(differ)} too: give "
            f"--group-by {','.join((*by, *differ))}, choose with --where, or ask for --stat n,mean"
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
