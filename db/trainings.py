"""Which trainings have curves, and what they are: trials, and segments of pretrainings."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import sqlalchemy as sa

from lcma.db.following import of_sweep
from lcma.db.jobs import chunks
from lcma.db.records import Kind, State
from lcma.db.schema import curves, jobs, pretrainings, recipes, trials


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A job with a curve. `subject` is the id of its trial or pretraining, `nms` the form of a
    pretraining's flow; `budget` is that of the trial or of the segment."""

    job_id: str
    kind: Kind
    subject: str
    data_digest: str
    state: State
    step: int
    steps: int
    flow: str
    dataset: str
    variant: str
    profile: str
    recipe_id: str
    factorization: str | None
    budget: int | None
    map_options: str | None
    nms: str | None
    seed: int


def read_trainings(
    connection: sa.Connection, sweep_id: str | None, job_ids: Sequence[str]
) -> list[Training]:
    """The jobs with a curve of a sweep, its segments too, and of those with these ids."""
    found = [] if sweep_id is None else _read(connection, of_sweep(sweep_id))
    for some in chunks(sorted(job_ids)):
        found += _read(connection, jobs.c.id.in_(some))
    by_id = {one.job_id: one for one in found}
    return [by_id[job_id] for job_id in sorted(by_id)]


def _read(connection: sa.Connection, where: sa.ColumnElement[bool]) -> list[Training]:
    either: dict[str, sa.ColumnElement[Any]] = {
        name: sa.func.coalesce(trials.c[name], pretrainings.c[name])
        for name in ("flow", "dataset", "variant", "recipe_id", "seed")
    }
    columns = either | {
        "subject": sa.func.coalesce(jobs.c.trial_id, jobs.c.pretraining_id),
        "budget": sa.func.coalesce(trials.c.budget, jobs.c.budget),
        "profile": recipes.c.profile,
        "factorization": trials.c.factorization,
        "map_options": trials.c.map_options,
        "nms": pretrainings.c.nms,
        "job_id": jobs.c.id,
        **{name: jobs.c[name] for name in ("kind", "data_digest", "state", "step", "steps")},
    }
    rows = connection.execute(
        sa.select(*(columns[field.name].label(field.name) for field in fields(Training)))
        .select_from(jobs)
        .outerjoin(trials, trials.c.id == jobs.c.trial_id)
        .outerjoin(pretrainings, pretrainings.c.id == jobs.c.pretraining_id)
        .join(recipes, recipes.c.id == either["recipe_id"])
        .where(where, sa.exists().where(curves.c.job_id == jobs.c.id))
    )
    return [Training(**row._mapping) for row in rows]
