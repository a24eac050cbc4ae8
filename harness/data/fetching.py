"""Fetch CIFAR-10 with torchvision."""

from pathlib import Path
from typing import Final

from lcma.harness.data.cifar10 import Cifar10
from lcma.harness.data.registry import find_set
from lcma.sweeps.errors import UserError

FOLDER: Final = ".downloads"
"""Folder of fetched files below the data root."""


def fetch_files(name: str, root: Path, source: Path | None) -> Path:
    """Fetch the official files of a set, and say where they are. Raises UserError where that is not
    offered, or does not succeed."""
    if source is not None:
        raise UserError("--from and --download exclude each other: leave one out")
    if not isinstance(find_set(name).source, Cifar10):
        raise UserError(f"{name} cannot be fetched: give its files with --from PATH")
    from torchvision.datasets import CIFAR10

    folder = root / FOLDER
    try:
        CIFAR10(folder, download=True)
    except (OSError, RuntimeError) as error:
        why = " ".join(str(error).split())[:120]
        raise UserError(
            f"CIFAR-10 could not be fetched ({why}): fetch it elsewhere and give --from PATH"
        ) from error
    return folder
