"""Verification of prepared sets, once for each host, and opening the images of a job."""

import contextlib
import hashlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from lcma.harness import data
from lcma.harness.data.prepared_set import PreparedSet
from lcma.harness.data.registry import find_set, make_own_set
from lcma.harness.files import cache_folder, write_file
from lcma.sweeps.errors import UserError


def verify_once(prepared: PreparedSet) -> bool:
    """Verify a set unless this host has verified these very files; return whether it did.

    Verified files are remembered by the content hash and by path, size, time of change and inode
    of each, in the folder LCMA_CACHE or the person's cache. Of several processes at once one
    hashes and the others wait for it; each hashes if nothing can be remembered. Raises UserError
    as `PreparedSet.verify` does.
    """
    stamp = _stamp(prepared)
    if stamp is None:
        prepared.verify()
        return True
    with _alone(stamp.with_suffix(".lock")):
        before = _state(prepared)
        if _read(stamp) == before:
            return False
        prepared.verify()
        if _state(prepared) == before:  # else what was hashed is not what lies there now
            with contextlib.suppress(UserError):
                write_file(stamp, before.encode())
        return True


def _state(prepared: PreparedSet) -> str:
    """Return the content hash and the path, size, time and inode of each file, as JSON."""
    found = []
    for path in prepared.files():
        status = path.stat()
        found.append([str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino])
    return json.dumps({"digest": prepared.manifest.digest, "files": found})


def _stamp(prepared: PreparedSet) -> Path | None:
    """Return the stamp of a set; None if this user has no folder to keep it in."""
    # A home on a network file system serves hosts whose data folders differ under one name.
    key = f"{socket.gethostname()}\0{prepared.folder.resolve()}"
    name = f"verified-{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    folder = cache_folder()
    return None if folder is None else folder / name


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Let one process of this host at a time pass, if the file system can lock."""
    lock = FileLock(path)
    try:
        lock.acquire()
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _read(stamp: Path) -> str | None:
    try:
        return stamp.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def open_images(name: str, root: Path, digest: str) -> data.PreparedSet:
    """Open the set ``name`` below ``root`` if it has a content hash, byte for byte.

    The bytes are hashed the first time that this host uses these files. Raises UserError that
    names the host and the root if the set is missing, damaged or another one.
    """
    prepared = find_images(name, root, digest)
    try:
        verify_once(prepared)
    except UserError as error:
        raise UserError(f"on host {socket.gethostname()}: {error}") from error
    return prepared


def find_images(name: str, root: Path, digest: str) -> data.PreparedSet:
    """Open the same by its manifest alone, without hashing. Raises UserError as `open_images`."""
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
    # A set that is not shipped is a person's own, known only below its root.
    try:
        return find_set(name).command
    except UserError:
        return make_own_set(name).command
