"""Verdicts on claims, by one rule that holds however often one looks (docs/verdicts.md).

A claim is judged at fixed looks, the largest number of seeds that all its rows have, and by the
interval of a look, at a level that makes 5 % of all looks together.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter
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
    name_unit,
    read_board,
    read_holdout,
)
from lcma.harness.results.claims import (
    BUDGETS,
    CLAIMS,
    LOOKS,
    PLAN,
    PLANNED,
    WRITTEN,
    Cells,
    ClaimRow,
    Part,
    find_printed,
    format_text,
    is_form_of,
    list_budgets,
    order_cells,
    select_cells,
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
from lcma.harness.text import printable
from lcma.sweeps import published
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
class SeededContrast:
    """An effect by seed, which a claim says to be below ``limit`` on average, as a look shows it.

    ``first`` is the first of the seeds that count. The look is the last that it has, or ``until``,
    the last of all effects of its claim; before the first, all seeds are shown, and decide nothing.
    """

    name: str
    by_seed: Mapping[int, float] = field(hash=False)
    limit: float = 0.0
    first: int = 0
    until: int = LOOKS[-1]

    @property
    def last_look(self) -> int:
        """The number of seeds of the last look that it has, 0 before the first."""
        there = itertools.takewhile(self.by_seed.__contains__, itertools.count(self.first))
        seeds = sum(1 for _ in there)
        return max((n for n in LOOKS if n <= seeds), default=0)

    @cached_property
    def looks(self) -> tuple[int, ...]:
        """Numbers of seeds of the looks so far."""
        return tuple(n for n in LOOKS if n <= min(self.until, self.last_look))

    @cached_property
    def values(self) -> tuple[float, ...]:
        """The differences that count."""
        seeds = range(self.first, self.first + self.looks[-1]) if self.looks else self.by_seed
        return tuple(self.by_seed[seed] for seed in seeds)

    @cached_property
    def test(self) -> Summary:
        """The differences summed up, with the interval of the look's level."""
        return summarize(self.values, LOOK_LEVEL)

    @cached_property
    def repeated_p(self) -> tuple[float, float]:
        """How likely any look so far shows as little without an effect as the least p seen.

        The first is of differences below the limit, the second of those above it.
        """
        least = [1.0, 1.0]
        for n in self.looks:
            found = summarize(self.values[:n])
            side = int(found.mean >= self.limit)
            least[side] = min(least[side], compute_t_p(found, self.limit))
        below, above = (repeat_p(p, len(self.looks)) for p in least)
        return below, above

    @cached_property
    def sign_flip_p(self) -> float | None:
        """That of the permutation of signs, None for one seed."""
        return compute_sign_flip_p(self.values, self.limit) if self.test.n > 1 else None

    @property
    def upper_end(self) -> float:
        """Upper end of the interval minus the limit, infinity where there is none."""
        return math.inf if self.test.high is None else self.test.high - self.limit

    def is_above(self, level: float) -> bool:
        """Return whether the interval of another level is wholly above the limit."""
        mean, n, deviation = self.test.mean, self.test.n, self.test.deviation
        return deviation is not None and mean - half_width(deviation, n, level) > self.limit

    @property
    def flips_agree(self) -> bool:
        """Whether the sign-flip test shows it too, where it can: from the second look on."""
        p = self.sign_flip_p
        return self.test.n < LOOKS[1] or (p is not None and p <= LOOK_LEVEL)


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
    """A claim on some cells, with its effects by seed and what is decided of it.

    ``members`` are the cells that it is about, two where it is between these, and ``rows`` those
    behind its effects, each with its cells. ``part`` is the part of a plan that it belongs to, and
    ``behind`` a budget of `low` that has been trained to a later look than the one that is judged.

    ``comparison`` is the effect that decided, or is nearest to spoiling the claim. ``p`` is the
    repeated p in the claim's favour, or against it where the decision is, and ``holm_p`` that after
    Holm's correction over the ``family_size`` claims of its family. ``confirmatory`` says whether
    all attempts behind it began after the claim was written. ``next`` is what would decide it, None
    where it is decided or out of reach.
    """

    claim: ClaimRow
    members: tuple[Cells, ...]
    rows: tuple[tuple[Cells, BoardRow], ...]
    part: Part | None
    comparisons: tuple[SeededContrast, ...]
    comparison: SeededContrast
    behind: int | None = None
    decision: Decision = "undecided"
    why: str = ""
    p: float = 1.0
    holm_p: float = 1.0
    family_size: int = 1
    confirmatory: bool = False
    next: NextLook | None = None

    @property
    def cells(self) -> Cells:
        """The first of its members."""
        return self.members[0]

    @property
    def look(self) -> int:
        """The number of seeds of the last look that all its effects have, 0 before the first."""
        return min(one.last_look for one in self.comparisons)

    @property
    def test(self) -> Summary:
        """That of the comparison that decided."""
        return self.comparison.test

    @property
    def n(self) -> int:
        """Number of seeds that count."""
        return self.test.n

    @property
    def cleared(self) -> bool | None:
        """Whether all its models clear the bars of the data set, None where no bars are known."""
        cleared = {row.cleared for _, row in self.rows}
        return False if False in cleared else None if None in cleared else True

    @property
    def unit(self) -> str:
        """The unit of its effects."""
        return name_unit(self.cells.group.unit)

    @property
    def text(self) -> str:
        """What it says, by the measure."""
        return format_text(self.claim, self.cells.group.measure, self.cells.group.direction)

    @property
    def source(self) -> str:
        """The paper's table, our transfer of it to other images or another flow, or "ours"."""
        group, source = self.cells.group, self.claim.source
        if group.measure != BITS_PER_DIM or source == "ours":
            return "ours"
        own = group.whole and published.find(group.flow, group.set_name, ["low"])
        return source if own else f"our transfer of {source}"

    @property
    def printed(self) -> float | None:
        """The effect by the paper's numbers for this flow and set."""
        of_bits = self.cells.group.measure == BITS_PER_DIM
        is_printed = of_bits and self.claim.key == "low-conventional"
        return find_printed(self.cells.group) if is_printed else None

    @property
    def family(self) -> str:
        """With which claims it shares Holm's correction."""
        if self.part is not None:
            return f"part {self.part.name}"
        return self.claim.family and f"{self.claim.family} {self.cells.group.key}"

    @property
    def on_published(self) -> bool:
        """True if this is a verdict on the published numbers."""
        groups = [cells.group for cells in self.members]
        whole = all(group.published_recipe and group.whole for group in groups)
        return self.cleared is True and whole


