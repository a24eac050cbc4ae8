"""Cells: values of one measure that differ in the seed alone. Their sums are kept.

A cell's sums are recomputed from all of its values, exactly, in the transaction that adds one, so
that they depend neither on the order in which results came nor on the engine.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from lcma.db.engine import Statement
from lcma.db.filters import Where, build_conditions
from lcma.db.inserts import insert
from lcma.db.records import Beside, Making, SeededCell, content_hash
from lcma.db.schema import (
    attempts,
    cells,
    environments,
    measures,
    recipes,
    results,
    sweep_trials,
    trials,
)
from lcma.db.views import views
from lcma.sweeps.measures import BITS_PER_DIM

# Sums over seeds

SHARED = (
    *("flow", "dataset", "variant", "data_digest", "recipe_id", "factorization", "budget"),
    *("map_options", "protocol", "precision", "measure"),
)
"""What all numbers of a cell have in common; the rest of a trial is its seed."""

COMPARABLE = ("dataset", "variant", "data_digest", "protocol", "precision", "measure")
"""Numbers that differ in one of these are never ranked together."""

OF_TRIAL = (
    *("seed", "profile", "flow", "dataset", "variant", "recipe_id", "factorization", "budget"),
    "map_options",
)
"""What is needed of a trial; its profile as its recipe is known, since a cell has one name."""

UNKNOWN: dict[str, float | None] = {
    "seeds": 0,
    **dict.fromkeys(("mean", "squared_deviations", "least", "greatest"), 0.0),
    **dict.fromkeys(("deviation", "standard_error")),
}
"""The sums of a cell whose first number is about to be added."""


def select_of_trials() -> sa.Select[Any]:
    """Select what is needed of trials, `OF_TRIAL`, and their ids."""
    columns = (recipes.c.profile if name == "profile" else trials.c[name] for name in OF_TRIAL)
    return sa.select(*columns, trials.c.id).join_from(
        trials, recipes, recipes.c.id == trials.c.recipe_id
    )


def _among(column: sa.Column[str], dialect: sa.Dialect) -> sa.ColumnElement[bool]:
    # Whether it is one of `ids`, which SQLite takes as JSON.
    if dialect.name == "postgresql":
        return column == sa.func.any(sa.bindparam("ids", type_=postgresql.ARRAY(sa.Text)))
    listed = sa.func.json_each(sa.bindparam("ids")).table_valued("value")
    return column.in_(sa.select(listed.c.value))


_TRIAL = Statement(lambda _: select_of_trials().where(trials.c.id == sa.bindparam("id")))
_MAKE = Statement(
    lambda dialect: insert(dialect, cells).on_conflict_do_nothing(),
    columns=tuple(cells.c.keys()),
)
_HOLD = Statement(
    lambda dialect: (
        sa.select(cells.c.id).where(_among(cells.c.id, dialect)).order_by(cells.c.id)
    ).with_for_update()
)
_VALUES = Statement(
    lambda dialect: sa.select(measures.c.cell_id, measures.c.value).where(
        _among(measures.c.cell_id, dialect)
    )
)
_SUM_UP = Statement(
    lambda _: sa.update(cells).where(cells.c.id == sa.bindparam("cell")), columns=tuple(UNKNOWN)
)


def encode_cell(trial: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row of `cells`, without its sums, for a number of a trial.

    Args:
        trial: What `select_of_trials` selects.
        own: Data digest, protocol, precision and measure.
    """
    shared = {name: trial[name] if name in trial else own[name] for name in SHARED}
    return {
        "id": _hashed("cell", *shared.values()),
        "comparable": _hashed("comparable", *(shared[name] for name in COMPARABLE))[:16],
        "profile": trial["profile"],
        **shared,
    }


@lru_cache(maxsize=256)
def _hashed(what: str, *content: Any) -> str:
    return content_hash(what, list(content))


