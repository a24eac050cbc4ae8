"""The device of this process: its settings, its memory, its failures, and the cost of work on it.

A failed device is its host's fault and counts against no trial. CUDA fails every later call of a
process in which it has failed once, so such a process gets no more work.
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

_PROC = Path("/proc/self")

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Options of glibc's `mallopt`, from malloc.h."""

MEMORY_MESSAGES = (
    "DefaultCPUAllocator: can't allocate memory",
    "DefaultCPUAllocator: not enough memory",
    "out of memory",
    "_ALLOC_FAILED",
    "ALLOCATION_FAILED",
)
"""Parts of the messages of RuntimeErrors raised when memory ran out."""

DEVICE_MESSAGES = (
    *("CUDA error", "CUDA driver error", "CUDA unknown error", "Triton Error [CUDA]"),
    *("cuDNN error", "CUDNN_STATUS_", "CUBLAS_STATUS_", "CUSOLVER_STATUS_"),
    *("no kernel image", "No CUDA GPUs are available"),
    *("Found no NVIDIA driver", "NVIDIA driver on your system is too old", "cudaGetDeviceCount()"),
)
"""Parts of the messages that come from a device, its driver or its libraries."""

CODE_MESSAGES = (
    *("device-side assert", "illegal memory access", "misaligned address", "invalid argument"),
    *("too many resources requested", "when stream is capturing", "invalid configuration argument"),
    *("_INVALID_VALUE", "_BAD_PARAM", "_NOT_SUPPORTED"),
)
"""Parts of the messages from a device that blame the code."""

_has_failed = False


def configure_device(device: str, threads: int) -> None:
    """Make the results of this process reproducible, let it keep freed memory, and reset the peak
    of its memory."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)  # the order of sums depends on it
    # `use_deterministic_algorithms` does the same, but imports PyTorch's compiler.
    torch.set_deterministic_debug_mode("error")
    # It would fill memory that is written anyway, 3 to 10 % of a step on a CPU.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # no stub
    torch.backends.cudnn.allow_tf32 = False
    torch.set_float32_matmul_precision("highest")  # a container's environment may lower it
    _keep_freed_memory()
    # The process may have done other work before.
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        with contextlib.suppress(OSError):
            (_PROC / "clear_refs").write_text("5")  # resets only the peak


def _keep_freed_memory() -> None:
    """Make the C library, if it is glibc, keep freed memory for the next tensors.

    By default glibc gives large pieces back to the system, which clears each page of the next one:
    up to a quarter of a step on a CPU. The peak is the same; `free_memory` gives all back.
    """
    if (set_option := _find_c_function("mallopt")) is not None:
        # An older glibc refuses a threshold above 32 MiB.
        if not set_option(_MMAP_THRESHOLD, 2**30):
            set_option(_MMAP_THRESHOLD, 2**25)
        set_option(_TRIM_THRESHOLD, -1)


def free_memory(device: str) -> None:
    """Give freed memory back to the device or the system: the process may be idle for long."""
    if device == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
    elif (trim := _find_c_function("malloc_trim")) is not None:
        trim(0)


def _find_c_function(name: str) -> Callable[..., int] | None:
    return getattr(ctypes.CDLL(None), name, None)


def read_granted_device(device: str) -> str | None:
    """Return the driver's id of the GPU that this process computes on; None on a CPU."""
    if device != "cuda":
        return None
    return f"GPU-{torch.cuda.get_device_properties(torch.cuda.current_device()).uuid}"


