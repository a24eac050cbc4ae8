"""Read untrusted tar.gz files: nothing is unpacked to a disk, sizes are bounded."""

import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import open_regular

_DAMAGE = (tarfile.TarError, zlib.error, EOFError, OSError, ValueError)


def list_members(path: Path, limit: int) -> list[str]:
    """Return the names of the plain files.

    Raises UserError where the file is no archive or cut short, unpacks to more than `limit` bytes,
    or has a member that is a link or a device or is outside the archive by its name.
    """
    names: list[str] = []
    total = 0
    for _, member in _walk(path):
        where = f"{path}: {member.name!r}"
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts:
            raise UserError(f"{where} leads out of the archive: give the official file")
        if not (member.isfile() or member.isdir()):
            raise UserError(f"{where} is a link or a device: give the official file")
        total += member.size
        if total > limit:
            raise UserError(f"{path} unpacks to more than {limit} bytes: give the official file")
        if member.isfile():
            names.append(member.name)
    return names


def read_member(path: Path, name: str, limit: int) -> bytes:
    """Read one file of the archive. Raises UserError if it is gone, empty or too large."""
    for archive, member in _walk(path):
        if member.name != name or not member.isfile():
            continue
        if not 0 < member.size <= limit:
            raise UserError(
                f"{path}: {name} has {member.size} bytes, not 1 to {limit}: give the official file"
            )
        try:
            stream = archive.extractfile(member)
            raw = b"" if stream is None else stream.read(member.size)
        except _DAMAGE as error:
            raise _damaged(path, error) from error
        if len(raw) != member.size:
            raise _damaged(path, EOFError(f"{name} ends early"))
        return raw
    raise UserError(f"{path} changed while it was read: run the command again")


def _walk(path: Path) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    try:
        # As a stream: the list of members alone could be made to fill the memory.
        with open_regular(path) as file, tarfile.open(fileobj=file, mode="r|gz") as archive:
            for member in archive:
                yield archive, member
                archive.members = []  # type: ignore[attr-defined]
    except _DAMAGE as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    why = " ".join(str(error).split())[:100]
    return UserError(f"{path} is cut short or no tar.gz file ({why}): fetch the file again")
