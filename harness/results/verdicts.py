"""Verdicts on claims, each by one rule: supported, refuted or undecided.

A claim is made of comparisons by seed, each of which it says to be below zero on average. Claims
are about the rows of one group of the board, about several groups, or about maps. docs/verdicts.md
states the rule in words.
"""

import itertools
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lcma.db import Store
from lcma.harness.results.board import (
    COMPARABLE,
    ENOUGH,
    Board,
    BoardRow,
    Group,
    read_board,
)
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
from lcma.sweeps import factorizations, published

MARGIN = 0.01
"""Bits/dim below which a difference does not matter."""

ALONE, CHOICE = "alone", "choice"

SCALE = (*COMPARABLE, "profile", "splits", "steps", "settings", "budget", "whole")
"""What tells the models of one claim from those of another."""

Decision = Literal["supported", "refuted", "undecided"]

Shares = Mapping[tuple[str, str, int | None], Mapping[int, float]]
"""Mask share at split 1 by seed, of the tables of `low`: by recipe, data digest and budget."""

CLAIMS = {
    "low-conventional": ("low gives fewer bits/dim than conventional (Tables 1 and 2)", "table1"),
    "table3-order": ("the order of Table 3", "table3"),
    "table4-order": ("the order of the words in Table 4", "table4"),
    "budget": ("longer pretraining gives low fewer bits/dim", "demo --budget 100,1000"),
    "low-better-phase": ("low beats the better phase of the checkerboard", "demo"),
    "low-random-local": ("low beats chance with the same locality", "demo"),
    "mask-share": ("most of the map is the masks' own pattern", "demo"),
    "persistence": ("the gap persists as training goes on", "phases"),
    "first-split": ("the first split carries the gap", "words"),
    "variant": (
        "the data variant alone moves CelebA by less than the published gap",
        "table1 --dataset celeba64,celeba64-float",
    ),
}
"""Every claim by key, in short, and a launch that tests it."""