@dataclass(frozen=True)
class Verdicts:
    """All verdicts of a database by one measure, ``kind``."""

    board: Board
    all: tuple[Verdict, ...]
    kind: MeasureKind = BITS

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Those of models that clear the bars."""
        return tuple(one for one in self.all if one.cleared)

    @cached_property
    def apart(self) -> tuple[Verdict, ...]:
        """Those of models that do not, or where no bars are known, as for other measures."""
        return tuple(one for one in self.all if not one.cleared)

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Keys of the claims without any results; one with a margin is of bits/dim alone."""
        there = {one.claim.key for one in self.all}
        by_bits = self.kind.name == BITS_PER_DIM
        claims = (key for key, claim in CLAIMS.items() if by_bits or not claim.limit)
        return tuple(key for key in claims if key not in there)


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


def read_efforts(store: Store, recipe_ids: Collection[str]) -> list[sa.Row[Any]]:
    """Read when each trial of some recipes that was attempted began, and what it took.

    These are Unix seconds UTC, CPU seconds of all attempts, and those of the pretraining behind it
    up to the budget; None where no attempt has a report, or there is no pretraining.
    """
    facts = (
        *(trials.c.recipe_id, jobs.c.data_digest, trials.c.factorization, trials.c.budget),
        *(trials.c.map_options, trials.c.seed),
    )
    started = sa.func.min(attempts.c.started).label("started")
    seconds = sa.func.sum(attempts.c.cpu_seconds).label("cpu_seconds")
    query = (
        sa.select(*facts, started, seconds, costs.c.pretraining_cpu_seconds)
        .join_from(attempts, jobs, jobs.c.id == attempts.c.job_id)
        .join(trials, trials.c.id == jobs.c.trial_id)
        .join(costs, costs.c.job_id == jobs.c.id)
        .group_by(*facts, costs.c.pretraining_cpu_seconds)
    )
    return store.rows(query, trials.c.recipe_id, recipe_ids)


