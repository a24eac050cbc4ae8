"""Verdicts on claims, by one rule that holds however often one looks (docs/verdicts.md).

A claim is judged at fixed looks: the first 6, 12, 24 or 48 seeds, as far as all its rows have them.
Each look tests at a level that makes 5 % for all looks together.
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
    MIN_SEEDS,
    Board,
    BoardRow,
    Group,
    Holdout,
    find_ranked_measure,
    name_unit,
    read_board,
    read_holdout,
)
from lcma.harness.results.claims import (
    BUDGETS,
    CLAIMS,
    CLAIMS_TIME,
    LOOKS,
    PLAN,
    PLAN_TIME,
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

LOOK_FACTORS: Mapping[float, tuple[float, ...]] = {
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
"""By the p of a look: how much likelier any of 2, 3 or 4 looks shows it if there is no effect. From
40 million simulated campaigns of normal differences; standard errors are about 1 % in the
first row, and below 0.3 % from 0.003 on."""

MAX_HOURS = 100.0
"""Core-hours above which deciding a claim counts as out of reach."""

Decision = Literal[
    "supported", "equal", "smaller than printed", "opposite", "not equal", "undecided"
]

DECISIONS: tuple[Decision, ...] = get_args(Decision)
"""All decisions, in the order of a summary."""


@dataclass(frozen=True)
class SeededContrast:
    """An effect by seed, which a claim says to be below a limit on average.

    It counts the seeds of its last look. Before the first look all seeds are shown, and decide
    nothing.
    """

    name: str
    by_seed: Mapping[int, float] = field(hash=False)
    limit: float = 0.0
    first: int = 0  # the first seed that counts
    until: int = LOOKS[-1]  # the last look that all effects of the claim have

    @property
    def last_look(self) -> int:
        """The number of seeds of the last look that the effect has, 0 before the first look."""
        following = itertools.takewhile(self.by_seed.__contains__, itertools.count(self.first))
        seeds = sum(1 for _ in following)
        return max((n for n in LOOKS if n <= seeds), default=0)

    @cached_property
    def looks(self) -> tuple[int, ...]:
        """Numbers of seeds of the looks so far."""
        return tuple(n for n in LOOKS if n <= min(self.until, self.last_look))

    @property
    def seeds(self) -> Collection[int]:
        """The seeds that count."""
        return range(self.first, self.first + self.looks[-1]) if self.looks else self.by_seed.keys()

    @cached_property
    def values(self) -> tuple[float, ...]:
        """The differences that count."""
        return tuple(self.by_seed[seed] for seed in self.seeds)

    @cached_property
    def test(self) -> Summary:
        """Summary of the differences that count, with the interval of the look's level."""
        return summarize(self.values, LOOK_LEVEL)

    @cached_property
    def repeated_p(self) -> tuple[float, float]:
        """P-values of all looks so far, for an effect below the limit and for one above it.

        Each is the probability that, without an effect, any of these looks shows so small a p.
        """
        least = [1.0, 1.0]
        for n in self.looks:
            summary = summarize(self.values[:n])
            side = int(summary.mean >= self.limit)
            least[side] = min(least[side], compute_t_p(summary, self.limit))
        below, above = (repeat_p(p, len(self.looks)) for p in least)
        return below, above

    @cached_property
    def sign_flip_p(self) -> float | None:
        """P-value of the sign-flip test, None for one seed."""
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
        """True if the sign-flip test agrees, which it can only from the second look on."""
        p = self.sign_flip_p
        return self.test.n < LOOKS[1] or (p is not None and p <= LOOK_LEVEL)


def repeat_p(p: float, looks: int) -> float:
    """Return the probability that, without an effect, any of so many looks shows so small a p."""
    if looks < 2 or p >= 1:
        return p
    logs = np.log(list(LOOK_FACTORS))
    factors = [by_looks[looks - 2] for by_looks in LOOK_FACTORS.values()]
    factor = looks if p < min(LOOK_FACTORS) else np.interp(math.log(p), logs, factors)
    return min(1.0, float(p * factor))


@dataclass(frozen=True)
class NextLook:
    """The next look that could decide a claim, and what it costs."""

    seeds: int
    first: int
    trainings: int  # those that are missing
    hours: float | None  # core-hours, with the pretrainings that the trainings need


