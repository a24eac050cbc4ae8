"""A GPU made of Python: tensors of a device of its own, whose numbers a CPU computes.

What a GPU refuses is refused: a tensor of the host beside those of the device, and numbers from the
host's generator. What costs time there is counted: waits, copies, launches. PyTorch knows the
device for the rest of a process, so that tests have a process for it (`tests.device.conftest`).
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from lcma.harness.train import batches
from lcma.models import convolution

DEVICE = "simulated"
ROOT = Path(__file__).parents[2]

aten = torch.ops.aten

_ASKS = {
    *(aten.nonzero, aten.masked_select, aten._unique2, aten.unique_consecutive, aten.bincount),
    *(aten._linalg_check_errors,),
}
"""Operations that need numbers of the device on the host, beside those that return one."""

_NUMBERS = ("bool", "int", "float", "number")

_INDEXED = {aten.index, aten.index_put_, aten.index_put, aten._unsafe_index}
_MOVES = {aten._to_copy, aten.copy_}

_VIEWS = {aten.detach, aten._unsafe_view}
"""Views whose schemas do not say so."""

KEPT = (batches._arange, convolution._bordered)
"""Functions that keep constants of the device."""

_CONSTANTS = {aten.arange, aten.eye, aten.full, aten.linspace, aten.ones, aten.scalar_tensor}


class DeviceError(RuntimeError):
    """A GPU would refuse this too."""


@dataclass
class Counts:
    """What a device was asked to do, by the line of the package that asked."""

    waits: Counter[str] = field(default_factory=Counter)
    copies: Counter[str] = field(default_factory=Counter)
    """From pageable memory, which the host waits for too."""
    pinned: Counter[str] = field(default_factory=Counter)
    """Copies from pinned memory."""
    made: Counter[str] = field(default_factory=Counter)
    """Constants that were made by the package: a launch each."""
    launches: Counter[str] = field(default_factory=Counter)
    """Operations that are no views, by name."""


_counts = Counts()


@contextmanager
def counted() -> Iterator[Counts]:
    """Count what is asked of the device in a block."""
    global _counts
    before, _counts = _counts, Counts()
    try:
        yield _counts
    finally:
        _counts = before


def is_there(device: Any) -> bool:
    """Return whether a device, None for none, is that of this module."""
    return device is not None and str(device).startswith(DEVICE)


def _copy_deeply(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    """Copy a tensor that has no memory of its own."""
    made = tensor.detach().clone()
    if isinstance(tensor, nn.Parameter):
        made = nn.Parameter(made, requires_grad=tensor.requires_grad)
    memo[id(tensor)] = made
    return made


class DeviceTensor(Tensor):
    """A tensor of the device; ``held`` has its numbers on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "DeviceTensor":
        made: DeviceTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            held.size(),
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=torch.device(DEVICE, 0),
        )
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl
    __deepcopy__ = _copy_deeply

    @classmethod
    def __torch_dispatch__(
        cls, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return _compute(operation, args, dict(kwargs or {}))

    def data_ptr(self) -> int:
        return self.held.data_ptr()

    def __repr__(self, **_: Any) -> str:
        return f"DeviceTensor({self.held!r})"


class _Mode(TorchDispatchMode):
    """Runs every operation by a function."""

    def __init__(self, run: Callable[..., Any]) -> None:
        super().__init__()
        self._run = run

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # PyTorch would import its compiler, which takes a second, to skip it

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return self._run(operation, args, dict(kwargs or {}))


def _compute(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operation, on the CPU, whose tensors may be on the device."""
    given: list[Any] = []
    bare, named = _take_off(args, given), {k: _take_off(v, given) for k, v in kwargs.items()}
    if not _note(operation, given, args, kwargs):
        return operation(*args, **kwargs)
    if is_there(named.get("device")):
        named["device"] = torch.device("cpu")
    found = operation(*bare, **named)
    if _goes_to_host(operation, args, kwargs):
        return found
    # What an operation changes in place, it returns.
    wrappers = {id(one.held): one for one in given if isinstance(one, DeviceTensor)}
    return _put_on(found, wrappers)


def _take_off(value: Any, given: list[Any]) -> Any:
    """Return a value with the CPU's tensors; add tensors and generators in it to ``given``."""
    if isinstance(value, Tensor | _Generator):
        given.append(value)
        return value.held if isinstance(value, DeviceTensor) else value
    if isinstance(value, list | tuple):
        return [_take_off(one, given) for one in value]
    return value


def _put_on(value: Any, wrappers: Mapping[int, DeviceTensor]) -> Any:
    if isinstance(value, Tensor):
        return wrappers[id(value)] if id(value) in wrappers else DeviceTensor(value)
    if isinstance(value, list | tuple):
        return type(value)(_put_on(one, wrappers) for one in value)
    return value


def _note_and_run(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    given: list[Any] = []
    _take_off((args, [*kwargs.values()]), given)
    _note(operation, given, args, kwargs)
    try:
        return operation(*args, **kwargs)
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise DeviceError(f"{_find_caller(operation)}: there are no numbers here") from error


def _goes_to_host(operation: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    if operation.overloadpacket is aten._to_copy:
        return not is_there(kwargs.get("device") or args[0].device)
    return operation.overloadpacket is aten.copy_ and not is_there(args[0].device)


def _note(
    operation: Any, given: Sequence[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> bool:
    """Refuse or count an operation, and return whether it is one of the device."""
    packet = operation.overloadpacket
    tensors = [one for one in given if isinstance(one, Tensor)]
    host = [one for one in tensors if one.device.type != DEVICE]
    ours = len(host) < len(tensors) or is_there(kwargs.get("device"))
    if len(tensors) < len(given) and (ours or not _compares):
        generators = [one for one in given if not isinstance(one, Tensor)]
        if any((one._cdata in _generators) != ours for one in generators):
            raise DeviceError(f"{operation} by a generator of another device")
    if not ours or operation.namespace == "prim":
        return ours
    indexed = packet in _INDEXED and is_there(args[0].device)
    if host and packet not in _MOVES and not indexed and any(one.dim() for one in host):
        raise DeviceError(f"{operation}: a tensor of the host beside those of the device")
    returns_number = any(str(one.type) in _NUMBERS for one in operation._schema.returns)
    if (
        returns_number
        or packet in _ASKS
        or (packet in _MOVES and _goes_to_host(operation, args, kwargs))
        or _is_by_mask(packet, args)
    ):
        _wait(_find_caller(operation))
    elif host and packet in _MOVES:
        is_free = host[0].untyped_storage().data_ptr() in _pinned and _blocks_not(args, kwargs)
        (_counts.pinned if is_free else _counts.copies)[_find_caller(operation)] += 1
    elif host and packet in _INDEXED and any(one.dim() for one in host):
        _counts.copies[_find_caller(operation)] += 1
    elif packet in _CONSTANTS and (place := _find_caller(operation)).startswith("src"):
        _counts.made[place] += 1
    if not operation.is_view and packet not in _VIEWS:
        _counts.launches[packet.__name__] += 1
    return True


def _is_by_mask(packet: Any, args: tuple[Any, ...]) -> bool:
    """Return whether an index is of a mask, of which the device has to count the places."""
    if packet not in _INDEXED or (packet is not aten.index and args[2].numel() == 1):  # it fills
        return False
    return any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1])


def _blocks_not(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    return bool(kwargs.get("non_blocking") or args[2:] == (True,))


def _find_caller(operation: Any) -> str:
    """Return an operation and the line of the package that called it."""
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(_PACKAGE):
            return f"src{path.removeprefix(_PACKAGE)}:{frame.f_lineno} {operation}"
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
    return str(operation)


_PACKAGE = str(ROOT / "src")


# Stand-ins for what a device made of Python cannot have

_Generator, _empty, _tensor = torch.Generator, torch.empty, torch.tensor
_save, _load = torch.save, torch.load
_pinned: dict[int, Tensor] = {}
"""Pinned memory by its address."""

_generators: WeakValueDictionary[int, torch.Generator] = WeakValueDictionary()
"""Generators of the device by what they are in PyTorch, which hands others to an operation."""

_compares = False


class DeviceGenerator(torch.Generator):
    """A generator of the device: it draws the numbers of one of a CPU."""

    def __new__(cls, device: Any = None) -> torch.Generator:  # type: ignore[misc]  # a CPU's
        if is_there(device) or (_compares and device is not None):
            made = super().__new__(cls)
            _generators[made._cdata] = made
            return made
        return _Generator(device or "cpu")

    def __init__(self, device: Any = None) -> None:
        pass

    @property
    def device(self) -> torch.device:
        return torch.device(DEVICE, 0)


@contextmanager
def compared() -> Iterator[torch.device]:
    """Let a CPU compute what the device is compared with: memory is laid out as there, and
    generators are the device's, beside which some numbers are drawn on the host."""
    global _compares
    _compares = True
    try:
        with mock.patch("lcma.models.lipschitz.CPU_LAYOUT", torch.contiguous_format):
            yield torch.device("cpu")
    finally:
        _compares = False


class _Stream:
    """A stream of the device, on which nothing is ever late."""

    def __init__(self, device: Any = None) -> None:
        pass

    def wait_event(self, event: Any) -> None:
        pass


class _Event:
    """An event on the stream of the device."""

    def __init__(self, enable_timing: bool = False) -> None:
        pass

    def record(self, stream: Any = None) -> None:
        pass

    def synchronize(self) -> None:
        _synchronize()

    def elapsed_time(self, other: "_Event") -> float:
        return 1.0


def _synchronize(device: Any = None) -> None:
    _wait(_find_caller("synchronize"))


_refuses_waits = False


def _wait(place: str) -> None:
    if _refuses_waits:
        raise DeviceError(f"{place}: the host waits for the device")
    _counts.waits[place] += 1


def _refuse_waits(mode: str) -> None:
    global _refuses_waits
    _refuses_waits = mode == "error"


def _pin(tensor: Tensor) -> Tensor:
    pinned = tensor.clone()
    _pinned[pinned.untyped_storage().data_ptr()] = pinned
    return pinned


def _make_empty(*size: Any, pin_memory: bool = False, **settings: Any) -> Tensor:
    made = _empty(*size, **settings)
    return _pin(made) if pin_memory else made


def _make_tensor(values: Any, *, device: Any = None, **settings: Any) -> Tensor:
    made = _tensor(values, **settings)
    return made if device is None else made.to(device)


def _save_from_device(content: Any, file: Any) -> None:
    _save(pytree.tree_map_only(DeviceTensor, lambda one: one.held, content), file)


def _load_to(file: Any, map_location: Any = None, weights_only: bool = True) -> Any:
    found = _load(file, map_location="cpu", weights_only=weights_only)
    if not is_there(map_location):
        return found
    return pytree.tree_map_only(Tensor, lambda one: one.to(map_location), found)


STAND_INS: Mapping[str, Any] = {
    "torch.Generator": DeviceGenerator,
    "torch.empty": _make_empty,
    "torch.tensor": _make_tensor,
    "torch.save": _save_from_device,
    "torch.load": _load_to,
    "torch.Tensor.pin_memory": _pin,
    "torch.cuda.Event": _Event,
    "torch.Tensor.record_stream": lambda tensor, stream: None,
    "torch.cuda.Stream": _Stream,
    "torch.cuda.stream": nullcontext,
    "torch.cuda.current_stream": _Stream,
    "torch.cuda.set_sync_debug_mode": _refuse_waits,
    "torch.cuda.synchronize": _synchronize,
    "torch.cuda.mem_get_info": lambda device=None: (2**40, 2**40),
}


def register() -> None:
    """Make PyTorch know the device, for the rest of this process."""
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    _setup_privateuseone_for_python_backend(DEVICE)
    torch.set_num_threads(1)
    for name, stand_in in STAND_INS.items():
        mock.patch(name, stand_in).start()


@contextmanager
def on_device() -> Iterator[torch.device]:
    """Yield the device, for computations with numbers."""
    with _Mode(_compute):
        yield torch.device(DEVICE, 0)


@contextmanager
def on_device_without_data() -> Iterator[torch.device]:
    """Yield the device, for computations without numbers, in which whatever reads one fails.

    `torch.vmap`, of which stacks are made, ends a process that gives it a `DeviceTensor`.
    """
    for keep in KEPT:  # what they keep for the device has numbers, or has none
        keep.cache_clear()
    with (
        mock.patch("torch.Tensor.__deepcopy__", _copy_deeply),
        mock.patch("torch.nn.Parameter.__deepcopy__", _copy_deeply),
        FakeTensorMode(allow_non_fake_inputs=True),
        _Mode(_note_and_run),
    ):
        yield torch.device(DEVICE, 0)
    for keep in KEPT:
        keep.cache_clear()


def to_host(value: Any) -> Any:
    """Return what a value has on the device as it is on the host."""
    return pytree.tree_map_only(DeviceTensor, lambda one: one.held, value)
