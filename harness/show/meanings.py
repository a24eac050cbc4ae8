"""Explanations for people: of the headings of tables, and of measures."""

from collections.abc import Mapping

from lcma.harness.show import board, budgets, verdicts
from lcma.harness.text import printable
from lcma.sweeps.measures import BITS_PER_DIM, MeasureKind

MEANINGS: Mapping[str, tuple[str, str]] = {
    **{
        column.name: (column.title, column.meaning)
        for columns in (board.COLUMNS, verdicts.COLUMNS, budgets.COSTS, budgets.MAPS)
        for column in columns
        if column.meaning
    },
    board.PRINTED_COLUMN.name: (board.PRINTED_COLUMN.title, board.PRINTED_COLUMN.meaning),
    "standard_error": (
        "standard error",
        "Standard error of one trial's number over the test images. It says nothing about seeds.",
    ),
}
"""Heading and meaning of every column with a meaning, by its name."""


def explain_measure(kind: MeasureKind) -> str:
    """Return a measure's meaning, its unit, and which values are better."""
    name = "bits/dim" if kind.name == BITS_PER_DIM else printable(kind.name)
    better = "" if kind.direction is None else f"; {kind.direction} is better"
    return f"{name}: {printable(kind.meaning)}, in {printable(kind.unit)}{better}."
