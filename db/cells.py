"""Cells: results that differ in the seed alone. Their sums are kept, and boards read them.

A cell's numbers are recomputed from all of its results, with exact sums, in the transaction that
adds one, so that they depend neither on the order in which results came nor on the engine.

A board needs nothing of a result but its cell, seed and bits/dim. These stand in one index, so that
a million of them are read in a second or two, where the view `trial_results` looks up thirty
columns for each.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from lcma.db.engine import Statement
from lcma.db.filters import Where, build_conditions
from lcma.db.inserts import insert
from lcma.db.records import Beside, Making, Result, SeededCell, content_hash
from lcma.db.schema import (
    attempts,
    cells,
    environments,
    recipes,
    results,
    sweep_trials,
    trials,
)
from lcma.db.views import views

# Sums over seeds

SHARED = (
    *("flow", "dataset", "variant", "data_digest", "recipe_id", "factorization", "budget"),
    *("map_options", "protocol", "precision"),
)
"""What all results of a cell have in common; the rest of a trial is its seed."""

COMPARABLE = ("dataset", "variant", "data_digest", "protocol", "precision")
"""Results that differ in one of these are never ranked together."""

OF_TRIAL = (
    *("seed", "profile", "flow", "dataset", "variant", "recipe_id", "factorization", "budget"),
    "map_options",
)
"""What is needed of a trial; its profile as its recipe is known, since a cell has one name."""

UNKNOWN = {
    "seeds": 0,
    **dict.fromkeys(
        (
            *("mean", "squared_deviations", "least", "greatest"),
            *("holdout_mean", "holdout_squared_deviations"),
        ),
        0.0,
    ),
}
"""The sums of a cell whose first result is about to be added."""


def select_of_trials() -> sa.Select[Any]:
    """Select what is needed of trials, `OF_TRIAL`, and their ids."""
    columns = (recipes.c.profile if name == "profile" else trials.c[name] for name in OF_TRIAL)
    return sa.select(*columns, trials.c.id).join_from(
        trials, recipes, recipes.c.id == trials.c.recipe_id
    )


_TRIAL = Statement(lambda _: select_of_trials().where(trials.c.id == sa.bindparam("id")))
_MAKE = Statement(
    lambda dialect: insert(dialect, cells).on_conflict_do_nothing(),
    columns=tuple(cells.c.keys()),
)
_HOLD = Statement(
    lambda _: sa.select(cells.c.id).where(cells.c.id == sa.bindparam("id")).with_for_update()
)
_VALUES = Statement(
    lambda _: sa.select(results.c.bits_per_dim, results.c.holdout_bits_per_dim).where(
        results.c.cell_id == sa.bindparam("id")
    )
)
_SUM_UP = Statement(
    lambda _: sa.update(cells).where(cells.c.id == sa.bindparam("cell")), columns=tuple(UNKNOWN)
)


def encode_cell(trial: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of `cells`, without its sums, for a result of a trial."""
    shared = {name: trial[name] if name in trial else result[name] for name in SHARED}
    return {
        "id": _hashed("cell", *shared.values()),
        "comparable": _hashed("comparable", *(shared[name] for name in COMPARABLE))[:16],
        "profile": trial["profile"],
        **shared,
    }


@lru_cache(maxsize=256)
def _hashed(what: str, *content: Any) -> str:
    return content_hash(what, list(content))


def join_cell(connection: sa.Connection, result: Result) -> dict[str, Any]:
    """Return the columns of `results` that tell which cell a result is in.

    The cell is made if it is missing, and nobody else changes it until the transaction ends.
    """
    found = _TRIAL.first(connection, {"id": result.trial_id})
    if found is None:
        raise LookupError(f"no trial {result.trial_id}")
    trial = dict(zip(OF_TRIAL, found, strict=False))
    own = {name: getattr(result, name) for name in ("data_digest", "protocol", "precision")}
    row = encode_cell(trial, own)
    if _HOLD.first(connection, row) is None:
        _MAKE.run(connection, row | UNKNOWN)
        _HOLD.first(connection, row)
    return {"seed": trial["seed"], "cell_id": row["id"]}


def update_sums(connection: sa.Connection, cell_id: str) -> None:
    """Compute the sums of a cell anew from its results, and store them."""
    values = _VALUES.all(connection, {"id": cell_id})
    numbers = compute_sums([test for test, _ in values], [holdout for _, holdout in values])
    _SUM_UP.run(connection, {"cell": cell_id, **numbers})


def compute_sums(test: Sequence[float], holdout: Sequence[float]) -> dict[str, float]:
    """Return the sums of a cell, from the bits/dim of its seeds, in any order."""
    mean, deviations = _moments(test)
    holdout_mean, holdout_deviations = _moments(holdout)
    return {
        "seeds": len(test),
        "mean": mean,
        "squared_deviations": deviations,
        "least": min(test),
        "greatest": max(test),
        "holdout_mean": holdout_mean,
        "holdout_squared_deviations": holdout_deviations,
    }


