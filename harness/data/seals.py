"""Numbers that are computed of a prepared set's images and kept beside them, with a seal."""

import json
from pathlib import Path
from typing import Any, Final

from lcma.harness.data.manifest import hash_fields
from lcma.harness.files import write_file
from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import open_regular

BARS_FILE: Final = "bars.json"
CONTROLS_FILE: Final = "controls.json"
SEALED: Final = (BARS_FILE, CONTROLS_FILE)
"""Names of these files in a set's folder."""


def read_sealed(path: Path) -> dict[str, Any] | None:
    """Return the fields of a file as they were written, or None where it is missing or unsealed.

    Raises UserError if it is not as it was written.
    """
    remedy = "remove it, and it is computed again"
    try:
        with open_regular(path) as file:
            fields = json.loads(file.read())
        if not isinstance(fields, dict):
            raise ValueError
        seal = fields.pop("seal", None)
        changed = seal is not None and seal != hash_fields(fields)
    except OSError:
        return None
    except (ValueError, RecursionError):
        raise UserError(f"{path} is damaged: {remedy}") from None
    if changed:
        raise UserError(f"{path} was changed after it was written: {remedy}")
    return None if seal is None else fields


def write_sealed(path: Path, fields: dict[str, Any]) -> None:
    """Write a file with its seal, whole or not at all. Raises UserError if it cannot be written."""
    text = json.dumps({**fields, "seal": hash_fields(fields)}, indent=2)
    write_file(path, f"{text}\n".encode())
