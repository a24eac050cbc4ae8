"""What the headings of tables mean, in words for people, and what a measure is."""

from collections.abc import Mapping

from lcma.harness.show import board, verdicts
from lcma.harness.text import printable
from lcma.sweeps.measures import BITS_PER_DIM, MeasureKind

MEANINGS: Mapping[str, tuple[str, str]] = {
    **{
        column.name: (column.title, column.meaning)
        for column in (*board.COLUMNS, board.PRINTED, *verdicts.COLUMNS)
        if column.meaning
    },
    "error": (
        "standard error",
        "Standard error of one trial's number over the test images. It says nothing about seeds.",
    ),
    "front": (
        "front",
        "On the Pareto front: no other row is at most as costly and as good, and better in one. At "
        "the knee more cost begins to gain less.",
    ),
    "correlation": (
        "rank correlation",
        "Spearman's correlation of the map with that of the longest budget, over all dimensions, "
        "mean over seeds.",
    ),
    "overlap": (
        "overlap",
        "Intersection over union of what the rule keeps after the split, by this map and by that "
        "of the longest budget.",
    ),
    "chance": ("by chance", "About the overlap of unrelated tables."),
    "masks": (
        "mask share",
        "Share of the map's variance within windows that one pattern, the same in every window, "
        "explains.",
    ),
    "tied": (
        "tied",
        "Share of windows in which the map does not say which two dimensions stay.",
    ),
}
"""By a key heading and meaning: those of columns that say it themselves, and the others'."""


def explain_measure(kind: MeasureKind) -> str:
    """Return what a measure is, its unit, and which values are better."""
    name = "bits/dim" if kind.name == BITS_PER_DIM else printable(kind.name)
    better = "" if kind.direction is None else f"; {kind.direction} is better"
    return f"{name}: {printable(kind.meaning)}, in {printable(kind.unit)}{better}."
