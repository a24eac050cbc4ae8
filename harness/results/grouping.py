"""Results summed up over seeds, as `lcma export --group-by` writes them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from lcma.db import QueryResult
from lcma.harness.results.statistics import summarize
from lcma.harness.text import printable
from lcma.sweeps.errors import UserError, suggest

COMPARABLE = ("dataset", "variant", "data_digest", "protocol", "precision", "recipe_id")
"""Results that differ in one of these are never summed up together."""

OF_CELL = ("factorization", "budget", "map_options")
"""In what else they may differ beside the seed."""

STATISTICS = ("n", "mean", "std", "low", "high")
"""Statistics of bits/dim: `std` is of the sample, (low, high) the 95 % t-interval."""


def group_rows(results: QueryResult, by: Sequence[str]) -> QueryResult:
    """Return a row for each combination of values of ``by`` and `COMPARABLE`.

    ``results`` are rows of the view `results`. A statistic that one result alone does not have is
    None. Raises UserError for an unknown column, and where results that differ in more than their
    seed would be summed up together, since they are not independent.
    """
    for name in by:
        known = [column for column in results.columns if column != "bits_per_dim"]
        if name not in known:
            hint = suggest(name, known, "choose among")
            raise UserError(f"--group-by {printable(name)!r}: no such column; {hint}")
    keys = list(dict.fromkeys([*COMPARABLE, *by]))
    groups: defaultdict[tuple[Any, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for row in results.rows:
        record = dict(zip(results.columns, row, strict=True))
        groups[tuple(record[name] for name in keys)].append(record)
    alike = list(groups.values())
    differ = [name for name in OF_CELL if any(len({r[name] for r in some}) > 1 for some in alike)]
    if differ:
        raise UserError(
            f"--group-by {','.join(by)}: deviation and interval are over seeds, and results that "
            f"would be summed up differ in {' and '.join(differ)} too: give "
            f"--group-by {','.join((*by, *differ))}, or choose with --where"
        )
    found = []
    for values, group in groups.items():
        one = summarize([record["bits_per_dim"] for record in group])
        found.append((*values, one.n, one.mean, one.deviation, one.low, one.high))
    found.sort(key=lambda row: [(v is not None, 0 if v is None else v) for v in row[: len(keys)]])
    return QueryResult((*keys, *STATISTICS), tuple(found), truncated=False)