@dataclass(frozen=True)
class Verdict:
    """A claim on some cells, and the decision."""

    claim: ClaimRow
    members: tuple[Cells, ...]  # the cells that the claim is about; two where it compares these
    rows: tuple[tuple[Cells, BoardRow], ...]  # the rows of its effects, each with its cells
    part: Part | None  # of a plan that has the claim
    comparisons: tuple[SeededContrast, ...]  # its effects
    comparison: SeededContrast  # the effect that decided, or comes closest to refuting the claim
    behind: int | None = None  # a budget of `low` that was trained to a later look than this
    decision: Decision = "undecided"
    why: str = ""
    p: float = 1.0  # over all looks so far; against the claim where the decision is
    holm_p: float = 1.0  # `p` after Holm's correction over the claims of the family
    family_size: int = 1
    confirmatory: bool = False  # all attempts behind it began after the claim was written
    next: NextLook | None = None  # None where the claim is decided, or deciding it is out of reach

    @property
    def cells(self) -> Cells:
        """The first of the members."""
        return self.members[0]

    @property
    def look(self) -> int:
        """The number of seeds of the last look that all effects have, 0 before the first look."""
        return min(effect.last_look for effect in self.comparisons)

    @property
    def test(self) -> Summary:
        """Summary of the effect that decided."""
        return self.comparison.test

    @property
    def n(self) -> int:
        """Number of seeds that count."""
        return self.test.n

    @property
    def cleared(self) -> bool | None:
        """True if all models clear the bars of the data set; None where no bars are known."""
        cleared = {row.cleared for _, row in self.rows}
        return False if False in cleared else None if None in cleared else True

    @property
    def unit(self) -> str:
        return name_unit(self.cells.group.unit)

    @property
    def text(self) -> str:
        """The claim in words, by the measure."""
        return format_text(self.claim, self.cells.group.measure, self.cells.group.direction)

    @property
    def source(self) -> str:
        """The paper's table, our transfer of it to other images or another flow, or "ours"."""
        group, source = self.cells.group, self.claim.source
        if group.measure != BITS_PER_DIM or source == "ours":
            return "ours"
        is_papers = group.whole and published.find_numbers(group.flow, group.set_name, ["low"])
        return source if is_papers else f"our transfer of {source}"

    @property
    def printed(self) -> float | None:
        """The effect in the paper's numbers for this flow and set."""
        is_bits = self.cells.group.measure == BITS_PER_DIM
        is_printed = is_bits and self.claim.key == "low-conventional"
        return find_printed(self.cells.group) if is_printed else None

    @property
    def family(self) -> str:
        """Name of the family of claims that share Holm's correction."""
        if self.part is not None:
            return f"part {self.part.name}"
        return self.claim.family and f"{self.claim.family} {self.cells.group.key}"

    @property
    def on_published(self) -> bool:
        """True if this is a verdict on the published numbers."""
        groups = [cells.group for cells in self.members]
        is_whole = all(group.published_recipe and group.whole for group in groups)
        return self.cleared is True and is_whole


@dataclass(frozen=True)
class Verdicts:
    """All verdicts of a database by one measure."""

    board: Board
    all: tuple[Verdict, ...]
    kind: MeasureKind = BITS

    @cached_property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Verdicts on models that clear the bars."""
        return tuple(verdict for verdict in self.all if verdict.cleared)

    @cached_property
    def apart(self) -> tuple[Verdict, ...]:
        """Verdicts on models that do not, or where no bars are known, as for other measures."""
        return tuple(verdict for verdict in self.all if not verdict.cleared)

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """Keys of the claims without any results."""
        judged = {verdict.claim.key for verdict in self.all}
        is_bits = self.kind.name == BITS_PER_DIM
        # A claim with a margin exists only in bits/dim.
        claims = (key for key, claim in CLAIMS.items() if is_bits or not claim.limit)
        return tuple(key for key in claims if key not in judged)


def read_verdicts(
    store: Store,
    holdout: Holdout | None = None,
    /,
    *,
    measure: str = BITS_PER_DIM,
    sweep_id: str | None = None,
    **where: Any,
) -> Verdicts:
    """Return the verdicts on the results in a database, of one sweep or of all.

    Args:
        store: The database.
        holdout: What `read_holdout` returns for the same results, if the caller has it.
        measure: The measure by which claims are judged.
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
    """Return a row for each attempted trial of some recipes: its facts, state, start and costs.

    ``started`` is in Unix seconds. ``cpu_seconds`` are those of all attempts, None where no attempt
    has a report; ``pretraining_cpu_seconds`` those of its pretraining up to the budget, if any.
    """
    facts = (
        *(trials.c.recipe_id, jobs.c.data_digest, trials.c.factorization, trials.c.budget),
        *(trials.c.map_options, trials.c.seed),
    )
    started = sa.func.min(attempts.c.started).label("started")
    seconds = sa.func.sum(attempts.c.cpu_seconds).label("cpu_seconds")
    query = (
        sa.select(*facts, jobs.c.state, started, seconds, costs.c.pretraining_cpu_seconds)
        .join_from(attempts, jobs, jobs.c.id == attempts.c.job_id)
        .join(trials, trials.c.id == jobs.c.trial_id)
        .join(costs, costs.c.job_id == jobs.c.id)
        .where(attempts.c.protocol.is_(None))
        .group_by(*facts, jobs.c.state, costs.c.pretraining_cpu_seconds)
    )
    return store.rows(query, trials.c.recipe_id, recipe_ids)


