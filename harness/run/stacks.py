"""Stacks: which jobs can be trained as one, and how ready ones are dealt over free slots."""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from lcma.db import PlannedJob
from lcma.sweeps.expansion import Pretraining, Trial
from lcma.sweeps.recipe import Recipe

Shape = tuple[Hashable, ...]
"""What the members of a stack have in common."""

MOST = 12
"""Most members of a stack, on CPUs and on GPUs."""


class Member(NamedTuple):
    """A job that can be in a stack of its shape: the step that it stands at, and how many members
    such a stack may have."""

    shape: Hashable
    step: int = 0
    most: int = MOST


def find_shapes(jobs: Iterable[tuple[PlannedJob, Trial | Pretraining]]) -> dict[str, Shape]:
    """Return the shapes of those jobs that are trained in stacks, by their ids.

    Pretrainings of one shape differ in the seed, trials in the seed, the factorization and the
    options of its maps; but `none` has another shape than factorizations with splits.
    """
    # Jobs share their recipes, and hashing one is expensive.
    known: dict[tuple[type, int], tuple[Recipe, str]] = {}
    found: dict[str, Shape] = {}
    for job, subject in jobs:
        recipe = subject.recipe
        if not recipe.optimization.stacked:
            continue
        key = type(subject), id(recipe)
        if key not in known:
            trial = isinstance(subject, Trial)
            known[key] = recipe, recipe.id if trial else recipe.pretraining_part_id
        form = subject.factorization == "none" if isinstance(subject, Trial) else subject.nms
        images = subject.set_name, job.data_digest
        found[job.id] = job.kind, known[key][1], form, *images, job.budget
    return found


def deal(members: Sequence[Member], slots: int) -> list[list[int]]:
    """Deal members, most valuable first, over free slots as evenly as their shapes allow.

    Those that stand at one step come together where that leaves the stacks even.

    Args:
        members: The members.
        slots: How many stacks can start.

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
        size = min(most, math.ceil(len(members) / slots))
        count = math.ceil(len(positions) / size)
        positions.sort(key=lambda position: -members[position].step)
        bounds = [len(positions) * part // count for part in range(count + 1)]
        stacks += [sorted(positions[first:last]) for first, last in pairwise(bounds)]
    return sorted(stacks)[:slots]


def count_stacks(members: int, slots: int) -> int:
    """Return in how many stacks members of one shape run that are ready at once."""
    return max(math.ceil(members / MOST), min(members, slots))