def _moments(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    return mean, math.fsum((value - mean) ** 2 for value in values)


# Results by cell, for boards

AT_ONCE = 20_000
"""Rows that a server sends at a time."""

_CELL = (
    *("flow", "dataset", "variant", "data_digest", "recipe_id", "profile", "protocol"),
    *("precision", "factorization", "budget", "map_options"),
)
_names = attrgetter(*_CELL[:-2])
_RECIPE = ("splits", "size", "steps")
_MADE = ("code_version", "dirty", "torch", "device", "cpu_capability")
_BESIDE = ("bound_draws", "bound_gain", "series_terms", "series_bias", "series_bias_standard_error")


def read_cells(
    connection: sa.Connection, where: Where, sweep_id: str | None, waits_over: float
) -> list[SeededCell]:
    """Read the cells of the results that match, ordered by what tells them apart.

    Args:
        where: As for the view `trial_results`.
        sweep_id: The sweep whose trials count; None for all.
        waits_over: Give shares of waiting for images above this one.
    """
    chosen = _Chosen(where, sweep_id)
    bits, repeated = _bits(_rows(connection, chosen.of(results.c.cell_id, *_NUMBERS)))
    made = _made(connection, chosen)
    beside = _beside(connection, chosen)
    waits = _waits(connection, chosen, waits_over)
    columns = (*(cells.c[name] for name in _CELL), *(recipes.c[name] for name in _RECIPE))
    query = sa.select(cells.c.id, *columns).join_from(
        cells, recipes, recipes.c.id == cells.c.recipe_id
    )
    found = []
    same: dict[Any, Any] = {}  # a name that a thousand cells have is kept once
    for row in _rows(connection, query.where(*chosen.of_cells)):
        cell_id, *facts = row
        if cell_id in bits:
            facts = [*map(same.setdefault, facts, facts)]
            facts += [bits[cell_id], repeated.get(cell_id), *made[cell_id]]
            facts += [tuple(beside.get(cell_id, ())), waits.get(cell_id)]
            found.append(SeededCell(*facts))
    found.sort(key=lambda cell: (*_names(cell), -1 if cell.budget is None else cell.budget))
    return found


def has_any_result(connection: sa.Connection, where: Where, sweep_id: str | None) -> bool:
    """Return whether any result matches."""
    query = _Chosen(where, sweep_id).of(results.c.id).limit(1)
    return connection.execute(query).first() is not None


def read_values(connection: sa.Connection, name: str, sweep_id: str | None) -> list[Any]:
    """Read the different values of a column of `trial_results`, in order, null first."""
    list(build_conditions("trial_results", _IN_VIEW, {name: []}))  # is there such a column?
    column = _IN_VIEW[name]
    if column.table is _VIEW:
        query = sa.select(column)
        if sweep_id is not None:
            query = query.where(_VIEW.c.trial_id.in_(_members(sweep_id)))
    elif column.table in (cells, recipes) and sweep_id is None:
        query = sa.select(column).join_from(cells, recipes, recipes.c.id == cells.c.recipe_id)
    else:
        query = _Chosen({}, sweep_id).of(column)
    found = connection.execute(query.distinct()).scalars()
    return sorted(found, key=lambda value: (value is not None, value))


def _members(sweep_id: str) -> sa.Select[Any]:
    return sa.select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep_id == sweep_id)


_NUMBERS = (results.c.seed, results.c.bits_per_dim)

_VIEW = views.tables["trial_results"]

_IN_VIEW: dict[str, sa.Column[Any]] = {
    **dict(_VIEW.c),
    **{name: column for name, column in results.c.items() if name in _VIEW.c},
    **{name: recipes.c[name] for name in _RECIPE},
    **{name: cells.c[name] for name in (*_CELL, "comparable")},
    "cell_id": cells.c.id,
    "result_id": results.c.id,
}
"""Columns of `trial_results`, from the tables where they stand as they are."""


