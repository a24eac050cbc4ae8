"""How long work took that is done: what a prediction is made from."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from lcma.db.jobs import chunks
from lcma.db.records import Kind
from lcma.db.schema import attempts, cells, environments, jobs, pretrainings, recipes, results


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The attempt by which a job was done, with what it was at and on which device.

    `device` is 'cpu' or that of a GPU, `device_name` and `cpu_capability` are those of its
    environment. `factorization` is None for a pretraining, `nms` for a trial. `images_per_second`
    is None where it made no step.
    """

    kind: Kind
    recipe_id: str
    data_digest: str
    factorization: str | None
    nms: str | None
    device: str
    device_name: str
    cpu_capability: str
    first_step: int
    last_step: int
    seconds: float
    gpu_seconds: float | None
    images_per_second: float | None


_ATTEMPT = (
    attempts.c.device,
    environments.c.device.label("device_name"),
    environments.c.cpu_capability,
    *(attempts.c[name] for name in ("first_step", "last_step", "seconds")),
    *(attempts.c[name] for name in ("gpu_seconds", "images_per_second")),
)


def read_bodies_of_flows(connection: sa.Connection, flows: Collection[str]) -> dict[str, str]:
    """The JSON of all recipes of these flows by id."""
    query = sa.select(recipes.c.id, recipes.c.body).where(recipes.c.flow.in_(sorted(flows)))
    return {row.id: row.body for row in connection.execute(query)}


def read_paces(
    connection: sa.Connection, recipe_ids: Collection[str], data_digests: Collection[str]
) -> list[Pace]:
    """Of the jobs with these recipes on these data that are done.

    Trials are found by their cells and results, which have indices for it.
    """
    return [
        Pace(**row._mapping)
        for some in chunks(sorted(recipe_ids))
        for query in _queries(some, sorted(data_digests))
        for row in connection.execute(query)
    ]


def _queries(
    recipe_ids: Collection[str], digests: Collection[str]
) -> Iterator[sa.Select[tuple[object, ...]]]:
    nothing = sa.null()
    # Of a job the last attempt: had it its state for a condition, SQLite would go through all done.
    measured = attempts.c.outcome == "done", attempts.c.protocol.is_(None)
    of_trial = (cells.c.recipe_id, cells.c.data_digest, cells.c.factorization)
    yield (
        sa.select(sa.literal("trial").label("kind"), *of_trial, nothing.label("nms"), *_ATTEMPT)
        .join_from(cells, results, results.c.cell_id == cells.c.id)
        .join(attempts, attempts.c.id == results.c.attempt_id)
        .join(environments, environments.c.id == attempts.c.environment_id)
        .where(cells.c.recipe_id.in_(recipe_ids), cells.c.data_digest.in_(digests), *measured)
    )
    of_segment = (pretrainings.c.recipe_id, jobs.c.data_digest)
    yield (
        sa.select(
            sa.literal("pretraining").label("kind"),
            *of_segment,
            nothing.label("factorization"),
            pretrainings.c.nms,
            *_ATTEMPT,
        )
        .join_from(pretrainings, jobs, jobs.c.pretraining_id == pretrainings.c.id)
        .join(attempts, attempts.c.id == jobs.c.attempt_id)
        .join(environments, environments.c.id == attempts.c.environment_id)
        .where(
            pretrainings.c.recipe_id.in_(recipe_ids),
            jobs.c.data_digest.in_(digests),
            *measured,
        )
    )
