"""Records of what an attempt leaves: results, maps, index tables, curves, files and costs."""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

GREATEST = 1e150
"""Of the values of measures: the sum of their squares is a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of an attempt in time and memory.

    Attributes:
        seconds: Wall-clock seconds.
        cpu_seconds: CPU seconds.
        images_per_second: Training images per second.
        peak_memory: Bytes.
        data_wait: Share of the time of its training steps that went on waiting for images, 0 to 1.
        gpu_seconds: Wall-clock seconds times the share of a GPU that it held, None on a CPU.
        mean_memory: Bytes, over its heartbeats.
        gpu_utilization: Share of time in which its GPU computed, 0 to 1, over its heartbeats.
    """

    seconds: float
    cpu_seconds: float
    images_per_second: float | None = None
    peak_memory: int | None = None
    data_wait: float | None = None
    gpu_seconds: float | None = None
    mean_memory: int | None = None
    gpu_utilization: float | None = None


@dataclass(frozen=True, slots=True)
class Metric:
    """One value of a curve. A value that is not a number is kept, as NaN."""

    name: str
    step: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A file that a job left, kept outside the database; `bytes` is its length.

    `path` is relative to `place`, where the launch kept files: HOST:FOLDER, or a URL without
    passwords.
    """

    kind: str
    path: str
    bytes: int
    digest: str
    place: str


@dataclass(frozen=True, slots=True)
class Measure:
    """A named number of a result; `lcma.sweeps.measures` says what each is.

    Attributes:
        name: What is measured, such as 'bits_per_dim'.
        value: The value in its unit.
        standard_error: Its standard error; None where there is none.
        images: The images that it is over; None for none.
        clusters: The clusters behind the standard error; None for none.

    Raises:
        ValueError: A number is not finite, or beyond `GREATEST`: such a run is `diverged`.
    """

    name: str
    value: float
    standard_error: float | None = None
    images: int | None = None
    clusters: int | None = None

    def __post_init__(self) -> None:
        for value in (self.value, self.standard_error):
            if value is not None and not abs(value) <= GREATEST:
                raise ValueError(
                    f"{self.name} is {value}: a measure must be finite, at most {GREATEST:g}"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Measures of a trained trial by one protocol.

    `step` is the training step of the evaluated weights, `protocol_body` the whole protocol as
    JSON. The measures are kept in the order of their names.

    Raises:
        ValueError: A measure is there twice.
    """

    trial_id: str
    data_digest: str
    step: int
    protocol: str
    protocol_body: str
    precision: str
    measures: tuple[Measure, ...]

    def __post_init__(self) -> None:
        names = [one.name for one in self.measures]
        if len(set(names)) < len(names):
            raise ValueError(f"a measure is there twice: {', '.join(sorted(names))}")
        ordered = tuple(sorted(self.measures, key=lambda one: one.name))
        object.__setattr__(self, "measures", ordered)

    def measure(self, name: str) -> Measure | None:
        """Return a measure; None where it was not taken."""
        return next((one for one in self.measures if one.name == name), None)

    def value(self, name: str) -> float:
        """Return the value of a measure that was taken.

        Raises:
            KeyError: It was not.
        """
        found = self.measure(name)
        if found is None:
            raise KeyError(name)
        return found.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """Evaluator of kept weights: its owner, machine, and when it began (Unix seconds UTC)."""

    owner: str
    host: str
    environment_id: str
    device: str
    threads: int
    started: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MapStatistics:
    """A contribution map in numbers, over the 2x2 windows of the flow without splits.

    Shares are between 0 and 1; errors and gaps in nats. The columns of `contribution_maps` say
    what each means.
    """

    mask_share: float | None
    mask_share_by_chance: float
    standard_error: float | None
    rank_gap: float
    error_to_gap: float | None
    unresolved: float | None
    tied: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContributionMap:
    """Contributions of all dimensions to the log-det, in nats, by one score, before one split.

    `values` and `standard_errors` are float32 of shape (C, H, W), in the coordinates of the input
    image; `halves`, (2, C, H, W), are the values from two halves of the images. `split` counts
    from 1. `mean_log_det` is the scalar in nats per image that the map has to sum to, computed
    apart; `sum_error` is by how much it does not. Standard errors and halves may be NaN where there
    is nothing to take them from; they are None in a published database.

    Raises:
        ValueError: An array has another shape or type, or a value is not finite.
    """

    pretraining_id: str
    data_digest: str
    budget: int
    split: int
    score: str
    values: NDArray[np.float32]
    standard_errors: NDArray[np.float32] | None
    images: int
    mean_log_det: float
    halves: NDArray[np.float32] | None
    statistics: MapStatistics
    clusters: int | None = None

    def __post_init__(self) -> None:
        shape = self.values.shape
        _require_array("values", self.values, shape if len(shape) == 3 else "(C, H, W)")
        if not np.isfinite(self.values).all():
            raise ValueError("values must be finite")
        if self.standard_errors is not None:
            _require_array("standard_errors", self.standard_errors, shape)
        if self.halves is not None:
            _require_array("halves", self.halves, (2, *shape))
        if not math.isfinite(self.mean_log_det):
            raise ValueError(f"mean_log_det is {self.mean_log_det}: it must be finite")

    @property
    def digest(self) -> str:
        """The sha256 in hex of the values as little-endian float32 in C order."""
        return hashlib.sha256(raw_bytes(self.values)).hexdigest()

    @property
    def sum_error(self) -> float:
        """|sum of the map - mean_log_det| over the sum of |map|; absolute where the map is 0."""
        scale = float(np.abs(self.values).sum(dtype=np.float64))
        return abs(float(self.values.sum(dtype=np.float64)) - self.mean_log_det) / (scale or 1.0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredMap(ContributionMap):
    """A contribution map with the flow, data set, seed and recipe of its pretraining.

    `nms` is the form of the flow without splits.
    """

    flow: str
    dataset: str
    variant: str
    seed: int
    nms: str
    recipe_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatistics:
    """An index table in numbers; shares and overlaps are between 0 and 1.

    The columns of `index_tables` say what each means.
    """

    iou_even: float
    iou_odd: float
    purity: float
    channel_purity: float
    mask_share: float | None
    mask_share_by_chance: float | None
    tied: float | None
    agreement: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IndexTable:
    """The dimensions that are still there after one split of a trial.

    `kept` is a mask of shape (C, H, W) in the coordinates of the input image; `digest` is the
    sha256 of the split's whole permutation. `split` counts from 1.

    Raises:
        ValueError: `kept` is no such mask.
    """

    trial_id: str
    data_digest: str
    split: int
    kept: NDArray[np.bool_]
    digest: str
    statistics: TableStatistics

    def __post_init__(self) -> None:
        if self.kept.dtype != np.bool_ or self.kept.ndim != 3:
            raise ValueError(f"kept must be a mask of shape (C, H, W), not {self.kept.shape}")


def _require_array(name: str, array: NDArray[np.float32], shape: "tuple[int, ...] | str") -> None:
    if array.dtype != np.float32 or array.shape != shape:
        found = f"{array.dtype} {array.shape}"
        raise ValueError(f"{name} must be float32 of shape {shape}, not {found}")


def raw_bytes(array: NDArray[np.float32]) -> bytes:
    """Return an array as little-endian float32 in C order."""
    return np.ascontiguousarray(array, dtype="<f4").tobytes()
