"""The evaluation of a trained flow as a result, and what an attempt costs.

`measure_flow` evaluates a flow on the three parts of its data, and `make_result` makes the row of
the database from that. `Stopwatch` measures time and the peak of memory, and `SharedClock` divides
the time between attempts that run at once; the functions after it prepare a device and free it.
"""

import contextlib
import ctypes
import gc
import math
import os
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lcma import db, models
from lcma.harness import data
from lcma.harness.averages import Mean
from lcma.harness.train.batches import Images
from lcma.harness.train.evaluate import (
    BESIDE_IMAGES,
    BOUND_DRAWS,
    BOUND_IMAGES,
    Bound,
    Evaluation,
    Seen,
    SeriesBias,
    evaluate,
    evaluation_mode,
    sample_bound,
    series_bias,
)
from lcma.harness.train.protocol import PLAIN, Protocol
from lcma.harness.train.series import residual_blocks, series_terms
from lcma.sweeps.errors import describe_error
from lcma.sweeps.measures import BITS_PER_DIM, HOLDOUT, PluginMeasure
from lcma.sweeps.plugins import locate_failure

_OWN = Path("/proc/self")

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Options of glibc's `mallopt`, from malloc.h."""

OUT_OF_MEMORY_MESSAGES = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDA error: out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""Parts of the messages of RuntimeErrors that mean that memory ran out."""


@dataclass(frozen=True)
class FlowEvaluation:
    """A flow evaluated on the parts of a data set; on as many images of train as test has."""

    test: Evaluation
    holdout: Evaluation
    train: Evaluation
    bound: Bound | None
    series: SeriesBias | None

    @property
    def values(self) -> tuple[float, ...]:
        """Bits/dim of all evaluations: finite unless the flow has diverged."""
        parts = (self.test, self.holdout, self.train)
        return tuple(part.bits_per_dim.value for part in parts) + _numbers(self.bound, self.series)


def measure_flow(
    flow: models.Flow,
    prepared: data.Prepared,
    protocol: Protocol,
    device: torch.device,
    draws: int | None = None,
    seen: Seen = lambda count: None,
) -> FlowEvaluation:
    """Evaluate a flow on the three parts, with the bound and bias of `measure_beside`."""
    train, holdout, test = (prepared.part(p) for p in data.PARTS)
    some = min(len(train.images), len(test.images))
    spread = np.arange(some) * len(train.images) // some
    on = {"test": test.images, "holdout": holdout.images, "train": train.images[spread]}
    images = {part: Images(array, device) for part, array in on.items()}
    groups = {"test": test.groups, "holdout": holdout.groups, "train": None}
    found = {p: evaluate(flow, images[p], protocol, groups[p], seen) for p in images}
    bound, series = measure_beside(flow, test, protocol, device, draws, seen)
    return FlowEvaluation(found["test"], found["holdout"], found["train"], bound, series)


def measure_beside(
    flow: models.Flow,
    test: data.PreparedPart,
    protocol: Protocol,
    device: torch.device,
    draws: int | None = None,
    seen: Seen = lambda count: None,
) -> tuple[Bound | None, SeriesBias | None]:
    """Evaluate the K-sample bound and the bias of the truncated series on the test part.

    The bound takes ``draws`` dequantizations on up to `BOUND_IMAGES` images; None stands for
    `choose_draws`, which may be no bound, on up to `BESIDE_IMAGES`.
    """
    images = Images(test.images, device)
    most = BESIDE_IMAGES if draws is None else BOUND_IMAGES
    draws = choose_draws(flow, protocol) if draws is None else draws
    bound = None if draws is None else sample_bound(flow, images, protocol, draws, seen, most)
    return bound, series_bias(flow, images, protocol, test.groups, seen)


def count_part_images(prepared: data.Prepared, protocol: Protocol) -> int:
    """Count the evaluations of images on the three parts."""
    counts = prepared.manifest.counts
    return (counts.test + counts.holdout + min(counts.train, counts.test)) * protocol.draws


def count_beside_images(
    flow: models.Flow, prepared: data.Prepared, protocol: Protocol, draws: int | None = None
) -> int:
    """Count the evaluations of images in `measure_beside`."""
    test = prepared.manifest.counts.test
    most = BESIDE_IMAGES if draws is None else BOUND_IMAGES
    draws = choose_draws(flow, protocol) if draws is None else draws
    biased = series_terms(protocol, flow) is not None and protocol.roulette_mean is None
    return (draws or 0) * min(test, most) + 2 * biased * min(test, BESIDE_IMAGES)


def choose_draws(flow: models.Flow, protocol: Protocol) -> int | None:
    """Return the default number of the bound's draws; None for no bound.

    With residual blocks there is none: each draw is expensive, and the noise of their estimate
    enters the bound.
    """
    return BOUND_DRAWS if protocol == PLAIN and not residual_blocks(flow) else None


def make_result(
    measured: FlowEvaluation,
    trial_id: str,
    data_digest: str,
    protocol: Protocol,
    *,
    step: int,
    more: Sequence[db.Measurement] = (),
) -> db.Result:
    """Return the result as the database stores it.

    Args:
        measured: The evaluated flow.
        trial_id: The trial.
        data_digest: Its exact data set.
        protocol: How it was evaluated.
        step: The step of the evaluated weights.
        more: What was measured beside that.
    """
    test, holdout = measured.test.bits_per_dim, measured.holdout.bits_per_dim
    train = measured.train.bits_per_dim
    own = (
        _make_measure(BITS_PER_DIM, test),
        _make_measure(HOLDOUT, holdout),
        db.Measurement("train_bits_per_dim", train.value, images=train.count),
        db.Measurement("log_det", measured.test.log_det, images=test.count),
        db.Measurement("log_prior", measured.test.log_prior, images=test.count),
        *bound_measures(measured.bound),
        *series_measures(measured.series),
    )
    return db.Result(
        trial_id=trial_id,
        data_digest=data_digest,
        step=step,
        protocol=protocol.name,
        protocol_body=protocol.body,
        precision=protocol.precision,
        measures=(*own, *more),
    )


def _make_measure(name: str, mean: Mean) -> db.Measurement:
    error = None if math.isnan(mean.standard_error) else mean.standard_error
    return db.Measurement(name, mean.value, error, mean.count, mean.clusters)


def bound_measures(bound: Bound | None) -> tuple[db.Measurement, ...]:
    """Return the measures of a K-sample bound; none without one."""
    if bound is None:
        return ()
    return (
        db.Measurement("bound_draws", float(bound.draws)),
        db.Measurement("bound_bits_per_dim", bound.bits_per_dim, images=bound.images),
        db.Measurement("bound_gain", bound.gain, images=bound.images),
    )


def series_measures(series: SeriesBias | None) -> tuple[db.Measurement, ...]:
    """Return the measures of a truncated series; none without one."""
    if series is None:
        return ()
    terms = db.Measurement("series_terms", float(series.terms))
    bias = series.bits_per_dim
    return (terms,) if bias is None else (terms, _make_measure("series_bias", bias))


def take_plugin_measures(
    measures: Sequence[PluginMeasure],
    flow: models.Flow,
    prepared: data.Prepared,
    *,
    seed: int,
    device: torch.device,
    on_failure: Callable[[str, str], None],
) -> Iterator[db.Measurement]:
    """Yield measures of plug-ins of a trained flow, on the test and on the holdout part.

    Args:
        measures: What is taken.
        flow: The flow, measured as it is evaluated; afterwards it is what it was.
        prepared: The set that it was trained on.
        seed: The trial's seed.
        device: The flow's device.
        on_failure: Called with the name of one that raised or returned no finite number, which is
            left out, and why.
    """
    if not measures:
        return
    parts: tuple[data.PartName, data.PartName] = ("test", "holdout")
    with evaluation_mode(flow):
        for index, part in enumerate(parts):
            images = torch.from_numpy(np.array(prepared.part(part).images)).to(device)
            for measure in measures:
                name = measure.kinds[index].name
                try:
                    with torch.no_grad():
                        found = measure.compute(flow, images.clone(), seed)
                    value, error = found if isinstance(found, tuple) else (found, None)
                    numbers = float(value), None if error is None else float(error)
                    if not all(map(math.isfinite, filter(None, numbers))):
                        raise ValueError(f"it returned {found!r}, which is not finite")
                    taken = db.Measurement(name, *numbers, len(images))
                except KeyboardInterrupt:
                    raise
                except BaseException as failure:  # noqa: BLE001 - a person's code may even exit
                    on_failure(name, describe_failure(failure))
                else:
                    yield taken


class MeanSoFar:
    """The mean of the numbers that were added, without those that are not known."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, value: float | None) -> None:
        """Add a number, or None for one that is not known."""
        if value is not None:
            self._sum, self._count = self._sum + value, self._count + 1

    @property
    def mean(self) -> float | None:
        """The mean, None of nothing."""
        return self._sum / self._count if self._count else None


