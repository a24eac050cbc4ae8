"""Contribution maps of a pretrained flow (Algorithm 1, step 2)."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from harness.seeds import derive
from harness.statistics import RunningMean
from harness.train.batches import Images
from harness.train.evaluate import CHUNK, evaluating, to_numpy
from models import Flow

MAX_IMAGES = 10_000
NOISE_SEED = 0


@dataclass(frozen=True)
class MeasuredMap:
    """Mean log-determinant of each dimension up to one split, (C, H, W) float32, in nats.

    ``mean_log_det`` is the scalar of the same layers, summed before the mean, against which the
    map's sum is to be held.
    """

    split: int
    values: NDArray[np.float32]
    standard_errors: NDArray[np.float32]
    images: int
    clusters: int | None
    mean_log_det: float


def measure_maps(
    flow: Flow, images: Images, groups: NDArray[np.integer] | None = None
) -> list[MeasuredMap]:
    """The maps at every split of a flow in which nothing leaves.

    Evaluation mode, the first min(N, 10,000) images without augmentation, one dequantization
    draw by a fixed seed, means in float64.
    """
    count = min(len(images), MAX_IMAGES)
    used = None if groups is None else groups[:count]
    clusters = None if used is None else int(used.max()) + 1
    means: list[RunningMean] = []
    scalars: list[float] = []
    with torch.inference_mode(), evaluating(flow):
        for start in range(0, count, CHUNK):
            indices = np.arange(start, min(start + CHUNK, count))
            generator = torch.Generator(images.device)
            generator.manual_seed(derive(NOISE_SEED, "map", start))
            found = flow.contributions(images.gather(indices), generator)
            if not means:
                means = [RunningMean(flow.dimensions, clusters) for _ in found.at_splits]
                scalars = [0.0 for _ in found.at_splits]
            part = None if used is None else used[indices]
            for k, at_split in enumerate(found.at_splits):
                means[k].add(to_numpy(at_split.flatten(1)), part)
                scalars[k] += float(to_numpy(found.log_det_at_splits[k]).sum())
    maps = []
    for k, running in enumerate(means):
        mean = running.mean
        maps.append(
            MeasuredMap(
                split=k + 1,
                values=mean.reshape(flow.shape).astype(np.float32),
                standard_errors=running.standard_error.reshape(flow.shape).astype(np.float32),
                images=count,
                clusters=running.clusters,
                mean_log_det=scalars[k] / count,
            )
        )
    return maps