# The rule


def make_verdicts(
    board: Board,
    holdout: Mapping[str, Group] | None = None,
    *,
    kind: MeasureKind = BITS,
    efforts: Iterable[Any] = (),
) -> Verdicts:
    """Return the verdicts on a board by a measure, in the order of the claims.

    ``holdout`` is what `read_holdout` returns, ``efforts`` what `read_efforts` does of the
    trainings behind the rows.
    """
    spent: _Spent = defaultdict(dict)
    for one in efforts:
        spent[_effort_key(one)][one.seed] = one
    found = _apply_claims(board, holdout or {})
    families: defaultdict[str | int, list[int]] = defaultdict(list)
    for index, one in enumerate(found):
        families[one.family or index].append(index)
    for members in families.values():
        family = [found[index] for index in members]
        ps = [[of.repeated_p for of in one.comparisons] for one in family]
        below = [max(p for p, _ in some) for some in ps]
        above = [min(1.0, len(some) * min(p for _, p in some)) for some in ps]
        part = family[0].part
        # Else the first claims of a plan to be trained would have an easier test than the last.
        untrained = [1.0] * (0 if part is None else part.size - len(members))
        holm_below, holm_above = (adjust_holm([*p, *untrained]) for p in (below, above))
        for k, index in enumerate(members):
            one = replace(family[k], family_size=len(members) + len(untrained))
            decision, why, shown = _decide(one, holm_below[k], holm_above[k])
            against = decision in ("opposite", "not equal")
            one = replace(
                one,
                decision=decision,
                why=why,
                comparison=shown,
                p=(above if against else below)[k],
                holm_p=(holm_above if against else holm_below)[k],
                confirmatory=_is_confirmatory(one, spent),
            )
            following = _find_next(one, spent) if decision == "undecided" else None
            found[index] = replace(one, next=following)
    return Verdicts(board, tuple(found), kind)


def _apply_claims(board: Board, holdout: Mapping[str, Group]) -> list[Verdict]:
    """Return every claim on everything that bears on it, in the order of `CLAIMS`, undecided."""
    found: list[Verdict] = []
    ordered = {group.key: order_cells(group, holdout) for group in board.groups}
    for claim in CLAIMS.values():
        of_claim = []
        for groups in _list_groups(claim, board.groups):
            if choices := _list_choices(claim, groups, ordered):
                first, ahead = choices[0], max(choices, key=lambda one: one.look)
                behind = ahead.cells.budget if ahead.look > first.look else None
                of_claim.append(replace(first, behind=behind))
        found += sorted(of_claim, key=lambda one: str(tuple(one.cells.facts.values())))
    return found


def _list_groups(claim: ClaimRow, groups: Sequence[Group]) -> list[tuple[Group, ...]]:
    """Return the groups that a claim is about together: one, or two of one recipe."""
    if claim.between in ((), BUDGETS):
        return [(one,) for one in groups if one.measure == BITS_PER_DIM or not claim.limit]
    ones, others = ([one for one in groups if is_form_of(one, name)] for name in claim.between)
    alike = attrgetter("flow", "recipe_id", "profile", "protocol", "precision")
    return [pair for pair in itertools.product(ones, others) if alike(pair[0]) == alike(pair[1])]


