"""Claims that hold groups of the board against each other: tables, training lengths, variants."""

import itertools
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from lcma.harness.report.pairing import by_seed
from lcma.harness.report.ranking import Group, Row
from lcma.harness.report.text import printable
from lcma.harness.report.verdicts.cells import Cells, budgets_of, cells_at, cells_of
from lcma.harness.report.verdicts.claims import Claim, Comparison, scale_of
from lcma.harness.report.verdicts.within import difference_by_seed, make_claim
from lcma.sweeps import published

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
