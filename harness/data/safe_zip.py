"""Read untrusted zip files: nothing is unpacked to a disk, sizes are bounded."""

import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

from lcma.sweeps.errors import UserError
from lcma.sweeps.input_files import open_regular

_RATIO: Final = 200
"""Bytes to one compressed byte. Images are far below; deflate can reach 1032."""
_FREE: Final = 2**20

DAMAGE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
)
"""Exceptions of zipfile for files that are broken or need unsupported features."""


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open and check the list of members.

    Raises UserError where the file is no zip file or cut short, or a member is encrypted, a link,
    packed otherwise than images are, outside the archive by its name, or unpacks to more than
    images do.
    """
    try:
        with open_regular(path):
            archive = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise UserError(
            f"{path} is cut short or no zip file ({error}): fetch the file again"
        ) from error
    packed = 0
    try:
        for member in archive.infolist():
            _check(path, member)
            packed += member.compress_size
        if packed > path.stat().st_size:
            raise UserError(f"{path} has members that overlap: fetch the file again")
    except BaseException:
        archive.close()
        raise
    return archive


def _check(path: Path, member: zipfile.ZipInfo) -> None:
    where = f"{path}: {member.filename!r}"
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in name.parts[:1]:
        raise UserError(f"{where} leads out of the archive: give the original file")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise UserError(f"{where} is a link: give the original file")
    if member.flag_bits & 1:
        raise UserError(f"{where} is encrypted: give the original file")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(f"{where} is neither stored nor deflated: give the original file")
    if member.file_size > _FREE and member.file_size > _RATIO * member.compress_size:
        raise UserError(
            f"{where} unpacks from {member.compress_size} to {member.file_size} bytes, which no "
            "images do: give the original file"
        )
