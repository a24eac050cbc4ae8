"""Verdicts on claims, by one rule that holds however often one looks (docs/verdicts.md).

A claim is judged at fixed looks, the largest number of seeds that all its rows have, and by the
interval of a look, at a level that makes 5 % of all looks together.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import Any, Literal, get_args

import numpy as np
import sqlalchemy as sa

from lcma.db import Store
from lcma.db.schema import attempts, jobs, trials
from lcma.db.views import costs
from lcma.harness.results.board import (
    BITS,
    ENOUGH,
    Board,
    BoardRow,
    Group,
    find_ranked_measure,
    read_board,
    read_holdout,
)
from lcma.harness.results.claims import (
    CLAIMS,
    LOOKS,
    PLANNED,
    WRITTEN,
    SeededContrast,
    TestedClaim,
    make_claims,
)
from lcma.harness.results.statistics import (
    LEVEL,
    Summary,
    adjust_holm,
    compute_sign_flip_p,
    compute_t_p,
    half_width,
    seeds_needed,
    summarize,
)
from lcma.sweeps.measures import BITS_PER_DIM, MeasureKind

LOOK_LEVEL = 0.0152
"""Two-sided level of each look: four looks together have 5 % (docs/verdicts.md)."""

REPEATED: Mapping[float, tuple[float, ...]] = {
    0.0001: (2.000, 2.975, 3.903),
    0.0003: (1.985, 2.935, 3.848),
    0.001: (1.954, 2.856, 3.729),
    0.003: (1.915, 2.769, 3.590),
    0.01: (1.853, 2.637, 3.379),
    0.0152: (1.824, 2.575, 3.285),
    0.02: (1.802, 2.530, 3.217),
    0.03: (1.768, 2.459, 3.107),
    0.05: (1.721, 2.360, 2.952),
    0.1: (1.645, 2.200, 2.701),
    0.2: (1.551, 2.001, 2.386),
    0.3: (1.486, 1.858, 2.152),
    0.5: (1.378, 1.610, 1.755),
    0.7: (1.256, 1.359, 1.400),
    0.9: (1.095, 1.109, 1.111),
    1.0: (1.0, 1.0, 1.0),
}
"""How much likelier it is without an effect that some of 2, 3 or 4 looks shows a p than one look
does, by that p: of 40 million simulated campaigns of normal differences (standard errors
of some 1 % at the first, below 0.3 % from 0.003 on)."""

MOST_HOURS = 100.0
"""Core-hours above which what would decide a claim is out of reach."""

Decision = Literal[
    "supported", "equal", "smaller than printed", "opposite", "not equal", "undecided"
]

DECISIONS: tuple[Decision, ...] = get_args(Decision)
"""Every decision, in the order in which they are counted."""


@dataclass(frozen=True)
class Seen:
    """A comparison as its last look shows it.

    ``test`` has the interval of the look's level. ``below`` and ``above`` are repeated p: how
    likely any look so far shows as little as the least p seen without an effect, of differences
    below the limit, and of those above it. ``values`` are the differences that count.
    """

    comparison: SeededContrast
    test: Summary
    below: float
    above: float
    values: tuple[float, ...] = field(repr=False)

    @cached_property
    def sign_flip_p(self) -> float | None:
        """That of the permutation of signs, None for one seed."""
        return compute_sign_flip_p(self.values, self.comparison.limit) if self.test.n > 1 else None

    @property
    def upper_end(self) -> float:
        """Upper end of the interval minus the limit, infinity where there is none."""
        return math.inf if self.test.high is None else self.test.high - self.comparison.limit

    def is_above(self, level: float) -> bool:
        """Return whether the interval of another level is wholly above the limit."""
        mean, n, deviation = self.test.mean, self.test.n, self.test.deviation
        if deviation is None:
            return False
        return mean - half_width(deviation, n, level) > self.comparison.limit

    @property
    def flips_agree(self) -> bool:
        """Whether the sign-flip test shows it too, where it can: from the second look on."""
        p = self.sign_flip_p
        return self.test.n < LOOKS[1] or (p is not None and p <= LOOK_LEVEL)


def look_at(comparison: SeededContrast, look: int | None = None) -> Seen:
    """Return what a look at a comparison shows; before the first, what all seeds show.

    It is the last that the comparison has, or an earlier one, such as the last of all that a claim
    consists of.
    """
    first, limit, by_seed = comparison.first, comparison.limit, comparison.by_seed
    last = comparison.look if look is None else look
    looks = [n for n in LOOKS if n <= last]
    seeds: Sequence[int] = range(first, first + looks[-1]) if looks else list(by_seed)
    values = [by_seed[seed] for seed in seeds]
    below, above = 1.0, 1.0
    for n in looks:
        found = summarize(values[:n])
        p = compute_t_p(found, limit)
        below, above = (min(below, p), above) if found.mean < limit else (below, min(above, p))
    return Seen(
        comparison,
        summarize(values, LOOK_LEVEL),
        below=repeat_p(below, len(looks)),
        above=repeat_p(above, len(looks)),
        values=tuple(values),
    )


def repeat_p(p: float, looks: int) -> float:
    """Return how likely any of so many looks shows as small a p without an effect."""
    if looks < 2 or p >= 1:
        return p
    known = np.log(list(REPEATED))
    factors = [one[looks - 2] for one in REPEATED.values()]
    factor = looks if p < min(REPEATED) else np.interp(math.log(p), known, factors)
    return min(1.0, float(p * factor))


@dataclass(frozen=True)
class NextLook:
    """What would decide a claim: the next look that could, its trainings and their core-hours.

    The hours are with the pretrainings that the trainings need.
    """

    seeds: int
    first: int
    trainings: int
    hours: float | None


@dataclass(frozen=True)
class Verdict:
    """A claim's verdict, with the comparison that decided it, or that is nearest to spoiling it.

    ``p`` is the repeated p in the claim's favour, or against it where the decision is, and
    ``holm_p`` that after Holm's correction over the ``family_size`` claims of its family.
    ``confirmatory`` says whether all attempts behind it began after the claim was written. ``next``
    is what would decide it, None where it is decided or out of reach.
    """

    claim: TestedClaim
    decision: Decision
    why: str
    seen: Seen
    p: float
    holm_p: float
    family_size: int
    confirmatory: bool
    next: NextLook | None = None

    @property
    def comparison(self) -> SeededContrast:
        """The comparison that decided."""
        return self.seen.comparison

    @property
    def test(self) -> Summary:
        """Its test."""
        return self.seen.test

    @property
    def n(self) -> int:
        """Number of seeds that count."""
        return self.seen.test.n

    @property
    def on_published(self) -> bool:
        """True if this is a verdict on the published numbers."""
        groups = [cells.group for cells in self.claim.members]
        whole = all(group.published_recipe and group.whole for group in groups)
        return self.claim.cleared is True and whole


@dataclass(frozen=True)
class Verdicts:
    """All verdicts of a database by one measure, ``kind``."""

    board: Board
    all: tuple[Verdict, ...]
    kind: MeasureKind = BITS

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Those of models that clear the bars."""
        return tuple(one for one in self.all if one.claim.cleared)

    @cached_property
    def apart(self) -> tuple[Verdict, ...]:
        """Those of models that do not, or where no bars are known, as for other measures."""
        return tuple(one for one in self.all if not one.claim.cleared)

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Keys of the claims without any results; one with a margin is of bits/dim alone."""
        there = {one.claim.key for one in self.all}
        by_bits = self.kind.name == BITS_PER_DIM
        claims = (key for key, claim in CLAIMS.items() if by_bits or not claim.limit)
        return tuple(key for key in claims if key not in there)


@dataclass(frozen=True, slots=True)
class TrialEffort:
    """When the first attempt at a trial began, Unix seconds UTC, and the CPU seconds of all.

    The seconds are None where no attempt has a report, and those of the pretraining behind it, up
    to the budget, where there is none.
    """

    recipe_id: str
    data_digest: str
    factorization: str
    budget: int | None
    map_options: str | None
    seed: int
    started: float
    cpu_seconds: float | None
    pretraining_cpu_seconds: float | None = None


def read_verdicts(
    store: Store,
    holdout: Mapping[str, Group] | None = None,
    /,
    *,
    measure: str = BITS_PER_DIM,
    sweep_id: str | None = None,
    **where: Any,
) -> Verdicts:
    """Return the verdicts on the results in a database, of one sweep or of all.

    Args:
        store: The database.
        holdout: What `read_holdout` returns of the same results, where it is known.
        measure: What claims of order are judged by.
        sweep_id: Only this sweep's trials.
        where: Columns of `results`, as for `board.read_board`.

    Raises:
        UserError: As for `board.read_board`.
    """
    kind = find_ranked_measure(store, measure)
    board = read_board(store, measure=measure, sweep_id=sweep_id, **where)
    if holdout is None:
        holdout = read_holdout(store, sweep_id=sweep_id, **where)
    efforts = read_efforts(store, {group.recipe_id for group in board.groups})
    return make_verdicts(board, holdout, kind=kind, efforts=efforts)


def read_efforts(store: Store, recipe_ids: Collection[str]) -> list[TrialEffort]:
    """Read when each trial of some recipes that was attempted began, and what it took."""
    facts = (
        *(trials.c.recipe_id, jobs.c.data_digest, trials.c.factorization, trials.c.budget),
        *(trials.c.map_options, trials.c.seed),
    )
    own = sa.func.min(attempts.c.started), sa.func.sum(attempts.c.cpu_seconds)
    query = (
        sa.select(*facts, *own, costs.c.pretraining_cpu_seconds)
        .join_from(attempts, jobs, jobs.c.id == attempts.c.job_id)
        .join(trials, trials.c.id == jobs.c.trial_id)
        .join(costs, costs.c.job_id == jobs.c.id)
        .group_by(*facts, costs.c.pretraining_cpu_seconds)
    )
    return [TrialEffort(*row) for row in store.rows(query, trials.c.recipe_id, recipe_ids)]


# The rule


def make_verdicts(
    board: Board,
    holdout: Mapping[str, Group] | None = None,
    *,
    kind: MeasureKind = BITS,
    efforts: Iterable[TrialEffort] = (),
) -> Verdicts:
    """Return the verdicts on a board by a measure, in the order of the claims.

    ``holdout`` is what `read_holdout` returns, ``efforts`` the trainings behind the rows.
    """
    spent: _Spent = {}
    for one in efforts:
        key = (one.recipe_id, one.data_digest, one.factorization, one.budget, one.map_options)
        spent.setdefault(key, {})[one.seed] = one
    claims = make_claims(board, holdout or {})
    seen = [[look_at(one, claim.look) for one in claim.comparisons] for claim in claims]
    below = [max(one.below for one in some) for some in seen]
    above = [min(1.0, len(some) * min(one.above for one in some)) for some in seen]
    families: dict[str, list[int]] = {}
    for index, claim in enumerate(claims):
        families.setdefault(claim.family or f"alone {index}", []).append(index)
    found: dict[int, Verdict] = {}
    for members in families.values():
        part = claims[members[0]].part
        # Else the first claims of a plan to be trained would have an easier test than the last.
        untrained = [1.0] * (0 if part is None else part.size - len(members))
        size = len(members) + len(untrained)
        corrected = (
            adjust_holm([*(p[index] for index in members), *untrained]) for p in (below, above)
        )
        for index, holm_below, holm_above in zip(members, *corrected, strict=False):
            claim, some = claims[index], seen[index]
            decision, why, shown = _decide(claim, some, holm_below, holm_above, size)
            against = decision in ("opposite", "not equal")
            found[index] = Verdict(
                claim,
                decision,
                why,
                shown,
                p=above[index] if against else below[index],
                holm_p=holm_above if against else holm_below,
                family_size=size,
                confirmatory=_is_confirmatory(claim, some, spent),
                next=_find_next(claim, shown, spent) if decision == "undecided" else None,
            )
    return Verdicts(board, tuple(found[index] for index in range(len(claims))), kind)


def _decide(
    claim: TestedClaim, seen: Sequence[Seen], below: float, above: float, size: int
) -> tuple[Decision, str, Seen]:
    """Return decision, why, and the comparison that decided; p are after Holm's correction."""
    worst = max(seen, key=lambda one: one.upper_end)
    few = [one for one in seen if one.comparison.look == 0]
    if few:
        why = f"seeds {few[0].comparison.first} to {few[0].comparison.first + ENOUGH - 1} decide"
        return "undecided", f"{why} first", max(few, key=lambda one: one.upper_end)
    if claim.behind is not None:
        why = f"low after {claim.behind} pretraining steps has more seeds"
        return "undecided", why, worst
    if all(one.upper_end < 0 for one in seen):
        if not all(one.flips_agree for one in seen):
            return "undecided", "the sign-flip test does not show it", worst
        if below > LEVEL:
            return "undecided", f"Holm's correction over {size} claims leaves it open", worst
        why = "the whole interval is below it"
        return ("equal" if claim.claim.equal else "supported"), why, worst
    level = LOOK_LEVEL / len(seen)
    reversed_ = [one for one in seen if one.is_above(level) and one.flips_agree]
    if reversed_ and above <= LEVEL:
        why = "the whole interval is above it"
        shown = max(reversed_, key=lambda one: one.upper_end)
        return ("not equal" if claim.claim.equal else "opposite"), why, shown
    low = worst.test.low
    if low is not None and low <= worst.comparison.limit:
        if claim.printed is not None and low > claim.printed:
            return "smaller than printed", f"the interval excludes {claim.printed:+.2f}", worst
        return "undecided", "the interval contains it", worst
    return "undecided", f"Holm's correction over {size} claims leaves it open", worst