# The rule


def make_verdicts(
    board: Board,
    holdout: Holdout | None = None,
    *,
    kind: MeasureKind = BITS,
    efforts: Iterable[Any] = (),
) -> Verdicts:
    """Return the verdicts on a board by a measure, in the order of the claims.

    ``holdout`` is what `read_holdout` returns, and ``efforts`` what `read_efforts` does.
    """
    spent: _Efforts = defaultdict(dict)
    for effort in efforts:
        spent[_effort_key(effort)][effort.seed] = effort
    verdicts = _apply_claims(board, holdout or {})
    families: defaultdict[str | int, list[int]] = defaultdict(list)
    for index, verdict in enumerate(verdicts):
        families[verdict.family or index].append(index)
    for members in families.values():
        family = [verdicts[index] for index in members]
        ps = [[effect.repeated_p for effect in verdict.comparisons] for verdict in family]
        # A claim needs all its effects to be below their limit, so its p is the largest of theirs.
        # One effect above refutes it, so that p is the least, corrected by Bonferroni.
        below = [max(p for p, _ in effects) for effects in ps]
        above = [min(1.0, len(effects) * min(p for _, p in effects)) for effects in ps]
        part = family[0].part
        # Untrained claims of a plan count with p = 1; otherwise the claims that are trained first
        # would have an easier test than the last.
        untrained = [1.0] * (0 if part is None else part.size - len(members))
        holm_below, holm_above = (adjust_holm([*p, *untrained]) for p in (below, above))
        for k, index in enumerate(members):
            verdict = replace(family[k], family_size=len(members) + len(untrained))
            decision, why, shown = _decide(verdict, holm_below[k], holm_above[k])
            against = decision in ("opposite", "not equal")
            verdict = replace(
                verdict,
                decision=decision,
                why=why,
                comparison=shown,
                p=(above if against else below)[k],
                holm_p=(holm_above if against else holm_below)[k],
                confirmatory=_is_confirmatory(verdict, spent),
            )
            following = _find_next(verdict, spent) if decision == "undecided" else None
            verdicts[index] = replace(verdict, next=following)
    return Verdicts(board, tuple(verdicts), kind)


def _apply_claims(board: Board, holdout: Holdout) -> list[Verdict]:
    """Return every claim on all models with results for it, in the order of `CLAIMS`, undecided."""
    verdicts: list[Verdict] = []
    ordered = {group.key: order_cells(group, holdout) for group in board.groups}
    for claim in CLAIMS.values():
        applied = []
        for groups in _list_groups(claim, board.groups):
            if choices := _list_choices(claim, groups, ordered):
                first, ahead = choices[0], max(choices, key=lambda choice: choice.look)
                behind = ahead.cells.budget if ahead.look > first.look else None
                applied.append(replace(first, behind=behind))
        verdicts += sorted(applied, key=lambda verdict: str(tuple(verdict.cells.facts.values())))
    return verdicts


def _list_groups(claim: ClaimRow, groups: Sequence[Group]) -> list[tuple[Group, ...]]:
    """Return the groups that a claim is about: single groups, or pairs of one recipe."""
    if claim.between in ((), BUDGETS):
        return [(group,) for group in groups if group.measure == BITS_PER_DIM or not claim.limit]
    first, second = ([g for g in groups if is_form_of(g, name)] for name in claim.between)
    shared = attrgetter("flow", "recipe_id", "profile", "protocol", "precision")
    return [pair for pair in itertools.product(first, second) if shared(pair[0]) == shared(pair[1])]