class _Chosen:
    """The results that a query chooses."""

    def __init__(self, where: Where, sweep_id: str | None) -> None:
        self._here: list[sa.ColumnElement[bool]] = []
        self.of_cells: list[sa.ColumnElement[bool]] = []
        """Of those, what holds for whole cells."""
        for name, value in where.items():
            column = _IN_VIEW.get(name)
            (one,) = build_conditions("trial_results", _IN_VIEW, {name: value})
            if column is not None and column.table is _VIEW:
                one = results.c.id.in_(sa.select(_VIEW.c.result_id).where(one))
            self._here.append(one)
            if column is not None and column.table in (cells, recipes):
                self.of_cells.append(one)
        if sweep_id is not None:
            self._here.append(results.c.trial_id.in_(_members(sweep_id)))

    def of(self, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        # These columns of the chosen results.
        query = sa.select(*columns).select_from(results)
        if not self._here:
            return query
        return (
            query.join(cells, cells.c.id == results.c.cell_id)
            .join(recipes, recipes.c.id == cells.c.recipe_id)
            .where(*self._here)
        )


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[Any]:
    for rows in connection.execution_options(yield_per=AT_ONCE).execute(query).partitions():
        yield from rows


def _bits(
    rows: Iterable[Any],
) -> tuple[dict[str, dict[int, float]], dict[str, int]]:
    # Bits/dim by cell and seed, and by cell a seed that came twice.
    found: defaultdict[str, dict[int, float]] = defaultdict(dict)
    repeated: dict[str, int] = {}
    for cell_id, seed, value in rows:
        seeds = found[cell_id]
        if seed in seeds:
            repeated[cell_id] = seed
        seeds[seed] = value
    return {cell: dict(sorted(seeds.items())) for cell, seeds in found.items()}, repeated


_Made = tuple[float | None, int, int | None, tuple[Making, ...]]
"""The largest standard error, the fewest images and clusters, and all makings."""


def _made(connection: sa.Connection, chosen: _Chosen) -> dict[str, _Made]:
    # By cell. Often all have one making; else nearly every cell has one, which its ends show
    # without sorting.
    known = {row.id: row._mapping for row in connection.execute(sa.select(environments))}

    @cache
    def making(environment: str, threads: int) -> Making:
        return Making(**{name: known[environment][name] for name in _MADE}, threads=threads)

    of = (attempts.c.environment_id, attempts.c.threads)
    ends = (
        results.c.cell_id,
        sa.func.max(results.c.standard_error),
        sa.func.min(results.c.images),
        sa.func.min(results.c.clusters),
    )
    found: dict[str, _Made] = {}
    only = _only_making(connection)
    if only is not None:
        alone = (making(*only),)
        for cell_id, *numbers in _rows(connection, chosen.of(*ends).group_by(results.c.cell_id)):
            found[cell_id] = (*numbers, alone)
        return found
    query = chosen.of(
        *ends, *(end(column) for column in of for end in (sa.func.min, sa.func.max))
    ).join(attempts, attempts.c.id == results.c.attempt_id)
    mixed = False
    for cell_id, error, images, clusters, first, last, least, most in _rows(
        connection, query.group_by(results.c.cell_id)
    ):
        found[cell_id] = (error, images, clusters, (making(first, least),))
        mixed = mixed or first != last or least != most
    if mixed:
        every = chosen.of(results.c.cell_id, *of).join(
            attempts, attempts.c.id == results.c.attempt_id
        )
        several: defaultdict[str, list[Making]] = defaultdict(list)
        for cell_id, environment, threads in _rows(connection, every.distinct()):
            several[cell_id].append(making(environment, threads))
        for cell_id, makings in several.items():
            found[cell_id] = (*found[cell_id][:3], tuple(makings))
    return found


def _only_making(connection: sa.Connection) -> tuple[str, int] | None:
    # Environment and threads of all attempts, None where they had different ones.
    environment, threads = attempts.c.environment_id, attempts.c.threads
    first = connection.execute(sa.select(environment, threads).limit(1)).first()
    if first is None:
        return None
    others = sa.or_(environment != first[0], threads != first[1])
    another = connection.execute(sa.select(attempts.c.id).where(others).limit(1)).first()
    return (first[0], first[1]) if another is None else None


def _beside(connection: sa.Connection, chosen: _Chosen) -> dict[str, list[Beside]]:
    columns = (results.c.id, *(results.c[name] for name in _BESIDE))
    taken = sa.or_(results.c.bound_gain.is_not(None), results.c.series_bias.is_not(None))
    found: defaultdict[str, list[Beside]] = defaultdict(list)
    for cell_id, *values in _rows(connection, chosen.of(results.c.cell_id, *columns).where(taken)):
        found[cell_id].append(Beside(*values))
    return found


def _waits(connection: sa.Connection, chosen: _Chosen, over: float) -> dict[str, float]:
    training = attempts.alias("training")
    long = sa.and_(training.c.data_wait > over, training.c.protocol.is_(None))
    if connection.execute(sa.select(training.c.id).where(long).limit(1)).first() is None:
        return {}
    query = (
        chosen.of(results.c.cell_id, sa.func.max(training.c.data_wait))
        .join(attempts, attempts.c.id == results.c.attempt_id)
        .join(training, training.c.job_id == attempts.c.job_id)
        .where(long)
    )
    return {row[0]: row[1] for row in _rows(connection, query.group_by(results.c.cell_id))}
