"""Prediction of the device hours of a plan, from how long jobs of the same shape took before.

*Device hours* are the hours for which tasks hold their device: wall-clock time, times the share of
a GPU where they hold one.

Jobs are *of the same shape* if they train the same model (flow, image size, architecture) in
batches of the same size, with the same precision, threads and stacking, on CPUs or on the same
share of a GPU. A flow without splits is another one than with them. What such jobs took that ended
well gives the time of a step, and that of all the rest (data, evaluation, maps) for each image of
the data set. Of both the median counts, and the 10 % and 90 % quantiles give a range. They are
summed as if all of the work went as fast or as slow as these, since what slows down one task mostly
slows down those beside it. Hours lost to failures are not included.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import sqlalchemy as sa

from lcma.db import PlannedJob, Store
from lcma.db.schema import attempts, data_sets, environments, jobs, pretrainings, trials
from lcma.harness.launch.plan import Plan
from lcma.harness.results.lookup import parse_object
from lcma.sweeps.expansion import Pretraining, Trial
from lcma.sweeps.identity import canonical_json

QUANTILES = (10.0, 50.0, 90.0)
"""Quantiles over attempts, in percent: lower end of the range, expected value, upper end."""

What = Literal["pretraining", "training"]


@dataclass(frozen=True)
class Hours:
    """An amount of device hours, expected and as a range."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True)
class PredictedPart:
    """The jobs of a plan that have one shape and data set, with their steps in all.

    So many ``attempts`` of the database ``source``, on these ``devices``, give the ``hours``; there
    are none where no job of this shape is known.
    """

    what: What
    flow: str
    dataset: str
    jobs: int
    steps: int
    attempts: int = 0
    source: str | None = None
    devices: tuple[str, ...] = ()
    hours: Hours | None = None


@dataclass(frozen=True)
class Prediction:
    """The predicted hours of what is left of a plan, in parts.

    ``share`` is that of a GPU which a task holds, 0 on CPUs.
    """

    parts: tuple[PredictedPart, ...]
    share: float = 0.0

    @property
    def unknown(self) -> tuple[PredictedPart, ...]:
        """The parts whose shape is not known."""
        return tuple(part for part in self.parts if part.hours is None)

    @property
    def hours(self) -> Hours | None:
        """The sum over all parts that are known; None if none is."""
        known = [part.hours for part in self.parts if part.hours is not None]
        if not known:
            return None
        return Hours(
            expected=sum(one.expected for one in known),
            low=sum(one.low for one in known),
            high=sum(one.high for one in known),
        )


_Shape = tuple[str, str]
"""The parts of the recipe that `_describe_recipe` gives, and the form of the flow.

It is 'split' or 'none' of a training, that of a pretraining, and '' for any, which is taken where
there is no job of the same form.
"""


@dataclass(frozen=True)
class _Timed:
    """Device seconds of an attempt: of a step, and of all the rest, on so many images."""

    step: float | None
    rest: float
    images: int
    device: str


def predict_hours(plan: Plan, histories: Mapping[str, Store], gpus: float) -> Prediction:
    """Predict the device hours that are left of a plan.

    Args:
        plan: The plan.
        histories: Databases with earlier jobs, by name. Of each shape the first counts that has it.
        gpus: GPUs that each task gets, 0 on CPUs.
    """
    groups: dict[tuple[What, _Shape, str, str], list[int]] = defaultdict(list)
    recipes: dict[int, str] = {}  # jobs share their recipes, and writing one out is expensive
    for subject, form, steps in _list_left(plan):
        recipe = subject.recipe
        if id(recipe) not in recipes:
            recipes[id(recipe)] = _describe_recipe(recipe.body)
        what: What = "training" if isinstance(subject, Trial) else "pretraining"
        shape = recipes[id(recipe)], form
        groups[what, shape, recipe.model.flow, subject.set_name].append(steps)
    flows = {flow for *_, flow, _ in groups}
    timed = {
        name: _read_history(store, flows, set(recipes.values()), gpus)
        for name, store in histories.items()
    }
    parts = []
    for (what, shape, flow, dataset), left in groups.items():
        part = PredictedPart(what, flow, dataset, len(left), sum(left))
        shapes, images = (shape, (shape[0], "")), plan.images.get(dataset)
        known = ((name, of[one]) for one in shapes for name, of in timed.items() if one in of)
        if (first := next(known, None)) is not None:
            part = _predict_part(part, *first, images)
        parts.append(part)
    return Prediction(tuple(parts), gpus)


