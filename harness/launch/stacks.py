"""Stacks: which jobs can be trained as one, and how ready ones are dealt over free slots."""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from lcma.db import PlannedJob
from lcma.sweeps.expansion import Pretraining, Trial
from lcma.sweeps.recipe import STACK_LEAST

MOST = 12
"""Most members of a stack, on CPUs and on GPUs."""


class Candidate(NamedTuple):
    """A job that can be in a stack of its shape: the step that it stands at, and how many members
    such a stack may have."""

    shape: Hashable
    step: int = 0
    most: int = MOST


def find_shapes(jobs: Iterable[tuple[PlannedJob, Trial | Pretraining]]) -> dict[str, Hashable]:
    """Return the shapes of those jobs that are trained in stacks, by their ids: all that the
    members of a stack have in common.

    Pretrainings of one shape differ in the seed, trials in the seed, the factorization and the
    options of its maps.
    """
    # Jobs share their recipes, and hashing one is expensive.
    known: dict[tuple[type, int], str] = {}
    found: dict[str, Hashable] = {}
    for job, subject in jobs:
        recipe, key = subject.recipe, (type(subject), id(subject.recipe))
        if isinstance(subject, Trial):
            form = "none" if subject.factorization == "none" else "split"
        else:
            form = subject.form
        if form == "data" or not recipe.optimization.stacked:
            continue
        if key not in known:  # a pretraining has what concerns it of the recipe
            is_trial = isinstance(subject, Trial)
            known[key] = recipe.id if is_trial else recipe.pretraining_part_id
        shape = job.kind, recipe.model.flow, subject.set_name, known[key], form
        found[job.id] = *shape, job.budget, job.data_digest
    return found


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