_Spent = dict[tuple[str, str, str, int | None, str | None], dict[int, TrialEffort]]


def _find_efforts(spent: _Spent, group: Group, row: BoardRow) -> Mapping[int, TrialEffort]:
    """Return the trainings behind a row by seed."""
    key = (group.recipe_id, group.data_digest, row.factorization, row.budget, row.map_options)
    return spent.get(key, {})


def _is_confirmatory(claim: TestedClaim, seen: Sequence[Seen], spent: _Spent) -> bool:
    seeds = {one.comparison.first + k for one in seen for k in range(one.test.n)}
    starts = [
        effort.started
        for cells, row in claim.rows
        for seed, effort in _find_efforts(spent, cells.group, row).items()
        if seed in seeds
    ]
    return bool(starts) and min(starts) > (WRITTEN if claim.part is None else PLANNED)


def _find_next(claim: TestedClaim, seen: Seen, spent: _Spent) -> NextLook | None:
    """Return the next look that could decide; None where it is out of reach."""
    first, needed = seen.comparison.first, claim.look + 1
    if claim.look and claim.behind is None and seen.test.deviation:
        effect = seen.test.mean - seen.comparison.limit
        found = seeds_needed(effect, seen.test.deviation, LOOK_LEVEL) if effect else None
        if found is None:
            return None
        needed = max(found, needed)
    most = claim.part.seeds if claim.part is not None else LOOKS[-1]
    following = next((n for n in LOOKS if needed <= n <= most), None)
    if following is None:
        return None
    trainings, hours = _count_missing(claim, range(first, first + following), spent)
    if hours is not None and hours > MOST_HOURS:
        return None
    return NextLook(following, first, trainings, hours)