def _list_choices(
    claim: ClaimRow, groups: Sequence[Group], ordered: Mapping[str, Sequence[Cells]]
) -> list[Verdict]:
    """Return the claim at each budget where all rows share a seed, the best budget first.

    ``ordered`` has what `order_cells` returns, by the key of the group. Where a plan or the claim
    fixes the budget, only that is returned.
    """
    part = next((part for part in PLAN if part.covers(claim, groups)), None)
    choices: Iterable[tuple[Cells, ...]]
    if claim.between == BUDGETS:
        budgets = list_budgets(groups[0])
        ends = [(budgets[-1], budgets[0])] if len(budgets) > 1 else []
        choices = [tuple(select_cells(groups[0], budget) for budget in end) for end in ends]
    elif part is not None:
        choices = [tuple(select_cells(group, part.budget) for group in groups)]
    else:
        choices = itertools.product(*(ordered[group.key] for group in groups))
        choices = (cells for cells in choices if len({c.budget for c in cells}) == 1)
    applied = []
    for members in choices:
        effects = claim.list_effects(members[0])
        rows = [
            (cells, cells.find(rule))
            for weights in effects.values()
            for cells in members
            for rule in weights
        ]
        known = {id(row): (cells, row) for cells, row in rows if row is not None}
        if not effects or any(row is None for _, row in rows):
            continue
        seeded = [_sum_rows(claim, members, part, *effect) for effect in effects.items()]
        if all(effect.by_seed for effect in seeded):
            look = min(effect.last_look for effect in seeded)
            seeded = [
                replace(_sum_rows(claim, members, part, *effect, look), until=look)
                for effect in effects.items()
            ]
            worst = max(seeded, key=attrgetter("upper_end"))
            rows_behind = tuple(known.values())
            applied.append(Verdict(claim, members, rows_behind, part, tuple(seeded), worst))
    return applied


def _sum_rows(
    claim: ClaimRow,
    members: Sequence[Cells],
    part: Part | None,
    name: str,
    weights: Mapping[str, float],
    look: int = 0,
) -> SeededContrast:
    """Return an effect by seed; it is below its limit where the first rows are better.

    A seed that diverged counts as the worst value of its row among the first ``look`` seeds, or
    among all where that is 0.
    """
    first = 0 if part is None else part.first
    higher = members[0].group.direction == "higher"
    terms: list[tuple[float, Mapping[int, float]]] = []
    for sign, cells in zip((-1, 1) if higher else (1, -1), members, strict=False):
        for rule, weight in weights.items():
            row = cells.find(rule)
            assert row is not None
            counted = [v for seed, v in row.by_seed.items() if first <= seed < first + look]
            worst = (min if higher else max)(counted or row.values)
            values = {**row.by_seed, **dict.fromkeys(row.diverged_seeds, worst)}
            terms.append((sign * weight, values))
    by_seed = {
        seed: sum(weight * values[seed] for weight, values in terms)
        for seed in sorted(set.intersection(*(set(values) for _, values in terms)))
        if seed >= first
    }
    if higher:
        ends = name.split(" - ")
        name = f"{ends[1]} - {ends[0]}" if len(ends) == 2 else f"-({name})"
    if claim.between == BUDGETS:
        name += " after {} steps minus after {} steps".format(*(cells.budget for cells in members))
    elif claim.between:
        name += " on {} minus on {}".format(*(printable(c.group.set_name) for c in members))
    return SeededContrast(name, by_seed, claim.limit, first)


def _decide(verdict: Verdict, below: float, above: float) -> tuple[Decision, str, SeededContrast]:
    """Return the decision, why, and the effect that decided.

    ``below`` and ``above`` are p-values for and against the claim after Holm's correction.
    """
    effects, worst = verdict.comparisons, verdict.comparison
    limit = "zero" if worst.limit == 0 else f"{worst.limit:g}"
    if few := [effect for effect in effects if not effect.last_look]:
        why = f"seeds {few[0].first} to {few[0].first + MIN_SEEDS - 1} decide first"
        return "undecided", why, max(few, key=attrgetter("upper_end"))
    if verdict.behind is not None:
        why = f"low after {verdict.behind} pretraining steps has more seeds"
        return "undecided", why, worst
    left_open = f"Holm's correction over {verdict.family_size} claims leaves it open"
    disagree = "the sign-flip test does not agree"
    if all(effect.upper_end < 0 for effect in effects):
        if not all(effect.flips_agree for effect in effects):
            return "undecided", disagree, worst
        if below > LEVEL:
            return "undecided", left_open, worst
        decision: Decision = "equal" if verdict.claim.equal else "supported"
        return decision, f"the whole interval is below {limit}", worst
    level = LOOK_LEVEL / len(effects)  # Bonferroni's: any effect above its limit refutes the claim
    reversed_ = [effect for effect in effects if effect.is_above(level) and effect.flips_agree]
    if reversed_ and above <= LEVEL:
        decision = "not equal" if verdict.claim.equal else "opposite"
        shown = max(reversed_, key=attrgetter("upper_end"))
        return decision, f"the whole interval is above {limit}", shown
    low = worst.test.low
    if low is None or low > worst.limit:
        strict = f"the interval is not above {limit} at the level for one of {len(effects)} effects"
        why = strict if worst.flips_agree else disagree
        return "undecided", left_open if reversed_ else why, worst
    if verdict.printed is not None and low > verdict.printed:
        return "smaller than printed", f"the interval excludes {verdict.printed:+.2f}", worst
    return "undecided", f"the interval contains {limit}", worst


