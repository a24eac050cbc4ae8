"""Verdicts on claims, each by one rule: supported, refuted or undecided.

A claim is made of comparisons by seed, each of which it says to be below zero on average. Claims
are about the rows of one group of the board, about several groups, or about maps. docs/verdicts.md
states the rule in words.
"""

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter
from typing import Any, Literal

from lcma.db import Store
from lcma.harness.results.board import (
    BITS,
    COMPARABLE,
    ENOUGH,
    Board,
    BoardRow,
    Group,
    find_ranked_measure,
    name_unit,
    read_board,
)
from lcma.harness.results.lookup import parse_object
from lcma.harness.results.statistics import (
    LEVEL,
    PairedTest,
    adjust_holm,
    half_width,
    paired_test,
    seeds_needed,
    subtract_by_seed,
)
from lcma.harness.text import printable
from lcma.sweeps import factorizations, known_sets, published
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import (
    BITS_PER_DIM,
    BY_REQUEST,
    CPU_SECONDS_PER_STEP,
    OF_SAMPLES,
    TIMES,
    MeasureKind,
)

MARGIN = 0.01
"""Bits/dim below which a difference does not matter."""

EQUAL = 0.024
"""Bits/dim within which two rules count as equal: what twelve seeds show with a power of 80 % at
the spread of a pilot, set before any rule beyond the paper was trained (evidence/README.md)."""

ALONE, CHOICE, BEYOND = "alone", "choice", "beyond"

SCALE = (*COMPARABLE, "profile", "splits", "steps", "settings", "budget", "whole")
"""What tells the models of one claim from those of another."""

Decision = Literal["supported", "refuted", "undecided"]

Shares = Mapping[tuple[str, str, int | None], Mapping[int, float]]
"""Mask share at split 1 by seed, of the tables of `low`: by recipe, data digest and budget."""

CLAIMS = {
    "low-conventional": ("low gives {better} than conventional (Tables 1 and 2)", "table1"),
    "table3-order": ("the order of Table 3", "table3"),
    "table4-order": ("the order of the words in Table 4", "table4"),
    "budget": ("longer pretraining gives low {better}", "rules --budget 100,1000"),
    "time": ("low costs no training time (section 3.4)", "rules --set optimization.stacked=false"),
    "low-better-phase": ("low beats the better phase of the checkerboard", "rules"),
    "low-random-local": ("low beats chance with the same locality", "rules"),
    "low-low-global": ("low beats its own maps without windows (low-global)", "beyond"),
    "low-variance-low": ("low beats the variance of the data (variance-low)", "beyond"),
    "online-low": ("choosing during the training (online) beats low", "beyond"),
    "self-low": (f"self is within {EQUAL} bits/dim of low", "beyond"),
    "low-patterns": (
        f"no regular pattern that was tried beats low by more than {EQUAL} bits/dim",
        "patterns",
    ),
    "conventional-patterns": (
        f"no regular pattern that was tried beats conventional by more than {EQUAL} bits/dim",
        "patterns",
    ),
    "mask-share": ("most of the first map is one repeated pattern", "rules"),
    "first-split": ("the first letter of a word matters, and more than any other", "words"),
    "faces": (
        "low gains more on faces than on CIFAR-10 (Table 1)",
        "flows --flow realnvp --dataset celeba64-16,cifar10-16",
    ),
    "variant": (
        "the data variant alone moves CelebA by less than the published gap",
        "table1 --dataset celeba64,celeba64-float",
    ),
}
"""Every claim by key, in short, with a place for `describe_better`, and a launch that tests it."""

OF_PATTERNS = frozenset({"low-patterns", "conventional-patterns"})
"""Claims on all regular patterns that were tried, with a comparison for each."""

WITHIN = OF_PATTERNS | {"self-low"}
"""Claims that nothing is better by more than `EQUAL`, not that something is better."""

OF_BITS_PER_DIM = {
    "time": "it is of the time of a step by itself",
    "mask-share": "it is of maps",
    "variant": "it is of published bits/dim",
    **dict.fromkeys(sorted(WITHIN), "it is about a margin in bits/dim"),
}
"""Claims that are judged with those by bits/dim alone, and why."""


@dataclass(frozen=True)
class PairedComparison:
    """Differences by seed, which the claim says to be below zero on average.

    ``rows`` are the two of one group that they are of, none where there are others.
    """

    name: str
    by_seed: Mapping[int, float] = field(hash=False)
    rows: tuple[BoardRow, ...] = field(default=(), repr=False, compare=False)

    @cached_property
    def test(self) -> PairedTest | None:
        """Tests of the differences, None where no seed has both sides."""
        return paired_test(list(self.by_seed.values()))

    @property
    def upper_end(self) -> float:
        """Upper end of the 95 % t-interval, infinity where there is none."""
        return math.inf if self.test is None or self.test.high is None else self.test.high

    @property
    def p_in_favour(self) -> float:
        """Two-sided p of the paired t-test where the mean is on the claim's side, else 1."""
        test = self.test
        return 1.0 if test is None or test.t_p is None or test.mean >= 0 else test.t_p

    @property
    def sign_flip_p(self) -> float:
        """Two-sided p of the sign-flip test, 1 where there is none."""
        test = self.test
        return 1.0 if test is None or test.sign_flip_p is None else test.sign_flip_p