class TrialCells:
    """The cells that numbers of one trial join, in the transaction that adds them."""

    def __init__(self, connection: sa.Connection, trial_id: str) -> None:
        """Read the trial. Raises LookupError where there is none."""
        found = _TRIAL.first(connection, {"id": trial_id})
        if found is None:
            raise LookupError(f"no trial {trial_id}")
        self._connection = connection
        self._trial = dict(zip((*OF_TRIAL, "id"), found, strict=True))
        self.seed: int = self._trial["seed"]

    def hold(self, owns: Iterable[Mapping[str, Any]], others: Collection[str]) -> list[str]:
        """Return the cell of each number, see `encode_cell`; made where it is missing.

        Nobody else changes these cells, or those of `others`, until the transaction ends.
        """
        rows = [encode_cell(self._trial, own) for own in owns]
        hold_cells(self._connection, rows, others)
        return [row["id"] for row in rows]


def hold_cells(
    connection: sa.Connection, rows: Sequence[Mapping[str, Any]], others: Collection[str]
) -> None:
    """Make the cells that are missing, and keep others from changing any until the end.

    A transaction holds all that it changes, `others` too, at once and after all else.
    """
    ids = {row["id"] for row in rows} | set(others)
    if not ids:
        return
    there = set(_lock_cells(connection, ids))
    missing = {row["id"]: row for row in rows if row["id"] not in there}
    if missing:
        _MAKE.run_many(connection, [{**missing[one], **UNKNOWN} for one in sorted(missing)])
        _lock_cells(connection, missing)


def _lock_cells(connection: sa.Connection, ids: Collection[str]) -> list[str]:
    # Keep others from changing cells until the transaction ends; return those that are there.
    return [row[0] for row in _HOLD.all(connection, _given(connection, ids))]


