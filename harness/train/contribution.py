"""Contribution maps of a pretrained flow (Algorithm 1, step 2)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from lcma.harness.seeds import derive_seed
from lcma.harness.train.batches import Images
from lcma.harness.train.evaluate import CHUNK, OnImages, evaluation_mode, to_numpy
from lcma.harness.train.scores import Accumulator, ScoredMap, assign_halves
from lcma.models import Flow
from lcma.models.conv1x1 import InvertibleConv1x1, Share, sharing
from lcma.models.residual import ResidualBlock
from lcma.sweeps.recipe import MapOptions, Score

MAX_IMAGES = 10_000
NOISE_SEED = 0
SCORES: tuple[Score, ...] = get_args(Score)
SHARES: tuple[Share, ...] = get_args(Share)

Progress = Callable[[int, int], None]
"""Called with the number of images that are done since the last call, and with that of all."""


@dataclass(frozen=True)
class MeasuredMap:
    """A contribution map before one split by one score, (C, H, W) float32, in nats.

    ``halves`` (2, C, H, W) are the same map from two halves of the images. ``scalar`` is what
    the map sums to, summed apart: the mean log-determinant of the layers that count, for
    `normalized` less half the sum of the log variances.
    """

    split: int
    score: str
    values: NDArray[np.float32]
    standard_errors: NDArray[np.float32]
    halves: NDArray[np.float32]
    images: int
    clusters: int | None
    scalar: float


def measure_maps(
    flow: Flow,
    images: Images,
    groups: NDArray[np.integer] | None = None,
    conventions: Sequence[Share] = SHARES,
    progress: Progress = lambda count, total: None,
) -> list[MeasuredMap]:
    """Measure the maps at every split of a flow, under every score.

    Evaluation mode, the first min(N, 10,000) images without augmentation, one dequantization
    draw by a fixed seed, means in float64. Halves take alternating images, or alternating
    clusters where there are two or more. `normalized` is left out where a dimension does not
    vary. Where 1x1 convolutions mix channels, each of the ``conventions`` of sharing out their
    log-determinant has maps of its own, of scores such as `cumulative/sorted`. Residual blocks
    average as many probes for an image as bring images times probes to 10,000.
    """
    count = min(len(images), MAX_IMAGES)
    for module in flow.modules():
        if isinstance(module, ResidualBlock):
            module.probes = -(-MAX_IMAGES // count)
    mixes = any(isinstance(m, InvertibleConv1x1) for m in flow.modules())
    measured: list[MeasuredMap] = []
    shares = conventions if mixes else ("output",)
    for share in shares:
        with sharing(flow, share):
            measured += _measure(
                flow, images, groups, count, share, lambda done: progress(done, count * len(shares))
            )
    return measured


def _measure(
    flow: Flow,
    images: Images,
    groups: NDArray[np.integer] | None,
    count: int,
    share: Share,
    on_images: OnImages,
) -> list[MeasuredMap]:
    used = None if groups is None else groups[:count]
    clusters = None if used is None else int(used.max()) + 1
    halves = assign_halves(count, used)
    at_splits: list[Accumulator] = []
    scalars: list[float] = []
    total, total_scalar = Accumulator(flow.dimensions, clusters), 0.0
    with torch.no_grad(), evaluation_mode(flow):
        for start in range(0, count, CHUNK):
            indices = np.arange(start, min(start + CHUNK, count))
            generator = torch.Generator(images.device)
            generator.manual_seed(derive_seed(NOISE_SEED, "map", start))
            found = flow.contributions(images.gather(indices), generator)
            if not at_splits:
                at_splits = [Accumulator(flow.dimensions, clusters) for _ in found.at_splits]
                scalars = [0.0 for _ in found.at_splits]
            part = None if used is None else used[indices]
            values = [to_numpy(v.flatten(1)) for v in found.values_at_splits]
            for k, log_det in enumerate(found.at_splits):
                rows = to_numpy(log_det.flatten(1))
                at_splits[k].add(rows, values[k], halves[indices], part)
                scalars[k] += float(to_numpy(found.log_det_at_splits[k]).sum())
            last = to_numpy(found.total.flatten(1))
            total.add(last, np.zeros_like(last), halves[indices], part)
            total_scalar += float(to_numpy(found.log_det).sum())
            on_images(len(indices))
    whole = total.cumulative()
    measured: list[MeasuredMap] = []

    def add(k: int, score: Score, scored: ScoredMap, scalar: float) -> None:
        def shaped(array: NDArray[np.float64]) -> NDArray[np.float32]:
            return array.reshape(-1, *flow.shape).astype(np.float32)

        measured.append(
            MeasuredMap(
                split=k + 1,
                score=MapOptions(score=score, conv1x1=share).stored_score,
                values=shaped(scored.values)[0],
                standard_errors=shaped(scored.standard_errors)[0],
                halves=shaped(scored.halves),
                images=count,
                clusters=total.log_det.clusters,
                scalar=scalar,
            )
        )

    for k, accumulated in enumerate(at_splits):
        add(k, "cumulative", accumulated.cumulative(), scalars[k] / count)
        normalized = accumulated.normalized()
        if np.isfinite(normalized.values).all():
            add(k, "normalized", normalized, scalars[k] / count - accumulated.half_log_variance)
        add(k, "total", whole, total_scalar / count)
    return measured