@dataclass(frozen=True)
class Cells:
    """A group's rows under one budget, including those that need no map.

    Rows with options of the map are left out: they are experiments of their own.
    """

    group: Group
    budget: int | None
    rows: Mapping[str, BoardRow] = field(repr=False, hash=False)

    @property
    def facts(self) -> dict[str, Any]:
        """The models that these rows are of: all that tells them from other cells."""
        group = {name: getattr(self.group, name) for name in SCALE if name != "budget"}
        return {name: group.get(name, self.budget) for name in SCALE}

    @property
    def conventional(self) -> BoardRow | None:
        """The flow's own factorization, where it has results."""
        return next((row for row in self.rows.values() if row.conventional), None)

    @property
    def low(self) -> BoardRow | None:
        """`low`, where it has results and is not the conventional one."""
        row = self.rows.get("L" * self.group.splits)
        return None if row is None or row.conventional else row

    @property
    def low_and_conventional(self) -> tuple[BoardRow, BoardRow] | None:
        """Both, where both have results."""
        low, own = self.low, self.conventional
        return None if low is None or own is None else (low, own)

    @property
    def words(self) -> dict[str, BoardRow] | None:
        """All 2^splits words in the order of Table 4 from the best to the worst, or None."""
        words = tuple(reversed(factorizations.words(self.group.splits)))
        if not self.group.splits or any(word not in self.rows for word in words):
            return None
        return {word: self.rows[word] for word in words}


@dataclass(frozen=True)
class TestedClaim:
    """A statement on some cells, true if and only if all its comparisons are below zero.

    ``key`` names it for programs. ``source`` is the paper's table, or "ours". Differences within
    ``margin`` of zero do not matter; None where no difference is too small. ``printed`` is the
    first comparison by the paper's numbers. ``family`` says with which claims of the same data,
    flow and recipe it shares Holm's correction. ``cleared`` says whether all the models clear the
    bars of the data set, None where no bars are known. ``lost`` counts trials of these cells that
    diverged or failed. ``rules`` are the factorizations that it is about, by the names of a spec.
    ``sweep`` is the shipped sweep that tests it, and ``sets`` are options that it needs besides
    those of the cells. ``members`` are
    the cells of a claim over several flows or data sets, of which ``cells`` are the longest
    trained; else these alone. ``untrained`` is the first of the seeds that no result of these flows
    and data sets has, where the measure is taken of weights: rows that lack it may have none.
    """

    key: str
    source: str
    text: str
    cells: Cells
    members: tuple[Cells, ...]
    comparisons: tuple[PairedComparison, ...]
    unit: str = "bits/dim"
    margin: float | None = MARGIN
    printed: float | None = None
    family: str = ALONE
    cleared: bool | None = None
    lost: int = 0
    rules: tuple[str, ...] = ()
    sweep: str = "words"
    sets: tuple[str, ...] = ()
    untrained: int | None = None

    @property
    def parts_below_zero(self) -> int:
        """Number of comparisons with a mean below zero."""
        return sum(one.test is not None and one.test.mean < 0 for one in self.comparisons)


@dataclass(frozen=True)
class Verdict:
    """A claim's verdict, with the comparison that decided it, or that is nearest to spoiling it.

    ``t_p`` is the largest p of a comparison in the
    claim's favour, and ``holm_p`` that after Holm's correction over the ``family_size`` claims of
    its family. ``seeds`` is about how many would decide it.
    """

    claim: TestedClaim
    decision: Decision
    why: str
    comparison: PairedComparison
    t_p: float
    holm_p: float
    family_size: int
    seeds: int | None

    @property
    def n(self) -> int:
        """Number of seeds of the comparison."""
        return len(self.comparison.by_seed)

    @property
    def is_rough(self) -> bool:
        """True if too few seeds tell the spread from which ``seeds`` follows."""
        test = self.comparison.test
        return self.decision == "undecided" and self.n < ENOUGH and bool(test and test.deviation)

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


def read_verdicts(
    store: Store,
    *,
    measure: str = BITS_PER_DIM,
    margin: float | None = None,
    sweep_id: str | None = None,
    **where: Any,
) -> Verdicts:
    """Return the verdicts on the results in a database, of one sweep or of all.

    Args:
        store: The database.
        measure: What claims of order are judged by.
        margin: Difference in the measure's unit that does not matter; by default `MARGIN` for
            measures in bits/dim, and none for others.
        sweep_id: Only this sweep's trials.
        where: Columns of `trial_results`, as for `board.read_board`.

    Raises:
        UserError: As for `board.read_board`, and for another margin of the measure bits/dim.
    """
    kind = find_ranked_measure(store, measure)
    board = read_board(store, measure=measure, sweep_id=sweep_id, **where)
    if measure != BITS_PER_DIM:
        trained = store.highest_seeds() if measure in BY_REQUEST else {}
        return make_verdicts(board, kind=kind, margin=margin, trained=trained)
    if margin is not None:
        raise UserError(
            f"the margin of verdicts by bits/dim is {MARGIN}, fixed before the results: leave "
            "--margin out, or give --by MEASURE"
        )
    # On CPUs the clock also counts what else the machine does.
    timed = [
        group
        for measure in sorted(TIMES & store.measure_kinds().keys())
        for group in read_board(store, measure=measure, sweep_id=sweep_id, **where).groups
        if group.on_gpus or measure == CPU_SECONDS_PER_STEP
    ]
    return make_verdicts(board, _read_mask_shares(store), _drop_stacked(timed, store))


