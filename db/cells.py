"""Cells: values of one measure of current results that differ only in the seed."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any

import sqlalchemy as sa

from lcma.db.records import Making, SeededCell
from lcma.db.schema import (
    attempts,
    environments,
    jobs,
    measures,
    protocols,
    recipes,
    sweep_trials,
    trials,
)
from lcma.db.statements import Where, build_conditions
from lcma.db.views import views
from lcma.sweeps.measures import BITS_PER_DIM, HOLDOUT

CHUNK_ROWS = 20_000
"""Rows that a server sends at a time."""

_VIEW = views.tables["results"]

_IN_VIEW: dict[str, sa.Column[Any]] = {
    **dict(_VIEW.c),
    **{name: recipes.c[name] for name in ("profile", "splits", "size", "steps")},
    **{name: column for name, column in trials.c.items() if name in _VIEW.c and name != "profile"},
    "protocol": measures.c.protocol,
    "precision": protocols.c.precision,
    "data_digest": jobs.c.data_digest,
    "attempt_id": measures.c.attempt_id,
}
"""The columns of `results`, taken from a table if the view copies them: the view joins more."""

_CELL_KEYS = (
    *("flow", "dataset", "variant", "data_digest", "recipe_id", "protocol", "factorization"),
    *("budget", "map_options"),
)
_RECIPE_FACTS = ("profile", "splits", "size", "steps")
_ENVIRONMENT_FACTS = ("code_version", "dirty", "torch", "device", "cpu_capability")


def read_cells(
    connection: sa.Connection, where: Where, sweep_id: str | None, measure: str
) -> list[SeededCell]:
    """Read cells; see `Store.cells`."""
    # Joined here rather than in SQL: there are thousands of values for each of these rows.
    making = _read_makings(connection)
    recipe_facts = _read_by_id(connection, recipes, _RECIPE_FACTS)
    precisions = _read_by_id(connection, protocols, ("precision",))
    columns = (
        *(_IN_VIEW[name] for name in _CELL_KEYS),
        *(measures.c.protocol_id, trials.c.seed),
        *(measures.c[name] for name in ("value", "standard_error", "images", "clusters")),
        *(attempts.c[name] for name in ("environment_id", "threads")),
    )
    query = _select_values(columns, where, sweep_id, measure)
    query = query.join(attempts, attempts.c.id == measures.c.measured_by)
    by_protocol: defaultdict[tuple[Any, ...], list[Any]] = defaultdict(list)
    width = len(_CELL_KEYS) + 1
    chunks = connection.execution_options(yield_per=CHUNK_ROWS).execute(query).partitions()
    for row in chain.from_iterable(chunks):
        by_protocol[row[:width]].append(row[width:])
    by_cell: defaultdict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for (*key, protocol_id), values in by_protocol.items():
        by_cell[*key, *precisions[protocol_id]] += values
    cells = []
    for (*key, precision), values in by_cell.items():
        keys = dict(zip(_CELL_KEYS, key, strict=True))
        seeds, numbers, errors, images, clusters, *made = zip(*values, strict=True)
        by_seed = dict(sorted(zip(seeds, numbers, strict=True)))
        cells.append(
            SeededCell(
                **keys,
                **dict(zip(_RECIPE_FACTS, recipe_facts[keys["recipe_id"]], strict=True)),
                precision=precision,
                values=by_seed,
                repeated=None if len(by_seed) == len(seeds) else _find_repeated(seeds),
                standard_error=max(_drop_nulls(errors), default=None),
                images=min(_drop_nulls(images), default=None),
                clusters=min(_drop_nulls(clusters), default=None),
                makings=tuple(making(*pair) for pair in sorted(set(zip(*made, strict=True)))),
            )
        )
    return sorted(cells, key=_order_key)


def _order_key(cell: SeededCell) -> tuple[Any, ...]:
    names = (
        *(cell.flow, cell.dataset, cell.variant, cell.data_digest, cell.recipe_id, cell.profile),
        *(cell.protocol, cell.precision, cell.factorization),
    )
    return (*names, -1 if cell.budget is None else cell.budget, cell.map_options or "")


def _read_by_id(
    connection: sa.Connection, table: sa.Table, names: Collection[str]
) -> dict[str, tuple[Any, ...]]:
    rows = connection.execute(sa.select(table.c.id, *(table.c[name] for name in names)))
    return {row[0]: tuple(row[1:]) for row in rows}


def _drop_nulls(values: tuple[Any, ...]) -> Iterator[Any]:
    return (value for value in values if value is not None)


def _find_repeated(seeds: tuple[int, ...]) -> int:
    return next(seed for index, seed in enumerate(seeds) if seed in seeds[:index])


def read_values(connection: sa.Connection, name: str, sweep_id: str | None) -> list[Any]:
    """Read the different values of a column; see `Store.result_values`."""
    list(build_conditions("results", _IN_VIEW, {name: []}))  # raises for an unknown column
    column = _IN_VIEW[name]
    if column.table is _VIEW:
        query = sa.select(column)
        if sweep_id is not None:
            query = query.where(_VIEW.c.trial_id.in_(_members(sweep_id)))
    else:
        query = _select_values([column], {}, sweep_id, BITS_PER_DIM)
    values = connection.execute(query.distinct()).scalars()
    return sorted(values, key=lambda value: (value is not None, value))


def _members(sweep_id: str) -> sa.Select[Any]:
    return sa.select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep_id == sweep_id)


def _select_values(
    columns: Sequence[sa.ColumnElement[Any]], where: Where, sweep_id: str | None, measure: str
) -> sa.Select[Any]:
    # Columns of the values of one measure of current results that match, with no needless join.
    conditions = [measures.c.name == measure]
    used = {column.table for column in columns if isinstance(column, sa.Column)}
    for name, value in where.items():
        (condition,) = build_conditions("results", _IN_VIEW, {name: value})
        used.add(_IN_VIEW[name].table)
        if _IN_VIEW[name].table is _VIEW and measure in (BITS_PER_DIM, HOLDOUT):
            key = sa.tuple_(measures.c.attempt_id, measures.c.protocol)
            condition = key.in_(sa.select(_VIEW.c.attempt_id, _VIEW.c.protocol).where(condition))
        elif _IN_VIEW[name].table is _VIEW:  # other measures may have protocols of their own
            condition = measures.c.attempt_id.in_(sa.select(_VIEW.c.attempt_id).where(condition))
        conditions.append(condition)
    query = (
        sa.select(*columns)
        .join_from(measures, jobs, jobs.c.done_attempt_id == measures.c.attempt_id)
        .join(trials, trials.c.id == jobs.c.trial_id)
        .where(*conditions)
    )
    if recipes in used:
        query = query.join(recipes, recipes.c.id == trials.c.recipe_id)
    if protocols in used:
        query = query.join(protocols, protocols.c.id == measures.c.protocol_id)
    if sweep_id is not None:
        query = query.where(jobs.c.trial_id.in_(_members(sweep_id)))
    return query


def _read_makings(connection: sa.Connection) -> Callable[[str, int], Making]:
    known = _read_by_id(connection, environments, _ENVIRONMENT_FACTS)

    @cache
    def making(environment_id: str, threads: int) -> Making:
        facts = dict(zip(_ENVIRONMENT_FACTS, known[environment_id], strict=True))
        return Making(**facts, threads=threads)

    return making
