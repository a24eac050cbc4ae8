"""A GPU made of Python: tensors of a device whose numbers a CPU computes.

It refuses what a GPU refuses: a tensor of the host together with one of the device, and numbers
from the host's generator. It counts what costs time on a GPU: waits, copies, launches. PyTorch
knows the device for the rest of a process, so tests have a process for it
(`tests.device.conftest`).
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
from tests.processes import ROOT

DEVICE = "simulated"

aten = torch.ops.aten

_READING = {
    *(aten.nonzero, aten.masked_select, aten._unique2, aten.unique_consecutive, aten.bincount),
    aten._linalg_check_errors,
}
"""Operations that need numbers of the device on the host. Those that return one do too."""

_NUMBERS = ("bool", "int", "float", "number")

_INDEXED = {aten.index, aten.index_put_, aten.index_put, aten._unsafe_index}
_MOVES = {aten._to_copy, aten.copy_}

_VIEWS = {aten.detach, aten._unsafe_view}
"""Views whose schemas do not say so."""

CACHED = (batches._arange, convolution._unfold_border)
"""Functions that cache constants of the device."""

_CONSTANTS = {aten.arange, aten.eye, aten.full, aten.linspace, aten.ones, aten.scalar_tensor}


class DeviceError(RuntimeError):
    """A GPU would refuse this."""


@dataclass
class Counts:
    """What a device was asked to do, by the line of the package."""

    waits: Counter[str] = field(default_factory=Counter)
    copies: Counter[str] = field(default_factory=Counter)
    """Copies from pageable memory, which the host waits for too."""
    pinned: Counter[str] = field(default_factory=Counter)
    """Copies from pinned memory."""
    constants: Counter[str] = field(default_factory=Counter)
    """Constants made by the package, a launch each."""
    launches: Counter[str] = field(default_factory=Counter)
    """Operations by name, without views."""


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


def is_device(device: Any) -> bool:
    """Return whether a device, or None, is that of this module."""
    return device is not None and str(device).startswith(DEVICE)


def _copy_deeply(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    """Copy a tensor without memory, which PyTorch cannot deepcopy."""
    copy = tensor.detach().clone()
    if isinstance(tensor, nn.Parameter):
        copy = nn.Parameter(copy, requires_grad=tensor.requires_grad)
    memo[id(tensor)] = copy
    return copy


class DeviceTensor(Tensor):
    """A tensor of the device; ``numbers`` is the tensor of the CPU behind it."""

    numbers: Tensor

    @staticmethod
    def __new__(cls, numbers: Tensor) -> "DeviceTensor":
        wrapper: DeviceTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            numbers.size(),
            strides=numbers.stride(),
            storage_offset=numbers.storage_offset(),
            dtype=numbers.dtype,
            device=torch.device(DEVICE, 0),
        )
        wrapper.numbers = numbers
        return wrapper

    __torch_function__ = torch._C._disabled_torch_function_impl
    __deepcopy__ = _copy_deeply

    @classmethod
    def __torch_dispatch__(
        cls, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return _compute(operation, args, dict(kwargs or {}))

    def data_ptr(self) -> int:
        return self.numbers.data_ptr()

    def __repr__(self, **_: Any) -> str:
        return f"DeviceTensor({self.numbers!r})"


class _Mode(TorchDispatchMode):
    """Runs every operation through a function."""

    def __init__(self, run: Callable[..., Any]) -> None:
        super().__init__()
        self._run = run

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # to skip it, PyTorch would import its compiler, which takes a second

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        return self._run(operation, args, dict(kwargs or {}))


def _compute(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run an operation, whose tensors may be on the device, on the CPU."""
    operands: list[Any] = []
    host_args = _unwrap(args, operands)
    host_kwargs = {name: _unwrap(value, operands) for name, value in kwargs.items()}
    if not _check(operation, operands, args, kwargs):
        return operation(*args, **kwargs)
    if is_device(host_kwargs.get("device")):
        host_kwargs["device"] = torch.device("cpu")
    result = operation(*host_args, **host_kwargs)
    if _goes_to_host(operation, args, kwargs):
        return result
    # An operation that changes a tensor in place returns it.
    wrappers = {id(t.numbers): t for t in operands if isinstance(t, DeviceTensor)}
    return _wrap(result, wrappers)


def _unwrap(value: Any, operands: list[Any]) -> Any:
    """Return a value with tensors of the CPU; add its tensors and generators to ``operands``."""
    if isinstance(value, Tensor | _Generator):
        operands.append(value)
        return value.numbers if isinstance(value, DeviceTensor) else value
    if isinstance(value, list | tuple):
        return [_unwrap(element, operands) for element in value]
    return value


def _wrap(value: Any, wrappers: Mapping[int, DeviceTensor]) -> Any:
    if isinstance(value, Tensor):
        return wrappers[id(value)] if id(value) in wrappers else DeviceTensor(value)
    if isinstance(value, list | tuple):
        return type(value)(_wrap(element, wrappers) for element in value)
    return value


