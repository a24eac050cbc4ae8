"""Stacks: which jobs can be trained as one, and how ready ones are dealt over free slots."""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

from lcma.db import Kind, PlannedJob
from lcma.harness.launch.plan import Plan
from lcma.sweeps.expansion import Pretraining, Trial
from lcma.sweeps.recipe import STACK_LEAST, Recipe

MOST = 12
"""Most members of a stack, on CPUs and on GPUs."""


class Shape(NamedTuple):
    """Shape of a stack: all that its members have in common.

    ``recipe`` is the id of what concerns them of the recipe, ``form`` that of the flow: 'none' and
    'split' of trials, and of pretrainings that of their flow without splits. ``budget`` is the step
    at which a segment of a pretraining ends.
    """

    kind: Kind
    flow: str
    set_name: str
    recipe: str
    form: str
    budget: int | None
    data_digest: str


class Candidate(NamedTuple):
    """A job that can be in a stack of its shape: the step that it stands at, and how many members
    such a stack may have."""

    shape: Hashable
    step: int = 0
    most: int = MOST


def find_shapes(jobs: Iterable[tuple[PlannedJob, Trial | Pretraining]]) -> dict[str, Shape]:
    """Return the shapes of those jobs that are trained in stacks, by their ids.

    Pretrainings of one shape differ in the seed, trials in the seed, the factorization and the
    options of its maps.
    """
    # Jobs share their recipes, and hashing one is expensive.
    known: dict[tuple[type, int], tuple[Recipe, str]] = {}
    found: dict[str, Shape] = {}
    for job, subject in jobs:
        recipe = subject.recipe
        if not recipe.optimization.stacked or _trains_nothing(subject):
            continue
        key = type(subject), id(recipe)
        if isinstance(subject, Trial):
            form = "none" if subject.factorization == "none" else "split"
            known[key] = known.get(key) or (recipe, recipe.id)
        else:
            form = subject.form
            known[key] = known.get(key) or (recipe, recipe.pretraining_part_id)
        found[job.id] = Shape(
            kind=job.kind,
            flow=recipe.model.flow,
            set_name=subject.set_name,
            recipe=known[key][1],
            form=form,
            budget=job.budget,
            data_digest=job.data_digest,
        )
    return found


def _trains_nothing(subject: Trial | Pretraining) -> bool:
    return isinstance(subject, Pretraining) and subject.form == "data"


def count_left(plan: Plan) -> Counter[Shape]:
    """Count the jobs that a launch of the plan would run in stacks, or wait for, by their shape."""
    return Counter(find_shapes(_find_left(plan)).values())


def _find_left(plan: Plan) -> Iterator[tuple[PlannedJob, Trial | Pretraining]]:
    for planned in plan.pretrainings:
        one = planned.pretraining
        for budget in planned.left:
            digest = plan.digests.get(one.set_name, "")
            yield PlannedJob.of_pretraining(one.id, digest, budget=budget), one
    for trial in (c.cell.trial for c in plan.cells if c.status in ("new", "running")):
        if trial is not None:
            digest, steps = plan.digests.get(trial.set_name, ""), trial.recipe.training.steps
            yield PlannedJob.of_trial(trial.id, digest, steps=steps), trial


def deal(members: Sequence[Candidate], slots: int, *, full: bool = False) -> list[list[int]]:
    """Deal members, most valuable first, over free slots as evenly as their shapes allow.

    Those that stand at one step come together where that leaves the stacks even. Up to
    `STACK_LEAST` are not parted, since each part would be filled up with copies.

    Args:
        members: The members.
        slots: How many stacks can start.
        full: Deal stacks of as many members as they may have, and no smaller ones.

    Returns:
        At most so many stacks, each of one shape, as positions in ``members``, in the order of
        their most valuable members. Members for which no slot is left are in none.
    """
    alike = defaultdict[tuple[Hashable, int], list[int]](list)
    members = members[: MOST * slots]
    for position, member in enumerate(members):
        alike[member.shape, member.most].append(position)
    stacks: list[list[int]] = []
    for (_, most), positions in alike.items():
        size = most if full else min(most, max(STACK_LEAST, math.ceil(len(members) / slots)))
        count = math.ceil(len(positions) / size)
        if full:
            count = len(positions) // size
            del positions[count * size :]
        positions.sort(key=lambda position: -members[position].step)
        bounds = [len(positions) * part // (count or 1) for part in range(count + 1)]
        stacks += [sorted(positions[first:last]) for first, last in pairwise(bounds)]
    return sorted(stacks)[:slots]


def count_stacks(members: int, slots: int) -> int:
    """Return in how many stacks members of one shape run that are ready at once."""
    return max(math.ceil(members / MOST), min(math.ceil(members / STACK_LEAST), slots))
