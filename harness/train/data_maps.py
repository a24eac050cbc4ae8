"""Maps of the data, for the rules that rank dimensions without a flow (docs/method.md)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcma.harness.data.bars import choose_shrinkage, read_training_rows
from lcma.harness.data.prepared_set import PreparedSet
from lcma.harness.train.contribution import MeasuredMap
from lcma.harness.train.scores import assign_halves
from lcma.models.factorization import Ints, Shape, table_from_map
from lcma.sweeps.factorizations import DATA_RULES, as_word

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DataMap:
    """A map before one split. A dimension that has left keeps its value of that time."""

    measured: MeasuredMap
    ids: Ints  # (C, H, W) of the split, the dimensions that have not left before it


def measure_data_maps(prepared: PreparedSet, splits: int) -> list[DataMap]:
    """Measure the maps of every rule of `DATA_RULES` at every split; the score is the rule's name.

    The images are those of the bars: up to 50,000 of the training part, without augmentation. The
    halves have alternating images or clusters. Standard errors are NaN.

    Raises UserError if the images are damaged, or do not vary.
    """
    halves, clusters = _sum_halves(prepared)
    images = sum(count for count, _, _ in halves)
    mean, covariance = _compute_moments(halves)
    shrinkage = choose_shrinkage(prepared, mean, covariance)
    shape = prepared.manifest.shape
    unknown = [(np.full(shape, np.nan), np.zeros(0, dtype=np.int64))] * splits
    maps = []
    for rule in DATA_RULES:
        half_maps = [
            compute_data_maps(rule, _compute_moments([half])[1], shrinkage, shape, splits)
            if half[0]
            else unknown
            for half in halves
        ]
        rule_maps = compute_data_maps(rule, covariance, shrinkage, shape, splits)
        for split, (values, ids) in enumerate(rule_maps):
            measured = MeasuredMap(
                split=split + 1,
                score=rule,
                values=values.astype(np.float32),
                standard_errors=np.full(shape, np.nan, dtype=np.float32),
                halves=np.stack([half[split][0] for half in half_maps]).astype(np.float32),
                images=images,
                clusters=clusters,
                scalar=math.fsum(values.ravel()),
            )
            maps.append(DataMap(measured, ids))
    return maps


def compute_data_maps(
    rule: str, covariance: Floats, shrinkage: float, shape: Shape, splits: int
) -> list[tuple[Floats, Ints]]:
    """Return the map (C, H, W) of a rule at each split, and the ids of the dimensions that the
    rule's own tables have kept until then.

    Args:
        rule: One of `DATA_RULES`.
        covariance: Of the pixels, (D, D).
        shrinkage: Added to the covariance's diagonal before it is inverted.
        shape: (C, H, W) of the images.
        splits: Number of splits.
    """
    word = as_word(rule, splits)
    assert word is not None
    ids = np.arange(math.prod(shape), dtype=np.int64).reshape(shape)
    values = np.zeros(ids.size)
    maps = []
    for letter in word:
        # Rounded as they are stored: the table has to be that of the stored map.
        kept = _compute_values(rule, covariance, shrinkage, ids).astype(np.float32)
        values[ids.ravel()] = kept.ravel()
        maps.append((values.reshape(shape).copy(), ids))
        ids = ids.ravel()[table_from_map(kept.astype(np.float64), letter).kept]
    return maps


def _compute_values(
    rule: str, covariance: Floats, shrinkage: float, ids: Ints
) -> NDArray[np.float64]:
    """Return the values by which a rule ranks the dimensions ``ids``, (C, H, W)."""
    flat = ids.ravel()
    if rule == "variance-low":
        return np.asarray(covariance.diagonal()[flat].reshape(ids.shape))
    inverse = np.linalg.inv(covariance[np.ix_(flat, flat)] + shrinkage * np.eye(len(flat)))
    return np.asarray((1 / inverse.diagonal()).reshape(ids.shape))


_CENTRE = 127.5
"""Subtracted from pixels before their products are summed, which saves digits."""

_Sums = tuple[int, Floats, Floats]
"""A number of images, the sum of their centred pixels (D,), and of the outer products (D, D)."""


def _sum_halves(prepared: PreparedSet) -> tuple[list[_Sums], int | None]:
    """Return the sums over each half of the images, and the number of clusters if there are any."""
    indices, chunks = read_training_rows(prepared)
    groups = prepared.part("train").groups
    groups = None if groups is None else groups[indices]
    assigned = assign_halves(len(indices), groups)
    dimensions = math.prod(prepared.manifest.shape)
    sums = np.zeros((2, dimensions))
    products = np.zeros((2, dimensions, dimensions))
    start = 0
    for chunk in chunks:
        rows = chunk - _CENTRE
        halves = assigned[start : start + len(rows)]
        start += len(rows)
        for half in (0, 1):
            half_rows = rows[halves == half]
            sums[half] += half_rows.sum(0)
            products[half] += half_rows.T @ half_rows
    by_half = [(int((assigned == half).sum()), sums[half], products[half]) for half in (0, 1)]
    return by_half, None if groups is None else len(np.unique(groups))


def _compute_moments(parts: Sequence[_Sums]) -> tuple[Floats, Floats]:
    """Return mean and covariance of the images of all parts together."""
    counts, sums, products = zip(*parts, strict=True)
    mean = np.sum(sums, axis=0) / sum(counts)
    covariance = np.sum(products, axis=0) / sum(counts) - np.outer(mean, mean)
    return mean + _CENTRE, covariance
