"""Read arrays inside an npz file row by row, never whole and without making objects."""

import math
import tokenize
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from lcma.harness.data.safe_zip import DAMAGE
from lcma.sweeps.errors import UserError

_REMEDY: Final = "give the original files"

BAD_HEADER: Final = (
    ValueError,
    TypeError,
    OverflowError,
    SyntaxError,
    MemoryError,
    RecursionError,
    tokenize.TokenError,
)
"""Exceptions of numpy for the header of an npy file, which is Python source."""


@dataclass(frozen=True)
class NpyMember:
    """An array of plain numbers in an archive, of which only the header is read."""

    path: Path
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    def rows(
        self, archive: zipfile.ZipFile, size: int, skip: int = 0
    ) -> Iterator[npt.NDArray[Any]]:
        """Yield the rows after the first `skip`, up to `size` at a time.

        Raises UserError if there are fewer bytes than the header says.
        """
        width = self.dtype.itemsize * math.prod(self.shape[1:])
        try:
            with archive.open(self.name) as stream:
                _header(stream)
                _discard(stream, skip * width)
                for start in range(skip, self.shape[0], size):
                    count = min(size, self.shape[0] - start)
                    raw = stream.read(count * width)
                    if len(raw) != count * width:
                        raise EOFError("fewer bytes than the header says")
                    yield np.frombuffer(raw, self.dtype).reshape(count, *self.shape[1:])
                # The end of the member is where its checksum is compared.
                if stream.read(1):
                    raise ValueError("more bytes than the header says")
        except DAMAGE as error:
            raise _damaged(self.path, self.name, error) from error


def find_array(archive: zipfile.ZipFile, path: Path, key: str) -> NpyMember:
    """Find the array that `np.load` would find under a key.

    Raises UserError if there is none or more than one, or it holds Python objects, lies in columns,
    or is not as long as its header says.
    """
    name = f"{key}.npy"
    found = [member for member in archive.infolist() if member.filename == name]
    if len(found) != 1:
        number = "more than one" if found else "no"
        raise UserError(f"{path} has {number} array {key!r}: {_REMEDY}")
    info = found[0]
    try:
        with archive.open(info) as stream:
            shape, fortran, dtype = _header(stream)
            start = stream.tell()
    except DAMAGE as error:
        raise _damaged(path, name, error) from error
    if dtype.hasobject or dtype.kind not in "uif":
        raise UserError(
            f"{path}: {key!r} holds objects (code) or no numbers and was not read: {_REMEDY}"
        )
    if fortran and len(shape) > 1:
        raise UserError(f"{path}: {key!r} is stored column by column: {_REMEDY}")
    if start + dtype.itemsize * math.prod(shape) != info.file_size:
        raise UserError(
            f"{path}: {key!r} has {info.file_size - start} bytes, not those of its shape {shape}: "
            f"{_REMEDY}"
        )
    return NpyMember(path, name, dtype, shape)


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"npy format {version}")
    try:
        shape, fortran, dtype = read(stream)
    except BAD_HEADER as error:
        raise ValueError(f"its header: {error}") from error
    return shape, fortran, dtype


def _discard(stream: IO[bytes], count: int) -> None:
    while count:
        block = stream.read(min(count, 2**22))
        if not block:
            raise EOFError("fewer bytes than the header says")
        count -= len(block)


def _damaged(path: Path, name: str, error: Exception) -> UserError:
    why = " ".join(str(error).split())[:120]
    return UserError(f"{path}: {name} is damaged ({why}): fetch the file again")
