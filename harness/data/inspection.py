"""Statistics of a prepared set's images, each read once."""

import itertools
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from lcma.harness.data.manifest import PARTS, ByPart, PartName
from lcma.harness.data.prepared_set import PreparedSet
from lcma.harness.data.source import ReportStep

Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Channel:
    """One channel of a part; pixels are from 0 to 255."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Inspection:
    """Channels of each part, and numbers of images that are copies of another image."""

    channels: ByPart[tuple[Channel, ...]]
    # `within_train`: images of train that equal an earlier one of train; `train_test`: images of
    # test that occur in train; and so on.
    copies: dict[str, int]


def inspect_set(prepared: PreparedSet, progress: ReportStep | None = None) -> Inspection:
    """Read a set once in pieces, and keep a 64-bit hash of each image.

    Among a million images, two different ones have the same hash with a probability of 3e-8. Raises
    UserError if a file is damaged.
    """
    channels: dict[PartName, tuple[Channel, ...]] = {}
    hashes: dict[PartName, Hashes] = {}
    images_total = sum(count for _, count in prepared.manifest.counts.items())
    done = 0
    for part in PARTS:
        sums, low, high, part_hashes = [], [], [], []
        for images in prepared.pieces(part):
            sums.append(images.sum(axis=(0, 2, 3), dtype=np.float64))
            low.append(images.min(axis=(0, 2, 3)))
            high.append(images.max(axis=(0, 2, 3)))
            part_hashes.append(_hash_images(images))
            done += len(images)
            if progress is not None:
                progress(part, done, images_total)
        _, height, width = prepared.manifest.shape
        pixels = prepared.manifest.counts[part] * height * width
        channels[part] = tuple(
            Channel(float(total) / pixels, float(lowest), float(highest))
            for total, lowest, highest in zip(
                np.sum(sums, 0), np.min(low, 0), np.max(high, 0), strict=True
            )
        )
        hashes[part] = np.concatenate(part_hashes)
    return Inspection(ByPart[tuple[Channel, ...]](**channels), _count_copies(hashes))


def _hash_images(images: npt.NDArray[np.generic]) -> Hashes:
    digests = (blake2b(image.data, digest_size=8).digest() for image in images)
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


def _count_copies(hashes: dict[PartName, Hashes]) -> dict[str, int]:
    distinct = {part: np.unique(hashes[part]) for part in PARTS}
    within = {f"within_{part}": len(hashes[part]) - len(distinct[part]) for part in PARTS}
    between = {
        f"{first}_{second}": int(np.isin(hashes[second], distinct[first]).sum())
        for first, second in itertools.combinations(PARTS, 2)
    }
    return within | between
