"""Read pickles of plain values and numpy arrays without running anything that they name.

A pickle is a program. Here every name in it is looked up in a short table of stand-ins, which only
write down what they were called with: no function of numpy or of anything else is ever called with
a pickle's arguments.
"""

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt


class HoldsCodeError(Exception):
    """Raised if a pickle names something that plain data do not need."""


class MalformedError(Exception):
    """Raised for bytes that are not a whole pickle of plain values and arrays."""


@dataclass(frozen=True, eq=False)
class ArrayRecord:
    """An array as the pickle describes it, not yet made; dtype: numpy's code, such as u1."""

    shape: tuple[int, ...]
    dtype: str
    raw: bytes
    fortran: bool

    def uint8(self) -> npt.NDArray[np.uint8]:
        """Return the array, read-only. Raises ValueError if it is no uint8 array or lacks bytes."""
        if self.dtype != "u1" or math.prod(self.shape) != len(self.raw):
            raise ValueError("not a whole uint8 array")
        flat = np.frombuffer(self.raw, np.uint8)
        return np.ascontiguousarray(flat.reshape(self.shape, order="F" if self.fortran else "C"))


def loads(raw: bytes) -> object:
    """Return the value of a pickle; arrays come as `ArrayRecord`, Python 2 strings as bytes.

    Raises HoldsCodeError where it names anything but arrays, MalformedError where it is no whole
    pickle of plain values with text as keys.
    """
    try:
        _check_lengths(raw)
        return _settle(_Unpickler(io.BytesIO(raw), encoding="bytes").load())
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        MemoryError,
        RecursionError,
    ) as error:
        raise MalformedError(str(error)) from error


def _check_lengths(raw: bytes) -> None:
    # The unpickler makes room for the bytes that are announced: eight could ask for exabytes.
    for _ in pickletools.genops(raw):
        pass


class _Array:
    """Stand-in for an array that only keeps its state."""

    __slots__ = ("record",)

    def __init__(self) -> None:
        self.record: ArrayRecord | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        plain = (
            type(shape) is tuple
            and all(type(n) is int and n >= 0 for n in shape)
            and isinstance(dtype, _Dtype)
            and type(raw) is bytes
        )
        if not plain:
            raise pickle.UnpicklingError("not an array of numbers")
        self.record = ArrayRecord(shape, dtype.code, raw, bool(fortran))


class _Dtype:
    """Stand-in for a dtype that keeps its code; the state only repeats it."""

    __slots__ = ("code",)

    def __init__(self, code: object) -> None:
        text = code.decode("ascii") if isinstance(code, bytes) else code
        if not isinstance(text, str) or len(text) > 8 or not text.isalnum():
            raise pickle.UnpicklingError("not a plain dtype")
        self.code = text

    def __setstate__(self, state: Any) -> None:
        """Ignore byte order and alignment, which bytes do not have."""


class _StandIn:
    """Base class of what a pickle may name; it can be called, but not changed by the pickle."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a name is no object to change")


class _Reconstruct(_StandIn):
    __slots__ = ()

    def __call__(self, *_: object) -> _Array:
        return _Array()


class _FromBuffer(_StandIn):
    """Call with which protocol 5 writes arrays."""

    __slots__ = ()

    def __call__(self, raw: object, dtype: object, shape: object, order: object) -> _Array:
        if not isinstance(raw, bytes | bytearray) or order not in ("C", "F"):
            raise pickle.UnpicklingError("not a contiguous array")
        array = _Array()
        array.__setstate__((1, shape, dtype, order == "F", bytes(raw)))
        return array


class _DtypeName(_StandIn):
    __slots__ = ()

    def __call__(self, code: object, *_: object) -> _Dtype:
        return _Dtype(code)


class _ArrayName(_StandIn):
    __slots__ = ()


class _NoBytes(_StandIn):
    """Call without arguments with which Python 3 writes empty bytes in protocol 2."""

    __slots__ = ()

    def __call__(self) -> bytes:
        return b""


class _Encode(_StandIn):
    """Call with which Python 3 writes bytes in protocol 2, as text to be encoded as Latin-1."""

    __slots__ = ()

    def __call__(self, text: object, encoding: object) -> bytes:
        if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
            raise pickle.UnpicklingError("not Latin-1 text")
        return text.encode("latin-1")


_NAMES: Final[dict[tuple[str, str], type[_StandIn]]] = {
    ("numpy.core.multiarray", "_reconstruct"): _Reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _Reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _FromBuffer,
    ("numpy._core.numeric", "_frombuffer"): _FromBuffer,
    ("numpy", "ndarray"): _ArrayName,
    ("numpy", "dtype"): _DtypeName,
    ("_codecs", "encode"): _Encode,
    ("__builtin__", "bytes"): _NoBytes,
    ("builtins", "bytes"): _NoBytes,
}


_UNUSED: Final = b"".join(
    (
        pickle.EMPTY_SET,
        pickle.ADDITEMS,
        pickle.FROZENSET,
        pickle.NEXT_BUFFER,
        pickle.READONLY_BUFFER,
    )
)
"""Opcodes that plain values and arrays do not need."""


def _check_keys(opcode: bytes, keys: slice) -> Callable[[Any], None]:
    load: Callable[[Any], None] = pickle._Unpickler.dispatch[opcode[0]]

    def check(unpickler: Any) -> None:
        if not all(isinstance(key, str | bytes) for key in unpickler.stack[keys]):
            raise pickle.UnpicklingError("a key that is no text")
        load(unpickler)

    return check


class _Unpickler(pickle._Unpickler):
    # The one in C hashes whatever is a key: that of a deep tuple ends the process or takes forever.
    dispatch: ClassVar = {
        **{code: load for code, load in pickle._Unpickler.dispatch.items() if code not in _UNUSED},
        pickle.SETITEM[0]: _check_keys(pickle.SETITEM, slice(-2, -1)),
        pickle.SETITEMS[0]: _check_keys(pickle.SETITEMS, slice(None, None, 2)),
        pickle.DICT[0]: _check_keys(pickle.DICT, slice(None, None, 2)),
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _NAMES[module, name]()
        except KeyError:
            raise HoldsCodeError(f"{module}.{name}") from None


def _settle(value: object) -> object:
    """Replace stand-ins by records, in the values of a dict or at the top."""
    if isinstance(value, dict):
        return {key: _settle_one(item) for key, item in value.items()}
    return _settle_one(value)


def _settle_one(value: object) -> object:
    if not isinstance(value, _Array):
        return value
    if value.record is None:
        raise pickle.UnpicklingError("an array without content")
    return value.record