def _predict_part(
    part: PredictedPart, source: str, attempts: Sequence[_Timed], images: int | None
) -> PredictedPart:
    # Images that are not prepared, None, count as those of the attempts.
    steps = [one.step for one in attempts if one.step is not None]
    rests = [one.rest * (images or one.images) / one.images for one in attempts]
    step, rest = np.percentile(steps, QUANTILES), np.percentile(rests, QUANTILES)
    low, expected, high = ((part.steps * step + part.jobs * rest) / 3600).tolist()
    hours, devices = Hours(expected, low, high), tuple(sorted({one.device for one in attempts}))
    return replace(part, attempts=len(attempts), source=source, devices=devices, hours=hours)


def _describe_recipe(body: str) -> str:
    """Return the parts of a recipe, given as JSON, that the time of a step depends on."""
    content = parse_object(body)
    given = content.get("optimization")
    kept = ("batch", "threads", "stacked", "autocast", "compile")
    optimization = {name: given.get(name) for name in kept} if isinstance(given, dict) else None
    return canonical_json({"model": content.get("model"), "optimization": optimization})


def _list_left(plan: Plan) -> Iterator[tuple[Trial | Pretraining, str, int]]:
    """Yield the jobs that a launch would do or wait for, each with its form and the steps left."""
    for trial in (c.cell.trial for c in plan.cells if c.status in ("new", "running")):
        if trial is not None:
            steps, digest = trial.recipe.training.steps, plan.digests.get(trial.set_name, "")
            job = plan.jobs.get(PlannedJob.of_trial(trial.id, digest, steps=steps).id)
            form = "none" if trial.factorization == "none" else "split"
            yield trial, form, steps - (job.step if job else 0)
    for planned in plan.pretrainings:
        pretraining, before = planned.pretraining, 0
        digest = plan.digests.get(pretraining.set_name, "")
        for budget in planned.budgets if pretraining.form != "data" else ():
            job = plan.jobs.get(PlannedJob.of_pretraining(pretraining.id, digest, budget=budget).id)
            if budget in planned.left:
                done = max(before, job.step if job else 0)
                yield pretraining, pretraining.form, budget - done
            before = budget


def _read_history(
    store: Store, flows: Collection[str], recipes: Collection[str], gpus: float
) -> Mapping[_Shape, list[_Timed]]:
    """Read what jobs with these parts of recipes took, on as many GPUs."""
    bodies = {one.id: one.body for one in store.recipes(flows=flows).values()}
    alike = {key: one for key, body in bodies.items() if (one := _describe_recipe(body)) in recipes}
    batches = {key: json.loads(bodies[key])["optimization"]["batch"] for key in alike}
    found: dict[_Shape, list[_Timed]] = defaultdict(list)
    for job in _read_durations(store, alike):
        share = round((job.gpu_seconds or 0.0) / (job.seconds or 1.0), 3)
        if share != round(gpus, 3):
            continue
        held = share or 1.0
        trained, step = 0.0, None
        steps = job.last_step - job.first_step
        if job.images_per_second and steps > 0:
            trained = min(job.seconds, steps * batches[job.recipe_id] / job.images_per_second)
            step = held * trained / steps
        attempt = _Timed(step, held * (job.seconds - trained), job.images, job.device)
        for key in (job.form, ""):
            found[alike[job.recipe_id], key].append(attempt)
    return {k: some for k, some in found.items() if any(one.step is not None for one in some)}


def _read_durations(store: Store, recipe_ids: Collection[str]) -> list[Any]:
    """Read the attempts by which jobs of these recipes were done, and on which device."""
    split = sa.case((trials.c.factorization == "none", "none"), else_="split")
    # Of a segment the last attempt: with the job's state as a condition, SQLite would go
    # through all that are done.
    rows: list[Any] = []
    for subjects, form, subject_id, attempt_id in (
        (trials, split, jobs.c.trial_id, jobs.c.done_attempt_id),
        (pretrainings, pretrainings.c.nms, jobs.c.pretraining_id, jobs.c.attempt_id),
    ):
        query = (
            sa.select(
                *(subjects.c.recipe_id, form.label("form"), environments.c.device),
                (data_sets.c.train + data_sets.c.holdout + data_sets.c.test).label("images"),
                *(attempts.c[name] for name in ("first_step", "last_step", "seconds")),
                *(attempts.c[name] for name in ("gpu_seconds", "images_per_second")),
            )
            .join_from(subjects, jobs, subject_id == subjects.c.id)
            .join(attempts, attempts.c.id == attempt_id)
            .join(environments, environments.c.id == attempts.c.environment_id)
            .join(data_sets, data_sets.c.digest == jobs.c.data_digest)
            .where(attempts.c.outcome == "done", attempts.c.protocol.is_(None))
        )
        rows += store.rows(query, subjects.c.recipe_id, recipe_ids)
    return rows