def _drop_stacked(timed: Sequence[Group], store: Store) -> list[Group]:
    """Drop recipes that train in stacks: members share one time, so their seeds are no repeats."""
    bodies = store.recipe_bodies(sorted({group.recipe_id for group in timed}))
    stacked = {i for i, body in bodies.items() if _is_stacked(parse_object(body))}
    return [group for group in timed if group.recipe_id not in stacked]


def _is_stacked(recipe: Mapping[str, Any]) -> bool:
    optimization = recipe.get("optimization")
    return isinstance(optimization, dict) and bool(optimization.get("stacked"))


def make_verdicts(
    board: Board,
    shares: Shares | None = None,
    timed: Sequence[Group] = (),
    *,
    kind: MeasureKind = BITS,
    margin: float | None = None,
    trained: Mapping[tuple[str, str, str], int] | None = None,
) -> Verdicts:
    """Return the verdicts on a board.

    Args:
        board: By the measure.
        shares: The share of one repeated pattern in the maps behind it; for bits/dim.
        timed: Groups of the same results by the time of a step; for bits/dim.
        kind: The measure.
        margin: As in `read_verdicts`.
        trained: The highest seeds, as `Store.highest_seeds` returns them; for measures by request.
    """
    by_bits = kind.name == BITS_PER_DIM
    claims = [one for group in board.groups for one in list_group_claims(group)]
    claims += list_group_pair_claims(board.groups)
    if by_bits:
        claims += list_time_claims(board.groups, timed)
        claims += list_mask_claims(board.groups, shares or {})
    else:  # what the paper says and prints is of bits/dim
        margin = default_margin(kind) if margin is None else margin
        unit = name_unit(kind.unit)
        claims = [
            replace(one, unit=unit, margin=margin, source="ours", printed=None)
            for one in claims
            if one.key not in OF_BITS_PER_DIM
        ]
    if trained:
        claims = [replace(one, untrained=_find_untrained(one, trained)) for one in claims]
    order = list(CLAIMS)
    claims.sort(key=lambda one: (_claim_order(one, order), _scale(one)))
    found = decide_claims(claims)
    return Verdicts(
        board=board,
        verdicts=tuple(one for one in found if one.claim.cleared),
        apart=tuple(one for one in found if not one.claim.cleared),
        unmeasured=tuple(
            key
            for key in CLAIMS
            if key not in {one.key for one in claims} and (by_bits or key not in OF_BITS_PER_DIM)
        ),
        not_judged=() if by_bits else tuple(OF_BITS_PER_DIM),
        kind=kind,
    )


def _find_untrained(claim: TestedClaim, trained: Mapping[tuple[str, str, str], int]) -> int:
    groups = [cells.group for cells in claim.members]
    return 1 + max(trained.get((one.flow, one.dataset, one.variant), -1) for one in groups)


def default_margin(kind: MeasureKind) -> float | None:
    """Return the difference that does not matter: `MARGIN` in bits/dim, None in other units."""
    return MARGIN if kind.unit == BITS.unit else None


def describe_better(measure: str, direction: str | None) -> str:
    """Return what is better by a measure, such as 'fewer bits/dim'."""
    return "fewer bits/dim" if measure == BITS_PER_DIM else f"{direction} {printable(measure)}"


def _scale(claim: TestedClaim) -> str:
    return str(tuple(claim.cells.facts.values()))


def _name_models(cells: Cells) -> str:
    """Return what tells cells from others, but for the budget."""
    return str(tuple(value for name, value in cells.facts.items() if name != "budget"))


def _claim_order(claim: TestedClaim, order: list[str]) -> tuple[int, str]:
    # The means of Tables 1 and 2 follow the claim about their cells, which is the first.
    return order.index(claim.key) if claim.key in order else 0, claim.key


# The rule by which every claim gets its verdict


def decide_claims(claims: Sequence[TestedClaim]) -> tuple[Verdict, ...]:
    """Return the verdicts, in the order of the claims."""
    p_values = [max(one.p_in_favour for one in claim.comparisons) for claim in claims]
    found: dict[int, Verdict] = {}
    for members in group_families(claims):
        corrected = adjust_holm([p_values[index] for index in members])
        for index, holm_p in zip(members, corrected, strict=True):
            found[index] = _decide_claim(claims[index], p_values[index], holm_p, len(members))
    return tuple(found[index] for index in range(len(claims)))


def group_families(claims: Sequence[TestedClaim]) -> list[list[int]]:
    """Return the positions of the claims that share Holm's correction, family by family."""
    families: dict[tuple[object, ...], list[int]] = {}
    for index, one in enumerate(claims):
        family = (one.family, index if one.family == ALONE else _name_models(one.cells))
        families.setdefault(family, []).append(index)
    return list(families.values())


