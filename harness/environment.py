"""The environment of a run, code and device, stored with every attempt."""

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
from functools import cache
from pathlib import Path

import torch

from lcma import db

_NAMED = ("torch", "torchvision", "numpy", "ray", "sqlalchemy", "scikit-image", "pillow")
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
_DRIVER = Path("/proc/driver/nvidia/version")
_ROOT = Path(__file__).resolve().parent.parent  # a checkout's; src/lcma links to its folders
_OURS = ("harness", "models", "sweeps", "db", "src")


@cache
def read_environment(device: str) -> db.Environment:
    """Return the environment of this process for computations on a device, 'cpu' or 'cuda'."""
    commit, dirty = _version()
    version = importlib.metadata.version("lcma")
    packages = {name: found for name in _NAMED if (found := _version_of(name)) is not None}
    return db.Environment(
        code_version=f"{version}+{commit}" if commit else version,
        dirty=dirty,
        python=platform.python_version(),
        torch=torch.__version__,
        platform=platform.platform(),
        device=torch.cuda.get_device_name() if device == "cuda" else platform.machine(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        packages=json.dumps(packages, sort_keys=True),
        driver=_driver() if device == "cuda" else None,
        flags=json.dumps(_flags(), sort_keys=True),
    )


def _version_of(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _driver() -> str | None:
    """Return the version of NVIDIA's driver, None if it is not known."""
    try:
        found = re.search(r"Kernel Module .*?(\d+\.[\d.]+)", _DRIVER.read_text())
    except OSError:
        return None
    return found[1] if found else None


def _flags() -> dict[str, bool | str]:
    """Return settings of this process that may change the last bits or the speed."""
    variables = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    return {
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "mkldnn": bool(torch.backends.mkldnn.enabled),
        **variables,
    }


def _version() -> tuple[str | None, str | None]:
    """Return the commit and a digest of uncommitted changes, if the code runs from a checkout."""
    if not (_ROOT / ".git").exists():
        return None, None
    commit = _git("rev-parse", "--short=12", "HEAD")
    changes = _git("status", "--porcelain", "--", *_OURS)
    if not commit or not changes:
        return commit, None
    digest = hashlib.sha256()
    for path in sorted(p for own in _OURS for p in (_ROOT / own).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(_ROOT)).encode())
            digest.update(path.read_bytes())
    return commit, digest.hexdigest()[:16]


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            ["git", "-C", str(_ROOT), *arguments],  # noqa: S607 - whichever git is on the path
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
