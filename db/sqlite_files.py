"""What a file is, found out before anything opens it for writing, and copies of it."""

import errno
import os
import sqlite3
import time
from contextlib import closing
from itertools import count
from pathlib import Path

from lcma.db.engine import Found
from lcma.db.errors import Unavailable
from lcma.db.schema.base import VERSION_TABLE, only_optuna
from lcma.db.sqlite import APPLICATION_ID, explain, open_readonly, passes
from lcma.sweeps.errors import UserError

MAGIC = b"SQLite format 3\0"


NETWORK = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fhgfs", "glusterfs", "gpfs"),
        *("lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2"),
        *("smb", "smb2", "smb3", "smbfs"),
    }
)
"""File systems over a network, by the kernel's names; with FUSE, by what follows `fuse.`."""

NETWORK_FUSE = frozenset(
    {
        *("davfs2", "gcsfuse", "goofys", "juicefs", "mount_s3", "mountpoint-s3", "rclone"),
        *("s3fs", "sshfs"),
    }
)
"""Those that are there with FUSE alone."""

MOUNTS = Path("/proc/self/mountinfo")
"""What is mounted where, on Linux; elsewhere nothing is known."""


def identify(path: Path) -> Found:
    """Look at a path without changing it.

    Raises UserError for a folder, another program's file, a damaged one, a place on a network file
    system, or no place for one.
    """
    kind = network_file_system(path.parent)
    if kind is not None:
        raise UserError(
            f"{path} is on a network file system ({kind}), where SQLite's write-ahead log gets "
            "corrupted: give a path on a local disk, or postgresql://USER@HOST/DATABASE"
        )
    try:
        if not path.exists():
            if not path.parent.is_dir():
                raise UserError(
                    f"cannot make the database {path}: there is no folder {path.parent}, "
                    "make it first"
                )
            return Found(exists=False, revision=None)
        if not path.is_file():
            raise UserError(f"the database {path} is not a file: give the path of a file")
        if path.stat().st_size == 0:
            return Found(exists=False, revision=None)
        if not os.access(path, os.R_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UserError(
            f"cannot read the database {path}: {error.strerror}; check the path and its permissions"
        ) from None
    try:
        with closing(open_readonly(path)) as connection:
            return _examine(connection, path)
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)  # the module's own errors have none
        if code == sqlite3.SQLITE_NOTADB and not _has_magic(path):
            raise UserError(f"{path} is not a SQLite database: give another path") from None
        problem = explain(path, error)
        if problem is None:
            raise
        raise (Unavailable if passes(error) else UserError)(problem) from error


def _has_magic(path: Path) -> bool:
    """Whether a file that SQLite has refused begins like one of its own.

    Never asked of one that it opens: to close a file drops the locks that this process has on it,
    also those of SQLite's connections, and others would then remove its log under them.
    """
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def _examine(connection: sqlite3.Connection, path: Path) -> Found:
    connection.execute("BEGIN")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    names = {
        name
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
            " AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
        )
    }
    new = not names or only_optuna(names)
    if application not in (0, APPLICATION_ID) or (VERSION_TABLE not in names and not new):
        raise UserError(f"{path} is a database of another program: give another path")
    if new:
        return Found(exists=False, revision=None)
    row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608 - a constant
    return Found(exists=row is not None, revision=None if row is None else row[0])


def network_file_system(folder: Path) -> str | None:
    """The kind of network file system that a folder is on; None for a local disk."""
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        real = folder.resolve()
    except (OSError, RuntimeError):
        return None
    deepest, kind = -1, ""
    for line in lines:
        # ID parent major:minor root MOUNT-POINT options [tags] - KIND source options
        words = line.split(" ")
        if "-" not in words[5:-1]:
            continue
        point = Path(words[4].encode("latin-1", "replace").decode("unicode_escape"))
        # Of two at one place, the later one covers the other.
        if (real == point or point in real.parents) and len(point.parts) >= deepest:
            deepest, kind = len(point.parts), words[words.index("-", 5) + 1]
    base = kind.removeprefix("fuse.")
    return kind if base in NETWORK or (base != kind and base in NETWORK_FUSE) else None


def keep_copy(path: Path, revision: str) -> Path:
    """Copy a database beside itself as it was last committed; the copy's path.

    `results.db` of schema 0003 gives `results.schema-0003.db`; a copy that is there already is
    left alone. Raises UserError, with nothing left behind, where there is no room.
    """
    numbers = ("" if n == 1 else f"-{n}" for n in count(1))
    copy = next(
        name
        for name in (f"{path.stem}.schema-{revision}{n}{path.suffix}" for n in numbers)
        if not path.with_name(name).exists()
    )
    return _copy(path, path.with_name(copy), "before its upgrade")


def backup(path: Path, out: Path | None) -> Path:
    """Copy a database as it was last committed, while others write; the copy's path.

    Without `out`, `results.db` gives `results.backup-20260131T120000Z.db` beside itself. Raises
    UserError, with nothing left behind, where something is at `out`, or there is no room.
    """
    if out is None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        out = path.with_name(f"{path.stem}.backup-{stamp}{path.suffix}")
    if not out.parent.is_dir():
        raise UserError(
            f"cannot copy {path} to {out}: there is no folder {out.parent}, make it first"
        )
    return _copy(path, out, "")


def _copy(path: Path, target: Path, when: str) -> Path:
    aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    taken = UserError(f"{target} is there already: give another name")
    try:
        if os.path.lexists(target):
            raise taken
        # In one step, so that it is of one state, and those who write need not wait.
        with closing(open_readonly(path)) as source, closing(sqlite3.connect(aside)) as to:
            source.backup(to)
        with aside.open("rb") as file:
            os.fsync(file.fileno())
        _rename_to_new(aside, target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except FileExistsError:
        raise taken from None
    except (sqlite3.Error, OSError) as error:
        raise UserError(
            f"cannot copy {path} to {target}{when and ' ' + when}: {error}; make room on its disk, "
            "or copy it elsewhere"
        ) from None
    finally:
        aside.unlink(missing_ok=True)
    return target


def _rename_to_new(aside: Path, target: Path) -> None:
    """Rename, but never over what is there: FileExistsError."""
    try:
        os.link(aside, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(target) from None
        aside.rename(target)
