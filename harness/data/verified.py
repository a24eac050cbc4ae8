"""Hashing a prepared set once for each host, however many trials read it."""

import contextlib
import hashlib
import json
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock

from lcma.harness.cache import cache_folder
from lcma.harness.data.prepared import Prepared


def verify_once(prepared: Prepared) -> bool:
    """`Prepared.verify`, unless this host has done it for these very files; whether it was done.

    What was verified is remembered by the content hash and by path, size, time of change and
    inode of each file, in the folder LCMA_CACHE or the person's cache. Of several processes at
    once one hashes and the others wait for it. Where nothing can be remembered each of them
    hashes. Raises UserError as `verify` does.
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
            with contextlib.suppress(OSError):
                _write(stamp, before)
        return True


def _state(prepared: Prepared) -> str:
    """The content hash and what the system says of each file, as JSON."""
    found = []
    for path in prepared.files():
        status = path.stat()
        found.append([str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino])
    return json.dumps({"digest": prepared.manifest.digest, "files": found})


def _stamp(prepared: Prepared) -> Path | None:
    """The file that remembers a set; None where there is no folder of one's own to keep it."""
    # A home on a network file system serves hosts whose data folders differ under one name.
    key = f"{socket.gethostname()}\0{prepared.folder.resolve()}"
    name = f"verified-{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
    folder = cache_folder()
    return None if folder is None else folder / name


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process of this host at a time, where the file system can lock."""
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


def _write(stamp: Path, text: str) -> None:
    aside = stamp.with_name(f".{stamp.name}.{uuid.uuid4().hex}.partial")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(stamp)
    finally:
        aside.unlink(missing_ok=True)
