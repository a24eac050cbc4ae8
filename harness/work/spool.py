"""Spools: what an attempt has not yet committed to the database, in a file of the worker's disk.

An attempt has one file, a `Spool`. Its records say to which claim on which database it belongs, the
points of curves that the database does not have yet, and at last the attempt's `Ending`. They are
appended; points that the database acknowledged are cut off again, and a file that is committed
entirely is removed. The writer of a file holds a lock on it, by which the file of a dead writer is
recognized; `deliver_leftovers` commits those.

A record is JSON with raw arrays behind it, framed by length and checksum so that a torn one shows.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
import socket
import stat
import struct
import threading
import traceback
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np

from lcma import db
from lcma.db import Claim, Metric, Store, Unavailable
from lcma.harness.cache import cache_folder
from lcma.harness.files import sync_folder
from lcma.harness.kill_points import kill_point
from lcma.sweeps.errors import UserError

VARIABLE = "LCMA_SPOOL"
"""Environment variable that names the folder of spools, in place of one in the cache folder."""

MAGIC = b"lcma spool 1\n"
"""The beginning of a file, with the version of the records' format."""

ARRAY = "array"
"""The only key of the JSON object for an array: its dtype, shape and offset behind the JSON."""

FRAME = struct.Struct("<II")
"""The header of a record: its length in bytes and their CRC-32."""

