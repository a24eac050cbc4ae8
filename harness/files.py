"""Writing files whole or not at all, and safe file names."""

import os
import re
from pathlib import Path

from lcma.sweeps.errors import UserError


def write_file(path: Path, content: bytes) -> Path:
    """Write a file by way of a temporary sibling, make its folders, and return its path.

    Raises UserError where it cannot be written; what was there before stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UserError(f"cannot write {path}: {why}; choose another place with --out") from None
    return path


def file_name(*parts: object) -> str:
    """Return the parts joined by '-', without any character that a file name may not have."""
    return "-".join(re.sub(r"[^A-Za-z0-9_.-]+", "_", str(part))[:60] for part in parts)
