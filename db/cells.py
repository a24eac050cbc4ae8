"""Cells: values of one measure of current results that differ in the seed alone."""

from collections import defaultdict
from collections.abc import Collection, Iterator
from functools import cache
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
from lcma.sweeps.measures import BITS_PER_DIM

AT_ONCE = 20_000
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
"""Columns of `results`, from the tables where they stand as they are."""

_OF_VALUE = (
    *("flow", "dataset", "variant", "data_digest", "recipe_id", "protocol", "factorization"),
    *("budget", "map_options"),
)
_OF_RECIPE = ("profile", "splits", "size", "steps")
_MADE = ("code_version", "dirty", "torch", "device", "cpu_capability")


def read_cells(
    connection: sa.Connection,
    where: Where,
    sweep_id: str | None,
    measure: str = BITS_PER_DIM,
) -> list[SeededCell]:
    """Read the cells of the results that match, ordered by what tells them apart.

    Args:
        where: As for the view `results`.
        sweep_id: The sweep whose trials count; None for all.
        measure: The measure whose values they have.
    """
    making = _read_makings(connection)
    of_recipe = _read_by_id(connection, recipes, _OF_RECIPE)
    precisions = _read_by_id(connection, protocols, ("precision",))
    columns = (
        *(_IN_VIEW[name] for name in _OF_VALUE),
        *(measures.c.protocol_id, trials.c.seed),
        *(measures.c[name] for name in ("value", "standard_error", "images", "clusters")),
        *(attempts.c[name] for name in ("environment_id", "threads")),
    )
    query = _select_values(columns, where, sweep_id, measure)
    query = query.join(attempts, attempts.c.id == measures.c.measured_by)
    by_protocol: defaultdict[tuple[Any, ...], list[Any]] = defaultdict(list)
    width = len(_OF_VALUE) + 1
    for row in _rows(connection, query):
        by_protocol[row[:width]].append(row[width:])
    by_cell: defaultdict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for (*of_value, protocol_id), values in by_protocol.items():
        by_cell[*of_value, *precisions[protocol_id]] += values
    found = []
    for (*of_value, precision), values in by_cell.items():
        own = dict(zip(_OF_VALUE, of_value, strict=True))
        seeds, numbers, errors, images, clusters, *made = zip(*values, strict=True)
        by_seed = dict(sorted(zip(seeds, numbers, strict=True)))
        found.append(
            SeededCell(
                **own,
                **dict(zip(_OF_RECIPE, of_recipe[own["recipe_id"]], strict=True)),
                precision=precision,
                values=by_seed,
                repeated=None if len(by_seed) == len(seeds) else _find_repeated(seeds),
                standard_error=max(_known(errors), default=None),
                images=min(_known(images), default=None),
                clusters=min(_known(clusters), default=None),
                makings=tuple(making(*one) for one in sorted(set(zip(*made, strict=True)))),
            )
        )
    found.sort(key=_place_cell)
    return found


def _place_cell(cell: SeededCell) -> tuple[Any, ...]:
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


def _known(values: tuple[Any, ...]) -> Iterator[Any]:
    return (value for value in values if value is not None)


def _find_repeated(seeds: tuple[int, ...]) -> int:
    return next(seed for place, seed in enumerate(seeds) if seed in seeds[:place])


def read_values(connection: sa.Connection, name: str, sweep_id: str | None) -> list[Any]:
    """Read the different values of a column of `results`, in order, null first."""
    list(build_conditions("results", _IN_VIEW, {name: []}))  # is there such a column?
    column = _IN_VIEW[name]
    if column.table is _VIEW:
        query = sa.select(column)
        if sweep_id is not None:
            query = query.where(_VIEW.c.trial_id.in_(_members(sweep_id)))
    else:
        query = _select_values([column], {}, sweep_id, BITS_PER_DIM)
    found = connection.execute(query.distinct()).scalars()
    return sorted(found, key=lambda value: (value is not None, value))


def _members(sweep_id: str) -> sa.Select[Any]:
    return sa.select(sweep_trials.c.trial_id).where(sweep_trials.c.sweep_id == sweep_id)


def _select_values(
    columns: Collection[sa.ColumnElement[Any]], where: Where, sweep_id: str | None, measure: str
) -> sa.Select[Any]:
    """Select columns of the values of one measure of current results that match."""
    conditions = [measures.c.name == measure]
    used = {column.table for column in columns if isinstance(column, sa.Column)}
    for name, value in where.items():
        (one,) = build_conditions("results", _IN_VIEW, {name: value})
        used.add(_IN_VIEW[name].table)
        if _IN_VIEW[name].table is _VIEW:
            own = sa.tuple_(measures.c.attempt_id, measures.c.protocol)
            one = own.in_(sa.select(_VIEW.c.attempt_id, _VIEW.c.protocol).where(one))
        conditions.append(one)
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


def _rows(connection: sa.Connection, query: sa.Select[Any]) -> Iterator[Any]:
    for rows in connection.execution_options(yield_per=AT_ONCE).execute(query).partitions():
        yield from rows


def _read_makings(connection: sa.Connection) -> Any:
    known = {row.id: row._mapping for row in connection.execute(sa.select(environments))}

    @cache
    def making(environment: str, threads: int) -> Making:
        made = {name: known[environment][name] for name in _MADE}
        return Making(**made, threads=threads)

    return making