def _list_choices(
    claim: ClaimRow, groups: Sequence[Group], ordered: Mapping[str, Sequence[Cells]]
) -> list[Verdict]:
    """Return the claim on each choice of a budget under which all rows share a seed.

    ``ordered`` has, by the key of a group, what `order_cells` returns of it: the best by the
    holdout part comes first. Budgets that a plan or the claim names are no choice.
    """
    part = next((one for one in PLAN if one.holds(claim, groups)), None)
    choices: Iterable[tuple[Cells, ...]]
    if claim.between == BUDGETS:
        budgets = list_budgets(groups[0])
        ends = [(budgets[-1], budgets[0])] if len(budgets) > 1 else []
        choices = [tuple(select_cells(groups[0], budget) for budget in end) for end in ends]
    elif part is not None:
        choices = [tuple(select_cells(group, part.budget) for group in groups)]
    else:
        choices = itertools.product(*(ordered[group.key] for group in groups))
        choices = (some for some in choices if len({cells.budget for cells in some}) == 1)
    found = []
    for members in choices:
        effects = claim.list_effects(members[0])
        rows = [
            (cells, cells.find(rule))
            for weights in effects.values()
            for cells in members
            for rule in weights
        ]
        there = {id(row): (cells, row) for cells, row in rows if row is not None}
        if not effects or any(row is None for _, row in rows):
            continue
        seeded = [_add_up(claim, members, part, *effect) for effect in effects.items()]
        if all(one.by_seed for one in seeded):
            look = min(one.last_look for one in seeded)
            seeded = [replace(one, until=look) for one in seeded]
            worst = max(seeded, key=attrgetter("upper_end"))
            rows_behind = tuple(there.values())
            found.append(Verdict(claim, members, rows_behind, part, tuple(seeded), worst))
    return found


def _add_up(
    claim: ClaimRow,
    members: Sequence[Cells],
    part: Part | None,
    name: str,
    weights: Mapping[str, float],
) -> SeededContrast:
    """Return an effect by seed, below its limit where the first rows are better."""
    higher = members[0].group.direction == "higher"
    terms: list[tuple[float, Mapping[int, float]]] = []
    for sign, cells in zip((-1, 1) if higher else (1, -1), members, strict=False):
        for rule, weight in weights.items():
            row = cells.find(rule)
            assert row is not None
            worst = (min if higher else max)(row.values)
            values = {**row.by_seed, **dict.fromkeys(row.diverged_seeds, worst)}
            terms.append((sign * weight, values))
    first = 0 if part is None else part.first
    by_seed = {
        seed: sum(weight * values[seed] for weight, values in terms)
        for seed in sorted(set.intersection(*(set(values) for _, values in terms)))
        if seed >= first
    }
    if higher:
        ends = name.split(" - ")
        name = f"{ends[1]} - {ends[0]}" if len(ends) == 2 else f"-({name})"
    if claim.between == BUDGETS:
        name += " after {} steps minus after {} steps".format(*(one.budget for one in members))
    elif claim.between:
        name += " on {} minus on {}".format(*(printable(one.group.set_name) for one in members))
    return SeededContrast(name, by_seed, claim.limit, first)


def _decide(one: Verdict, below: float, above: float) -> tuple[Decision, str, SeededContrast]:
    """Return decision, why, and the effect that decided; p are after Holm's correction."""
    found, worst = one.comparisons, one.comparison
    if few := [of for of in found if not of.last_look]:
        why = f"seeds {few[0].first} to {few[0].first + ENOUGH - 1} decide first"
        return "undecided", why, max(few, key=attrgetter("upper_end"))
    if one.behind is not None:
        why = f"low after {one.behind} pretraining steps has more seeds"
        return "undecided", why, worst
    left_open = f"Holm's correction over {one.family_size} claims leaves it open"
    if all(of.upper_end < 0 for of in found):
        if not all(of.flips_agree for of in found):
            return "undecided", "the sign-flip test does not show it", worst
        if below > LEVEL:
            return "undecided", left_open, worst
        decision: Decision = "equal" if one.claim.equal else "supported"
        return decision, "the whole interval is below it", worst
    level = LOOK_LEVEL / len(found)
    reversed_ = [of for of in found if of.is_above(level) and of.flips_agree]
    if reversed_ and above <= LEVEL:
        decision = "not equal" if one.claim.equal else "opposite"
        shown = max(reversed_, key=attrgetter("upper_end"))
        return decision, "the whole interval is above it", shown
    low = worst.test.low
    if low is None or low > worst.limit:
        return "undecided", left_open, worst
    if one.printed is not None and low > one.printed:
        return "smaller than printed", f"the interval excludes {one.printed:+.2f}", worst
    return "undecided", "the interval contains it", worst


