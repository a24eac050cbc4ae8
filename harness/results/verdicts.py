"""What a claim is made of: comparisons by seed, each of which it says to be below zero."""

import itertools
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from lcma.db import Store
from lcma.harness.results import board
from lcma.harness.results.board import Board, Group, Row, read_board
from lcma.harness.results.statistics import (
    LEVEL,
    PairedTest,
    adjust_holm,
    by_seed,
    paired_test,
    seeds_needed,
    t_interval,
)
from lcma.harness.text import printable
from lcma.sweeps import catalog, factorizations, known_sets, published

MARGIN = 0.01
"""Bits/dim within which a difference is none that matters."""

ALONE, CHOICE = "alone", "choice"


@dataclass(frozen=True)
class Comparison:
    """Differences by seed, which the claim says to be below zero on average."""

    name: str
    by_seed: dict[int, float] = field(hash=False)


@dataclass(frozen=True)
class Scale:
    """On which models a claim is tested.

    ``steps`` are those of the longest training. ``whole`` says whether the images are known to be
    those of a whole data set.
    """

    dataset: str
    variant: str
    data_digest: str
    flow: str
    recipe_id: str
    protocol: str
    precision: str
    profile: str
    splits: int
    steps: int
    settings: str
    budget: int | None
    whole: bool

    @property
    def set_name(self) -> str:
        """The name under which the data set is prepared."""
        return known_sets.set_name(self.dataset, self.variant)

    @property
    def published(self) -> bool:
        """Whether the recipe is that of the flow's publication."""
        return catalog.is_published(self.flow, self.set_name, self.profile)


@dataclass(frozen=True)
class Claim:
    """A statement on one scale, true if and only if all its comparisons are below zero.

    ``key`` names it for programs. ``source`` is the paper's table, or "ours". Differences within
    ``margin`` of zero do not matter; None where no difference is too small. ``printed`` is the
    first comparison by the paper's numbers. ``family`` says with which claims of the same data,
    flow and recipe it shares Holm's correction. ``cleared`` says whether all the models clear the
    bars of the data set, None where no bars are known. ``lost`` counts trials of these cells that
    diverged or failed. ``sweep`` is the shipped sweep that tests it, ``sets`` are
    options that it needs besides those of the scale, and ``lengths`` the training steps, where
    several are held against each other. ``members`` are the scales of a claim over several flows or
    data sets, of which ``scale`` is the longest trained.
    """

    key: str
    source: str
    text: str
    scale: Scale
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
    members: tuple[Scale, ...] = ()


def scale_of(group: Group, budget: int | None) -> Scale:
    """The scale of a group of the board."""
    return Scale(
        dataset=group.dataset,
        variant=group.variant,
        data_digest=group.data_digest,
        flow=group.flow,
        recipe_id=group.recipe_id,
        protocol=group.protocol,
        precision=group.precision,
        profile=group.profile,
        splits=group.splits,
        steps=group.steps,
        settings=group.settings,
        budget=budget,
        whole=group.whole,
    )


# The rule by which every claim gets its verdict. docs/verdicts.md states it in words

ENOUGH = board.ENOUGH
"""Seeds below which every claim is undecided."""