@dataclass(frozen=True)
class Comparison:
    """Differences by seed, which the claim says to be below zero on average."""

    name: str
    by_seed: dict[int, float] = field(hash=False)


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
    diverged or failed. ``sweep`` is the shipped sweep that tests it, ``sets`` are options that it
    needs besides those of the cells, and ``lengths`` the training steps, where several are
    compared. ``members`` are the cells of a claim over several flows or data sets, of which
    ``cells`` are the longest trained; else these alone.
    """

    key: str
    source: str
    text: str
    cells: Cells
    members: tuple[Cells, ...]
    comparisons: tuple[Comparison, ...]
    unit: str = "bits/dim"
    margin: float | None = MARGIN
    printed: float | None = None
    family: str = ALONE
    cleared: bool | None = None
    lost: int = 0
    sweep: str = "words"
    sets: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()

    @property
    def parts_below_zero(self) -> int:
        """Number of comparisons with a mean below zero."""
        means = [statistics.fmean(c.by_seed.values()) for c in self.comparisons if c.by_seed]
        return sum(mean < 0 for mean in means)


@dataclass(frozen=True)
class Verdict:
    """A claim's verdict, with the comparison that decided it, or that is nearest to spoiling it.

    ``test`` is of that comparison, None where no seed has both sides; of a claim of several
    comparisons ``t_p`` is the largest p in its favour, and ``holm_p`` that after Holm's correction
    over the ``family_size`` claims of its family. ``seeds`` is about how many would decide it.
    """

    claim: TestedClaim
    decision: Decision
    why: str
    comparison: Comparison
    test: PairedTest | None
    n: int
    t_p: float
    holm_p: float
    family_size: int
    seeds: int | None

    @property
    def on_published(self) -> bool:
        """True if this is a verdict on the published numbers."""
        groups = [cells.group for cells in self.claim.members]
        whole = all(group.published_recipe and group.whole for group in groups)
        return self.claim.cleared is True and whole


@dataclass(frozen=True)
class Verdicts:
    """All verdicts of a database.

    ``verdicts`` are of models that clear the bars, ``apart`` of those that do not, or where no bars
    are known. ``unmeasured`` are keys of claims without any results. ``diverged`` and ``failed``
    count lost trials, ``lost`` the same by outcome.
    """

    verdicts: tuple[Verdict, ...]
    apart: tuple[Verdict, ...]
    unmeasured: tuple[str, ...]
    diverged: int = 0
    failed: int = 0
    lost: tuple[tuple[str, int], ...] = ()


def read_verdicts(store: Store, *, sweep_id: str | None = None, **where: Any) -> Verdicts:
    """Return the verdicts on the results in a database, of one sweep or of all.

    Args:
        store: The database.
        sweep_id: Only this sweep's trials.
        where: Columns of `trial_results`, as for `board.read_board`.
    """
    board = read_board(store, sweep_id=sweep_id, **where)
    return make_verdicts(board, _read_mask_shares(store))


def make_verdicts(board: Board, shares: Shares | None = None) -> Verdicts:
    """Return the verdicts on a board, and on the share of the masks in the maps behind it."""
    claims = [one for group in board.groups for one in list_group_claims(group)]
    claims += list_group_pair_claims(board.groups)
    claims += list_mask_claims(board.groups, shares or {})
    order = list(CLAIMS)
    claims.sort(key=lambda one: (_claim_order(one, order), _scale(one)))
    found = decide_claims(claims)
    return Verdicts(
        verdicts=tuple(one for one in found if one.claim.cleared),
        apart=tuple(one for one in found if not one.claim.cleared),
        unmeasured=tuple(key for key in CLAIMS if key not in {one.key for one in claims}),
        diverged=board.diverged,
        failed=board.failed,
        lost=board.lost,
    )


def _scale(claim: TestedClaim) -> str:
    return str(tuple(claim.cells.facts.values()))


def _claim_order(claim: TestedClaim, order: list[str]) -> int:
    return order.index(claim.key) if claim.key in order else 0


# The rule by which every claim gets its verdict


def decide_claims(claims: Sequence[TestedClaim]) -> tuple[Verdict, ...]:
    """Return the verdicts, in the order of the claims."""
    tests = [_test_comparisons(one) for one in claims]
    p_values = [max(map(_p_in_favour, found)) for found in tests]
    holm = list(p_values)
    sizes = [1] * len(claims)
    families: dict[tuple[object, ...], list[int]] = {}
    for index, one in enumerate(claims):
        if one.family != ALONE:
            families.setdefault((one.family, _scale(one)), []).append(index)
    for members in families.values():
        corrected = adjust_holm([p_values[index] for index in members])
        for index, p in zip(members, corrected, strict=True):
            holm[index], sizes[index] = p, len(members)
    return tuple(
        _decide_claim(one, found, p, p_holm, size)
        for one, found, p, p_holm, size in zip(claims, tests, p_values, holm, sizes, strict=True)
    )


def _decide_claim(
    claim: TestedClaim, tests: Sequence[PairedTest | None], p: float, holm_p: float, size: int
) -> Verdict:
    n = min(0 if one is None else one.n for one in tests)
    refuting = [k for k, why in enumerate(_reasons_against(claim, tests)) if why]
    worst = max(range(len(tests)), key=lambda k: _upper_end(tests[k]))
    decision: Decision
    if n < ENOUGH:
        decision, why = "undecided", f"fewer than {ENOUGH} seeds decide nothing"
    elif refuting:
        worst = max(refuting, key=lambda k: _upper_end(tests[k]))
        decision, why = "refuted", _reasons_against(claim, tests)[worst]
    elif _upper_end(tests[worst]) >= 0:
        decision, why = "undecided", "the interval contains zero"
    elif max(_sign_flip(one) for one in tests) > 2 * LEVEL:  # 5 % in the claim's direction
        decision, why = "undecided", "the exact sign-flip test does not show it"
    elif holm_p > LEVEL:
        decision, why = "undecided", f"it does not outlast Holm's correction over {size} claims"
    else:
        decision, why = "supported", "the 95 % interval is wholly below zero"
    seeds = None if decision != "undecided" else _seeds_to_decide(claim, tests[worst], n)
    comparison, test = claim.comparisons[worst], tests[worst]
    return Verdict(claim, decision, why, comparison, test, n, p, holm_p, size, seeds)


def _test_comparisons(claim: TestedClaim) -> list[PairedTest | None]:
    return [paired_test(list(one.by_seed.values())) for one in claim.comparisons]


def _p_in_favour(test: PairedTest | None) -> float:
    """Return the two-sided p where the mean is on the claim's side, else 1."""
    return 1.0 if test is None or test.t_p is None or test.mean >= 0 else test.t_p


