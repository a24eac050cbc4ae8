"""The images of a job on the host that runs it."""

import socket
from pathlib import Path

from lcma.harness import data
from lcma.harness.data.registry import find_set, own_set
from lcma.harness.data.verified import verify_once
from lcma.sweeps.errors import UserError


def open_images(name: str, root: Path, digest: str) -> data.Prepared:
    """The set ``name`` below ``root`` if it is the one of that content hash, byte for byte.

    The bytes are hashed the first time that this host uses these files. Raises UserError that
    names the host and the root where the set is missing, damaged or another one.
    """
    prepared = find_images(name, root, digest)
    try:
        verify_once(prepared)
    except UserError as error:
        raise UserError(f"on host {socket.gethostname()}: {error}") from error
    return prepared


def find_images(name: str, root: Path, digest: str) -> data.Prepared:
    """The same by its manifest alone, whatever became of its bytes."""
    host = socket.gethostname()
    if not (root / name).exists():
        raise UserError(
            f"data set {name} is missing on host {host} below {root} (the launch's --data or "
            f"LCMA_DATA): give the launch a folder that all hosts see, or run on {host}: "
            f"{_command(name)} --to {root}"
        )
    prepared = data.load(name, root)
    held = prepared.manifest.digest
    if held != digest:
        raise UserError(
            f"{prepared.folder} on host {host} holds other images (digest {held[:12]}) than the "
            f"sweep was planned with ({digest[:12]}): launch the sweep again"
        )
    return prepared


def _command(name: str) -> str:
    """A set that is not shipped is a person's own, known only where it lies."""
    try:
        return find_set(name).command
    except UserError:
        return own_set(name).command
