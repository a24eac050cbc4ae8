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
from lcma.models.conv1x1 import InvertibleConv1x1, Share, use_share
from lcma.models.residual import ResidualBlock
from lcma.sweeps.recipe import MapOptions, Score

MAX_IMAGES = 10_000
NOISE_SEED = 0
SHARES: tuple[Share, ...] = get_args(Share)

Progress = Callable[[int, int], None]
"""Called with the number of images done since the last call, and the number of all."""


@dataclass(frozen=True)
class MeasuredMap:
    """A contribution map before one split by one score, (C, H, W) float32, in nats."""

    split: int  # from 1
    score: str
    values: NDArray[np.float32]
    standard_errors: NDArray[np.float32]
    halves: NDArray[np.float32]  # (2, C, H, W), the map from each of two halves of the images
    images: int
    clusters: int | None
    # What the map must sum to, computed without it: the mean log-determinant of the layers up to
    # the split, for `normalized` minus half the sum of the log variances.
    scalar: float


def measure_maps(
    flow: Flow,
    images: Images,
    groups: NDArray[np.integer] | None = None,
    conventions: Sequence[Share] = SHARES,
    progress: Progress = lambda count, total: None,
) -> list[MeasuredMap]:
    """Measure the maps at every split of a flow, under every score.

    The flow is in evaluation mode and sees the first min(N, 10,000) images without augmentation,
    with one dequantization draw by a fixed seed. Means are in float64.

    - The halves have alternating images, or alternating clusters if there are two or more.
    - `normalized` has no map at a split where a dimension does not vary.
    - If 1x1 convolutions mix channels, each of the ``conventions`` for sharing out their
      log-determinant has its own maps, with scores such as `cumulative/sorted`.
    - Residual blocks average over several probes an image, about 10,000 probes in all.
    """
    count = min(len(images), MAX_IMAGES)
    for module in flow.modules():
        if isinstance(module, ResidualBlock):
            module.probes = -(-MAX_IMAGES // count)
    mixes_channels = any(isinstance(m, InvertibleConv1x1) for m in flow.modules())
    measured: list[MeasuredMap] = []
    shares = conventions if mixes_channels else ("output",)
    for share in shares:
        with use_share(flow, share):
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
    groups = None if groups is None else groups[:count]
    clusters = None if groups is None else int(groups.max()) + 1
    halves = assign_halves(count, groups)
    at_splits: list[Accumulator] = []
    scalars: list[float] = []
    total, total_scalar = Accumulator(flow.dimensions, clusters), 0.0
    with torch.no_grad(), evaluation_mode(flow):
        for start in range(0, count, CHUNK):
            indices = np.arange(start, min(start + CHUNK, count))
            generator = torch.Generator(images.device)
            generator.manual_seed(derive_seed(NOISE_SEED, "map", start))
            batch = flow.contributions(images.gather(indices), generator)
            if not at_splits:
                at_splits = [Accumulator(flow.dimensions, clusters) for _ in batch.at_splits]
                scalars = [0.0 for _ in batch.at_splits]
            batch_groups = None if groups is None else groups[indices]
            values = [to_numpy(v.flatten(1)) for v in batch.values_at_splits]
            for k, log_det in enumerate(batch.at_splits):
                rows = to_numpy(log_det.flatten(1))
                at_splits[k].add(rows, values[k], halves[indices], batch_groups)
                scalars[k] += float(to_numpy(batch.log_det_at_splits[k]).sum())
            rows = to_numpy(batch.total.flatten(1))
            total.add(rows, np.zeros_like(rows), halves[indices], batch_groups)
            total_scalar += float(to_numpy(batch.log_det).sum())
            on_images(len(indices))

    def reshape(array: NDArray[np.float64]) -> NDArray[np.float32]:
        return array.reshape(-1, *flow.shape).astype(np.float32)

    def make_map(k: int, score: Score, scored: ScoredMap, scalar: float) -> MeasuredMap:
        return MeasuredMap(
            split=k + 1,
            score=MapOptions(score=score, conv1x1=share).stored_score,
            values=reshape(scored.values)[0],
            standard_errors=reshape(scored.standard_errors)[0],
            halves=reshape(scored.halves),
            images=count,
            clusters=total.log_det.clusters,
            scalar=scalar,
        )

    measured: list[MeasuredMap] = []
    for k, sums in enumerate(at_splits):
        scalar, normalized = scalars[k] / count, sums.normalized()
        measured.append(make_map(k, "cumulative", sums.cumulative(), scalar))
        if np.isfinite(normalized.values).all():
            scalar -= sums.half_log_variance
            measured.append(make_map(k, "normalized", normalized, scalar))
        measured.append(make_map(k, "total", total.cumulative(), total_scalar / count))
    return measured