def _sign_flip(test: PairedTest | None) -> float:
    return 1.0 if test is None or test.sign_flip_p is None else test.sign_flip_p


def _upper_end(test: PairedTest | None) -> float:
    return float("inf") if test is None or test.high is None else test.high


def _reasons_against(claim: TestedClaim, tests: Sequence[PairedTest | None]) -> list[str]:
    """Return for each comparison why it refutes the claim, or nothing.

    Of k comparisons any one can, so each is compared with an interval of 1 - 5 % / k.
    """
    found = []
    level = LEVEL / len(tests)
    confidence = f"{100 * (1 - level):.3g} %"
    for test in tests:
        why = ""
        if test is not None and test.deviation is not None and test.n >= ENOUGH:
            half = half_width(test.deviation, test.n, level)
            if claim.margin is not None and abs(test.mean) + half <= claim.margin:
                why = (
                    f"the {confidence} interval is wholly within {claim.margin} {claim.unit} of "
                    "zero"
                )
            elif test.mean - half > 0:
                why = f"the {confidence} interval is wholly above zero"
        found.append(why)
    return found


def _seeds_to_decide(claim: TestedClaim, test: PairedTest | None, n: int) -> int | None:
    """Return about how many seeds would decide.

    That is for the effect that was seen, or the smallest that matters.
    """
    if n < ENOUGH or test is None or test.deviation is None:
        return ENOUGH
    effect = max(abs(test.mean), claim.margin or 0.0)
    needed = seeds_needed(effect, test.deviation) if effect else None
    return None if needed is None else max(needed, n + 1)


# The rows of a group that claims are about


def select_longest(group: Group) -> Cells:
    """Return the rows under the group's longest budget, whatever their results say."""
    budgets = list_budgets(group)
    return select_cells(group, budgets[-1] if budgets else None)


def select_cells(group: Group, budget: int | None) -> Cells:
    """Return the rows under one budget."""
    rows = {
        row.factorization: row
        for row in _usual_rows(group)
        if row.seeds and row.budget in (None, budget)
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
    cells: Cells, rows: Sequence[BoardRow], comparisons: Sequence[Comparison], **more: Any
) -> TestedClaim:
    """Return a claim about these rows of a group."""
    cleared = {row.cleared for row in rows}
    return TestedClaim(
        cells=cells,
        comparisons=tuple(comparisons),
        cleared=False if False in cleared else None if None in cleared else True,
        lost=sum(row.diverged + row.failed for row in rows),
        **({"members": (cells,)} | more),
    )


def compare_rows(one: BoardRow, other: BoardRow) -> Comparison:
    """Return one row minus another, by seed."""
    name = f"{printable(one.label)} - {printable(other.label)}"
    return Comparison(name, subtract_by_seed(one.by_seed, other.by_seed))


# Claims about the rows of one group: which choice is better, and by which letter

TABLE_3 = ("low", "conventional", "random", "high")
"""From the fewest bits/dim to the most, as printed."""

PHASES = ("checkerboard-even", "checkerboard-odd")