LENGTH = struct.Struct("<I")
"""The header of a record's JSON: its length in bytes."""


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The end of an attempt with all that it made, as `Store.finish` commits it in one transaction.

    ``metrics`` are the points that the database does not have yet.
    """

    outcome: db.Outcome
    message: str
    log: str
    first_step: int | None
    last_step: int
    cost: db.Cost
    result: db.Result | None = None
    maps: tuple[db.ContributionMap, ...] = ()
    tables: tuple[db.IndexTable, ...] = ()
    artifacts: tuple[db.Artifact, ...] = ()
    longest_only: bool = False
    metrics: tuple[db.Metric, ...] = ()
    policy: db.Policy | None = None

    def commit(self, store: Store, claim: Claim) -> "Ending | None":
        """Store the ending; return what was stored, None if the claim was lost.

        An ending that the database refuses, such as another result under the same key, is stored as
        a `code_error` without its results. Raises UserError as `Store.finish` does.
        """
        try:
            stored = self._finish(store, claim)
        except UserError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is belongs in the attempt's row
            refused = replace(
                self,
                outcome="code_error",
                message="\n".join(filter(None, (self.message, traceback.format_exc(limit=-6)))),
                result=None,
                maps=(),
                tables=(),
                artifacts=(),
            )
            return refused if refused._finish(store, claim) else None
        return self if stored else None

    def with_note(self, note: str) -> Self:
        """Return the ending with a note before its message."""
        return replace(self, message="\n".join(filter(None, (note, self.message))))

    @classmethod
    def read(cls, content: dict[str, Any]) -> Self:
        """Read an unpacked ending. Raises TypeError or KeyError if it is none."""
        policy = content.get("policy")
        parts = {
            "policy": None if policy is None else db.Policy(**policy),
            "cost": db.Cost(**content["cost"]),
            "result": _read_result(content["result"]),
            "maps": tuple(_read_map(one) for one in content["maps"]),
            "tables": tuple(_read_table(one) for one in content["tables"]),
            "artifacts": tuple(db.Artifact(**one) for one in content["artifacts"]),
            "metrics": tuple(db.Metric(**one) for one in content["metrics"]),
        }
        return cls(**(content | parts))

    def _finish(self, store: Store, claim: Claim) -> bool:
        given: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        return store.finish(claim, **given)


@dataclass(frozen=True)
class Spooled:
    """The content of a spool; ``place`` is `Database.place`, ``ending`` None if there is none."""

    place: str
    claim: Claim
    metrics: tuple[Metric, ...]
    ending: Ending | None


class Spool:
    """The spool file of one attempt, open during a block; it stays unless it was `discard`ed.

    If the disk fails, ``problem`` says why in one line, and points and ending are in memory alone.
    Safe to use from several threads.
    """

    def __init__(self, store: Store, claim: Claim) -> None:
        self.problem = ""
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._ended = False
        header = MAGIC + pack_record({"place": store.database.place, "claim": claim})
        self._start = self._end = len(header)
        there = spool_folder()
        try:
            if there is None:
                raise PermissionError(errno.EACCES, "no folder of one's own can be written")
            with kill_point("spool-create"):
                self._path, self._file = _create(there, claim)
            _write(self._file, header)
        except OSError as error:
            self._fail(error)
            self.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._close()

    def metrics(self, points: Sequence[Metric]) -> None:
        """Keep points of curves until the database acknowledges them."""
        with self._lock:
            self._append(pack_record({"metrics": points}))

    def acknowledge(self) -> None:
        """Drop the points kept so far: the database has them."""
        with self._lock:
            if self._file is not None and not self._ended:
                with contextlib.suppress(OSError):
                    self._cut(self._start)

    def end(self, ending: Ending) -> Ending:
        """Write the ending to disk (fsync); return it with the problem, if any, in its message."""
        kept = ending.with_note(self.problem)
        with self._lock:
            self._ended = True
            with kill_point("spool-end"):
                self._append(pack_record({"ending": kept}), synced=True)
        return ending.with_note(self.problem)

    def discard(self) -> None:
        """Remove the file, when all of it is committed or never will be."""
        with self._lock:
            if self._path is not None:
                with contextlib.suppress(OSError), kill_point("spool-remove"):
                    self._path.unlink(missing_ok=True)
        self._close()

    def _append(self, record: bytes, *, synced: bool = False) -> None:
        if self._file is None:
            return
        try:
            _write(self._file, record)
            if synced:
                os.fsync(self._file.fileno())
                assert self._path is not None
                sync_folder(self._path.parent)
            self._end += len(record)
        except OSError as error:
            self._fail(error)
            with contextlib.suppress(OSError):
                self._cut(self._end)  # else nothing behind a torn record would be read

    def _cut(self, length: int) -> None:
        assert self._file is not None
        os.ftruncate(self._file.fileno(), length)
        self._end = length

    def _fail(self, error: OSError) -> None:
        where = self._path or spool_folder() or "of this host"
        self.problem = (
            f"the spool {where} failed ({error.strerror or error}), so a crash would have lost "
            "what the database did not have: make room there, or name another folder in "
            f"{VARIABLE}"
        )

    def _close(self) -> None:
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None


def spool_folder() -> Path | None:
    """Return the folder of spools: LCMA_SPOOL, which need not exist, or one in the host's cache
    folder; None if that cannot be made."""
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser().absolute() if named else cache_folder("spool")


def deliver_leftovers(store: Store, note: Callable[[str], None]) -> None:
    """Commit the spools of this host for this database, each under the claim that it was made with.

    A spool whose claim was lost is dropped. ``note`` is called with a line for each dropped ending,
    and for each spool that the database refuses. Raises Unavailable, with the rest left for later.
    """
    for path, spooled in find_left_spools():
        if spooled.place != store.database.place:
            continue
        try:
            deliver_spool(store, spooled, note)
        except Unavailable:
            raise
        except UserError as error:
            note(f"the spool {path} stays where it is: {error}")
            continue
        with contextlib.suppress(OSError), kill_point("leftover-remove"):
            path.unlink(missing_ok=True)


def deliver_spool(store: Store, spooled: Spooled, note: Callable[[str], None]) -> None:
    """Commit one spool under its claim; call ``note`` if its ending is dropped, its claim lost."""
    claim, ending = spooled.claim, spooled.ending
    if ending is None:
        if spooled.metrics:
            store.add_metrics(claim, spooled.metrics)
    elif ending.commit(store, claim) is None:
        note(
            f"dropped the '{ending.outcome}' that attempt {claim.attempt_id} at job "
            f"{claim.job_id[:12]} left in a spool: its lease was lost"
        )


def find_left_spools() -> Iterator[tuple[Path, Spooled]]:
    """Iterate over spools of this host whose writers are dead, each locked during its turn."""
    there = spool_folder()
    for path in sorted(there.glob(f"{_host()}-*.spool")) if there else ():
        try:
            # A link, or a file of another user, would be somebody else's word on our jobs.
            with os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK), "r+b") as file:
                status = os.fstat(file.fileno())
                own = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
                if not own or not _lock_file(file, wait=False):
                    continue
                raw = file.read()
                spooled = read_spool(raw)
                if spooled is not None:
                    yield path, spooled
                elif MAGIC.startswith(raw[: len(MAGIC)]) and not any(
                    unpack_records(raw[len(MAGIC) :])
                ):
                    # Its writer was killed before it wrote whose it is.
                    path.unlink(missing_ok=True)
        except OSError:
            continue


def read_spool(raw: bytes) -> Spooled | None:
    """Read the bytes of a spool but for a torn end; None if its beginning is torn or of another
    version."""
    if not raw.startswith(MAGIC):
        return None
    records = unpack_records(raw[len(MAGIC) :])
    try:
        header = next(records, None)
        if header is None:
            return None
        metrics: list[Metric] = []
        ending: Ending | None = None
        for record in records:
            metrics += (Metric(**point) for point in record.get("metrics", ()))
            if "ending" in record:
                ending = Ending.read(record["ending"])
        return Spooled(header["place"], Claim(**header["claim"]), tuple(metrics), ending)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def pack_record(content: object) -> bytes:
    """Pack plain values, dataclasses and arrays as a framed record. Floats keep every bit."""
    arrays: list[bytes] = []

    def plain(value: Any) -> Any:
        if is_dataclass(value):
            return {field.name: getattr(value, field.name) for field in fields(value)}
        if isinstance(value, np.ndarray):
            at = sum(map(len, arrays))
            arrays.append(np.ascontiguousarray(value).tobytes())
            return {ARRAY: [value.dtype.str, value.shape, at]}
        if isinstance(value, np.generic):
            return value.item()
        raise TypeError(f"{type(value).__name__} cannot be packed")

    text = json.dumps(content, default=plain).encode()
    record = b"".join((LENGTH.pack(len(text)), text, *arrays))
    return FRAME.pack(len(record), zlib.crc32(record)) + record


def unpack_records(raw: bytes) -> Iterator[Any]:
    """Iterate over the records up to the first torn one; dataclasses come as dicts."""
    at = 0
    while len(raw) >= at + FRAME.size:
        length, checksum = FRAME.unpack_from(raw, at)
        record = raw[at + FRAME.size : at + FRAME.size + length]
        if len(record) < length or zlib.crc32(record) != checksum or length < LENGTH.size:
            return
        try:
            content = _content(record)
        except (ValueError, TypeError, ArithmeticError, RecursionError, struct.error):
            return
        if not isinstance(content, dict):
            return
        yield content
        at += FRAME.size + length


def _content(record: bytes) -> Any:
    end = LENGTH.size + LENGTH.unpack_from(record)[0]

    def whole(value: dict[str, Any]) -> Any:
        if set(value) != {ARRAY}:
            return value
        dtype, shape, at = value[ARRAY]
        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(record, np.dtype(dtype), count, end + at).reshape(shape)

    return json.loads(record[LENGTH.size : end], object_hook=whole)


def _read_result(content: dict[str, Any] | None) -> db.Result | None:
    if content is None:
        return None
    measures = tuple(db.Measurement(**one) for one in content["measures"])
    return db.Result(**(content | {"measures": measures}))


def _read_map(content: dict[str, Any]) -> db.ContributionMap:
    found = content["statistics"]
    statistics = None if found is None else db.MapStatistics(**found)
    return db.ContributionMap(**(content | {"statistics": statistics}))


def _read_table(content: dict[str, Any]) -> db.IndexTable:
    return db.IndexTable(**(content | {"statistics": db.TableStatistics(**content["statistics"])}))


def _create(folder: Path, claim: Claim) -> tuple[Path, BinaryIO]:
    """Create a new file and lock it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        name = f"{_host()}-{claim.job_id[:12]}-{claim.token}-{secrets.token_hex(4)}.spool"
        path = folder / name
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND
        file = os.fdopen(os.open(path, flags, 0o600), "r+b", buffering=0)
        try:
            _lock_file(file, wait=True)
        except OSError:
            file.close()
            path.unlink(missing_ok=True)
            raise
        if os.fstat(file.fileno()).st_nlink:
            return path, file
        file.close()  # another process found it before it was locked, empty, and removed it


def _lock_file(file: BinaryIO, *, wait: bool) -> bool:
    """Lock a file until it is closed; return whether that succeeded."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _write(file: BinaryIO, raw: bytes) -> None:
    rest = memoryview(raw)
    while rest:
        rest = rest[file.write(rest) :]


def _host() -> str:
    return re.sub(r"[^\w.-]", "_", socket.gethostname())