Decision = Literal["supported", "refuted", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """A claim's verdict, with the comparison that decided it, or that is nearest to spoiling it.

    ``test`` is of that comparison, None where no seed has both sides; of a claim of several
    comparisons ``t_p`` is the largest p in its favour, and ``holm_p`` that after Holm's correction
    over the ``family_size`` claims of its family. ``seeds`` is about how many would decide it.
    """

    claim: Claim
    decision: Decision
    why: str
    comparison: Comparison
    test: PairedTest | None
    n: int
    t_p: float
    holm_p: float
    family_size: int
    seeds: int | None


def decide_claims(claims: Sequence[Claim]) -> tuple[Verdict, ...]:
    """The verdicts, in the order of the claims."""
    tests = [_tests(one) for one in claims]
    p_values = [max(map(_in_favour, found)) for found in tests]
    holm = list(p_values)
    sizes = [1] * len(claims)
    families: dict[tuple[object, ...], list[int]] = {}
    for index, one in enumerate(claims):
        if one.family != ALONE:
            families.setdefault((one.family, one.scale), []).append(index)
    for members in families.values():
        corrected = adjust_holm([p_values[index] for index in members])
        for index, p in zip(members, corrected, strict=True):
            holm[index], sizes[index] = p, len(members)
    return tuple(
        _verdict(one, found, p, p_holm, size)
        for one, found, p, p_holm, size in zip(claims, tests, p_values, holm, sizes, strict=True)
    )


def _verdict(
    claim: Claim, tests: Sequence[PairedTest | None], p: float, holm_p: float, size: int
) -> Verdict:
    n = min(0 if one is None else one.n for one in tests)
    refuting = [k for k, why in enumerate(_refutes(claim, tests)) if why]
    worst = max(range(len(tests)), key=lambda k: _upper(tests[k]))
    decision: Decision
    if n < ENOUGH:
        decision, why = "undecided", f"fewer than {ENOUGH} seeds decide nothing"
    elif refuting:
        worst = max(refuting, key=lambda k: _upper(tests[k]))
        decision, why = "refuted", _refutes(claim, tests)[worst]
    elif _upper(tests[worst]) >= 0:
        decision, why = "undecided", "the interval contains zero"
    elif max(_sign_flip(one) for one in tests) > 2 * LEVEL:  # 5 % in the claim's direction
        decision, why = "undecided", "the exact sign-flip test does not show it"
    elif holm_p > LEVEL:
        decision, why = "undecided", f"it does not outlast Holm's correction over {size} claims"
    else:
        decision, why = "supported", "the 95 % interval is wholly below zero"
    seeds = None if decision != "undecided" else _seeds(claim, tests[worst], n)
    comparison, test = claim.comparisons[worst], tests[worst]
    return Verdict(claim, decision, why, comparison, test, n, p, holm_p, size, seeds)


def _tests(claim: Claim) -> list[PairedTest | None]:
    return [paired_test(list(one.by_seed.values())) for one in claim.comparisons]


def _in_favour(test: PairedTest | None) -> float:
    """The two-sided p where the mean is on the claim's side, else 1."""
    return 1.0 if test is None or test.t_p is None or test.mean >= 0 else test.t_p


def _sign_flip(test: PairedTest | None) -> float:
    return 1.0 if test is None or test.sign_flip_p is None else test.sign_flip_p


def _upper(test: PairedTest | None) -> float:
    return float("inf") if test is None or test.high is None else test.high


def _refutes(claim: Claim, tests: Sequence[PairedTest | None]) -> list[str]:
    """For each comparison why it refutes the claim, or nothing.

    Of k comparisons any one can, so each is held against an interval of 1 - 5 % / k.
    """
    found = []
    level = LEVEL / len(tests)
    confidence = f"{100 * (1 - level):.3g} %"
    for comparison, test in zip(claim.comparisons, tests, strict=True):
        why = ""
        wide = t_interval(list(comparison.by_seed.values()), level)
        if test is not None and test.n >= ENOUGH and wide is not None:
            low, high = wide
            if claim.margin is not None and max(-low, high) <= claim.margin:
                why = (
                    f"the {confidence} interval is wholly within {claim.margin} {claim.unit} of "
                    "zero"
                )
            elif low > 0:
                why = f"the {confidence} interval is wholly above zero"
        found.append(why)
    return found


def _seeds(claim: Claim, test: PairedTest | None, n: int) -> int | None:
    """About how many seeds would decide: for the effect that was seen, or the smallest of note."""
    if n < ENOUGH or test is None or test.deviation is None:
        return ENOUGH
    effect = max(abs(test.mean), claim.margin or 0.0)
    needed = seeds_needed(effect, test.deviation) if effect else None
    return None if needed is None else max(needed, n + 1)


# The rows of one group of the board that claims are about


@dataclass(frozen=True)
class Cells:
    """A group's rows under one budget, those that need no map included.

    Rows with options of the map are left out: they are experiments of their own.
    """

    group: Group
    budget: int | None
    rows: dict[str, Row]

    @property
    def conventional(self) -> Row | None:
        """The flow's own factorization, where it has results."""
        return next((row for row in self.rows.values() if row.conventional), None)

    @property
    def low(self) -> Row | None:
        """`low`, where it has results and is not the conventional one."""
        row = self.rows.get("L" * self.group.splits)
        return None if row is None or row.conventional else row

    @property
    def words(self) -> dict[str, Row] | None:
        """All 2^splits words in the order of Table 4 from the best to the worst, or None."""
        words = tuple(reversed(factorizations.words(self.group.splits)))
        if not self.group.splits or any(word not in self.rows for word in words):
            return None
        return {word: self.rows[word] for word in words}


def cells_of(group: Group) -> Cells:
    """The rows under the group's longest budget, whatever their results say."""
    budgets = budgets_of(group)
    return cells_at(group, budgets[-1] if budgets else None)


def budgets_of(group: Group) -> list[int]:
    """The budgets of `low`, shortest first."""
    low = "L" * group.splits
    return sorted(
        row.budget
        for row in _plain(group)
        if row.factorization == low and row.seeds and row.budget is not None
    )


def cells_at(group: Group, budget: int | None) -> Cells:
    """The rows under one budget."""
    rows = {
        row.factorization: row
        for row in _plain(group)
        if row.seeds and row.budget in (None, budget)
    }
    return Cells(group, budget, rows)


def bits_by_seed(row: Row) -> dict[int, float]:
    """Bits/dim by seed."""
    return dict(zip(row.seeds, row.bits_per_dim, strict=True))


def all_cleared(rows: Iterable[Row]) -> bool | None:
    """Whether all clear the bars; None where that is not known."""
    found = {row.cleared for row in rows}
    if False in found:
        return False
    return None if None in found else True


def count_lost(rows: Iterable[Row]) -> int:
    """How many of their trials diverged or failed."""
    return sum(row.diverged + row.failed for row in rows)


def _plain(group: Group) -> list[Row]:
    return [row for row in group.rows if row.map_options is None]


# Claims about the rows of one group of the board: which choice is better, and by which letter

TABLE_3 = ("low", "conventional", "random", "high")
"""From the fewest bits/dim to the most, as printed."""

PHASES = ("checkerboard-even", "checkerboard-odd")


def claims_within(group: Group) -> Iterator[Claim]:
    """All claims that the group's rows bear on."""
    found = cells_of(group)
    yield from _choice(found)
    yield from _orders(found)
    yield from _first_split(found)
    yield from _budgets(group)


def make_claim(
    of: Cells,
    rows: Sequence[Row],
    comparisons: Sequence[Comparison],
    *,
    key: str,
    source: str,
    text: str,
    sweep: str,
    **more: object,
) -> Claim:
    """A claim about these rows of a group."""
    return Claim(
        key=key,
        source=source,
        text=text,
        scale=scale_of(of.group, of.budget),
        comparisons=tuple(comparisons),
        cleared=all_cleared(rows),
        lost=count_lost(rows),
        sweep=sweep,
        **more,  # type: ignore[arg-type]
    )


def difference_by_seed(one: Row, other: Row) -> Comparison:
    """One row less another, by seed."""
    name = f"{printable(one.label)} - {printable(other.label)}"
    return Comparison(name, by_seed(bits_by_seed(one), bits_by_seed(other)))


def _choice(of: Cells) -> Iterator[Claim]:
    """`low` against the conventional choice, both phases, and chance inside windows."""
    low, conventional = of.low, of.conventional
    if low is None:
        return
    sweep = "demo" if of.group.flow == "realnvp" else "flows"
    if conventional is not None:
        source, printed = _printed(of.group)
        yield make_claim(
            of,
            (low, conventional),
            [difference_by_seed(low, conventional)],
            key="low-conventional",
            source=source or "LCMA, as in Tables 1 and 2",
            text=f"low gives fewer bits/dim than conventional ({printable(conventional.label)})",
            printed=printed,
            family=CHOICE,
            sweep=sweep,
        )
    phases = [of.rows[name] for name in PHASES if name in of.rows]
    if len(phases) == len(PHASES):
        yield make_claim(
            of,
            (low, *phases),
            [difference_by_seed(low, phase) for phase in phases],
            key="low-better-phase",
            source="ours",
            text="low gives fewer bits/dim than the better phase of the checkerboard",
            family=CHOICE,
            sweep=sweep,
        )
    if "random-local" in of.rows:
        local = of.rows["random-local"]
        yield make_claim(
            of,
            (low, local),
            [difference_by_seed(low, local)],
            key="low-random-local",
            source="ours",
            text="low gives fewer bits/dim than chance with the same locality (random-local)",
            family=CHOICE,
            sweep=sweep,
        )


def _orders(of: Cells) -> Iterator[Claim]:
    named = {
        "low": of.low,
        "conventional": of.conventional,
        "random": of.rows.get("random"),
        "high": of.rows.get("H" * of.group.splits),
    }
    third = [row for name in TABLE_3 if (row := named[name]) is not None]
    if len(third) == len(TABLE_3) and of.group.splits:
        yield _order(of, third, "table3-order", "LCMA, Table 3", "demo", ", ".join(TABLE_3))
    words = of.words
    if words is not None and of.group.splits > 1:
        text = ", ".join(words)
        yield _order(of, list(words.values()), "table4-order", "LCMA, Table 4", "words", text)


def _order(of: Cells, rows: Sequence[Row], key: str, source: str, sweep: str, text: str) -> Claim:
    return make_claim(
        of,
        rows,
        [difference_by_seed(one, next_one) for one, next_one in itertools.pairwise(rows)],
        key=key,
        source=source,
        text=f"bits/dim rise in this order: {text}",
        sweep=sweep,
    )


def _first_split(of: Cells) -> Iterator[Claim]:
    """Main effects of the letters, by seed: L less H at each split."""
    words = of.words
    if words is None or of.group.splits < 2:
        return
    by_word = {word: bits_by_seed(row) for word, row in words.items()}
    seeds = sorted(set.intersection(*(set(found) for found in by_word.values())))
    effects = [
        {
            seed: statistics.fmean(b[seed] for w, b in by_word.items() if w[split] == "L")
            - statistics.fmean(b[seed] for w, b in by_word.items() if w[split] == "H")
            for seed in seeds
        }
        for split in range(of.group.splits)
    ]
    comparisons = [Comparison("effect of L at split 1", effects[0])]
    comparisons += [
        Comparison(f"effect at split 1 - at split {k}", by_seed(effects[0], effect))
        for k, effect in enumerate(effects[1:], start=2)
    ]
    yield make_claim(
        of,
        list(words.values()),
        comparisons,
        key="first-split",
        source="ours",
        text="the first split carries the gap: its letter matters, and more than any other",
        sweep="words",
    )


def _budgets(group: Group) -> Iterator[Claim]:
    budgets = budgets_of(group)
    if len(budgets) < 2:
        return
    word = "L" * group.splits
    short, long = (cells_at(group, b).rows[word] for b in (budgets[0], budgets[-1]))
    name = f"low after {budgets[-1]} - after {budgets[0]} pretraining steps"
    yield make_claim(
        cells_of(group),
        (short, long),
        [Comparison(name, by_seed(bits_by_seed(long), bits_by_seed(short)))],
        key="budget",
        source="LCMA, pretraining",
        text=f"low gives fewer bits/dim after {budgets[-1]} pretraining steps than after "
        f"{budgets[0]}",
        sweep="demo" if group.flow == "realnvp" else "flows",
        sets=("--budget", f"{budgets[0]},{budgets[-1]}"),
    )


def _printed(group: Group) -> tuple[str, float | None]:
    """Where the paper prints both numbers of a cell, and their difference."""
    scale = scale_of(group, None)
    found = {
        name: published.find(group.flow, scale.set_name, [name]) for name in ("low", "conventional")
    }
    for low in found["low"]:
        for conventional in found["conventional"]:
            if low.where == conventional.where:
                tables = sorted({n.table for n in found["low"]})
                where = f"{low.source}, Table{'s' * (len(tables) > 1)} {' and '.join(tables)}"
                return where, round(low.bits_per_dim - conventional.bits_per_dim, 4)
    return "", None


# Claims that hold groups of the board against each other: tables, training lengths, variants

Key = tuple[object, ...]


def claims_across(groups: Sequence[Group]) -> Iterator[Claim]:
    """All claims that take more than one group."""
    found = [cells_of(group) for group in groups]
    yield from _tables(found)
    yield from _persistence(found)
    yield from _variants(found)


def _tables(found: Sequence[Cells]) -> Iterator[Claim]:
    """Tables 1 and 2 as wholes: seeds are paired within each cell, then averaged over cells."""
    usable = _longest([c for c in found if _pair(c)])

    def table_1(of: Cells) -> Key:
        return of.group.flow, of.group.profile, of.group.protocol, of.group.precision

    def table_2(of: Cells) -> Key:
        group = of.group
        data = (group.dataset, group.variant, group.data_digest)
        return *data, group.profile, group.protocol, group.precision

    kinds: tuple[tuple[Callable[[Cells], Key], str, str], ...] = (
        (table_1, "1", "data sets"),
        (table_2, "2", "flows"),
    )
    for key, table, over in kinds:
        for members in _grouped(usable, key):
            rows = [pair for c in members if (pair := _pair(c))]
            gaps = [difference_by_seed(low, own).by_seed for low, own in rows]
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
                members=tuple(scale_of(c.group, c.budget) for c in members),
                sweep=f"table{table}",
                sets=(
                    "--dataset",
                    ",".join(sorted({scale_of(c.group, None).set_name for c in members})),
                ),
            )