class SharedClock:
    """The seconds and CPU seconds of this process, shared equally by the stopwatches that run."""

    def __init__(
        self,
        wall: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self._wall, self._cpu = wall, cpu
        self._running: tuple[Stopwatch, ...] = ()
        self._last = wall(), cpu()
        self._lock = threading.Lock()  # heartbeats ask too

    def run(self, *stopwatches: "Stopwatch") -> None:
        """Let these stopwatches run from now on, and stop the others."""
        with self._lock:
            self._share()
            self._running = stopwatches

    def settle(self) -> None:
        """Share what passed since the last time."""
        with self._lock:
            self._share()

    def _share(self) -> None:
        now, share = (self._wall(), self._cpu()), len(self._running)
        for stopwatch in self._running:
            stopwatch.add(*((n - last) / share for n, last in zip(now, self._last, strict=True)))
        self._last = now


class Stopwatch:
    """The cost of a piece of work that holds so many GPUs, while its stopwatch runs.

    It runs when its `SharedClock` says so; without one, from the beginning and by itself.
    """

    def __init__(self, device: str, gpus: float = 0.0, clock: SharedClock | None = None) -> None:
        self.device, self.gpus = device, gpus
        self._seconds = self._cpu_seconds = 0.0
        self._memory, self._utilization = MeanSoFar(), MeanSoFar()
        self._clock = clock or SharedClock()
        if clock is None:
            self._clock.run(self)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds so far."""
        self._clock.settle()
        return self._seconds

    def add(self, seconds: float, cpu_seconds: float) -> None:
        """Add a share of the process's time."""
        self._seconds += seconds
        self._cpu_seconds += cpu_seconds

    def cost(
        self, images_per_second: float | None = None, data_wait: float | None = None
    ) -> db.Cost:
        """Return the cost so far; memory is that of the GPU's tensors or of the process.

        The means are over the calls of this method.
        """
        seconds = self.seconds
        self._memory.add(current_memory(self.device))
        self._utilization.add(gpu_utilization(self.device))
        mean = None if self._memory.mean is None else round(self._memory.mean)
        return db.Cost(
            seconds=seconds,
            gpu_seconds=seconds * self.gpus if self.device == "cuda" else None,
            cpu_seconds=self._cpu_seconds,
            images_per_second=images_per_second,
            data_wait=data_wait,
            peak_memory=max(peak_memory(self.device), mean or 0),  # Linux' own peak lags a little
            mean_memory=mean,
            gpu_utilization=self._utilization.mean,
        )


def read_granted_device(device: str) -> str | None:
    """Return the id of the GPU that this process computes on, by its driver; None on a CPU."""
    if device != "cuda":
        return None
    return f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"


def ran_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out, of the GPU or of the host."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(
        part in describe_error(error) for part in OUT_OF_MEMORY_MESSAGES
    )