_Efforts = defaultdict[tuple[Any, ...], dict[int, Any]]
"""Rows of `read_efforts` by `_effort_key` and seed."""

_effort_key = attrgetter("recipe_id", "data_digest", "factorization", "budget", "map_options")


def _find_efforts(spent: _Efforts, group: Group, row: BoardRow) -> Mapping[int, Any]:
    """Return the trainings behind a row by seed."""
    key = row.factorization, row.budget, row.map_options
    return spent[group.recipe_id, group.data_digest, *key]


def _find_trained(group: Group, efforts: Mapping[int, Any]) -> set[int]:
    """Return the seeds that were trained, if trainings may lack the measure."""
    if group.measure == BITS_PER_DIM and group.protocol == "plain":
        return set()
    return {seed for seed, effort in efforts.items() if effort.state == "done"}


def _is_confirmatory(verdict: Verdict, spent: _Efforts) -> bool:
    used = (sorted(effect.by_seed)[: effect.test.n] for effect in verdict.comparisons)
    seeds = {*itertools.chain.from_iterable(used)}
    by_row = (_find_efforts(spent, cells.group, row) for cells, row in verdict.rows)
    starts = [efforts[seed].started for efforts in by_row for seed in seeds & efforts.keys()]
    written = CLAIMS_TIME if verdict.part is None else PLAN_TIME
    return bool(starts) and min(starts) > written


def _find_next(verdict: Verdict, spent: _Efforts) -> NextLook | None:
    """Return the next look that could decide; None where it is out of reach."""
    first, needed = verdict.comparison.first, verdict.look + 1
    if verdict.look and verdict.behind is None and verdict.test.deviation:
        effect = verdict.test.mean - verdict.comparison.limit
        seeds = seeds_needed(effect, verdict.test.deviation, LOOK_LEVEL) if effect else None
        if seeds is None:
            return None
        needed = max(seeds, needed)
    last = verdict.part.seeds if verdict.part is not None else LOOKS[-1]
    following = next((n for n in LOOKS if needed <= n <= last), None)
    if following is None:
        return None
    trainings, hours = _count_missing(verdict, range(first, first + following), spent)
    if hours is not None and hours > MAX_HOURS:
        return None
    return NextLook(following, first, trainings, hours)


def _count_missing(
    verdict: Verdict, seeds: Iterable[int], spent: _Efforts
) -> tuple[int, float | None]:
    """Return how many trainings are missing, and their core-hours with missing pretrainings."""
    # By the budget of a pretraining, or None for a training: known seconds, and what is missing.
    seconds: defaultdict[int | None, list[float]] = defaultdict(list)
    missing: set[tuple[int | None, str, int]] = set()
    for cells, row in verdict.rows:
        group, budget, efforts = cells.group, row.budget, _find_efforts(spent, cells.group, row)
        seeds_left = {*seeds} - {*row.by_seed, *row.diverged_seeds} - _find_trained(group, efforts)
        seconds[None] += [effort.cpu_seconds for effort in efforts.values() if effort.cpu_seconds]
        key = f"{group.key} {row.factorization} {budget}"
        missing |= {(None, key, seed) for seed in seeds_left}
        if budget is not None:
            # A pretraining exists where any row of its table and budget has the seed.
            readers = [r for r in group.rows if r.budget == budget]
            pretrained = {seed for r in readers for seed in r.by_seed}.union(
                *(_find_trained(group, _find_efforts(spent, group, r)) for r in readers)
            )
            costs_before = (effort.pretraining_cpu_seconds for effort in efforts.values())
            seconds[budget] += [cost for cost in costs_before if cost is not None]
            missing |= {(budget, group.key, seed) for seed in seeds_left - pretrained}
    trainings = sum(kind is None for kind, _, _ in missing)
    if not seconds[None]:
        return trainings, None
    # A set has no order, and an exact sum does not depend on it.
    return trainings, math.fsum(fmean(seconds[kind] or [0.0]) for kind, _, _ in missing) / 3600