def _decide_claim(claim: TestedClaim, p: float, holm_p: float, size: int) -> Verdict:
    worst = max(claim.comparisons, key=attrgetter("upper_end"))
    few = [one for one in claim.comparisons if len(one.by_seed) < ENOUGH]
    refuting = [one for one in claim.comparisons if _reason_against(claim, one)]
    decision: Decision = "undecided"
    if few:
        worst = max(few, key=attrgetter("upper_end"))
        why = f"fewer than {ENOUGH} seeds decide nothing"
    elif refuting:
        worst = max(refuting, key=attrgetter("upper_end"))
        decision, why = "refuted", _reason_against(claim, worst)
    elif worst.upper_end >= 0:
        why = "the interval contains zero"
    elif max(one.sign_flip_p for one in claim.comparisons) > 2 * LEVEL:  # 5 % on the claim's side
        why = "the exact sign-flip test does not show it"
    elif holm_p > LEVEL:
        why = f"it does not outlast Holm's correction over {size} claims"
    else:
        decision, why = "supported", "the 95 % interval is wholly below zero"
    seeds = _seeds_to_decide(claim, worst) if decision == "undecided" else None
    return Verdict(claim, decision, why, worst, p, holm_p, size, seeds)


def _reason_against(claim: TestedClaim, comparison: PairedComparison) -> str:
    """Return why a comparison refutes the claim, or nothing.

    Of k comparisons any one can, so each is compared with an interval of 1 - 5 % / k.
    """
    test, level = comparison.test, LEVEL / len(claim.comparisons)
    if test is None or test.deviation is None or test.n < ENOUGH:
        return ""
    half = half_width(test.deviation, test.n, level)
    interval = f"the {100 * (1 - level):.3g} % interval is wholly"
    if claim.margin is not None and abs(test.mean) + half <= claim.margin:
        return f"{interval} within {claim.margin} {claim.unit} of zero"
    return f"{interval} above zero" if test.mean - half > 0 else ""


def _seeds_to_decide(claim: TestedClaim, comparison: PairedComparison) -> int | None:
    """Return about how many seeds would decide.

    That is for the effect that was seen, or the smallest that matters; a rough number where fewer
    than `ENOUGH` seeds tell the spread.
    """
    test = comparison.test
    if test is None or test.deviation is None:
        return ENOUGH
    effect = max(abs(test.mean), claim.margin or 0.0)
    needed = seeds_needed(effect, test.deviation) if effect else None
    return None if needed is None else max(needed, test.n + 1, ENOUGH)


# The rows of a group that claims are about


def select_longest(group: Group) -> Cells:
    """Return the rows under the group's longest budget, whatever their results say."""
    return list_cells(group)[0]


def list_cells(group: Group) -> list[Cells]:
    """Return the rows under each budget of `low`, the longest first."""
    budgets: list[int | None] = [*list_budgets(group)]
    return [select_cells(group, budget) for budget in reversed(budgets or [None])]


def select_cells(group: Group, budget: int | None) -> Cells:
    """Return the rows under one budget, and those that need none, as of the data alone."""
    rows = {
        row.factorization: row
        for row in _usual_rows(group)
        if row.seeds
        and (row.budget in (None, budget) or row.factorization in factorizations.DATA_RULES)
    }
    return Cells(group, budget, rows)


def list_budgets(group: Group) -> list[int]:
    """Return the budgets of `low`, shortest first."""
    low = "L" * group.splits
    return sorted(
        row.budget
        for row in _usual_rows(group)
        if row.factorization == low and row.seeds and row.budget is not None
    )


def _usual_rows(group: Group) -> list[BoardRow]:
    return [row for row in group.rows if row.map_options is None]


def make_claim(
    cells: Cells, rows: Sequence[BoardRow], comparisons: Sequence[PairedComparison], **more: Any
) -> TestedClaim:
    """Return a claim about these rows of a group."""
    cleared = {row.cleared for row in rows}
    return TestedClaim(
        cells=cells,
        comparisons=tuple(comparisons),
        cleared=False if False in cleared else None if None in cleared else True,
        lost=sum(row.diverged + row.failed for row in rows),
        rules=tuple(dict.fromkeys(map(name_rule, rows))),
        **({"members": (cells,)} | more),
    )


def name_rule(row: BoardRow) -> str:
    """Return a row's factorization by a name that a spec has for flows of any number of splits."""
    letters = set(row.factorization)
    if row.conventional or letters not in ({"L"}, {"H"}):
        return "conventional" if row.conventional else row.factorization
    return "low" if letters == {"L"} else "high"


def compare_rows(
    group: Group,
    one: BoardRow,
    other: BoardRow,
    *,
    names: tuple[str, str] | None = None,
    after: str = "",
) -> PairedComparison:
    """Return the difference of two rows by seed that is below zero where the first is better."""
    shown = names or (printable(one.label), printable(other.label))
    if group.direction == "higher":
        one, other, shown = other, one, shown[::-1]
    differences = subtract_by_seed(one.by_seed, other.by_seed)
    return PairedComparison(f"{shown[0]} - {shown[1]}{after}", differences, (one, other))


# Claims about the rows of one group: which choice is better, and by which letter

