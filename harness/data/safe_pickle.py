"""Read pickles of plain values and uint8 arrays without calling anything that they name.

A pickle is a program. Here the few names that arrays need stand for classes that only keep what
they are called with, so that numpy never meets a pickle's arguments.
"""

import io
import itertools
import pickle
import pickletools
from collections.abc import Callable
from typing import Any, ClassVar, Final

import numpy as np
import numpy.typing as npt

_MOST_OPERATIONS: Final = 2**21
"""An official batch has some 60,000; each can make an object of a hundred bytes."""
_MOST_ARGUMENTS: Final = 8
_SHORT: Final = 256


class HoldsCodeError(Exception):
    """Raised if a pickle names something that plain data do not need."""


class MalformedError(Exception):
    """Raised for bytes that are not a whole pickle of plain values and arrays."""


def loads(raw: bytes) -> object:
    """Return the value of a pickle; arrays come as `Array`, strings of Python 2 as bytes.

    Raises HoldsCodeError where it names anything else, MalformedError where it is damaged.
    """
    try:
        # The unpickler makes room for as many bytes as are announced: this compares them first.
        operations = itertools.islice(pickletools.genops(raw), _MOST_OPERATIONS + 1)
        if sum(1 for _ in operations) > _MOST_OPERATIONS:
            raise pickle.UnpicklingError("more operations than a batch has")
        return _Unpickler(io.BytesIO(raw), encoding="bytes").load()
    except HoldsCodeError:
        raise
    except Exception as error:
        raise MalformedError(str(error)) from error


class _Dtype:
    def __init__(self, code: Any, *_: object) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else code
        if not isinstance(self.code, str) or len(self.code) > 8 or not self.code.isalnum():
            raise pickle.UnpicklingError("not a plain dtype")

    def __setstate__(self, state: Any) -> None:
        """Ignore byte order and alignment, which bytes do not have."""


class _Bytes:
    """Bytes as Python 3 writes them in protocols 0 to 2: none, or text in Latin-1.

    Long text is encoded where it is used: a pickle could have it encoded a million times.
    """

    def __new__(cls, text: Any = "", *_: object) -> Any:
        if not isinstance(text, str):
            raise pickle.UnpicklingError("not Latin-1 text")
        return text.encode("latin-1") if len(text) < _SHORT else super().__new__(cls)

    def __init__(self, text: str, *_: object) -> None:
        self.text = text

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("bytes have no state")


class Array:
    """An array as the pickle describes it, not yet made; dtype: numpy's code, such as u1."""

    shape: tuple[int, ...] = ()
    dtype: str = "u1"
    _raw: bytes | bytearray | _Bytes = b""
    _order: Any = "C"

    def __init__(self, *arguments: Any) -> None:
        if len(arguments) == 4:  # protocol 5; with others the content comes as a state
            self._keep(*arguments)

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        self._keep(raw, dtype, shape, "F" if fortran else "C")

    def _keep(self, raw: Any, dtype: Any, shape: Any, order: Any) -> None:
        sizes = type(shape) is tuple and all(type(n) is int and 0 <= n < 2**32 for n in shape[:8])
        contiguous = isinstance(raw, bytes | bytearray | _Bytes) and order in ("C", "F")
        if not (sizes and len(shape) < 8 and contiguous and isinstance(dtype, _Dtype)):
            raise pickle.UnpicklingError("not an array of numbers")
        self.shape, self.dtype, self._raw, self._order = shape, dtype.code, raw, order

    def uint8(self) -> npt.NDArray[np.uint8]:
        """Return the bytes in the array's shape. Raises ValueError if they are more or fewer."""
        raw = self._raw.text.encode("latin-1") if isinstance(self._raw, _Bytes) else self._raw
        flat = np.frombuffer(raw, np.uint8)
        return np.ascontiguousarray(flat.reshape(self.shape, order=self._order))


_NAMES: Final[dict[str, type]] = {
    "numpy.core.multiarray._reconstruct": Array,
    "numpy._core.multiarray._reconstruct": Array,
    "numpy.core.numeric._frombuffer": Array,
    "numpy._core.numeric._frombuffer": Array,
    "numpy.ndarray": Array,
    "numpy.dtype": _Dtype,
    "_codecs.encode": _Bytes,
    "__builtin__.bytes": _Bytes,
    "builtins.bytes": _Bytes,
}


def _check_keys(opcode: bytes, keys: slice) -> Callable[[Any], None]:
    load: Callable[[Any], None] = pickle._Unpickler.dispatch[opcode[0]]

    def check(unpickler: Any) -> None:
        if not all(isinstance(key, str | bytes) for key in unpickler.stack[keys]):
            raise pickle.UnpicklingError("a key that is no text")
        load(unpickler)

    return check


def _check_arguments(unpickler: Any) -> None:
    # Bytes would be taken apart into as many arguments, again at each of a million calls.
    if type(unpickler.stack[-1]) is not tuple or len(unpickler.stack[-1]) > _MOST_ARGUMENTS:
        raise pickle.UnpicklingError("arguments that no array has")
    pickle._Unpickler.dispatch[pickle.REDUCE[0]](unpickler)


class _Unpickler(pickle._Unpickler):
    # The one in C fills its memo up to any index that is named, and both hash whatever is a key or
    # in a set: that of a deep tuple ends the process or takes forever.
    dispatch: ClassVar = {
        **pickle._Unpickler.dispatch,
        pickle.SETITEM[0]: _check_keys(pickle.SETITEM, slice(-2, -1)),
        pickle.SETITEMS[0]: _check_keys(pickle.SETITEMS, slice(None, None, 2)),
        pickle.DICT[0]: _check_keys(pickle.DICT, slice(None, None, 2)),
        pickle.REDUCE[0]: _check_arguments,
    }
    for opcode in pickle.EMPTY_SET + pickle.ADDITEMS + pickle.FROZENSET + pickle.NEWOBJ:
        del dispatch[opcode]
    del dispatch[pickle.NEWOBJ_EX[0]]

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _NAMES[f"{module}.{name}"]
        except KeyError:
            raise HoldsCodeError(f"{module}.{name}") from None