def list_group_claims(group: Group) -> Iterator[TestedClaim]:
    """Yield all claims that the group's rows bear on."""
    cells = select_longest(group)
    yield from _choice_claims(cells)
    yield from _order_claims(cells)
    yield from _first_split_claim(cells)
    yield from _budget_claim(group)


def _choice_claims(cells: Cells) -> Iterator[TestedClaim]:
    low, conventional = cells.low, cells.conventional
    if low is None:
        return
    sweep = "demo" if cells.group.flow == "realnvp" else "flows"
    if conventional is not None:
        source, printed = _printed_difference(cells.group)
        yield make_claim(
            cells,
            (low, conventional),
            [compare_rows(low, conventional)],
            key="low-conventional",
            source=source or "LCMA, as in Tables 1 and 2",
            text=f"low gives fewer bits/dim than conventional ({printable(conventional.label)})",
            printed=printed,
            family=CHOICE,
            sweep=sweep,
        )
    phases = [cells.rows[name] for name in PHASES if name in cells.rows]
    if len(phases) == len(PHASES):
        yield make_claim(
            cells,
            (low, *phases),
            [compare_rows(low, phase) for phase in phases],
            key="low-better-phase",
            source="ours",
            text="low gives fewer bits/dim than the better phase of the checkerboard",
            family=CHOICE,
            sweep=sweep,
        )
    if "random-local" in cells.rows:
        local = cells.rows["random-local"]
        yield make_claim(
            cells,
            (low, local),
            [compare_rows(low, local)],
            key="low-random-local",
            source="ours",
            text="low gives fewer bits/dim than chance with the same locality (random-local)",
            family=CHOICE,
            sweep=sweep,
        )


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
    return "", None


def _order_claims(cells: Cells) -> Iterator[TestedClaim]:
    named = {
        "low": cells.low,
        "conventional": cells.conventional,
        "random": cells.rows.get("random"),
        "high": cells.rows.get("H" * cells.group.splits),
    }
    third = [row for name in TABLE_3 if (row := named[name]) is not None]
    if len(third) == len(TABLE_3) and cells.group.splits:
        yield _order_claim(
            cells, third, "table3-order", "LCMA, Table 3", "demo", ", ".join(TABLE_3)
        )
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
        [compare_rows(one, next_one) for one, next_one in itertools.pairwise(rows)],
        key=key,
        source=source,
        text=f"bits/dim rise in this order: {text}",
        sweep=sweep,
    )


def _first_split_claim(cells: Cells) -> Iterator[TestedClaim]:
    words = cells.words
    if words is None or cells.group.splits < 2:
        return
    by_word = {word: row.by_seed for word, row in words.items()}
    seeds = sorted(set.intersection(*(set(found) for found in by_word.values())))
    effects = [
        {
            seed: statistics.fmean(b[seed] for w, b in by_word.items() if w[split] == "L")
            - statistics.fmean(b[seed] for w, b in by_word.items() if w[split] == "H")
            for seed in seeds
        }
        for split in range(cells.group.splits)
    ]
    comparisons = [Comparison("effect of L at split 1", effects[0])]
    comparisons += [
        Comparison(f"effect at split 1 - at split {k}", subtract_by_seed(effects[0], effect))
        for k, effect in enumerate(effects[1:], start=2)
    ]
    yield make_claim(
        cells,
        list(words.values()),
        comparisons,
        key="first-split",
        source="ours",
        text="the first split carries the gap: its letter matters, and more than any other",
        sweep="words",
    )


def _budget_claim(group: Group) -> Iterator[TestedClaim]:
    budgets = list_budgets(group)
    if len(budgets) < 2:
        return
    word = "L" * group.splits
    short, long = (select_cells(group, b).rows[word] for b in (budgets[0], budgets[-1]))
    name = f"low after {budgets[-1]} - after {budgets[0]} pretraining steps"
    yield make_claim(
        select_longest(group),
        (short, long),
        [Comparison(name, subtract_by_seed(long.by_seed, short.by_seed))],
        key="budget",
        source="LCMA, pretraining",
        text=f"low gives fewer bits/dim after {budgets[-1]} pretraining steps than after "
        f"{budgets[0]}",
        sweep="demo" if group.flow == "realnvp" else "flows",
        sets=("--budget", f"{budgets[0]},{budgets[-1]}"),
    )


