"""Reader of pickles that hold plain data: a dict of numbers, texts, lists and arrays of uint8.

The standard library's `pickletools` finds the opcodes. Nothing that a pickle names is imported or
called. Containers cannot be nested, keys are texts, and no value takes more memory than its bytes
in the file, so that no pickle can exhaust the stack, the time or the memory.
"""

import math
import pickletools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_MAX_OPCODES: Final = 2**19
"""A batch of CIFAR-10 has some 40,000."""
_NAMES: Final = {
    "numpy._core.multiarray._reconstruct",
    "numpy._core.numeric._frombuffer",
    "numpy.ndarray",
    "numpy.dtype",
    "_codecs.encode",
    "builtins.bytes",
}
"""Names in pickles of plain values and arrays, of Python 2 and 3 and numpy 1 and 2."""
_CONSTANTS: Final = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NUMBERS: Final = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
}
_BYTES: Final = {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_OLD_TEXTS: Final = {"STRING", "BINSTRING", "SHORT_BINSTRING"}  # of Python 2, which are bytes
_TEXTS: Final = {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
_TUPLES: Final = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS: Final = {"PUT", "BINPUT", "LONG_BINPUT"}
_GETS: Final = {"GET", "BINGET", "LONG_BINGET"}


class NotPlainError(Exception):
    """Raised for a pickle that is damaged or holds something other than plain data."""


class HoldsCodeError(NotPlainError):
    """Raised for a pickle that names something to import; the message is the name."""


@dataclass(frozen=True)
class _Name:
    name: str


@dataclass(frozen=True)
class _Uint8:
    pass


@dataclass(eq=False)
class _Array:
    values: npt.NDArray[np.uint8] | None = None


def read_plain_pickle(raw: bytes) -> dict[str, Any]:
    """Read the fields of a pickled dict.

    Args:
        raw: The pickle.

    Returns:
        None, bool, int, float, str, bytes, a list of these, or an array of uint8, by name. Names
        that are bytes become texts.

    Raises:
        HoldsCodeError: The pickle names something other than the parts of an array.
        NotPlainError: It is damaged or holds other values.
    """
    try:
        fields = _Machine(len(raw)).run(raw)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise NotPlainError(str(error)) from error
    if not isinstance(fields, dict):
        raise NotPlainError("no dict")
    return {name: _unwrap(value) for name, value in fields.items()}


def _unwrap(value: Any) -> Any:
    if not isinstance(value, _Array):
        return value
    if value.values is None:
        raise NotPlainError("an array without content")
    return value.values


class _Machine:
    """The stack machine that a pickle is a program of."""

    def __init__(self, budget: int) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.budget = budget  # bytes that texts may still be encoded to

    def run(self, raw: bytes) -> Any:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(raw)):
            if count >= _MAX_OPCODES:
                raise NotPlainError(f"more than {_MAX_OPCODES} opcodes")
            self._step(opcode.name, argument)
        return self.stack.pop()

    def _step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _NUMBERS:
            if isinstance(argument, int) and argument.bit_length() > 63:
                raise NotPlainError("a number of more than 64 bits")
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _TEXTS:
            stack.append(argument)
        elif name in _BYTES:
            stack.append(bytes(argument))
        elif name in _OLD_TEXTS:
            stack.append(argument.encode("latin-1"))
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name in _PUTS:
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in _GETS:
            stack.append(self.memo[argument])
        elif name in _TUPLES:
            stack.append(_make_tuple([stack.pop() for _ in range(_TUPLES[name])][::-1]))
        elif name in ("EMPTY_TUPLE", "TUPLE"):
            stack.append(_make_tuple(self._pop_to_mark() if name == "TUPLE" else []))
        elif name in ("EMPTY_LIST", "LIST"):
            stack.append(_append([], self._pop_to_mark() if name == "LIST" else []))
        elif name in ("EMPTY_DICT", "DICT"):
            stack.append(_set_items({}, self._pop_to_mark() if name == "DICT" else []))
        elif name in ("APPEND", "APPENDS"):
            items = [stack.pop()] if name == "APPEND" else self._pop_to_mark()
            _append(stack[-1], items)
        elif name in ("SETITEM", "SETITEMS"):
            pairs = [stack.pop(), stack.pop()][::-1] if name == "SETITEM" else self._pop_to_mark()
            _set_items(stack[-1], pairs)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            names = [stack.pop(), stack.pop()][::-1] if name == "STACK_GLOBAL" else []
            stack.append(_find_name(*(names or argument.split(" "))))
        elif name == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(self._call(function.name, arguments))
        elif name == "BUILD":
            state = stack.pop()
            _set_state(stack[-1], state)
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise NotPlainError(f"the opcode {name}")

    def _pop_to_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def _call(self, name: str, arguments: Any) -> Any:
        match name, arguments:
            case "_codecs.encode", (str() as text, "latin1" | b"latin1"):
                self.budget -= len(text)
                if self.budget < 0:
                    raise NotPlainError("a text that is encoded again and again")
                return text.encode("latin-1")
            case "builtins.bytes", ():
                return b""
            case "numpy.dtype", ("u1" | b"u1", *_):
                return _Uint8()
            case "numpy.dtype", (str() | bytes() as code, *_):
                raise NotPlainError(f"an array of {code!r}, not of uint8")
            case "numpy._core.multiarray._reconstruct", (_Name("numpy.ndarray"), (0,), b"b" | "b"):
                return _Array()
            case (
                "numpy._core.numeric._frombuffer",
                (bytes() as content, _Uint8(), tuple() as shape, "C" | "F" as order),
            ):
                return _Array(_make_array(content, shape, order == "F"))
        raise NotPlainError(f"an unknown use of {name}")


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, int | float | str | bytes)


