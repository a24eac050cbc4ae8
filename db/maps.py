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

PLAIN = (
    *("pretraining_id", "data_digest", "budget", "split", "score", "images", "mean_log_det"),
    "clusters",
)
"""The columns that are fields of a map as they are."""

DTYPE = "<f4"
"""How the entries of a map are stored."""


def encode_map(item: ContributionMap, attempt_id: str) -> dict[str, Any]:
    """Return the row of `contribution_maps`."""
    channels, height, width = item.values.shape
    return {
        **{name: getattr(item, name) for name in (*PLAIN, "digest", "sum_error")},
        "attempt_id": attempt_id,
        "channels": channels,
        "height": height,
        "width": width,
        "dtype": DTYPE,
        "values": raw_bytes(item.values),
        "standard_errors": _raw(item.standard_errors),
        "halves": _raw(item.halves),
        **asdict(item.statistics),
    }


def find_map_damage(row: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the bytes of a row of `contribution_maps`, None for nothing."""
    shape = (row["channels"], row["height"], row["width"])
    if row["dtype"] != DTYPE:
        return f"its dtype is {row['dtype']}, not {DTYPE}"
    if not _fill(row, 4 * math.prod(shape)):
        return f"its bytes do not fill the shape {shape}"
    if hashlib.sha256(row["values"]).hexdigest() != row["digest"]:
        return "its values do not match their digest"
    return None


def decode_stored_map(row: Mapping[str, Any]) -> StoredMap:
    """Return a row of `contribution_maps`, joined with the facts of its pretraining, as a record.

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
    """Return a row of `contribution_maps`, whose bytes are sound, as a record.

    Raises:
        ValueError: It is no map; see `ContributionMap`.
    """
    return ContributionMap(**_map_fields(row))


def _map_fields(row: Mapping[str, Any]) -> dict[str, Any]:
    shape = (row["channels"], row["height"], row["width"])

    def array(name: str, *copies: int) -> NDArray[np.float32]:
        return np.frombuffer(row[name], dtype=DTYPE).reshape(*copies, *shape).astype(np.float32)

    def thinned(name: str, *copies: int) -> NDArray[np.float32] | None:
        return None if row[name] is None else array(name, *copies)

    return {
        **{name: row[name] for name in PLAIN},
        "values": array("values"),
        "standard_errors": thinned("standard_errors"),
        "halves": thinned("halves", 2),
        "statistics": MapStatistics(**{one.name: row[one.name] for one in fields(MapStatistics)}),
    }


def _fill(row: Mapping[str, Any], size: int) -> bool:
    expected = {"values": size, "standard_errors": size, "halves": 2 * size}
    found = {name: row[name] for name in expected if name == "values" or row[name] is not None}
    return all(len(held) == expected[name] for name, held in found.items())


def _raw(array: NDArray[np.float32] | None) -> bytes | None:
    return None if array is None else raw_bytes(array)


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the intersection over union of two sets.

    Args:
        one: A set as a mask of any shape.
        other: Another one as a mask of the same shape.

    Returns:
        A share from 0 to 1; 1 for two empty sets.
    """
    union = int(np.logical_or(one, other).sum())
    return float(np.logical_and(one, other).sum() / union) if union else 1.0


def encode_table(item: IndexTable, attempt_id: str) -> dict[str, Any]:
    """Return the row of `index_tables`."""
    channels, height, width = item.kept.shape
    return {
        **{name: getattr(item, name) for name in ("trial_id", "data_digest", "split", "digest")},
        "attempt_id": attempt_id,
        "channels": channels,
        "height": height,
        "width": width,
        "kept": np.packbits(item.kept).tobytes(),
        **asdict(item.statistics),
    }
