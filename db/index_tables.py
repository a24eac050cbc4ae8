"""Index tables of trials as rows, and how far two of them agree."""

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lcma.db.records import IndexTable


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
        "trial_id": item.trial_id,
        "data_digest": item.data_digest,
        "split": item.split,
        "channels": channels,
        "height": height,
        "width": width,
        "kept": np.packbits(item.kept).tobytes(),
        "digest": item.digest,
        **asdict(item.statistics),
        "attempt_id": attempt_id,
    }