def _pair(of: Cells) -> tuple[Row, Row] | None:
    low, own = of.low, of.conventional
    return None if low is None or own is None else (low, own)


def _longest(found: Sequence[Cells]) -> list[Cells]:
    """Of groups alike but for the recipe, the one trained longest."""

    def key(of: Cells) -> Key:
        group = of.group
        data = (group.dataset, group.variant, group.data_digest)
        return group.flow, *data, group.profile, group.protocol, group.precision

    longest: dict[Key, Cells] = {}
    for one in found:
        held = longest.get(key(one))
        if held is None or _length(one) > _length(held):
            longest[key(one)] = one
    return list(longest.values())


def _length(of: Cells) -> tuple[int, str]:
    return of.group.steps, of.group.recipe_id


def _persistence(found: Sequence[Cells]) -> Iterator[Claim]:
    """Recipes that differ in the number of training steps alone."""

    def key(of: Cells) -> Key:
        group = of.group
        data = (group.dataset, group.variant, group.data_digest)
        model = (group.flow, group.profile, group.splits, group.settings)
        return *data, *model, group.protocol, group.precision

    usable = [c for c in found if _pair(c)]
    for members in _grouped(usable, key):
        ends = sorted(members, key=_length)
        if ends[0].group.steps == ends[-1].group.steps:
            continue
        shared = [set(budgets_of(c.group)) for c in (ends[0], ends[-1])]
        common = sorted(set.intersection(*shared))
        if not common:
            continue
        short, long = (cells_at(c.group, common[-1]) for c in (ends[0], ends[-1]))
        rows = [row for c in (short, long) for row in (c.low, c.conventional) if row is not None]
        gap_short, gap_long = (difference_by_seed(*rows[k : k + 2]).by_seed for k in (0, 2))
        half = {seed: gap / 2 for seed, gap in gap_short.items()}
        steps = (short.group.steps, long.group.steps)
        yield make_claim(
            long,
            rows,
            [
                Comparison(f"low - conventional after {steps[0]} steps", gap_short),
                Comparison(
                    f"the gap after {steps[1]} steps - half of that after {steps[0]}",
                    by_seed(gap_long, half),
                ),
            ],
            key="persistence",
            source="ours",
            text=f"low leads conventional after {steps[0]} training steps, and at least half of "
            f"the gap is left after {steps[1]}",
            sweep="demo" if long.group.flow == "realnvp" else "flows",
            lengths=steps,
        )


