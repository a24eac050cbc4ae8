"""How much memory a piece of work took at most, in a process that may have done others before."""

import contextlib
import resource
import sys
from pathlib import Path

import torch

_OWN = Path("/proc/self")


def begin_peak(device: str) -> None:
    """From here on `peak` counts anew, where the system can."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return
    with contextlib.suppress(OSError):
        (_OWN / "clear_refs").write_text("5")  # resets the high-water mark alone


def peak_memory(device: str) -> int:
    """Bytes: of tensors on the GPU, or else of the whole process."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    with contextlib.suppress(OSError):
        for line in (_OWN / "status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "VmHWM":
                return int(value.split()[0]) * 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