def update_sums(connection: sa.Connection, cell_ids: Collection[str]) -> None:
    """Compute the sums of cells anew, and store them; delete those that nothing is in any more."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for cell_id, value in _VALUES.all(connection, _given(connection, cell_ids)):
        found[cell_id].append(value)
    rows = [{"cell": one, **compute_sums(found[one])} for one in sorted(found)]
    if rows:
        _SUM_UP.run_many(connection, rows)
    for one in sorted(set(cell_ids) - found.keys()):
        connection.execute(sa.delete(cells).where(cells.c.id == one))


def _given(connection: sa.Connection, ids: Collection[str]) -> dict[str, Any]:
    listed = sorted(ids)
    return {"ids": listed if connection.dialect.name == "postgresql" else json.dumps(listed)}


def compute_sums(values: Sequence[float]) -> dict[str, float | None]:
    """Return the sums of a cell, from the values of its seeds, in any order."""
    n, mean = len(values), math.fsum(values) / len(values)
    deviations = math.fsum((value - mean) ** 2 for value in values)
    deviation = math.sqrt(deviations / (n - 1)) if n > 1 else None
    return {
        "seeds": n,
        "mean": mean,
        "squared_deviations": deviations,
        "least": min(values),
        "greatest": max(values),
        "deviation": deviation,
        "standard_error": None if deviation is None else deviation / math.sqrt(n),
    }


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
_BESIDE = ("bound_draws", "bound_gain", "series_terms", "series_bias")


def read_cells(
    connection: sa.Connection,
    where: Where,
    sweep_id: str | None,
    waits_over: float,
    measure: str = BITS_PER_DIM,
) -> list[SeededCell]:
    """Read the cells of the results that match, ordered by what tells them apart.

    Args:
        where: As for the view `trial_results`.
        sweep_id: The sweep whose trials count; None for all.
        waits_over: Give shares of waiting for images above this one.
        measure: The measure whose values they have.
    """
    chosen = _ChosenValues(where, sweep_id, measure)
    values, repeated = _values(
        _rows(connection, chosen.of(measures.c.cell_id, measures.c.seed, measures.c.value))
    )
    made = _made(connection, chosen)
    beside = _beside(connection, chosen)
    waits = _waits(connection, chosen, waits_over)
    columns = (*(cells.c[name] for name in _CELL), *(recipes.c[name] for name in _RECIPE))
    query = sa.select(cells.c.id, *columns).join_from(
        cells, recipes, recipes.c.id == cells.c.recipe_id
    )
    found = []
    for row in _rows(connection, query.where(*chosen.of_cells)):
        cell_id, *facts = row
        if cell_id in values:
            facts += [values[cell_id], repeated.get(cell_id), *made[cell_id]]
            facts += [tuple(beside.get(cell_id, ())), waits.get(cell_id)]
            found.append(SeededCell(*facts))
    found.sort(key=lambda cell: (*_names(cell), -1 if cell.budget is None else cell.budget))
    return found


BitsKey = tuple[str, str, str, str, str, str]
"""Recipe, its profile, data set, variant, data digest and precision."""

BitsRows = dict[tuple[str, int | None], dict[int, float]]
"""Bits/dim by seed, of each factorization and budget."""


def read_bits_by_seed(
    connection: sa.Connection, recipe_ids: Collection[str]
) -> dict[BitsKey, BitsRows]:
    """Read bits/dim by seed; see `Store.bits_by_seed`."""
    names = ("recipe_id", "profile", "dataset", "variant", "data_digest", "precision")
    query = (
        sa.select(
            *(cells.c[name] for name in names),
            *(cells.c.factorization, cells.c.budget),
            *(measures.c.seed, measures.c.value),
        )
        .join_from(cells, measures, measures.c.cell_id == cells.c.id)
        .where(
            cells.c.recipe_id.in_(sorted(recipe_ids)),
            cells.c.measure == BITS_PER_DIM,
            cells.c.protocol == "plain",
            cells.c.map_options.is_(None),
        )
    )
    found: dict[BitsKey, BitsRows] = {}
    for recipe, profile, dataset, variant, digest, precision, *one in _rows(connection, query):
        rows = found.setdefault((recipe, profile, dataset, variant, digest, precision), {})
        factorization, budget, seed, value = one
        rows.setdefault((factorization, budget), {})[seed] = value
    return found


def has_any_result(connection: sa.Connection, where: Where, sweep_id: str | None) -> bool:
    """Return whether any result matches."""
    query = _ChosenValues(where, sweep_id, BITS_PER_DIM).of(measures.c.result_id).limit(1)
    return connection.execute(query).first() is not None


def read_values(connection: sa.Connection, name: str, sweep_id: str | None) -> list[Any]:
    """Read the different values of a column of `trial_results`, in order, null first."""
    list(build_conditions("trial_results", _IN_VIEW, {name: []}))  # is there such a column?
    column = _IN_VIEW[name]
    if column.table is _VIEW:
        query = sa.select(column)
        if sweep_id is not None:
            query = query.where(_VIEW.c.trial_id.in_(_members(sweep_id)))
    else:
        query = _ChosenValues({}, sweep_id, BITS_PER_DIM).of(column)
    found = connection.execute(query.distinct()).scalars()
    return sorted(found, key=lambda value: (value is not None, value))


def _members(sweep_id: str) -> sa.Select[Any]:
    return sa.select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep_id == sweep_id)


_VIEW = views.tables["trial_results"]

_IN_VIEW: dict[str, sa.Column[Any]] = {
    **dict(_VIEW.c),
    **{name: column for name, column in results.c.items() if name in _VIEW.c},
    **{name: recipes.c[name] for name in _RECIPE},
    **{name: cells.c[name] for name in _CELL},
    "result_id": results.c.id,
}
"""Columns of `trial_results`, from the tables where they stand as they are."""


class _ChosenValues:
    """The values of one measure of current results that a query chooses."""

    def __init__(self, where: Where, sweep_id: str | None, measure: str) -> None:
        self.of_cells: list[sa.ColumnElement[bool]] = [cells.c.measure == measure]
        """Of the conditions, those that hold for whole cells."""
        self._here: list[sa.ColumnElement[bool]] = []
        for name, value in where.items():
            column = _IN_VIEW.get(name)
            (one,) = build_conditions("trial_results", _IN_VIEW, {name: value})
            if column is not None and column.table is _VIEW:
                own = sa.tuple_(measures.c.result_id, measures.c.protocol)
                one = own.in_(sa.select(_VIEW.c.result_id, _VIEW.c.protocol).where(one))
            if column is not None and column.table in (cells, recipes):
                self.of_cells.append(one)
            else:
                self._here.append(one)
        if sweep_id is not None:
            self._here.append(results.c.trial_id.in_(_members(sweep_id)))

    def of(self, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        # These columns of the chosen values.
        return (
            sa.select(*columns)
            .join_from(measures, cells, cells.c.id == measures.c.cell_id)
            .join(recipes, recipes.c.id == cells.c.recipe_id)
            .join(results, results.c.id == measures.c.result_id)
            .where(*self.of_cells, *self._here)
        )


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[Any]:
    for rows in connection.execution_options(yield_per=AT_ONCE).execute(query).partitions():
        yield from rows


def _values(
    rows: Iterable[Any],
) -> tuple[dict[str, dict[int, float]], dict[str, int]]:
    # Values by cell and seed, and by cell a seed that came twice.
    found: defaultdict[str, dict[int, float]] = defaultdict(dict)
    repeated: dict[str, int] = {}
    for cell_id, seed, value in rows:
        seeds = found[cell_id]
        if seed in seeds:
            repeated[cell_id] = seed
        seeds[seed] = value
    return {cell: dict(sorted(seeds.items())) for cell, seeds in found.items()}, repeated


_Made = tuple[float | None, int | None, int | None, tuple[Making, ...]]
"""The largest standard error, the fewest images and clusters, and all makings."""


def _made(connection: sa.Connection, chosen: _ChosenValues) -> dict[str, _Made]:
    known = {row.id: row._mapping for row in connection.execute(sa.select(environments))}

    @cache
    def making(environment: str, threads: int) -> Making:
        made = {name: known[environment][name] for name in _MADE}
        return Making(**made, threads=threads)

    of = (measures.c.cell_id, attempts.c.environment_id, attempts.c.threads)
    numbers = (
        sa.func.max(measures.c.standard_error),
        sa.func.min(measures.c.images),
        sa.func.min(measures.c.clusters),
    )
    query = chosen.of(*of, *numbers).join(attempts, attempts.c.id == measures.c.attempt_id)
    found: dict[str, _Made] = {}
    for cell_id, environment, threads, *own in _rows(connection, query.group_by(*of).order_by(*of)):
        error, images, clusters, makings = found.get(cell_id, (None, None, None, ()))
        found[cell_id] = (
            _end(max, error, own[0]),
            _end(min, images, own[1]),
            _end(min, clusters, own[2]),
            (*makings, making(environment, threads)),
        )
    return found


def _end(choose: Callable[..., Any], *values: Any) -> Any:
    return choose((value for value in values if value is not None), default=None)


def _beside(connection: sa.Connection, chosen: _ChosenValues) -> dict[str, list[Beside]]:
    own = {name: measures.alias(name) for name in _BESIDE}
    columns = [own[name].c.value for name in _BESIDE]
    query = chosen.of(
        measures.c.cell_id, results.c.id, *columns, own["series_bias"].c.standard_error
    )
    for name, table in own.items():
        same = (
            table.c.result_id == measures.c.result_id,
            table.c.protocol == measures.c.protocol,
            table.c.name == name,
        )
        query = query.outerjoin(table, sa.and_(*same))
    taken = sa.or_(own["bound_gain"].c.value.is_not(None), own["series_bias"].c.value.is_not(None))
    found: defaultdict[str, list[Beside]] = defaultdict(list)
    for cell_id, result_id, draws, gain, terms, *bias in _rows(connection, query.where(taken)):
        whole = (None if one is None else int(one) for one in (draws, terms))
        draws, terms = whole
        found[cell_id].append(Beside(result_id, draws, gain, terms, *bias))
    return found


def _waits(connection: sa.Connection, chosen: _ChosenValues, over: float) -> dict[str, float]:
    training = attempts.alias("training")
    long = sa.and_(training.c.data_wait > over, training.c.protocol.is_(None))
    if connection.execute(sa.select(training.c.id).where(long).limit(1)).first() is None:
        return {}
    query = (
        chosen.of(measures.c.cell_id, sa.func.max(training.c.data_wait))
        .join(attempts, attempts.c.id == results.c.attempt_id)
        .join(training, training.c.job_id == attempts.c.job_id)
        .where(long)
    )
    return {row[0]: row[1] for row in _rows(connection, query.group_by(measures.c.cell_id))}