TABLE_3 = ("low", "conventional", "random", "high")
"""From the fewest bits/dim to the most, as printed."""

TABLE_3_SAMPLES = ("low", "conventional", "high", "random")
"""From the best samples to the worst, as described."""

PHASES = ("checkerboard-even", "checkerboard-odd")


def list_group_claims(group: Group) -> Iterator[TestedClaim]:
    """Yield all claims that the group's rows bear on, each of the longest budget under which all
    rows that it compares have results."""
    makers = (_choice_claims, _beyond_claims, _pattern_claims, _order_claims, _first_split_claim)
    found: dict[str, TestedClaim] = {}
    for cells in list_cells(group):
        for claim in itertools.chain.from_iterable(make(cells) for make in makers):
            found.setdefault(claim.key, claim)
    yield from found.values()
    yield from _budget_claim(group)


def _choice_claims(cells: Cells) -> Iterator[TestedClaim]:
    low, conventional = cells.low, cells.conventional
    if low is None:
        return

    def choice(others: Sequence[BoardRow], key: str, text: str, **more: Any) -> TestedClaim:
        return make_claim(
            cells,
            (low, *others),
            [compare_rows(cells.group, low, other) for other in others],
            key=key,
            text=f"low gives {_better(cells.group)} than {text}",
            family=CHOICE,
            sweep="flows",
            **more,
        )

    if conventional is not None:
        source, printed = _printed_difference(cells.group)
        text = f"conventional ({printable(conventional.label)})"
        yield choice([conventional], "low-conventional", text, source=source, printed=printed)
    phases = [cells.rows[name] for name in PHASES if name in cells.rows]
    if len(phases) == len(PHASES):
        text = "the better phase of the checkerboard"
        yield choice(phases, "low-better-phase", text, source="ours")
    if "random-local" in cells.rows:
        text = "chance with the same locality (random-local)"
        yield choice([cells.rows["random-local"]], "low-random-local", text, source="ours")


def _beyond_claims(cells: Cells) -> Iterator[TestedClaim]:
    """Yield claims on rules that the paper does not have."""
    low, group = cells.low, cells.group
    if low is None:
        return

    def claim(other: BoardRow, key: str, text: str, *found: PairedComparison) -> TestedClaim:
        more = {"key": key, "text": text, "source": "ours", "family": BEYOND, "sweep": "beyond"}
        return make_claim(cells, (low, other), found, **more)

    for name, what in (
        ("low-global", "than half of all dimensions by its own maps, without windows"),
        ("variance-low", "than the half of each window with the low variance in the data"),
    ):
        if other := cells.rows.get(name):
            text = f"low gives {_better(group)} {what} ({name})"
            yield claim(other, f"low-{name}", text, compare_rows(group, low, other))
    if online := cells.rows.get("online"):
        text = f"choosing during the training (online) gives {_better(group)} than low"
        yield claim(online, "online-low", text, compare_rows(group, online, low))
    if own := cells.rows.get("self"):
        both = (_beyond_margin(group, own, low), _beyond_margin(group, low, own))
        text = f"self is within {EQUAL} bits/dim of low"
        yield replace(claim(own, "self-low", text, *both), margin=None)


def _pattern_claims(cells: Cells) -> Iterator[TestedClaim]:
    """Yield claims that no pattern is better than a rule by more than the margin.

    They are about all patterns that are there, so that none need be chosen by its own result.
    """
    if not any(factorizations.is_pattern(name) for name in cells.rows):
        return
    patterns = [
        row for name, row in cells.rows.items() if factorizations.pattern_pair(name, 0) is not None
    ]
    for name, rule in (("low", cells.low), ("conventional", cells.conventional)):
        others = [row for row in patterns if row is not rule]
        if rule is not None and others:
            which = f"none of the {len(others)} regular patterns tried beats"
            if len(others) == 1:
                which = f"the regular pattern {others[0].label} does not beat"
            yield make_claim(
                cells,
                (rule, *others),
                [_beyond_margin(cells.group, rule, other) for other in others],
                key=f"{name}-patterns",
                source="ours",
                text=f"{which} {name} by more than {EQUAL} bits/dim",
                margin=None,
                family=BEYOND,
                sweep="patterns",
            )


def _beyond_margin(group: Group, one: BoardRow, other: BoardRow) -> PairedComparison:
    """Return how much more than the margin the first is worse."""
    found = compare_rows(group, one, other)
    less = {seed: difference - EQUAL for seed, difference in found.by_seed.items()}
    return PairedComparison(f"{found.name} - {EQUAL}", less, found.rows)


def _better(group: Group) -> str:
    return describe_better(group.measure, group.direction)


def _printed_difference(group: Group) -> tuple[str, float | None]:
    """Return where the paper prints both numbers of a cell, and their difference."""
    found = {
        name: published.find(group.flow, group.set_name, [name]) for name in ("low", "conventional")
    }
    for low in found["low"]:
        for conventional in found["conventional"]:
            if low.where == conventional.where:
                tables = sorted({n.table for n in found["low"]})
                noun = "Tables" if len(tables) > 1 else "Table"
                where = f"{low.source}, {noun} {' and '.join(tables)}"
                return where, round(low.bits_per_dim - conventional.bits_per_dim, 4)
    return "LCMA, as in Tables 1 and 2", None