# Claims that compare several groups: whole tables, training lengths, variants of a data set

Key = tuple[object, ...]


def list_group_pair_claims(groups: Sequence[Group]) -> Iterator[TestedClaim]:
    """Yield all claims that take more than one group."""
    all_cells = [select_longest(group) for group in groups]
    yield from _table_claims(all_cells)
    yield from _persistence_claims(all_cells)
    yield from _variant_claims(all_cells)


def _table_claims(all_cells: Sequence[Cells]) -> Iterator[TestedClaim]:
    """Yield Tables 1 and 2 as wholes.

    Seeds are paired within each cell, then averaged over cells.
    """
    usable = _longest_trained([c for c in all_cells if c.low_and_conventional])

    def table_1(cells: Cells) -> Key:
        return cells.group.flow, cells.group.profile, cells.group.protocol, cells.group.precision

    def table_2(cells: Cells) -> Key:
        group = cells.group
        data = (group.dataset, group.variant, group.data_digest)
        return *data, group.profile, group.protocol, group.precision

    kinds: tuple[tuple[Callable[[Cells], Key], str, str], ...] = (
        (table_1, "1", "data sets"),
        (table_2, "2", "flows"),
    )
    for key, table, over in kinds:
        for members in _group_alike(usable, key):
            rows = [pair for c in members if (pair := c.low_and_conventional)]
            gaps = [compare_rows(low, own).by_seed for low, own in rows]
            seeds = sorted(set.intersection(*(set(gap) for gap in gaps)))
            mean = {seed: statistics.fmean(gap[seed] for gap in gaps) for seed in seeds}
            names = [c.group.flow if table == "2" else c.group.dataset for c in members]
            last = max(members, key=lambda c: c.group.steps)
            yield make_claim(
                last,
                [row for pair in rows for row in pair],
                [Comparison("low - conventional, mean over cells", mean)],
                key=f"table{table}-mean",
                source=f"LCMA, Table {table}",
                text=f"low gives fewer bits/dim than conventional on average over {len(names)} "
                f"{over} ({printable(', '.join(names))})",
                members=tuple(members),
                sweep=f"table{table}",
                sets=(
                    "--dataset",
                    ",".join(sorted({c.group.set_name for c in members})),
                ),
            )


def _longest_trained(all_cells: Sequence[Cells]) -> list[Cells]:
    """Return, of groups alike but for the recipe, the one trained longest."""

    def key(cells: Cells) -> Key:
        group = cells.group
        data = (group.dataset, group.variant, group.data_digest)
        return group.flow, *data, group.profile, group.protocol, group.precision

    longest: dict[Key, Cells] = {}
    for one in all_cells:
        held = longest.get(key(one))
        if held is None or _training_length(one) > _training_length(held):
            longest[key(one)] = one
    return list(longest.values())


def _training_length(cells: Cells) -> tuple[int, str]:
    return cells.group.steps, cells.group.recipe_id


