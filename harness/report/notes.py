"""What to keep in mind of a group of the board: precision, bars, seeds, losses, comparability."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lcma.harness.report.lookup import DataFacts
from lcma.harness.report.text import format_number, printable

if TYPE_CHECKING:
    from lcma.harness.report.ranking import Group, Row

ENOUGH = 6
"""Seeds below which no difference is called one."""

LONG_WAIT = 0.02
"""Share of a step's time that may go on waiting for images before it is told."""

PUBLISHED = frozenset({"cifar10", "imagenet32", "imagenet64", "celeba64"})
"""Data sets on which papers report bits/dim. Box-filtered ones are others."""


def group_notes(group: "Group", facts: DataFacts | None, corrected: Sequence[str]) -> list[str]:
    """What stands below a group's table, a line each."""
    notes = [
        _precision(group),
        *corrected,
        *_bar_notes(group),
        *_printed_notes(group),
    ]
    if any(row.n < ENOUGH for row in group.rows):
        notes.append(f"Fewer than {ENOUGH} seeds decide nothing: this is a first look.")
    with_results = [row for row in group.rows if row.seeds]
    if len({row.seeds for row in with_results}) > 1:
        notes.append("Rows have different seeds: trust the paired differences, not the order.")
    for row in group.rows:
        lost = [f"{n} {word}" for n, word in _losses(row) if n]
        if lost:
            at = "" if row.budget is None else f" at budget {row.budget}"
            notes.append(f"{printable(row.label)}{at}: {', '.join(lost)}.")
    notes += _variant_notes(group)
    if group.dataset not in PUBLISHED:
        notes.append(
            f"{printable(group.dataset)} is no published benchmark: these numbers stand beside no "
            "published ones."
        )
    elif facts is not None and not facts.whole:
        notes.append(
            f"This {printable(group.dataset)} is not the whole official set "
            f"({printable(facts.verdict or 'of unknown origin')}): its numbers are not the published "
            "set's, do not compare them with published numbers."
        )
    return notes


def _variant_notes(group: "Group") -> list[str]:
    """What the variant of a data set means for its numbers."""
    if group.variant == "float":
        return [
            f"The images of this {printable(group.dataset)} are not rounded to integers: these numbers "
            "are no bound on the bits of discrete images, and are not to be compared with those of "
            "the variant u8."
        ]
    if group.dataset in PUBLISHED and group.variant == "npz":
        return [
            f"This {printable(group.dataset)} is of the npz release, which is easier by roughly 0.3 "
            "bits/dim than the PNG release that published numbers of flows are on: those stand "
            "beside the variant png alone."
        ]
    if group.dataset == "celeba64":
        return [
            "Published numbers of RealNVP and LCMA on CelebA are on images that are not rounded "
            "to integers: they stand beside the variant float alone."
        ]
    return []


def describe_waiting(most: float | None) -> list[str]:
    """Whether trainings waited for images so long that their speed is not the flow's own."""
    if most is None or most <= LONG_WAIT:
        return []
    return [
        f"Up to {most:.1%} of a training step went on waiting for images: speeds and costs are not "
        "the flow's alone."
    ]


def _bar_notes(group: "Group") -> list[str]:
    notes = []
    if any(row.cleared is False for row in group.rows):
        notes.append(
            "† not trained enough: it does not clear the bars (in brackets), which any model must."
        )
    if not group.bars:
        notes.append("No bars are known for this data set: launch again to measure them.")
    for bar in group.bars:
        if bar.bits_per_dim is None:
            notes.append(f"No bar {printable(bar.name)}: {printable(bar.detail)}")
    return notes


def _printed_notes(group: "Group") -> list[str]:
    """What a source says of the numbers that stand beside these rows."""
    numbers = dict.fromkeys(n for row in group.rows for n in row.published if n.note)
    return [f"{n.bits_per_dim:.2f} ({n.where}, {n.split}): {n.note}." for n in numbers]


def _precision(group: "Group") -> str:
    clustered = "" if group.clusters is None else f" in {group.clusters} photographs"
    counted = f"{group.images} test images{clustered}"
    if group.standard_error is None:
        return f"{counted}: too few for a standard error."
    kind = "standard error" if group.clusters is None else "standard error by photograph"
    return (
        f"{counted}; one trial's {kind} is at most {format_number(group.standard_error)} bits/dim."
    )


def _losses(row: "Row") -> tuple[tuple[int, str], ...]:
    return (row.diverged, "diverged"), (row.failed, "failed")