def _order_claims(cells: Cells) -> Iterator[TestedClaim]:
    named = {
        "low": cells.low,
        "conventional": cells.conventional,
        "random": cells.rows.get("random"),
        "high": cells.rows.get("H" * cells.group.splits),
    }
    names = TABLE_3_SAMPLES if cells.group.measure in OF_SAMPLES else TABLE_3
    third = [row for name in names if (row := named[name]) is not None]
    if len(third) == len(names) and cells.group.splits:
        yield _order_claim(cells, third, "table3-order", "LCMA, Table 3", "rules", ", ".join(names))
    words = cells.words
    if words is not None and cells.group.splits > 1:
        text = ", ".join(words)
        yield _order_claim(
            cells, list(words.values()), "table4-order", "LCMA, Table 4", "words", text
        )


def _order_claim(
    cells: Cells, rows: Sequence[BoardRow], key: str, source: str, sweep: str, text: str
) -> TestedClaim:
    return make_claim(
        cells,
        rows,
        [compare_rows(cells.group, one, next_one) for one, next_one in itertools.pairwise(rows)],
        key=key,
        source=source,
        text=f"{_describe_order(cells.group)} in this order: {text}",
        sweep=sweep,
    )


def _describe_order(group: Group) -> str:
    if group.measure == BITS_PER_DIM:
        return "bits/dim rise"
    return f"{printable(group.measure)} {'falls' if group.direction == 'higher' else 'rises'}"


def _first_split_claim(cells: Cells) -> Iterator[TestedClaim]:
    words = cells.words
    if words is None or cells.group.splits < 2:
        return
    by_word = {word: row.by_seed for word, row in words.items()}
    seeds = sorted(set.intersection(*(set(found) for found in by_word.values())))
    one, other = "HL" if cells.group.direction == "higher" else "LH"
    effects = [
        {
            seed: statistics.fmean(b[seed] for w, b in by_word.items() if w[split] == one)
            - statistics.fmean(b[seed] for w, b in by_word.items() if w[split] == other)
            for seed in seeds
        }
        for split in range(cells.group.splits)
    ]
    comparisons = [PairedComparison(f"effect of {one} at split 1", effects[0])]
    comparisons += [
        PairedComparison(f"effect at split 1 - at split {k}", subtract_by_seed(effects[0], effect))
        for k, effect in enumerate(effects[1:], start=2)
    ]
    yield make_claim(
        cells,
        list(words.values()),
        comparisons,
        key="first-split",
        source="ours",
        text=CLAIMS["first-split"][0],
        sweep="words",
    )


def _budget_claim(group: Group) -> Iterator[TestedClaim]:
    budgets = list_budgets(group)
    if len(budgets) < 2:
        return
    word = "L" * group.splits
    short, long = (select_cells(group, b).rows[word] for b in (budgets[0], budgets[-1]))
    names = (f"low after {budgets[-1]}", f"after {budgets[0]}")
    yield make_claim(
        select_longest(group),
        (short, long),
        [compare_rows(group, long, short, names=names, after=" pretraining steps")],
        key="budget",
        source="LCMA, pretraining",
        text=f"low gives {_better(group)} after {budgets[-1]} pretraining steps than after "
        f"{budgets[0]}",
        sweep="flows",
        sets=("--budget", f"{budgets[0]},{budgets[-1]}"),
    )


# Claims that compare several groups: whole tables, variants of a data set

DATA = ("dataset", "variant", "data_digest")

EVALUATION = ("profile", "protocol", "precision")


def list_group_pair_claims(groups: Sequence[Group]) -> Iterator[TestedClaim]:
    """Yield all claims that take more than one group."""
    both = [cells[0] for group in groups if (cells := _list_pairs(group))]
    yield from _table_claims(both)
    yield from _faces_claims(both)
    yield from _variant_claims([select_longest(group) for group in groups])


def _list_pairs(group: Group) -> list[Cells]:
    """Return the rows under each budget that has `low` and conventional, the longest first."""
    return [cells for cells in list_cells(group) if cells.low_and_conventional]


def _share_budget(members: Sequence[Cells]) -> list[Cells]:
    """Return the rows under the longest budget at which all groups have a seed in common, or else
    each one's longest."""
    pairs = [{cells.budget: cells for cells in _list_pairs(one.group)} for one in members]
    for budget in pairs[0]:
        if all(budget in found for found in pairs):
            shared = [found[budget] for found in pairs]
            if set.intersection(*map(_paired_seeds, shared)):
                return shared
    return [next(iter(found.values())) for found in pairs]


def _paired_seeds(cells: Cells) -> set[int]:
    rows = cells.low_and_conventional
    return set() if rows is None else set.intersection(*(set(row.by_seed) for row in rows))


def _table_claims(all_cells: Sequence[Cells]) -> Iterator[TestedClaim]:
    """Yield Tables 1 and 2 as wholes, one of each for every size of box-filtered sets.

    Seeds are paired within each cell, then averaged over cells.
    """
    sized = [(cells, _filtered_size(cells.group)) for cells in all_cells]
    for size in sorted({size for _, size in sized}):
        usable = [cells for cells, found in sized if found == size]
        yield from _table_claim(usable, "1", "data sets", ("flow",), "dataset")
        yield from _table_claim(usable, "2", "flows", DATA, "flow")


