"""Statistics of a prepared set's images from reading each of them once."""

import itertools
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

from lcma.harness.data.manifest import PARTS, ByPart, PartName
from lcma.harness.data.prepared_set import PreparedSet
from lcma.harness.data.source import ReportStep

Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Channel:
    """One channel of a part, in the pixels' own unit, 0 to 255."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Inspection:
    """Channels of each part, and the numbers of images whose bytes are those of another one.

    Of ``copies``, `within_train` are the images of train that are copies of an earlier one of it,
    `train_test` those of test that occur in train, and so on.
    """

    channels: ByPart[tuple[Channel, ...]]
    copies: dict[str, int]


def inspect_set(prepared: PreparedSet, progress: ReportStep | None = None) -> Inspection:
    """Read a set once, piece by piece; eight bytes of each image are kept.

    Images are told apart by a 64-bit hash: two different ones among a million are taken for
    alike with a probability of 3e-8. Raises UserError where a file is damaged.
    """
    channels: dict[PartName, tuple[Channel, ...]] = {}
    keys: dict[PartName, Keys] = {}
    total, done = sum(count for _, count in prepared.manifest.counts.items()), 0
    for part in PARTS:
        sums, low, high, hashes = [], [], [], []
        for images in prepared.pieces(part):
            sums.append(images.sum(axis=(0, 2, 3), dtype=np.float64))
            low.append(images.min(axis=(0, 2, 3)))
            high.append(images.max(axis=(0, 2, 3)))
            hashes.append(_keys(images))
            done += len(images)
            if progress is not None:
                progress(part, done, total)
        _, height, width = prepared.manifest.shape
        pixels = prepared.manifest.counts[part] * height * width
        channels[part] = tuple(
            Channel(float(s) / pixels, float(a), float(b))
            for s, a, b in zip(np.sum(sums, 0), np.min(low, 0), np.max(high, 0), strict=True)
        )
        keys[part] = np.concatenate(hashes)
    return Inspection(ByPart[tuple[Channel, ...]](**channels), _count_copies(keys))


def _keys(images: npt.NDArray[np.generic]) -> Keys:
    digests = (blake2b(image.data, digest_size=8).digest() for image in images)
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


def _count_copies(keys: dict[PartName, Keys]) -> dict[str, int]:
    distinct = {part: np.unique(keys[part]) for part in PARTS}
    within = {f"within_{part}": len(keys[part]) - len(distinct[part]) for part in PARTS}
    between = {
        f"{first}_{second}": int(np.isin(keys[second], distinct[first]).sum())
        for first, second in itertools.combinations(PARTS, 2)
    }
    return within | between
