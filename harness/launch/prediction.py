"""Prediction of the device hours of a plan, from how long jobs of the same shape took before.

*Device hours* are the hours for which tasks hold their device: wall-clock time, times the share of
a GPU if they hold one.

Jobs are *of the same shape* if they train the same model (flow, image size, architecture, with or
without splits) in batches of the same size, with the same precision, threads and stacking, on CPUs
or on the same share of a GPU. The attempts by which such jobs were done give the time of a step,
and those of them whose data set is nearest in size give the time of all the rest (data, evaluation,
maps) for each of its images. The median of each is the expected value, and the 10 % and 90 %
quantiles give a range. The ends of the range are summed, since a cause that slows down one task
mostly slows down those beside it. Hours lost to failures are not included. A data set that is not
prepared counts as large as it is published.
"""

import json
import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import sqlalchemy as sa

from lcma.db import PlannedJob, Store
from lcma.db.schema import attempts, data_sets, environments, jobs, pretrainings, trials
from lcma.harness.launch.plan import Plan, count_slots
from lcma.harness.results.lookup import parse_object
from lcma.sweeps import known_sets
from lcma.sweeps.expansion import Pretraining, Trial
from lcma.sweeps.identity import canonical_json
from lcma.sweeps.spec import Resources

QUANTILES = (10.0, 50.0, 90.0)
"""Quantiles over attempts, in percent: lower end of the range, expected value, upper end."""

What = Literal["pretraining", "training"]


@dataclass(frozen=True)
class Hours:
    """A number of device hours, with a range."""

    expected: float
    low: float
    high: float


@dataclass(frozen=True)
class PredictedPart:
    """The jobs of a plan with the same shape and data set."""

    what: What
    flow: str
    dataset: str
    jobs: int
    steps: int  # of all these jobs
    attempts: int = 0  # from which the hours are predicted
    source: str | None = None  # database that has the attempts
    devices: tuple[str, ...] = ()  # on which they ran
    hours: Hours | None = None  # None if no attempt of this shape is known


@dataclass(frozen=True)
class Prediction:
    """The predicted hours of what is left of a plan."""

    parts: tuple[PredictedPart, ...]
    share: float = 0.0  # of a GPU that a task holds, 0 on CPUs
    slots: int | None = None  # jobs at once on this machine's CPUs; None if others run them

    @property
    def unknown(self) -> tuple[PredictedPart, ...]:
        """The parts without a prediction."""
        return tuple(part for part in self.parts if part.hours is None)

    @property
    def hours(self) -> Hours | None:
        """The sum over all parts with a prediction; None if no part has one."""
        known = [part.hours for part in self.parts if part.hours is not None]
        if not known:
            return None
        return Hours(
            expected=sum(hours.expected for hours in known),
            low=sum(hours.low for hours in known),
            high=sum(hours.high for hours in known),
        )


_Shape = tuple[str, str]
"""What `_describe_recipe` gives of a recipe, and the form of the flow: 'split' or 'none' for a
training, the form of a pretraining, or '' for any, which counts if no job has the same form."""


@dataclass(frozen=True)
class _TimedAttempt:
    """The device seconds of an attempt."""

    step: float | None  # seconds of a step
    rest: float  # seconds of all but the steps
    images: int  # of its data set
    device: str


def predict_hours(
    plan: Plan, histories: Mapping[str, Store], resources: Resources, *, remote: bool = False
) -> Prediction:
    """Predict the device hours that are left of a plan.

    Args:
        plan: The plan.
        histories: Databases with earlier jobs, by name. The first that has a shape counts.
        resources: What each job gets, with a number of GPUs.
        remote: Other machines run the jobs.
    """
    gpus = resources.gpus or 0.0
    groups: dict[tuple[What, _Shape, str, str], list[int]] = defaultdict(list)
    recipes: dict[int, str] = {}  # jobs share recipe objects, and describing one is expensive
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
        if images is None and dataset in known_sets.known():  # not prepared here
            images = known_sets.known()[dataset].images
        known = (
            (name, attempts[key])
            for key in shapes
            for name, attempts in timed.items()
            if key in attempts
        )
        if (first := next(known, None)) is not None:
            part = _predict_part(part, *first, images)
        parts.append(part)
    slots = None
    if not (gpus or remote) and plan.expansion.trials:
        slots = count_slots(resources, plan.threads)
        slots = min(slots, resources.parallel or slots)
    return Prediction(tuple(parts), gpus, slots)


def _predict_part(
    part: PredictedPart, source: str, attempts: Sequence[_TimedAttempt], images: int | None
) -> PredictedPart:
    # A data set of unknown size (None) counts as large as that of each attempt.
    steps = [attempt.step for attempt in attempts if attempt.step is not None]
    scales = [(images or attempt.images) / attempt.images for attempt in attempts]
    nearest = min(abs(math.log(scale)) for scale in scales)
    rests = [
        attempt.rest * scale
        for attempt, scale in zip(attempts, scales, strict=True)
        if abs(math.log(scale)) == nearest
    ]
    step, rest = np.percentile(steps, QUANTILES), np.percentile(rests, QUANTILES)
    low, expected, high = ((part.steps * step + part.jobs * rest) / 3600).tolist()
    devices = tuple(sorted({attempt.device for attempt in attempts}))
    hours = Hours(expected, low, high)
    return replace(part, attempts=len(attempts), source=source, devices=devices, hours=hours)


def _describe_recipe(body: str) -> str:
    """Return the parts of a recipe (JSON) on which the time of a step depends."""
    content = parse_object(body)
    section = content.get("optimization")
    names = ("batch", "threads", "stacked", "autocast", "compile")
    optimization = {k: section.get(k) for k in names} if isinstance(section, dict) else None
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
) -> Mapping[_Shape, list[_TimedAttempt]]:
    """Read the times of jobs with these recipes (`_describe_recipe`) on this share of a GPU."""
    bodies = {recipe.id: recipe.body for recipe in store.recipes(flows=flows).values()}
    described = {recipe_id: _describe_recipe(body) for recipe_id, body in bodies.items()}
    alike = {recipe_id: recipe for recipe_id, recipe in described.items() if recipe in recipes}
    batches = {key: json.loads(bodies[key])["optimization"]["batch"] for key in alike}
    timed: dict[_Shape, list[_TimedAttempt]] = defaultdict(list)
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
        attempt = _TimedAttempt(step, held * (job.seconds - trained), job.images, job.device)
        for form in (job.form, ""):
            timed[alike[job.recipe_id], form].append(attempt)
    return {
        shape: attempts
        for shape, attempts in timed.items()
        if any(attempt.step is not None for attempt in attempts)
    }


def _read_durations(store: Store, recipe_ids: Collection[str]) -> list[Any]:
    """Read the attempts by which jobs of these recipes were done, with their devices."""
    split = sa.case((trials.c.factorization == "none", "none"), else_="split")
    # For a segment this is its last attempt. SQLite would read all done jobs if their state were
    # a condition.
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
