"""Maps of the data alone, for the rules that rank dimensions without a flow (docs/method.md)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lcma.harness.data.bars import choose_shrinkage, training_rows
from lcma.harness.data.prepared_set import PreparedSet
from lcma.harness.train.contribution import MeasuredMap
from lcma.harness.train.scores import assign_halves
from lcma.models.factorization import Ints, Shape, table_from_map, windows
from lcma.sweeps.factorizations import DATA_RULES, as_word

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DataMap:
    """A map before one split, and the ids of the dimensions still there, (C, H, W) of that split.

    Where a dimension has left, the map has the value of when it did.
    """

    measured: MeasuredMap
    ids: Ints


def measure_data(prepared: PreparedSet, splits: int) -> list[DataMap]:
    """Measure the maps of every rule of `DATA_RULES` at every split; the score is the rule's name.

    Images are those of the bars: up to 50,000 of the training part, without augmentation. Halves
    take alternating images or clusters. Standard errors are not known.

    Raises UserError if the images are damaged, or do not vary.
    """
    halves, clusters = _sum_halves(prepared)
    images = sum(count for count, _, _ in halves)
    mean, covariance = _compute_moments(halves)
    added = choose_shrinkage(prepared, mean, covariance)
    shape = prepared.manifest.shape
    unknown = [(np.full(shape, np.nan), np.zeros(0, dtype=np.int64))] * splits
    found = []
    for rule in DATA_RULES:
        of_all = compute_data_maps(rule, mean, covariance, added, shape, splits)
        of_halves = [
            compute_data_maps(rule, *_compute_moments([one]), added, shape, splits)
            if one[0]
            else unknown
            for one in halves
        ]
        for split, (values, ids) in enumerate(of_all):
            measured = MeasuredMap(
                split=split + 1,
                score=rule,
                values=values.astype(np.float32),
                standard_errors=np.full(shape, np.nan, dtype=np.float32),
                halves=np.stack([one[split][0] for one in of_halves]).astype(np.float32),
                images=images,
                clusters=clusters,
                scalar=math.fsum(values.ravel()),
            )
            found.append(DataMap(measured, ids))
    return found


def compute_data_maps(
    rule: str, mean: Floats, covariance: Floats, added: float, shape: Shape, splits: int
) -> list[tuple[Floats, Ints]]:
    """Return the map (C, H, W) of a rule at each split, and the ids of what is still there.

    What is still there is by the rule's own tables.

    Args:
        rule: One of `DATA_RULES`.
        mean: Of the pixels, (D,).
        covariance: Of the pixels, (D, D).
        added: What is added to its diagonal before it is inverted.
        shape: (C, H, W) of the images.
        splits: Number of splits.
    """
    word = as_word(rule, splits)
    assert word is not None
    ids = np.arange(math.prod(shape), dtype=np.int64).reshape(shape)
    values = np.zeros(ids.size)
    found = []
    for letter in word:
        # Rounded as they are stored: the table has to be that of the stored map.
        here = _rank_values(rule.split("-")[0], mean, covariance, added, ids).astype(np.float32)
        values[ids.ravel()] = here.ravel()
        found.append((values.reshape(shape).copy(), ids))
        ids = ids.ravel()[table_from_map(here.astype(np.float64), letter).kept]
    return found


def _rank_values(
    what: str, mean: Floats, covariance: Floats, added: float, ids: Ints
) -> NDArray[np.float64]:
    """Return what is ranked in the windows of the dimensions ``ids``, (C, H, W)."""
    flat = ids.ravel()
    if what == "variance":
        return np.asarray(covariance.diagonal()[flat].reshape(ids.shape))
    if what == "precision":
        inverse = np.linalg.inv(covariance[np.ix_(flat, flat)] + added * np.eye(len(flat)))
        return np.asarray((1 / inverse.diagonal()).reshape(ids.shape))
    # E (x - mean of the window)^2 = variance + bias^2, both from the moments of its four.
    inside = windows(ids)
    blocks = covariance[inside[..., :, None], inside[..., None, :]]
    centre = np.eye(4) - 0.25
    variance = np.einsum("pa,...ab,pb->...p", centre, blocks, centre)
    detail = variance + np.square(mean[inside] @ centre)
    c, h, w = ids.shape
    return np.asarray(
        detail.reshape(c, h // 2, w // 2, 2, 2).transpose(0, 1, 3, 2, 4).reshape(ids.shape)
    )


_Sums = tuple[int, Floats, Floats]
"""A number of images, their sum (D,), and the sum of their outer products (D, D), of pixels less
`_CENTRE`, which saves digits."""

_CENTRE = 127.5


def _sum_halves(prepared: PreparedSet) -> tuple[list[_Sums], int | None]:
    """Return the sums over each half of the images, and the number of clusters if there are any."""
    indices, chunks = training_rows(prepared)
    groups = prepared.part("train").groups
    used = None if groups is None else groups[indices]
    assigned = assign_halves(len(indices), used)
    dimensions = math.prod(prepared.manifest.shape)
    sums = np.zeros((2, dimensions))
    products = np.zeros((2, dimensions, dimensions))
    start = 0
    for chunk in chunks:
        rows = chunk - _CENTRE
        of_rows = assigned[start : start + len(rows)]
        start += len(rows)
        for half in (0, 1):
            some = rows[of_rows == half]
            sums[half] += some.sum(0)
            products[half] += some.T @ some
    found = [(int((assigned == half).sum()), sums[half], products[half]) for half in (0, 1)]
    return found, None if used is None else len(np.unique(used))


def _compute_moments(parts: Sequence[_Sums]) -> tuple[Floats, Floats]:
    """Return mean and covariance of all images of some parts together."""
    count = sum(one[0] for one in parts)
    mean = np.sum([one[1] for one in parts], axis=0) / count
    covariance = np.sum([one[2] for one in parts], axis=0) / count - np.outer(mean, mean)
    return mean + _CENTRE, covariance
