"""What a board is made of: cells with their results by seed, gathered into what can be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from db import Beside, Making, SeededCell
from harness.report.text import plain
from sweeps.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

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


def gather(cells: Sequence[SeededCell]) -> list[Measured]:
    """The cells by what can be compared. Raises UserError where a seed has two results."""
    key = attrgetter(*COMPARABLE)
    return [_measured(list(some)) for _, some in groupby(sorted(cells, key=key), key=key)]


def cells_of(frame: "pd.DataFrame") -> list[SeededCell]:
    """The cells of rows of the view `trial_results`, whatever their order."""
    of_cell = [name for name in _FROM_ROWS if name not in ("profile", "splits", "size", "steps")]
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in frame.to_dict("records"):
        record = {str(name): _value(name, value) for name, value in row.items()}
        found.setdefault(tuple(record[name] for name in of_cell), []).append(record)
    return [_cell(records) for records in found.values()]


def _measured(cells: Sequence[SeededCell]) -> Measured:
    first = cells[0]
    own: dict[Cell, Mapping[int, float]] = {}
    for cell in cells:
        if cell.repeated is not None:
            raise UserError(
                f"two results of seed {cell.repeated} for {plain(cell.factorization)} on "
                f"{plain(cell.dataset)} with recipe {plain(cell.recipe_id)}: look at them with "
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


_FROM_ROWS = tuple(f.name for f in fields(SeededCell))[: 11 + 3]
"""What a cell has as a row of the view has it."""


def _cell(records: Sequence[Mapping[str, Any]]) -> SeededCell:
    first = records[0]
    bits: dict[int, float] = {}
    repeated = None
    for record in records:
        repeated = record["seed"] if record["seed"] in bits else repeated
        bits[record["seed"]] = record["bits_per_dim"]

    def known(name: str) -> list[Any]:
        return [record[name] for record in records if record.get(name) is not None]

    names = [f.name for f in fields(Beside)]
    return SeededCell(
        **{name: first[name] for name in _FROM_ROWS},
        bits_per_dim=dict(sorted(bits.items())),
        repeated=repeated,
        standard_error=max(known("standard_error"), default=None),
        images=min(known("images")),
        clusters=min(known("clusters"), default=None),
        makings=tuple({Making(**{f.name: r[f.name] for f in fields(Making)}) for r in records}),
        beside=tuple(
            Beside(**_only(record, names))
            for record in records
            if record.get("bound_gain") is not None or record.get("series_bias") is not None
        ),
        data_wait=max(known("data_wait"), default=None),
    )


def _only(record: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: record.get(name) for name in names}


_WHOLE = ("budget", "clusters", "bound_draws", "series_terms")


def _value(column: object, value: Any) -> Any:
    """Pandas keeps a column of integers with nulls as floats with NaN."""
    if value != value:  # NaN
        return None
    return int(value) if column in _WHOLE and value is not None else value