def _variants(found: Sequence[Cells]) -> Iterator[Claim]:
    """CelebA as integers and as floats, by the flow's own factorization."""
    gap = _published_gap()

    def key(of: Cells) -> Key:
        group = of.group
        model = (group.flow, group.profile, group.splits, group.steps, group.settings)
        return *model, group.protocol, group.precision

    usable = [c for c in found if c.group.dataset == "celeba64" and c.conventional is not None]
    for members in _grouped(usable, key):
        by_variant: Mapping[str, Cells] = {c.group.variant: c for c in members}
        if not {"u8", "float"} <= by_variant.keys():
            continue
        rows: list[Row] = []
        for name in ("float", "u8"):
            row = by_variant[name].conventional
            assert row is not None
            rows.append(replace(row, label=f"{row.label} on {name}"))
        moved = difference_by_seed(*rows).by_seed
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


def _grouped(found: Sequence[Cells], key: Callable[[Cells], Key]) -> Iterator[list[Cells]]:
    """Those of one key together, where they are several."""

    def text(one: Cells) -> str:
        return str(key(one))

    for _, members in itertools.groupby(sorted(found, key=text), key=text):
        several = list(members)
        if len(several) > 1:
            yield several


# How much of a map is a pattern that repeats over the image, as the coupling masks do

