"""Claims about the rows of one group of the board: which choice is better, and by which letter."""

import itertools
import statistics
from collections.abc import Iterator, Sequence

from lcma.harness.report.pairing import by_seed
from lcma.harness.report.ranking import Group, Row
from lcma.harness.report.text import printable
from lcma.harness.report.verdicts.cells import (
    Cells,
    all_cleared,
    bits_by_seed,
    budgets_of,
    cells_at,
    cells_of,
    count_lost,
)
from lcma.harness.report.verdicts.claims import CHOICE, Claim, Comparison, scale_of
from lcma.sweeps import published

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
