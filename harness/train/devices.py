"""The device of this process: how it is prepared, its memory, its failures, and what work costs.

A failure of a device is its host's and counts against no trial. A process in which a device has
failed may compute nothing on it any more: CUDA fails each later call in the same way. So it gets
no more work.
"""

import contextlib
import ctypes
import gc
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import torch

from lcma import db
from lcma.sweeps.errors import describe_error

_OWN = Path("/proc/self")

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Options of glibc's `mallopt`, from malloc.h."""

MEMORY_MESSAGES = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "CUDA error: out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
"""Parts of the messages of RuntimeErrors that mean that memory ran out."""

DEVICE_MESSAGES = (
    *("CUDA error", "CUDA driver error", "CUDA unknown error", "Triton Error [CUDA]", "HIP error"),
    *("cuDNN error", "CUDNN_STATUS_", "CUBLAS_STATUS_", "CUSOLVER_STATUS_", "CUFFT_STATUS_"),
    *("NCCL error", "NCCL Error", "no kernel image", "No CUDA GPUs are available"),
    *("Found no NVIDIA driver", "NVIDIA driver on your system is too old", "cudaGetDeviceCount()"),
)
"""Parts of those that come from a device, its driver or its libraries."""

CODE_MESSAGES = (
    *("device-side assert", "illegal memory access", "misaligned address", "invalid argument"),
    *("too many resources requested", "when stream is capturing", "invalid configuration argument"),
    *("_INVALID_VALUE", "_BAD_PARAM", "_NOT_SUPPORTED"),
)
"""Parts of those among them that say what the code did wrong."""

_has_failed = False


def configure_device(device: str, threads: int) -> None:
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
    # The peak of memory begins anew: the process may have done other work before.
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        with contextlib.suppress(OSError):
            (_OWN / "clear_refs").write_text("5")  # resets the high-water mark alone


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


def free_memory(device: str) -> None:
    """Give freed memory back to the device or the system: the process may be kept idle for long."""
    if device == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
    elif (trim := _c_function("malloc_trim")) is not None:
        trim(0)


def _c_function(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None)


def read_granted_device(device: str) -> str | None:
    """Return the id of the GPU that this process computes on, by its driver; None on a CPU."""
    if device != "cuda":
        return None
    return f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"


def current_memory(device: str) -> int | None:
    """Return the memory in bytes: of tensors on the GPU, or else of the whole process.

    None where it is not known.
    """
    return int(torch.cuda.memory_allocated()) if device == "cuda" else _read_status("VmRSS")


def _peak_memory(device: str) -> int:
    """Return the peak of `current_memory` since `configure_device`."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    peak = _read_status("VmHWM")
    if peak is not None:
        return peak
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024


def _read_status(name: str) -> int | None:
    # A line of /proc/self/status in bytes; None where there is none.
    with contextlib.suppress(OSError):
        for line in (_OWN / "status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return int(value.split()[0]) * 1024
    return None


def _gpu_utilization(device: str) -> float | None:
    """Return the share of the last second in which the GPU computed, for whomever; None on a CPU,
    and where the driver's library or its Python package (nvidia-ml-py) is missing."""
    if device == "cuda":
        with contextlib.suppress(Exception):  # of the driver, of many kinds: the work goes on
            return torch.cuda.utilization() / 100
    return None


# What work costs


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
        self._memory, self._utilization = list[float](), list[float]()
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
        """Return the cost so far; the means are over the calls of this method."""
        seconds = self.seconds
        for means, now in (
            (self._memory, current_memory(self.device)),
            (self._utilization, _gpu_utilization(self.device)),
        ):
            means.extend(() if now is None else (now,))
        memory = round(fmean(self._memory)) if self._memory else None
        return db.Cost(
            seconds=seconds,
            gpu_seconds=seconds * self.gpus if self.device == "cuda" else None,
            cpu_seconds=self._cpu_seconds,
            images_per_second=images_per_second,
            data_wait=data_wait,
            # Linux' own peak lags a little.
            peak_memory=max(_peak_memory(self.device), memory or 0),
            mean_memory=memory,
            gpu_utilization=fmean(self._utilization) if self._utilization else None,
        )


# Failures


def ran_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out, of the GPU or of the host."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return _has_part(error, MEMORY_MESSAGES)


def is_device_failure(error: BaseException) -> bool:
    """Return whether an error means that the device, its driver or its libraries failed, and not
    the code, nor its memory."""
    return (
        _is_from_device(error)
        and not ran_out_of_memory(error)
        and not _has_part(error, CODE_MESSAGES)
    )


def note_failure(error: BaseException) -> None:
    """Note that this process may not be able to use its device after an error."""
    global _has_failed
    _has_failed |= _is_from_device(error) and not ran_out_of_memory(error)


def has_failed() -> bool:
    """Return whether a device has failed in this process."""
    return _has_failed


def find_device_fault(device: torch.device) -> str:
    """Multiply two matrices on a device and free them; return what is wrong with it, in one line.

    A lack of memory, or a device that another process has for itself, is nothing: they compute.
    """
    try:
        ones = torch.ones(256, 256, device=device)
        found = float((ones @ ones).sum())
        del ones
        torch.cuda.empty_cache()
    except Exception as error:  # noqa: BLE001 - of the driver, of many kinds
        taken = ran_out_of_memory(error) or "busy or unavailable" in str(error)
        return "" if taken else describe_first_line(error)
    return "" if found == 256**3 else f"a matrix product is {found:g} and not {256**3}"


def describe_first_line(error: BaseException) -> str:
    """Return the first line of an error of a device; the others are advice."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"


def _is_from_device(error: BaseException) -> bool:
    accelerator = getattr(torch, "AcceleratorError", None)  # from 2.8 on
    if accelerator is not None and isinstance(error, accelerator):
        return True
    return _has_part(error, DEVICE_MESSAGES)


def _has_part(error: BaseException, parts: tuple[str, ...]) -> bool:
    return isinstance(error, RuntimeError) and any(part in describe_error(error) for part in parts)