Shares = Mapping[tuple[str, str, int | None], Mapping[int, float]]
"""Mask share at split 1 by seed, of the tables of `low`: by recipe, data digest and budget."""

HALF = 0.5


def mask_claims(groups: Sequence[Group], shares: Shares) -> Iterator[Claim]:
    """One claim for each group with `low` whose tables have their statistics."""
    seen = set()
    for group in groups:
        found = cells_of(group)
        key = (group.recipe_id, group.data_digest, found.budget)
        if found.low is None or not shares.get(key) or key in seen:
            continue
        seen.add(key)
        yield make_claim(
            found,
            [found.low],
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


# All verdicts of a database, and what it has no results for

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
class Verdicts:
    """``verdicts`` are of models that clear the bars, ``apart`` of those that do not, or where no
    bars are known. ``unmeasured`` are keys of claims without any results. ``diverged`` and
    ``failed`` count lost trials, ``lost`` the same by outcome."""

    verdicts: tuple[Verdict, ...]
    apart: tuple[Verdict, ...]
    unmeasured: tuple[str, ...]
    diverged: int = 0
    failed: int = 0
    lost: tuple[tuple[str, int], ...] = ()


def read_verdicts(store: Store, *, sweep_id: str | None = None, **where: Any) -> Verdicts:
    """The verdicts on the results in a database, of one sweep or of all.

    ``where`` names columns as in `board.read`.
    """
    board = read_board(store, sweep_id=sweep_id, **where)
    return make_verdicts(board, _shares(store))


def make_verdicts(board: Board, shares: Shares | None = None) -> Verdicts:
    """The verdicts on a board, and on the share of the masks in the maps behind it."""
    claims = [one for group in board.groups for one in claims_within(group)]
    claims += claims_across(board.groups)
    claims += mask_claims(board.groups, shares or {})
    order = list(CLAIMS)
    claims.sort(key=lambda one: (_place(one, order), str(one.scale)))
    found = decide_claims(claims)
    return Verdicts(
        verdicts=tuple(one for one in found if one.claim.cleared),
        apart=tuple(one for one in found if not one.claim.cleared),
        unmeasured=tuple(key for key in CLAIMS if key not in {one.key for one in claims}),
        diverged=board.diverged,
        failed=board.failed,
        lost=board.lost,
    )


def _place(claim: Claim, order: list[str]) -> int:
    """Tables as wholes come after their cells."""
    return order.index(claim.key) if claim.key in order else 0


def _shares(store: Store) -> Shares:
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