def describe_failure(error: BaseException) -> str:
    """Return what was raised in one line, with its place in a plug-in if it came from one."""
    return traceback.format_exception_only(error)[-1].strip() + locate_failure(error)


def free_memory(device: str) -> None:
    """Give freed memory back to the device or the system: the process may be kept idle for long."""
    if device == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
    elif (trim := _c_function("malloc_trim")) is not None:
        trim(0)


def settle_device(device: str, threads: int) -> None:
    """Make the results of this process reproducible, and its memory kept and measured.

    Sums then have the same order, whatever was granted.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    # `use_deterministic_algorithms` does the same, but imports PyTorch's compiler.
    torch.set_deterministic_debug_mode("error")
    # It would fill memory that is written anyway, 3 to 10 % of a step on a CPU.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # no stub
    torch.backends.cudnn.allow_tf32 = False  # float32 means float32, matmuls are so by default
    _keep_freed_memory()
    begin_peak(device)


def _keep_freed_memory() -> None:
    """Make the C library keep what is freed for the next tensors, where it can be told to.

    By itself glibc gives large pieces back to the system, which clears each page of the next one:
    up to a quarter of a step on a CPU. The peak is the same; `free_memory` gives all back.
    """
    if (set_option := _c_function("mallopt")) is not None:
        # An older glibc refuses a threshold above 32 MiB.
        if not set_option(_MMAP_THRESHOLD, 2**30):
            set_option(_MMAP_THRESHOLD, 2**25)
        set_option(_TRIM_THRESHOLD, -1)


def _c_function(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None)


def begin_peak(device: str) -> None:
    """Reset the peak that `peak_memory` reads, where the system can."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    with contextlib.suppress(OSError):
        (_OWN / "clear_refs").write_text("5")  # resets the high-water mark alone


def peak_memory(device: str) -> int:
    """Return the peak of memory in bytes: of tensors on the GPU, or else of the whole process.

    Since `begin_peak`, where that worked: a process may have done other work before.
    """
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    peak = _read_status("VmHWM")
    if peak is not None:
        return peak
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def current_memory(device: str) -> int | None:
    """Return the memory in bytes, as `peak_memory` does its peak; None where it is not known."""
    return int(torch.cuda.memory_allocated()) if device == "cuda" else _read_status("VmRSS")


def gpu_utilization(device: str) -> float | None:
    """Return the share of the last second in which the GPU computed, for whomever; None on a CPU,
    and where the driver's library or its Python package (nvidia-ml-py) is missing."""
    if device != "cuda":
        return None
    with contextlib.suppress(Exception):  # of the driver, of many kinds: the work goes on
        return torch.cuda.utilization() / 100
    return None


def _read_status(name: str) -> int | None:
    # A line of /proc/self/status in bytes; None where there is none.
    with contextlib.suppress(OSError):
        for line in (_OWN / "status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return int(value.split()[0]) * 1024
    return None


def _numbers(bound: Bound | None, series: SeriesBias | None) -> tuple[float, ...]:
    found = () if bound is None else (bound.bits_per_dim,)
    bias = None if series is None else series.bits_per_dim
    return found if bias is None else (*found, bias.value)