def _count_missing(
    claim: TestedClaim, seeds: Iterable[int], spent: _Spent
) -> tuple[int, float | None]:
    """Return how many trainings lack, and their core-hours with the pretrainings that lack.

    A pretraining is there where any row of its table and budget has the seed.
    """
    # By the budget of a pretraining, None for a training: known seconds, and what lacks.
    seconds: defaultdict[int | None, list[float]] = defaultdict(list)
    lacking: set[tuple[int | None, str, int]] = set()
    for cells, row in claim.rows:
        group, budget, known = cells.group, row.budget, _find_efforts(spent, cells.group, row)
        missing = {*seeds} - {*row.by_seed, *row.diverged_seeds}
        seconds[None] += [one.cpu_seconds for one in known.values() if one.cpu_seconds]
        lacking |= {(None, f"{group.key} {row.factorization} {budget}", seed) for seed in missing}
        if budget is not None:
            there = {seed for one in group.rows if one.budget == budget for seed in one.by_seed}
            before = (one.pretraining_cpu_seconds for one in known.values())
            seconds[budget] += [one for one in before if one is not None]
            lacking |= {(budget, group.key, seed) for seed in missing - there}
    trainings = sum(what is None for what, _, _ in lacking)
    if not seconds[None]:
        return trainings, None
    # A set has no order: an exact sum does not depend on it.
    return trainings, math.fsum(fmean(seconds[what] or [0.0]) for what, _, _ in lacking) / 3600