_Spent = defaultdict[tuple[Any, ...], dict[int, Any]]
"""Efforts by what seeds of a row have in common, and by seed."""

_effort_key = attrgetter("recipe_id", "data_digest", "factorization", "budget", "map_options")


def _find_efforts(spent: _Spent, group: Group, row: BoardRow) -> Mapping[int, Any]:
    """Return the trainings behind a row by seed."""
    own = row.factorization, row.budget, row.map_options
    return spent[group.recipe_id, group.data_digest, *own]


def _is_confirmatory(one: Verdict, spent: _Spent) -> bool:
    seeds = {of.first + k for of in one.comparisons for k in range(of.test.n)}
    behind = (_find_efforts(spent, cells.group, row) for cells, row in one.rows)
    starts = [of[seed].started for of in behind for seed in seeds & of.keys()]
    return bool(starts) and min(starts) > (WRITTEN if one.part is None else PLANNED)


def _find_next(one: Verdict, spent: _Spent) -> NextLook | None:
    """Return the next look that could decide; None where it is out of reach."""
    first, needed = one.comparison.first, one.look + 1
    if one.look and one.behind is None and one.test.deviation:
        effect = one.test.mean - one.comparison.limit
        found = seeds_needed(effect, one.test.deviation, LOOK_LEVEL) if effect else None
        if found is None:
            return None
        needed = max(found, needed)
    most = one.part.seeds if one.part is not None else LOOKS[-1]
    following = next((n for n in LOOKS if needed <= n <= most), None)
    if following is None:
        return None
    trainings, hours = _count_missing(one, range(first, first + following), spent)
    if hours is not None and hours > MOST_HOURS:
        return None
    return NextLook(following, first, trainings, hours)


def _count_missing(one: Verdict, seeds: Iterable[int], spent: _Spent) -> tuple[int, float | None]:
    """Return how many trainings lack, and their core-hours with the pretrainings that lack.

    A pretraining is there where any row of its table and budget has the seed.
    """
    # By the budget of a pretraining, None for a training: known seconds, and what lacks.
    seconds: defaultdict[int | None, list[float]] = defaultdict(list)
    lacking: set[tuple[int | None, str, int]] = set()
    for cells, row in one.rows:
        group, budget, known = cells.group, row.budget, _find_efforts(spent, cells.group, row)
        missing = {*seeds} - {*row.by_seed, *row.diverged_seeds}
        seconds[None] += [effort.cpu_seconds for effort in known.values() if effort.cpu_seconds]
        lacking |= {(None, f"{group.key} {row.factorization} {budget}", seed) for seed in missing}
        if budget is not None:
            there = {seed for of in group.rows if of.budget == budget for seed in of.by_seed}
            before = (effort.pretraining_cpu_seconds for effort in known.values())
            seconds[budget] += [own for own in before if own is not None]
            lacking |= {(budget, group.key, seed) for seed in missing - there}
    trainings = sum(what is None for what, _, _ in lacking)
    if not seconds[None]:
        return trainings, None
    # A set has no order: an exact sum does not depend on it.
    return trainings, math.fsum(fmean(seconds[what] or [0.0]) for what, _, _ in lacking) / 3600
