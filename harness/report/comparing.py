"""Two sets of contribution maps held against each other, split by split."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcma.db import ContributionMap, overlap
from lcma.harness.instruments import kept_masks, nms_layout
from lcma.harness.report.mapping import shape_of, word_tables
from lcma.models.factorization import windows
from lcma.sweeps.errors import UserError


@dataclass(frozen=True)
class SplitComparison:
    """Two maps before one split, and the tables that low and high make of them.

    Differences are over all dimensions, in nats. Correlations are Spearman's, over all dimensions,
    of the values and of what is left of them without the mean of their window; None where one of
    the maps does not vary. Overlaps are intersection over union of what is still there after the
    split; ``iou_by_chance`` is about what unrelated tables have.
    """

    split: int
    largest_difference: float
    rms_difference: float
    rank_correlation: float | None
    rank_correlation_in_windows: float | None
    iou_low: float
    iou_high: float
    iou_by_chance: float


def compare_maps(
    one: Sequence[ContributionMap], other: Sequence[ContributionMap], form: str
) -> list[SplitComparison]:
    """The maps of one set against those of another, by split.

    ``form`` is that of the flow without splits in whose windows the values are centred,
    'squeezed' or 'flat'. The maps of each fit together; raises UserError where the two differ in
    shape or number of splits.
    """
    require_alike(one, other)
    shape = shape_of(one)
    kept = {
        letter: [kept_masks(word_tables(letter, maps), shape) for maps in (one, other)]
        for letter in "LH"
    }
    found = []
    for k, (a, b) in enumerate(zip(one, other, strict=True)):
        difference = a.values.astype(np.float64) - b.values
        low, high = (overlap(first[k], second[k]) for first, second in kept.values())
        found.append(
            SplitComparison(
                split=k + 1,
                largest_difference=float(np.abs(difference).max()),
                rms_difference=float(np.sqrt(np.square(difference).mean())),
                rank_correlation=_rank_correlation(a.values, b.values),
                rank_correlation_in_windows=_rank_correlation(
                    *(_centred(m.values, k + 1, form) for m in (a, b))
                ),
                iou_low=low,
                iou_high=high,
                iou_by_chance=iou_by_chance(k + 1),
            )
        )
    return found


def iou_by_chance(split: int) -> float:
    """About the overlap of what two unrelated tables leave there after a split, from 1."""
    still_there = 2.0**-split
    return still_there / (2 - still_there)


def require_alike(one: Sequence[ContributionMap], other: Sequence[ContributionMap]) -> None:
    """UserError where two sets of maps differ in shape or number of splits."""
    said = [
        f"{'x'.join(map(str, shape_of(maps)))} at {len(maps)} split{'s' * (len(maps) > 1)}"
        for maps in (one, other)
    ]
    if said[0] != said[1]:
        raise UserError(
            f"maps of {said[0]} against {said[1]}: choose sets of one shape and number of splits"
        )


def _centred(values: NDArray[np.float32], split: int, form: str) -> NDArray[np.float64]:
    """Values less the mean of their window, in the order of the windows."""
    inside = windows(nms_layout(values.astype(np.float64), split, form))
    return np.asarray(inside - inside.mean(axis=-1, keepdims=True))


def _rank_correlation(one: NDArray[np.floating], other: NDArray[np.floating]) -> float | None:
    if not (np.ptp(one) and np.ptp(other)):
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(one.ravel(), other.ravel()).statistic)
