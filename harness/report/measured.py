"""What a board is made of: cells with their results by seed, gathered into what can be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from lcma.db import Beside, Making, SeededCell
from lcma.harness.report.text import printable
from lcma.sweeps.errors import UserError

COMPARABLE = (
    "dataset",
    "variant",
    "data_digest",
    "flow",
    "recipe_id",
    "protocol",
    "precision",
)
"""Rows that differ in one of these are never ranked together."""

Cell = tuple[str, int | None, str | None]
"""Factorization, budget, and options of the map."""


@dataclass(frozen=True)
class Measured:
    """Cells that can be compared, with their bits/dim by seed, and what is known of all.

    ``images`` and ``clusters`` are the fewest behind a result, ``standard_error`` is the largest
    of one, in bits/dim; ``data_wait`` the largest share of time that a training waited, None where
    none is told.
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
    size: int
    steps: int
    images: int
    clusters: int | None
    standard_error: float | None
    made_with: tuple[str, ...]
    cells: Mapping[Cell, Mapping[int, float]]
    beside: tuple[Beside, ...]
    data_wait: float | None


def gather_measured(cells: Sequence[SeededCell]) -> list[Measured]:
    """The cells by what can be compared. Raises UserError where a seed has two results."""
    key = attrgetter(*COMPARABLE)
    return [_measured(list(some)) for _, some in groupby(sorted(cells, key=key), key=key)]


def _measured(cells: Sequence[SeededCell]) -> Measured:
    first = cells[0]
    own: dict[Cell, Mapping[int, float]] = {}
    for cell in cells:
        if cell.repeated is not None:
            raise UserError(
                f"two results of seed {cell.repeated} for {printable(cell.factorization)} on "
                f"{printable(cell.dataset)} with recipe {printable(cell.recipe_id)}: look at them with "
                "`lcma sql`"
            )
        own[cell.factorization, cell.budget, cell.map_options] = cell.bits_per_dim
    errors = [cell.standard_error for cell in cells if cell.standard_error is not None]
    waits = [cell.data_wait for cell in cells if cell.data_wait is not None]
    beside = sorted((one for cell in cells for one in cell.beside), key=attrgetter("result_id"))
    return Measured(
        **{name: getattr(first, name) for name in (*COMPARABLE, "splits", "size", "steps")},
        profile=", ".join(sorted({cell.profile for cell in cells})),
        images=min(cell.images for cell in cells),
        clusters=min((c.clusters for c in cells if c.clusters is not None), default=None),
        standard_error=max(errors, default=None),
        made_with=tuple(sorted({_made_with(one) for one in _makings(cells)})),
        cells=own,
        beside=tuple(beside),
        data_wait=max(waits, default=None),
    )


def _makings(cells: Sequence[SeededCell]) -> set[Making]:
    several = {cell.makings for cell in cells}
    return {one for makings in several for one in makings}


def _made_with(making: Making) -> str:
    changed = "" if making.dirty is None else " with uncommitted changes"
    return (
        f"lcma {making.code_version}{changed}, torch {making.torch}, "
        f"{making.device} ({making.cpu_capability}, threads: {making.threads})"
    )
