"""Failures of devices, which are their hosts' and count against no trial.

A process in which a device has failed may compute nothing on it any more: CUDA fails each later
call in the same way. So it gets no more work.
"""

import torch

from lcma.harness.measure.evaluation import ran_out_of_memory
from lcma.sweeps.errors import describe_error

DEVICE_MESSAGES = (
    *("CUDA error", "CUDA driver error", "CUDA unknown error", "Triton Error [CUDA]", "HIP error"),
    *("cuDNN error", "CUDNN_STATUS_", "CUBLAS_STATUS_", "CUSOLVER_STATUS_", "CUFFT_STATUS_"),
    *("NCCL error", "NCCL Error", "no kernel image", "No CUDA GPUs are available"),
    *("Found no NVIDIA driver", "NVIDIA driver on your system is too old", "cudaGetDeviceCount()"),
)
"""Parts of the messages of RuntimeErrors that come from a device, its driver or its libraries."""

CODE_MESSAGES = (
    *("device-side assert", "illegal memory access", "misaligned address", "invalid argument"),
    *("too many resources requested", "when stream is capturing", "invalid configuration argument"),
    *("_INVALID_VALUE", "_BAD_PARAM", "_NOT_SUPPORTED"),
)
"""Parts of those among them that say what the code did wrong."""

_has_failed = False


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


def multiply_on(device: torch.device) -> str:
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
