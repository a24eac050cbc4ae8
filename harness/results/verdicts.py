"""Verdicts on claims, by one rule that holds however often one looks (docs/verdicts.md).

A claim is judged at fixed looks, the largest number of seeds that all its rows have, and by the
interval of a look, at a level that makes 5 % of all looks together.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from lcma.db import Store, TrialEffort
from lcma.harness.results.board import (
    BITS,
    ENOUGH,
    Board,
    BoardRow,
    Group,
    find_ranked_measure,
    read_board,
)
from lcma.harness.results.claims import (
    CLAIMS,
    LOOKS,
    OF_BITS_PER_DIM,
    SeededContrast,
    Sources,
    TestedClaim,
    make_claims,
    name_group,
)
from lcma.harness.results.lookup import parse_object
from lcma.harness.results.statistics import (
    LEVEL,
    PairedTest,
    adjust_holm,
    find_side,
    half_width,
    paired_test,
    seeds_needed,
)
from lcma.harness.text import format_count
from lcma.sweeps import factorizations
from lcma.sweeps.measures import (
    BITS_PER_DIM,
    CPU_SECONDS_PER_STEP,
    HOLDOUT,
    TIMES,
    MeasureKind,
)

LOOK_LEVEL = 0.0152
"""Two-sided level of each look: four looks together have 5 % (`tests/harness/results`)."""

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
    "supported", "opposite", "smaller than printed", "undecided", "equal", "not equal"
]

DECISIONS: tuple[Decision, ...] = (
    "supported",
    "equal",
    "smaller than printed",
    "opposite",
    "not equal",
    "undecided",
)
"""Every decision, in the order in which they are counted."""


@dataclass(frozen=True)
class Seen:
    """A comparison as its last look shows it.

    ``test`` has the interval of the look's level; None without seeds. ``below`` and ``above`` are
    repeated p: how likely any look so far shows as little as the least p seen without an effect, of
    differences below the limit, and of those above it.
    """

    comparison: SeededContrast
    test: PairedTest | None
    below: float
    above: float

    @property
    def n(self) -> int:
        """Number of seeds that count."""
        return 0 if self.test is None else self.test.n

    @property
    def upper_end(self) -> float:
        """Upper end of the interval less the limit, infinity where there is none."""
        limit = self.comparison.limit
        return math.inf if self.test is None or self.test.high is None else self.test.high - limit

    def is_above(self, level: float) -> bool:
        """Return whether the interval of another level is wholly above the limit."""
        test = self.test
        if test is None or test.deviation is None:
            return False
        half = half_width(test.deviation, test.n, level)
        return test.mean - half > self.comparison.limit

    @property
    def flips_agree(self) -> bool:
        """Whether the sign-flip test shows it too, where it can: from the second look on."""
        if self.n < LOOKS[1]:
            return True
        p = None if self.test is None else self.test.sign_flip_p
        return p is not None and p <= LOOK_LEVEL


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
    least = {True: 1.0, False: 1.0}
    for n in looks:
        side, p = find_side(values[:n], limit)
        least[side] = min(least[side], p)
    return Seen(
        comparison,
        paired_test(values, LOOK_LEVEL, limit),
        below=repeat_p(least[True], len(looks)),
        above=repeat_p(least[False], len(looks)),
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
    """What would decide a claim: the next look that could, its trainings and their core-hours."""

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
    def test(self) -> PairedTest | None:
        """Its test."""
        return self.seen.test

    @property
    def n(self) -> int:
        """Number of seeds that count."""
        return self.seen.n

    @property
    def on_published(self) -> bool:
        """True if this is a verdict on the published numbers."""
        groups = [cells.group for cells in self.claim.members]
        whole = all(group.published_recipe and group.whole for group in groups)
        return self.claim.cleared is True and whole


@dataclass(frozen=True)
class Verdicts:
    """All verdicts of a database by one measure, ``kind``.

    ``verdicts`` are of models that clear the bars, ``apart`` of those that do not, or where no bars
    are known, as for any measure but bits/dim. ``unmeasured`` are keys of claims without any
    results, ``not_judged`` of those that are none by this measure.
    """

    board: Board
    verdicts: tuple[Verdict, ...]
    apart: tuple[Verdict, ...]
    unmeasured: tuple[str, ...]
    not_judged: tuple[str, ...] = ()
    kind: MeasureKind = BITS

    @cached_property
    def all(self) -> tuple[Verdict, ...]:
        """All of them."""
        return (*self.verdicts, *self.apart)


RowKey = tuple[str, str, str, int | None, str | None]
"""Recipe, data digest, factorization, budget and options of the map of a row."""

Efforts = Mapping[RowKey, Mapping[int, TrialEffort]]
"""When the trainings behind a row began and what they took, by seed."""


def read_verdicts(
    store: Store, *, measure: str = BITS_PER_DIM, sweep_id: str | None = None, **where: Any
) -> Verdicts:
    """Return the verdicts on the results in a database, of one sweep or of all.

    Args:
        store: The database.
        measure: What claims of order are judged by.
        sweep_id: Only this sweep's trials.
        where: Columns of `trial_results`, as for `board.read_board`.

    Raises:
        UserError: As for `board.read_board`.
    """
    kind = find_ranked_measure(store, measure)
    board = read_board(store, measure=measure, sweep_id=sweep_id, **where)
    known = store.measure_kinds()
    holdout = (
        read_board(store, measure=HOLDOUT, sweep_id=sweep_id, **where).groups
        if HOLDOUT in known
        else ()
    )
    sources = Sources(board, {name_group(group): group for group in holdout})
    if measure == BITS_PER_DIM:
        # On CPUs the clock also counts what else the machine does.
        timed = [
            group
            for name in sorted(TIMES & known.keys())
            for group in read_board(store, measure=name, sweep_id=sweep_id, **where).groups
            if group.on_gpus or name == CPU_SECONDS_PER_STEP
        ]
        sources = replace(
            sources, timed=_drop_stacked(timed, store), shares=_read_pattern_shares(store)
        )
    efforts: dict[RowKey, dict[int, TrialEffort]] = {}
    for one in store.trial_efforts(sorted({group.recipe_id for group in board.groups})):
        key = (one.recipe_id, one.data_digest, one.factorization, one.budget, one.map_options)
        efforts.setdefault(key, {})[one.seed] = one
    return make_verdicts(sources, kind=kind, efforts=efforts)


def _drop_stacked(timed: Sequence[Group], store: Store) -> list[Group]:
    """Drop recipes that train in stacks: members share one time, so their seeds are no repeats."""
    bodies = store.recipe_bodies(sorted({group.recipe_id for group in timed}))
    stacked = {i for i, body in bodies.items() if _is_stacked(parse_object(body))}
    return [group for group in timed if group.recipe_id not in stacked]


def _is_stacked(recipe: Mapping[str, Any]) -> bool:
    optimization = recipe.get("optimization")
    return isinstance(optimization, dict) and bool(optimization.get("stacked"))


def _read_pattern_shares(store: Store) -> dict[tuple[str, str, int | None], dict[int, float]]:
    found: dict[tuple[str, str, int | None], dict[int, float]] = {}
    for row in store.view("table_statistics", split=1).to_dict("records"):
        word, share = str(row["factorization"]), row["mask_share"]
        if not factorizations.is_word(word) or set(word) != {"L"} or share != share:
            continue
        if row["map_options"] is not None and row["map_options"] == row["map_options"]:
            continue
        key = (str(row["recipe_id"]), str(row["data_digest"]), int(row["budget"]))
        found.setdefault(key, {})[int(row["seed"])] = float(share)
    return found


def make_verdicts(
    sources: Sources, *, kind: MeasureKind = BITS, efforts: Efforts | None = None
) -> Verdicts:
    """Return the verdicts on a board and what else bears on claims.

    ``kind`` is the measure, ``efforts`` the trainings behind the rows.
    """
    by_bits = kind.name == BITS_PER_DIM
    claims = make_claims(sources)
    found = decide_claims(claims, efforts or {})
    there = {one.key for one in claims}
    return Verdicts(
        board=sources.board,
        verdicts=tuple(one for one in found if one.claim.cleared),
        apart=tuple(one for one in found if not one.claim.cleared),
        unmeasured=tuple(
            key for key in CLAIMS if key not in there and (by_bits or key not in OF_BITS_PER_DIM)
        ),
        not_judged=() if by_bits else tuple(OF_BITS_PER_DIM),
        kind=kind,
    )


# The rule


def decide_claims(claims: Sequence[TestedClaim], efforts: Efforts) -> tuple[Verdict, ...]:
    """Return the verdicts, in the order of the claims."""
    seen = [
        [look_at(one, min(c.look for c in claim.comparisons)) for one in claim.comparisons]
        for claim in claims
    ]
    below = [max(one.below for one in some) for some in seen]
    above = [min(1.0, len(some) * min(one.above for one in some)) for some in seen]
    families: dict[str, list[int]] = {}
    for index, claim in enumerate(claims):
        families.setdefault(claim.family or f"alone {index}", []).append(index)
    found: dict[int, Verdict] = {}
    for members in families.values():
        corrected = (adjust_holm([p[index] for index in members]) for p in (below, above))
        for index, holm_below, holm_above in zip(members, *corrected, strict=True):
            claim, some = claims[index], seen[index]
            decision, why, shown = _decide(claim, some, holm_below, holm_above, len(members))
            against = decision in ("opposite", "not equal")
            found[index] = Verdict(
                claim,
                decision,
                why,
                shown,
                p=above[index] if against else below[index],
                holm_p=holm_above if against else holm_below,
                family_size=len(members),
                confirmatory=_is_confirmatory(claim, some, efforts),
                next=_find_next(claim, shown, efforts) if decision == "undecided" else None,
            )
    return tuple(found[index] for index in range(len(claims)))


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
    low = math.inf if worst.test is None or worst.test.low is None else worst.test.low
    if low <= worst.comparison.limit:
        if claim.printed is not None and low > claim.printed:
            return "smaller than printed", f"the interval excludes {claim.printed:+.2f}", worst
        return "undecided", "the interval contains it", worst
    return "undecided", f"Holm's correction over {size} claims leaves it open", worst


def _keys(claim: TestedClaim) -> Iterator[tuple[RowKey, BoardRow]]:
    """Yield the rows of a claim with their keys."""
    for cells in claim.members:
        group = cells.group
        for row in claim.rows:
            if any(row is one for one in group.rows):
                yield (
                    (
                        group.recipe_id,
                        group.data_digest,
                        row.factorization,
                        row.budget,
                        row.map_options,
                    ),
                    row,
                )


def _is_confirmatory(claim: TestedClaim, seen: Sequence[Seen], efforts: Efforts) -> bool:
    seeds = {
        seed for one in seen for seed in range(one.comparison.first, one.comparison.first + one.n)
    }
    starts = [
        effort.started
        for key, _ in _keys(claim)
        for seed, effort in efforts.get(key, {}).items()
        if seed in seeds
    ]
    return bool(starts) and min(starts) > claim.written


def _find_next(claim: TestedClaim, seen: Seen, efforts: Efforts) -> NextLook | None:
    """Return the next look that could decide; None where it is out of reach."""
    look, first = min(one.look for one in claim.comparisons), seen.comparison.first
    needed = look + 1
    if look and claim.behind is None and (test := seen.test) is not None and test.deviation:
        effect = test.mean - seen.comparison.limit
        found = seeds_needed(effect, test.deviation, LOOK_LEVEL) if effect else None
        if found is None:
            return None
        needed = max(found, needed)
    most = claim.part.seeds if claim.part is not None else LOOKS[-1]
    following = next((n for n in LOOKS if needed <= n <= most), None)
    if following is None:
        return None
    seconds: list[float] = []
    trainings = 0
    for key, row in _keys(claim):
        trainings += sum(
            seed not in row.by_seed and seed not in row.diverged_seeds
            for seed in range(first, first + following)
        )
        seconds += [one.cpu_seconds for one in efforts.get(key, {}).values() if one.cpu_seconds]
    hours = trainings * sum(seconds) / len(seconds) / 3600 if seconds else None
    if hours is not None and hours > MOST_HOURS:
        return None
    return NextLook(following, first, trainings, hours)


def describe_reach(verdict: Verdict) -> str:
    """Return what would decide an undecided claim: a look, its trainings and hours, or nothing."""
    if verdict.next is None:
        return (
            f"out of reach: more than {LOOKS[-1]} seeds at this spread, or than "
            f"{MOST_HOURS:.0f} core-hours"
        )
    found = verdict.next
    if not found.trainings:
        return f"{found.seeds} seeds, which are there but lack the measure: `lcma rerun` takes it"
    text = f"{found.seeds} seeds: {format_count(found.trainings, 'training')} more"
    return text if found.hours is None else f"{text}, about {found.hours:.1f} core-hours"
