"""Write a npy file chunk by chunk, hashing its content; a later run can go on with it."""

import hashlib
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

_BLOCK = 2**22


class NpyWriter:
    """Writer of a npy file that appends along the first axis; the header is completed at the end.

    Raises OSError as the file system does, ValueError if an array has another shape or dtype, or
    if a file to go on with holds less than it should.
    """

    def __init__(self, path: Path, dtype: str, shape: tuple[int, ...], count: int = 0) -> None:
        """Open a little-endian file.

        shape: of one item. count: items of an earlier run that are kept; what it wrote after them
        is cut off.
        """
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._shape = shape
        self._sha256 = hashlib.sha256()
        self.count = count
        self._file = path.open("r+b" if count else "wb")
        try:
            self._header()
            self._start = self._file.tell()
            if count:
                self._take_up()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    @property
    def digest(self) -> str:
        """sha256 (hex) of the content so far, without the header."""
        return self._sha256.hexdigest()

    def append(self, array: npt.NDArray[Any]) -> None:
        """Add N items: an array N x shape."""
        if array.dtype != self._dtype or array.shape[1:] != self._shape:
            raise ValueError(f"{array.dtype} {array.shape} does not belong to {self._shape}")
        raw = np.ascontiguousarray(array, self._dtype).reshape(-1).view(np.uint8).data
        self._file.write(raw)
        self._sha256.update(raw)
        self.count += len(array)

    def sync(self) -> None:
        """Wait until what was appended is on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self) -> None:
        """Write the final header and wait until the file is on the disk."""
        self._file.seek(0)
        self._header()
        # numpy leaves room in the header for the first axis to grow.
        if self._file.tell() != self._start:
            raise ValueError("the npy header grew")
        self.sync()

    def _take_up(self) -> None:
        left = self.count * self._dtype.itemsize * int(np.prod(self._shape, dtype=np.int64))
        end = self._start + left
        if self._file.seek(0, os.SEEK_END) < end:
            raise ValueError("the file holds less than was written")
        self._file.truncate(end)
        self._file.seek(self._start)
        while block := self._file.read(min(_BLOCK, left)):
            self._sha256.update(block)
            left -= len(block)

    def _header(self) -> None:
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "descr": np.lib.format.dtype_to_descr(self._dtype),
                "fortran_order": False,
                "shape": (self.count, *self._shape),
            },
        )
