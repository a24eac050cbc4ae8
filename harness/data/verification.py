"""Verification of prepared sets, once on each host, and opening the images of a job."""

import contextlib
import hashlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from lcma.harness.data.prepared_set import PreparedSet, load, prepare_command
from lcma.harness.files import find_cache_folder, write_file
from lcma.sweeps.errors import UserError


def verify_once(prepared: PreparedSet) -> bool:
    """Verify a set unless this host has already verified these files; return whether it did.

    A stamp in the folder LCMA_CACHE, or the user's cache, has the content hash and the path, size,
    time of change and inode of each verified file. If several processes verify at once, one hashes
    and the others wait. Without such a folder each hashes. Raises UserError as
    `PreparedSet.verify` does.
    """
    stamp = _locate_stamp(prepared)
    if stamp is None:
        prepared.verify()
        return True
    with _lock(stamp.with_suffix(".lock")):
        before = _describe_files(prepared)
        if _read_stamp(stamp) == before:
            return False
        prepared.verify()
        if _describe_files(prepared) == before:  # else files changed while they were hashed
            with contextlib.suppress(UserError):
                write_file(stamp, before.encode())
        return True


def _describe_files(prepared: PreparedSet) -> str:
    files = []
    for path in prepared.files():
        status = path.stat()
        files.append([str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino])
    return json.dumps({"digest": prepared.manifest.digest, "files": files})


def _locate_stamp(prepared: PreparedSet) -> Path | None:
    # Hosts that share a home on a network may have different data folders of the same name.
    key = f"{socket.gethostname()}\0{prepared.folder.resolve()}"
    name = f"verified-{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    folder = find_cache_folder()
    return None if folder is None else folder / name


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Let one process of this host at a time run the block, if the file system has locks."""
    lock = FileLock(path)
    try:
        lock.acquire()
    except (OSError, NotImplementedError):  # without locks each process hashes for itself
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _read_stamp(stamp: Path) -> str | None:
    try:
        return stamp.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def open_images(name: str, root: Path, digest: str) -> PreparedSet:
    """Open the set ``name`` below ``root`` and verify that it has a content hash.

    The bytes are hashed the first time that this host uses these files. Raises UserError that
    names the host and the root if the set is missing, damaged or has other images.
    """
    prepared = find_images(name, root, digest)
    try:
        verify_once(prepared)
    except UserError as error:
        raise UserError(f"on host {socket.gethostname()}: {error}") from error
    return prepared


def find_images(name: str, root: Path, digest: str) -> PreparedSet:
    """Open the set by its manifest only, without hashing. Raises UserError as `open_images`."""
    host = socket.gethostname()
    if not (root / name).exists():
        raise UserError(
            f"data set {name} is missing on host {host} below {root} (the launch's --data or "
            f"LCMA_DATA): give the launch a folder that all hosts see, or run on {host}: "
            f"{prepare_command(name, root)}"
        )
    prepared = load(name, root)
    if prepared.manifest.digest != digest:
        raise UserError(
            f"{prepared.folder} on host {host} holds other images (digest "
            f"{prepared.manifest.digest[:12]}) than the sweep was planned with ({digest[:12]}): "
            "copy those images there or, if these are the right ones, launch the sweep again"
        )
    return prepared