def _table_claim(
    usable: Sequence[Cells], table: str, over: str, alike: Sequence[str], each: str
) -> Iterator[TestedClaim]:
    for found in _group_alike(usable, *alike, *EVALUATION):
        members = _share_budget(_choose_one_each(found, each))
        if len(members) < 2:
            continue
        rows = [pair for c in members if (pair := c.low_and_conventional)]
        last = max(members, key=lambda c: c.group.steps)
        gaps = [_compare_gap(last.group, *pair, ", mean over cells") for pair in rows]
        seeds = sorted(set.intersection(*(set(gap.by_seed) for gap in gaps)))
        if not seeds:
            continue
        mean = {seed: statistics.fmean(gap.by_seed[seed] for gap in gaps) for seed in seeds}
        names = [c.group.flow if table == "2" else c.group.set_name for c in members]
        yield make_claim(
            last,
            [row for pair in rows for row in pair],
            [PairedComparison(gaps[0].name, mean)],
            key=f"table{table}-mean",
            source=f"LCMA, Table {table}",
            text=f"low gives {_better(last.group)} than conventional on average over "
            f"{len(names)} {over} ({printable(', '.join(names))})",
            members=tuple(members),
            sweep="flows",
        )


def _choose_one_each(all_cells: Sequence[Cells], each: str) -> list[Cells]:
    """Return one group of each data set or flow, chosen by nothing that was measured.

    Of the variants of a set it is the one of which the paper prints a number; of the recipes the
    longest training that all sets or flows have, or else each one's longest; of equal lengths the
    recipe that differs least from its profile's.
    """
    parts = []
    for found in _group_alike(all_cells, each):
        variants = sorted({cells.group.variant for cells in found})
        printed = {cells.group.variant for cells in found if _is_printed(cells.group)}
        chosen = min(variants, key=lambda name: (name not in printed, name))
        parts.append([cells for cells in found if cells.group.variant == chosen])
    lengths = set.intersection(*({cells.group.steps for cells in part} for part in parts))
    if lengths:
        parts = [[cells for cells in part if cells.group.steps == max(lengths)] for part in parts]
    return [max(part, key=_likeness) for part in parts]


def _likeness(cells: Cells) -> tuple[int, float, str]:
    changed = cells.group.overrides
    others = math.inf if changed is None else len(changed.keys() - {"training.steps"})
    return cells.group.steps, -others, cells.group.recipe_id


def _is_printed(group: Group) -> bool:
    return bool(published.find(group.flow, _whole_name(group), ["low"]))


def _whole_name(group: Group) -> str:
    """Return the name of the set of which a group's images are, or are a box-filtered form."""
    facts = known_sets.known().get(group.set_name)
    return (facts and facts.filtered_from) or group.set_name


def _filtered_size(group: Group) -> int:
    """Return the size of the images of a box-filtered set, 0 for those of any other."""
    return 0 if _whole_name(group) == group.set_name else group.size


def _compare_gap(group: Group, low: BoardRow, own: BoardRow, after: str) -> PairedComparison:
    return compare_rows(group, low, own, names=("low", "conventional"), after=after)


def _training_length(cells: Cells) -> tuple[int, str]:
    return cells.group.steps, cells.group.recipe_id


def _faces_claims(all_cells: Sequence[Cells]) -> Iterator[TestedClaim]:
    """Yield claims that the gap of CelebA is larger than that of CIFAR-10, at one size."""
    alike = ("flow", "recipe_id", *EVALUATION)
    for members in _group_alike(all_cells, *alike):
        faces, others = (
            [cells for cells in members if is_form_of(cells.group, name)]
            for name in ("celeba64", "cifar10")
        )
        for pair_of in itertools.product(faces, others):
            one, other = _share_budget(pair_of)
            if not _paired_seeds(one) & _paired_seeds(other):
                continue
            pairs = [pair for cells in (one, other) if (pair := cells.low_and_conventional)]
            gaps = [_compare_gap(one.group, *pair, "").by_seed for pair in pairs]
            names = [printable(cells.group.set_name) for cells in (one, other)]
            yield make_claim(
                one,
                [row for pair in pairs for row in pair],
                [
                    PairedComparison(
                        f"low - conventional on {names[0]} - the same on {names[1]}",
                        subtract_by_seed(*gaps),
                    )
                ],
                key="faces",
                source="LCMA, Table 1",
                text=f"low gains more over conventional on faces ({names[0]}) than on CIFAR-10",
                members=(one, other),
                sweep="flows",
            )


def is_form_of(group: Group, set_name: str) -> bool:
    """Return whether a group's images are those of a set, in whatever variant and size."""
    whole = known_sets.known().get(_whole_name(group))
    return whole is not None and whole.dataset == set_name


