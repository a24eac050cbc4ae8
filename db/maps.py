"""Contribution maps and index tables as rows: encoded, decoded, and checked for damage."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcma.db.records import ContributionMap, IndexTable, MapStatistics, StoredMap, raw_bytes
from lcma.sweeps.errors import UserError

MAP_FACTS = ("flow", "dataset", "variant", "seed", "nms", "recipe_id")
"""The columns of its pretraining that come with a stored map."""

MAP_ORDER = (
    *("dataset", "variant", "flow", "seed", "nms", "pretraining_id", "data_digest", "budget"),
    *("score", "split"),
)

COPIED = (
    *("pretraining_id", "data_digest", "budget", "split", "score", "images", "mean_log_det"),
    "clusters",
)
"""The columns that are fields of a map without conversion."""

DTYPE = "<f4"


def encode_map(item: ContributionMap, attempt_id: str) -> dict[str, Any]:
    """Return the row of `contribution_maps`."""
    arrays = {name: getattr(item, name) for name in ("values", "standard_errors", "halves")}
    return {
        **{name: getattr(item, name) for name in (*COPIED, "digest", "sum_error")},
        "attempt_id": attempt_id,
        **dict(zip(("channels", "height", "width"), item.values.shape, strict=True)),
        "dtype": DTYPE,
        **{name: None if array is None else raw_bytes(array) for name, array in arrays.items()},
        **asdict(item.statistics),
    }


def find_map_damage(row: Mapping[str, Any]) -> str | None:
    """Return the fault in the bytes of a row of `contribution_maps`, or None."""
    shape = (row["channels"], row["height"], row["width"])
    if row["dtype"] != DTYPE:
        return f"its dtype is {row['dtype']}, not {DTYPE}"
    for name, copies in (("values", 1), ("standard_errors", 1), ("halves", 2)):
        thinned = name != "values" and row[name] is None  # in a published database
        if not thinned and len(row[name]) != 4 * copies * math.prod(shape):
            return f"its bytes do not fill the shape {shape}"
    if hashlib.sha256(row["values"]).hexdigest() != row["digest"]:
        return "its values do not match their digest"
    return None


def decode_stored_map(row: Mapping[str, Any]) -> StoredMap:
    """Return the record of a row of `contribution_maps`, joined with `MAP_FACTS`.

    Raises:
        UserError: The row is damaged; the error names it.
    """
    damage = find_map_damage(row)
    if damage is not None:
        raise UserError(
            f"the map of attempt {row['attempt_id']} before split {row['split']} by "
            f"{row['score']} is damaged: {damage}; go back to a copy of the database"
        )
    return StoredMap(**_map_fields(row), **{name: row[name] for name in MAP_FACTS})


def decode_map(row: Mapping[str, Any]) -> ContributionMap:
    """Return the record of a row of `contribution_maps` whose bytes are sound.

    Raises:
        ValueError: It is not a map; see `ContributionMap`.
    """
    return ContributionMap(**_map_fields(row))


def _map_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    shape = (row["channels"], row["height"], row["width"])

    def array(name: str, *copies: int) -> NDArray[np.float32] | None:
        if row[name] is None:
            return None
        return np.frombuffer(row[name], dtype=DTYPE).reshape(*copies, *shape).astype(np.float32)

    statistics = {field.name: row[field.name] for field in fields(MapStatistics)}
    return {
        **{name: row[name] for name in COPIED},
        "values": array("values"),
        "standard_errors": array("standard_errors"),
        "halves": array("halves", 2),
        "statistics": MapStatistics(**statistics),
    }


def overlap(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the intersection over union of masks of one shape, 0 to 1; 1 where both are empty."""
    union = int(np.logical_or(first, second).sum())
    return float(np.logical_and(first, second).sum() / union) if union else 1.0


def encode_table(item: IndexTable, attempt_id: str) -> dict[str, Any]:
    """Return the row of `index_tables`."""
    return {
        **{name: getattr(item, name) for name in ("trial_id", "data_digest", "split", "digest")},
        "attempt_id": attempt_id,
        **dict(zip(("channels", "height", "width"), item.kept.shape, strict=True)),
        "kept": np.packbits(item.kept).tobytes(),
        **asdict(item.statistics),
    }