def _persistence_claims(all_cells: Sequence[Cells]) -> Iterator[TestedClaim]:
    """Yield claims on recipes that differ in the number of training steps alone."""

    def key(cells: Cells) -> Key:
        group = cells.group
        data = (group.dataset, group.variant, group.data_digest)
        model = (group.flow, group.profile, group.splits, group.settings)
        return *data, *model, group.protocol, group.precision

    usable = [c for c in all_cells if c.low_and_conventional]
    for members in _group_alike(usable, key):
        ends = sorted(members, key=_training_length)
        if ends[0].group.steps == ends[-1].group.steps:
            continue
        shared = [set(list_budgets(c.group)) for c in (ends[0], ends[-1])]
        common = sorted(set.intersection(*shared))
        if not common:
            continue
        short, long = (select_cells(c.group, common[-1]) for c in (ends[0], ends[-1]))
        rows = [row for c in (short, long) for row in (c.low, c.conventional) if row is not None]
        gap_short, gap_long = (compare_rows(*rows[k : k + 2]).by_seed for k in (0, 2))
        half = {seed: gap / 2 for seed, gap in gap_short.items()}
        steps = (short.group.steps, long.group.steps)
        yield make_claim(
            long,
            rows,
            [
                Comparison(f"low - conventional after {steps[0]} steps", gap_short),
                Comparison(
                    f"the gap after {steps[1]} steps - half of that after {steps[0]}",
                    subtract_by_seed(gap_long, half),
                ),
            ],
            key="persistence",
            source="ours",
            text=f"low leads conventional after {steps[0]} training steps, and at least half of "
            f"the gap is left after {steps[1]}",
            sweep="demo" if long.group.flow == "realnvp" else "flows",
            lengths=steps,
        )


def _variant_claims(all_cells: Sequence[Cells]) -> Iterator[TestedClaim]:
    gap = _published_gap()

    def key(cells: Cells) -> Key:
        group = cells.group
        model = (group.flow, group.profile, group.splits, group.steps, group.settings)
        return *model, group.protocol, group.precision

    usable = [c for c in all_cells if c.group.dataset == "celeba64" and c.conventional is not None]
    for members in _group_alike(usable, key):
        by_variant: Mapping[str, Cells] = {c.group.variant: c for c in members}
        if not {"u8", "float"} <= by_variant.keys():
            continue
        both = [by_variant[name].conventional for name in ("float", "u8")]
        rows = [row for row in both if row is not None]
        moved = compare_rows(*rows).by_seed
        yield make_claim(
            by_variant["float"],
            rows,
            [
                Comparison(f"float - u8 - {gap:.2f}", {s: d - gap for s, d in moved.items()}),
                Comparison(f"u8 - float - {gap:.2f}", {s: -d - gap for s, d in moved.items()}),
            ],
            key="variant",
            source="ours",
            text="the variant of the data alone moves CelebA by less than the published gap of "
            f"{gap:.2f} bits/dim between conventional and low",
            margin=None,
            sweep="table1",
            sets=("--dataset", "celeba64,celeba64-float"),
        )


def _published_gap() -> float:
    low, own = (
        published.find("realnvp", "celeba64-float", [name])[0].bits_per_dim
        for name in ("low", "conventional")
    )
    return round(own - low, 4)


def _group_alike(all_cells: Sequence[Cells], key: Callable[[Cells], Key]) -> Iterator[list[Cells]]:
    """Yield those of one key together, where they are several."""

    def text(one: Cells) -> str:
        return str(key(one))

    for _, members in itertools.groupby(sorted(all_cells, key=text), key=text):
        alike = list(members)
        if len(alike) > 1:
            yield alike


# Claims about maps: the share of one that repeats over the image, as coupling masks do

HALF = 0.5


def list_mask_claims(groups: Sequence[Group], shares: Shares) -> Iterator[TestedClaim]:
    """Yield one claim for each group with `low` whose tables have their statistics."""
    seen = set()
    for group in groups:
        cells = select_longest(group)
        key = (group.recipe_id, group.data_digest, cells.budget)
        if cells.low is None or not shares.get(key) or key in seen:
            continue
        seen.add(key)
        yield make_claim(
            cells,
            [cells.low],
            [
                Comparison(
                    "1/2 - mask share at split 1",
                    {seed: HALF - share for seed, share in sorted(shares[key].items())},
                )
            ],
            key="mask-share",
            source="ours",
            text="more than half of what the map of split 1 says inside windows is one pattern "
            "all over the image, as the coupling masks are",
            unit="of the variance",
            margin=None,
            sweep="demo" if group.flow == "realnvp" else "flows",
        )


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