def _check_and_run(operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    operands: list[Any] = []
    _unwrap((args, [*kwargs.values()]), operands)
    _check(operation, operands, args, kwargs)
    try:
        return operation(*args, **kwargs)
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise DeviceError(f"{_find_caller(operation)}: this tensor has no numbers") from error


def _goes_to_host(operation: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    if operation.overloadpacket is aten._to_copy:
        return not is_device(kwargs.get("device") or args[0].device)
    return operation.overloadpacket is aten.copy_ and not is_device(args[0].device)


def _check(
    operation: Any, operands: Sequence[Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> bool:
    """Refuse or count an operation, and return whether it is one of the device."""
    packet = operation.overloadpacket
    tensors = [operand for operand in operands if isinstance(operand, Tensor)]
    host = [operand for operand in tensors if operand.device.type != DEVICE]
    is_ours = len(host) < len(tensors) or is_device(kwargs.get("device"))
    if len(tensors) < len(operands) and (is_ours or not _is_comparing):
        generators = [operand for operand in operands if not isinstance(operand, Tensor)]
        if any((operand._cdata in _generators) != is_ours for operand in generators):
            raise DeviceError(f"{operation} by a generator of another device")
    if not is_ours or operation.namespace == "prim":
        return is_ours
    indexed = packet in _INDEXED and is_device(args[0].device)
    if host and packet not in _MOVES and not indexed and any(operand.dim() for operand in host):
        raise DeviceError(f"{operation}: a tensor of the host and one of the device")
    returns_number = any(str(operand.type) in _NUMBERS for operand in operation._schema.returns)
    if (
        returns_number
        or packet in _READING
        or (packet in _MOVES and _goes_to_host(operation, args, kwargs))
        or _has_mask_index(packet, args)
    ):
        _wait(_find_caller(operation))
    elif host and packet in _MOVES:
        address = host[0].untyped_storage().data_ptr()
        is_pinned = address in _pinned and _is_non_blocking(args, kwargs)
        (_counts.pinned if is_pinned else _counts.copies)[_find_caller(operation)] += 1
    elif host and packet in _INDEXED and any(operand.dim() for operand in host):
        _counts.copies[_find_caller(operation)] += 1
    elif packet in _CONSTANTS and (place := _find_caller(operation)).startswith("src"):
        _counts.constants[place] += 1
    if not operation.is_view and packet not in _VIEWS:
        _counts.launches[packet.__name__] += 1
    return True


def _has_mask_index(packet: Any, args: tuple[Any, ...]) -> bool:
    """Return whether an index is a mask, whose true values the device has to count."""
    if packet not in _INDEXED or (packet is not aten.index and args[2].numel() == 1):  # it fills
        return False
    return any(i is not None and i.dtype in (torch.bool, torch.uint8) for i in args[1])


def _is_non_blocking(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    return bool(kwargs.get("non_blocking") or args[2:] == (True,))


def _find_caller(operation: Any) -> str:
    """Return an operation and the line of the package that called it."""
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if path.startswith(_PACKAGE):
            return f"src{path.removeprefix(_PACKAGE)}:{frame.f_lineno} {operation}"
        frame = frame.f_back  # None ends the loop
    return str(operation)


_PACKAGE = str(ROOT / "src")


# Stand-ins for parts of PyTorch that need a real device

_Generator, _empty, _tensor = torch.Generator, torch.empty, torch.tensor
_save = torch.save
_pinned: dict[int, Tensor] = {}
"""Pinned memory by its address."""

_generators: WeakValueDictionary[int, torch.Generator] = WeakValueDictionary()
"""Generators of the device by their address in C++: an operation gets another Python object."""

_is_comparing = False


class DeviceGenerator(torch.Generator):
    """A generator of the device, which draws the numbers of a CPU's."""

    def __new__(cls, device: Any = None) -> torch.Generator:  # a CPU's
        if is_device(device) or (_is_comparing and device is not None):
            generator = super().__new__(cls)
            _generators[generator._cdata] = generator
            return generator
        return _Generator(device or "cpu")

    def __init__(self, device: Any = None) -> None:
        pass

    @property
    def device(self) -> torch.device:
        return torch.device(DEVICE, 0)


@contextmanager
def on_compared_cpu() -> Iterator[torch.device]:
    """Yield a CPU whose results are compared with the device's: memory has the device's layout, and
    generators are the device's."""
    global _is_comparing
    _is_comparing = True
    try:
        with mock.patch("lcma.models.lipschitz.CPU_LAYOUT", torch.contiguous_format):
            yield torch.device("cpu")
    finally:
        _is_comparing = False


class _Event:
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
    tensor = _empty(*size, **settings)
    return _pin(tensor) if pin_memory else tensor


def _make_tensor(values: Any, *, device: Any = None, **settings: Any) -> Tensor:
    tensor = _tensor(values, **settings)
    return tensor if device is None else tensor.to(device)


def _save_from_device(content: Any, file: Any) -> None:
    _save(pytree.tree_map_only(DeviceTensor, lambda tensor: tensor.numbers, content), file)


STAND_INS: Mapping[str, Any] = {
    "torch.Generator": DeviceGenerator,
    "torch.empty": _make_empty,
    "torch.tensor": _make_tensor,
    "torch.save": _save_from_device,
    "torch.Tensor.pin_memory": _pin,
    "torch.cuda.Event": _Event,
    "torch.cuda.current_stream": lambda device=None: None,
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
    """Yield the device, for computations without numbers. An operation that reads one fails.

    `torch.vmap`, which stacks use, crashes on a `DeviceTensor`.
    """
    for function in CACHED:  # constants with numbers and without must not mix
        function.cache_clear()
    with (
        mock.patch("torch.Tensor.__deepcopy__", _copy_deeply),
        mock.patch("torch.nn.Parameter.__deepcopy__", _copy_deeply),
        FakeTensorMode(allow_non_fake_inputs=True),
        _Mode(_check_and_run),
    ):
        yield torch.device(DEVICE, 0)
    for function in CACHED:
        function.cache_clear()


def to_host(value: Any) -> Any:
    return pytree.tree_map_only(DeviceTensor, lambda tensor: tensor.numbers, value)
