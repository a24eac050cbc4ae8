"""A line for each table of a board with too many to read, as fast as the views are."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lcma.db import Store
from lcma.harness.report.ranking import label
from lcma.harness.report.text import cell, number, short

MOST_TABLES = 20
"""Beyond so many tables the board is a list of them."""

_HEADINGS = ("data set", "flow", "profile", "steps", "recipe", "lowest mean", "n", "bits/dim")


def of(store: Store, where: Mapping[str, str]) -> list[dict[str, Any]] | None:
    """The cell of the lowest mean of each table, as the view `leaderboard` has it; None where the
    tables are few enough to be shown. ``where`` names columns of that view."""
    found = store.view_rows("leaderboard", rank=1, **where)
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    tables = {(row["recipe_id"], row["comparable"]): row for row in reversed(rows)}
    return list(reversed(tables.values())) if len(tables) > MOST_TABLES else None


def render(rows: list[dict[str, Any]]) -> RenderableType:
    """For a terminal."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in _HEADINGS:
        right = heading in ("steps", "n", "bits/dim")
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for row in rows:
        best = label(row["factorization"])
        if row["budget"] is not None:
            best += f" @{row['budget']}"
        table.add_row(
            *(cell(f"{row['dataset']} ({row['variant']})"), cell(row["flow"])),
            *(cell(row["profile"]), str(row["steps"]), short(row["recipe_id"])),
            *(cell(best), str(row["n"]), number(row["mean"])),
        )
    said = (
        f"{len(rows)} tables are too many to show at once: this is a line for each, with the "
        "lowest mean in it, which is no test. --flow, --dataset, --profile or --sweep choose; "
        "`lcma export` has them all."
    )
    return Lines(table, Text(said))