def current_memory(device: str) -> int | None:
    """Return the bytes of tensors on the GPU, or of the whole process on a CPU; None if unknown."""
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
    # /proc exists only on Linux.
    with contextlib.suppress(OSError):
        for line in (_PROC / "status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return int(value.split()[0]) * 1024
    return None


def _gpu_utilization(device: str) -> float | None:
    """Return the share of the last second in which the GPU computed, for any process; None on a
    CPU, or without the driver's library or its Python package (nvidia-ml-py)."""
    if device == "cuda":
        with contextlib.suppress(Exception):  # of the driver, of many kinds: the work goes on
            return torch.cuda.utilization() / 100
    return None


# The cost of work


class SharedClock:
    """The seconds and CPU seconds of this process, shared equally by the running stopwatches."""

    def __init__(self) -> None:
        self._running: tuple[Stopwatch, ...] = ()
        self._last = time.monotonic(), time.process_time()
        self._lock = threading.Lock()  # the thread of heartbeats reads the cost too

    def run(self, *stopwatches: "Stopwatch") -> None:
        """Let these stopwatches run from now on, and stop the others."""
        with self._lock:
            self._share()
            self._running = stopwatches

    def update(self) -> None:
        """Share the time since the last call."""
        with self._lock:
            self._share()

    def _share(self) -> None:
        now, share = (time.monotonic(), time.process_time()), len(self._running)
        for stopwatch in self._running:
            stopwatch.add(*((n - last) / share for n, last in zip(now, self._last, strict=True)))
        self._last = now


class Stopwatch:
    """The cost of a piece of work that holds ``gpus`` GPUs, while its stopwatch runs.

    A `SharedClock` starts and stops it. Without one it runs from the beginning.
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
        self._clock.update()
        return self._seconds

    def add(self, seconds: float, cpu_seconds: float) -> None:
        """Add a share of the process's time."""
        self._seconds += seconds
        self._cpu_seconds += cpu_seconds

    def cost(
        self, images_per_second: float | None = None, data_wait: float | None = None
    ) -> db.Cost:
        """Return the cost so far; memory and utilization are means over the calls of this."""
        seconds = self.seconds
        if (now := current_memory(self.device)) is not None:
            self._memory.append(now)
        if (share := _gpu_utilization(self.device)) is not None:
            self._utilization.append(share)
        memory = round(fmean(self._memory)) if self._memory else None
        return db.Cost(
            seconds=seconds,
            gpu_seconds=seconds * self.gpus if self.device == "cuda" else None,
            cpu_seconds=self._cpu_seconds,
            images_per_second=images_per_second,
            data_wait=data_wait,
            peak_memory=max(_peak_memory(self.device), memory or 0),  # Linux updates its peak late
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
    """Return whether the device, its driver or its libraries failed, and not the code or memory."""
    return (
        is_from_device(error)
        and not ran_out_of_memory(error)
        and not _has_part(error, CODE_MESSAGES)
    )


def note_failure(error: BaseException) -> None:
    """Remember an error after which this process may not be able to use its device."""
    global _has_failed
    _has_failed |= is_from_device(error) and not ran_out_of_memory(error)


def has_failed() -> bool:
    """Return whether a device has failed in this process."""
    return _has_failed


def find_device_fault(device: torch.device) -> str:
    """Multiply two matrices on a device and free them; return what is wrong with it, in one line.

    A device that is out of memory or reserved by another process is not at fault.
    """
    try:
        ones = torch.ones(256, 256, device=device)
        total = float((ones @ ones).sum())
        del ones
        torch.cuda.empty_cache()
    except Exception as error:  # noqa: BLE001 - of the driver, of many kinds
        in_use = ran_out_of_memory(error) or "busy or unavailable" in str(error)
        return "" if in_use else describe_first_line(error)
    return "" if total == 256**3 else f"a matrix product is {total:g} and not {256**3}"


def describe_first_line(error: BaseException) -> str:
    """Return the first line of a device's error; the other lines are advice."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"


def is_from_device(error: BaseException) -> bool:
    """Return whether an error comes from a device, its driver or its libraries."""
    accelerator = getattr(torch, "AcceleratorError", None)  # from 2.8 on
    if accelerator is not None and isinstance(error, accelerator):
        return True
    return _has_part(error, DEVICE_MESSAGES)


def _has_part(error: BaseException, parts: tuple[str, ...]) -> bool:
    return isinstance(error, RuntimeError) and any(part in describe_error(error) for part in parts)