def _find_name(module: Any, name: Any) -> _Name:
    path = f"{module}.{name}"
    current = path.replace("numpy.core.", "numpy._core.").replace("__builtin__.", "builtins.")
    if current not in _NAMES:
        raise HoldsCodeError(path[:200])
    return _Name(current)


def _make_tuple(items: list[Any]) -> tuple[Any, ...]:
    for item in items:
        shape = isinstance(item, tuple) and all(isinstance(part, int) for part in item)
        if not (shape or _is_plain(item) or isinstance(item, _Name | _Uint8)):
            raise NotPlainError("nested containers")
    return tuple(items)


def _append(target: Any, items: Sequence[Any]) -> list[Any]:
    if not (isinstance(target, list) and all(map(_is_plain, items))):
        raise NotPlainError("nested containers")
    target += items
    return target


def _set_items(target: Any, pairs: Sequence[Any]) -> dict[str, Any]:
    if not isinstance(target, dict):
        raise NotPlainError("items of no dict")
    for key, value in zip(pairs[::2], pairs[1::2], strict=True):
        name = key.decode() if isinstance(key, bytes) else key
        if not isinstance(name, str) or name in target:
            raise NotPlainError("a key that is no text or stands twice")
        if not (_is_plain(value) or isinstance(value, list | _Array)):
            raise NotPlainError("nested containers")
        target[name] = value
    return target


def _set_state(target: Any, state: Any) -> None:
    match target, state:
        case _Uint8(), (int(), "|" | b"|", None, None, None, -1, -1, 0, *_):
            return
        case (
            _Array(values=None),
            (1, tuple() as shape, _Uint8(), int() as fortran, bytes() as content),
        ):
            target.values = _make_array(content, shape, bool(fortran))
        case _:
            raise NotPlainError("the state of an array is not whole")


def _make_array(content: bytes, shape: tuple[Any, ...], fortran: bool) -> npt.NDArray[np.uint8]:
    if not all(isinstance(n, int) and n >= 0 for n in shape) or math.prod(shape) != len(content):
        raise NotPlainError(f"an array of {len(content)} bytes that has another shape")
    return np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")
