"""The coverage of sweeps: what they have and lack, as grids of factorizations and budgets."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

from lcma.db import Store, Sweep
from lcma.harness.results.board import factorization_label
from lcma.harness.results.lookup import label_options
from lcma.harness.show.site import queries
from lcma.harness.text import printable, short_id

STATES = ("failed", "diverged", "blocked", "running", "pending", "done")
"""Most serious first: a cell's state is the first of which it has any."""


@dataclass(frozen=True)
class CoverageCell:
    """The trials of one cell by state.

    ``state`` is the most serious one, 'done' where nothing is missing. ``row`` is factorization,
    budget and map options, as the leaderboard has them.
    """

    row: tuple[str, int | None, str | None]
    planned: int
    done: int
    state: str
    counts: str


@dataclass(frozen=True)
class CoverageGrid:
    """The cells of one recipe on one data set: a row for each rule, a column for each budget.

    ``table`` is the recipe's id and the digest of the images, None for trials without a job.
    """

    table: tuple[str, str | None]
    title: str
    budgets: tuple[int | None, ...]
    rows: tuple[tuple[str, tuple[CoverageCell | None, ...]], ...]


@dataclass(frozen=True)
class SweepCoverage:
    """A sweep: its grids, its numbers and why what is missing is missing."""

    sweep: Sweep
    grids: tuple[CoverageGrid, ...]
    planned: int
    done: int
    missing: tuple[tuple[str, str], ...]
    truncated: bool


def read_coverage(store: Store, sweeps: Sequence[Sweep]) -> list[SweepCoverage]:
    """Return the coverage of sweeps, of the first ones alone where these have very many cells."""
    found: list[SweepCoverage] = []
    cells = 0
    for sweep in sweeps:
        if cells < queries.MOST:
            found.append(_covered(store, sweep))
            cells += sum(len(row) for grid in found[-1].grids for _, row in grid.rows)
    return found


def _covered(store: Store, sweep: Sweep) -> SweepCoverage:
    found = queries.run_site_query(store, queries.coverage_query(sweep.id))
    contents = {(row["dataset"], row["variant"], row["data_digest"]) for row in found.rows}
    named = Counter(one[:2] for one in contents)
    parts = ("flow", "dataset", "variant", "profile", "recipe_id", "data_digest")
    grids, missing = [], []
    for key, some in groupby(found.rows, key=itemgetter(*parts)):
        rows = list(some)
        flow, dataset, variant, profile, recipe, digest = key
        title = f"{flow} on {dataset} ({variant}), {profile}, recipe {short_id(recipe)}"
        if named[dataset, variant] > 1:
            title += f", {'data ' + short_id(digest) if digest else 'not planned on data'}"
        grids.append(_grid((recipe, digest), printable(title), rows))
        for row in rows:
            if row["why"] is not None:
                at = "" if row["budget"] is None else f" at budget {row['budget']}"
                name = f"{title}, {row['asked']}{at}{_describe_options(row['map_options'])}"
                missing.append((printable(name), printable(row["why"])))
    return SweepCoverage(
        sweep=sweep,
        grids=tuple(grids),
        planned=sum(_count(row, "planned") for row in found.rows),
        done=sum(_count(row, "done") for row in found.rows),
        missing=tuple(missing),
        truncated=found.truncated,
    )


def _grid(
    table: tuple[str, str | None], title: str, rows: Sequence[Mapping[str, Any]]
) -> CoverageGrid:
    budgets = sorted({row["budget"] for row in rows}, key=lambda b: (b is not None, b or 0))
    names: dict[tuple[str, str | None], dict[int | None, CoverageCell]] = {}
    for row in rows:
        cells = names.setdefault((row["asked"], row["map_options"]), {})
        cells[row["budget"]] = _cell(row)
    return CoverageGrid(
        table=table,
        title=title,
        budgets=tuple(budgets),
        rows=tuple(
            (
                printable(factorization_label(name) + _describe_options(options)),
                tuple(cells.get(b) for b in budgets),
            )
            for (name, options), cells in names.items()
        ),
    )


def _describe_options(options: str | None) -> str:
    return "" if options is None else f" {label_options(options)}"


def _cell(row: Mapping[str, Any]) -> CoverageCell:
    counts = {state: _count(row, state) for state in STATES}
    planned = _count(row, "planned")
    state = next((s for s in STATES if counts[s]), "pending")
    text = ", ".join(f"{counts[s]} {s}" for s in reversed(STATES) if counts[s])
    row_key = row["factorization"], row["budget"], row["map_options"]
    return CoverageCell(row_key, planned, counts["done"], state, text or "nothing planned")


def _count(row: Mapping[str, Any], name: str) -> int:
    return int(row[name] or 0)
