"""The environment of a run, code and device, stored with every attempt."""

import importlib.metadata
import json
import os
import platform
import re
from functools import cache
from pathlib import Path

import torch

from lcma import db
from lcma.harness.version import read_code_version

_PACKAGES = ("torch", "torchvision", "numpy", "ray", "sqlalchemy", "scikit-image", "pillow")
_VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "CUBLAS_WORKSPACE_CONFIG",
    "MKL_CBWR",
    "MKL_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
)
_DRIVER_FILE = Path("/proc/driver/nvidia/version")


@cache
def read_environment(device: str) -> db.Environment:
    """Return the environment of this process for computations on a device, 'cpu' or 'cuda'."""
    code_version, dirty = read_code_version()
    versions = {name: _read_version(name) for name in _PACKAGES}
    packages = {name: version for name, version in versions.items() if version is not None}
    return db.Environment(
        code_version=code_version,
        dirty=dirty,
        python=platform.python_version(),
        torch=torch.__version__,
        platform=platform.platform(),
        device=torch.cuda.get_device_name() if device == "cuda" else _read_processor(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        packages=json.dumps(packages, sort_keys=True),
        driver=_read_driver() if device == "cuda" else None,
        flags=json.dumps(_read_flags(), sort_keys=True),
    )


def _read_processor() -> str:
    """Return the architecture of the processor, and its maker, family and model if known."""
    # The maker matters: the last bits of a sum differ between makers, even if both have the same
    # instructions.
    try:
        first = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    except OSError:
        first = ""
    facts = dict(re.findall(r"^([^\t:]+)\t*: (.*)$", first, re.M))
    parts = [facts[key] for key in ("vendor_id", "cpu family", "model") if key in facts]
    return " ".join((platform.machine(), *parts))


def _read_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _read_driver() -> str | None:
    """Return the version of NVIDIA's driver, None if it is not known."""
    try:
        version = re.search(r"Kernel Module .*?(\d+\.[\d.]+)", _DRIVER_FILE.read_text())
    except OSError:
        return None
    return version[1] if version else None


def _read_flags() -> dict[str, bool | str]:
    """Return the settings of this process that may change the last bits or the speed."""
    variables = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    return {
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "mkldnn": bool(torch.backends.mkldnn.enabled),
        **variables,
    }