def _variant_claims(all_cells: Sequence[Cells]) -> Iterator[TestedClaim]:
    gap = _published_gap()
    usable = [
        c for c in all_cells if is_form_of(c.group, "celeba64") and c.conventional is not None
    ]
    alike = ("flow", "recipe_id", *EVALUATION)
    for members in _group_alike(usable, *alike):
        by_variant: Mapping[str, Cells] = {c.group.variant: c for c in members}
        if not {"u8", "float"} <= by_variant.keys():
            continue
        both = [by_variant[name].conventional for name in ("float", "u8")]
        rows = [row for row in both if row is not None]
        moved = subtract_by_seed(*(row.by_seed for row in rows))
        more = {seed: value - gap for seed, value in moved.items()}
        fewer = {seed: -value - gap for seed, value in moved.items()}
        yield make_claim(
            by_variant["float"],
            rows,
            [
                PairedComparison(f"float - u8 - {gap:.2f}", more),
                PairedComparison(f"u8 - float - {gap:.2f}", fewer),
            ],
            key="variant",
            source="ours",
            text="the variant of the data alone moves CelebA by less than the published gap of "
            f"{gap:.2f} bits/dim between conventional and low",
            margin=None,
            sweep="table1",
            sets=(
                "--dataset",
                ",".join(by_variant[name].group.set_name for name in ("u8", "float")),
            ),
        )


def _published_gap() -> float:
    low, own = (
        published.find("realnvp", "celeba64-float", [name])[0].bits_per_dim
        for name in ("low", "conventional")
    )
    return round(own - low, 4)


def _group_alike(all_cells: Sequence[Cells], *names: str) -> list[list[Cells]]:
    """Return the cells whose groups agree in these facts, together."""
    found: dict[tuple[object, ...], list[Cells]] = {}
    for one in all_cells:
        found.setdefault(tuple(getattr(one.group, name) for name in names), []).append(one)
    return list(found.values())


# The claim that a choice costs no time, by another measure than bits/dim

SLOWER = 2.0
"""Percent of a training step that are no cost: timings of equal code differ by as much."""


def list_time_claims(groups: Sequence[Group], timed: Sequence[Group]) -> Iterator[TestedClaim]:
    """Yield one claim for each group with steps of `low` and conventional that were timed, of the
    longest such budget."""
    by_models = {_name_models(select_longest(one)): one for one in timed}
    for group in groups:
        if (same := by_models.get(_name_models(select_longest(group)))) is None:
            continue
        for cells in list_cells(group):
            rows, times = cells.low_and_conventional, select_cells(same, cells.budget)
            if rows is None or (pair := times.low_and_conventional) is None:
                continue
            low, own = (row.by_seed for row in pair)
            slower = {seed: 100 * (low[seed] / own[seed] - 1) for seed in sorted(low.keys() & own)}
            if not slower:
                continue
            over = {seed: percent - SLOWER for seed, percent in slower.items()}
            yield make_claim(
                cells,
                rows,
                [PairedComparison(f"low / {printable(pair[1].label)} - 1 - {SLOWER:g} %", over)],
                key="time",
                source="section 3.4",
                text=f"a training step of low takes less than {SLOWER:g} % longer than one of "
                f"conventional ({printable(pair[1].label)})",
                unit="% of a step",
                margin=None,
                sweep="flows",
            )
            break


# Claims about maps: the share of one that is a pattern repeated over the image

HALF = 0.5


def list_mask_claims(groups: Sequence[Group], shares: Shares) -> Iterator[TestedClaim]:
    """Yield one claim for each pretraining from which `low` has tables with their statistics.

    Of the trainings that read its maps it is of the shortest under the longest budget.
    """
    readers: dict[tuple[str, str], list[Cells]] = {}
    for group in groups:
        for cells in list_cells(group):
            if cells.low is not None and _share_of_masks(cells, shares):
                pretraining = (group.recipe_of_pretraining, group.data_digest)
                readers.setdefault(pretraining, []).append(cells)
    for found in readers.values():
        cells = min(found, key=lambda one: (-(one.budget or 0), *_training_length(one)))
        yield make_claim(
            cells,
            [row for row in (cells.low,) if row is not None],
            [
                PairedComparison(
                    "1/2 - mask share at split 1",
                    {
                        seed: HALF - share
                        for seed, share in sorted(_share_of_masks(cells, shares).items())
                    },
                )
            ],
            key="mask-share",
            source="ours",
            text="most of the variance within windows of the first map is one repeated pattern",
            unit="of the variance",
            margin=None,
            sweep="flows",
        )


def _share_of_masks(cells: Cells, shares: Shares) -> Mapping[int, float]:
    return shares.get((cells.group.recipe_id, cells.group.data_digest, cells.budget), {})


def _read_mask_shares(store: Store) -> Shares:
    tables = store.view("table_statistics", split=1)
    found: dict[tuple[str, str, int | None], dict[int, float]] = {}
    for row in tables.to_dict("records"):
        word, share = str(row["factorization"]), row["mask_share"]
        if not factorizations.is_word(word) or set(word) != {"L"} or share != share:
            continue
        if row["map_options"] is not None and row["map_options"] == row["map_options"]:
            continue
        key = (str(row["recipe_id"]), str(row["data_digest"]), int(row["budget"]))
        found.setdefault(key, {})[int(row["seed"])] = float(share)
    return found
