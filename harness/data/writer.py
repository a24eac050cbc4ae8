"""Writing a npy file chunk by chunk, hashing its content on the way."""

import hashlib
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt


class NpyWriter:
    """Appends arrays along the first axis to a new npy file; the header is completed at the end.

    Raises OSError as the file system does, ValueError where an array has another shape or dtype.
    """

    def __init__(self, path: Path, dtype: str, shape: tuple[int, ...]) -> None:
        """shape: of one item. Files are little-endian on every machine."""
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._shape = shape
        self._sha256 = hashlib.sha256()
        self._file = path.open("xb")
        self.count = 0
        self._header()
        self._start = self._file.tell()

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

    def finish(self) -> None:
        """Write the final header and wait until the file is on the disk."""
        self._file.seek(0)
        self._header()
        # numpy leaves room in the header for the first axis to grow.
        if self._file.tell() != self._start:
            raise ValueError("the npy header grew")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _header(self) -> None:
        np.lib.format.write_array_header_1_0(
            self._file,
            {
                "descr": np.lib.format.dtype_to_descr(self._dtype),
                "fortran_order": False,
                "shape": (self.count, *self._shape),
            },
        )
