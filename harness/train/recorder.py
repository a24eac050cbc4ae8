"""Steps whose operations are recorded once, and run again without autograd and `torch.vmap`."""

import logging
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from lcma.models.stacked import Draw, Noise

UNRECORDED_STEPS = 50
"""Steps before a step is recorded and the next is checked. That takes the time of ten steps, which
the following 30 to 120 save."""

logger = logging.getLogger("lcma")

Graph = Callable[..., list[Tensor]]
"""Recorded operations, as a function of their inputs."""

_UNREPEATABLE_TAGS = (torch.Tag.nondeterministic_seeded, torch.Tag.data_dependent_output)

_FAULTS = (TypeError, SyntaxError, RuntimeError)
"""Errors of making or running a graph; a RuntimeError may also be a lack of memory."""

_FASTER_FUNCTIONS = {
    getattr(torch.ops.aten, function.__name__): function
    for function in (
        *(torch.add, torch.bmm, torch.cat, torch.clone, torch.convolution, torch.diagonal),
        *(torch.div, torch.exp, torch.log, torch.mm, torch.mul, torch.neg, torch.permute),
        *(torch.pow, torch.relu_, torch.select, torch.sqrt, torch.stack, torch.sub, torch.sum),
        *(torch.t, torch.transpose, torch.tril, torch.triu, torch.unsqueeze),
        *(Tensor.add_, Tensor.expand, Tensor.view),
    )
}
"""Functions that take half of the time of calling frequent operations directly."""


# The base class comes without types, and so do the calls that make a class and an object of it.
class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A block whose operations are recorded, including those of its backward passes.

    The recorded graph makes the same calls with the same tensors, in place where the block did, and
    so gives the same bits. It leaves out what autograd and `torch.vmap` add to each call, a tenth
    to a fifth of the time of a small step on a CPU. The block must do the same operations whatever
    its data. Tensors that change from one step to the next, such as random numbers, must be inputs;
    others from outside the block, such as masks, become part of the graph.

    Args:
        inputs: The arguments of the graph.

    Example:
        >>> import torch
        >>> weight, x = torch.tensor([2.0], requires_grad=True), torch.tensor([3.0])
        >>> recorder = Recorder([weight, x])
        >>> with recorder:
        ...     (gradient,) = torch.autograd.grad((weight * x).square(), weight)
        >>> graph = recorder.graph([gradient])
        >>> graph(torch.tensor([2.0]), torch.tensor([5.0]))
        [tensor([100.])]
    """

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._graph, self._constants = fx.Graph(), SimpleNamespace()
        self._nodes = WeakTensorKeyDictionary()
        self._count, self._paused = 0, False
        self._refused: str | None = None
        for tensor in inputs:
            self.input(tensor)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # to skip it, PyTorch would import its compiler, which takes a second

    def input(self, tensor: Tensor) -> None:
        """Make a tensor the next argument of the graph, before the block uses it."""
        self._nodes[tensor] = self._graph.placeholder(self._name())

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Record nothing during a block."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    def graph(self, results: Sequence[Tensor]) -> Graph:
        """Return the graph, a function of the inputs that computes ``results``.

        Raises TypeError if the block had an operation that draws numbers or returns no tensors.
        """
        if self._refused is not None:
            raise TypeError(f"{self._refused} may do something else the next time")
        self._graph.output([self._node(result) for result in results])
        # A GraphModule would keep its source in the process for good, and itself in a cycle.
        code = self._graph.python_code("self")
        exec(code.src, code.globals)  # noqa: S102 - calls of the operations, as fx writes them
        return partial(code.globals.pop("forward"), self._constants)

    def __torch_dispatch__(
        self,
        operation: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if self._paused or operation.namespace == "profiler":
            return operation(*args, **kwargs)
        if any(tag in operation.tags for tag in _UNREPEATABLE_TAGS):
            self._refused = str(operation)
        nodes = fx.node.map_aggregate((args, kwargs), self._to_node)
        result = operation(*args, **kwargs)
        if operation.is_view and isinstance(result, Tensor) and _are_same(result, args[0]):
            self._nodes[result] = nodes[0][0]  # a view that changes nothing needs no call
        else:
            function = _FASTER_FUNCTIONS.get(operation.overloadpacket, operation)
            self._keep(result, self._graph.create_node("call_function", function, *nodes))
        return result

    def _keep(self, result: Any, node: fx.Node) -> None:
        if isinstance(result, Tensor):
            self._nodes[result] = node
        elif isinstance(result, list | tuple):
            for index, element in enumerate(result):
                if isinstance(element, Tensor):
                    self._keep(element, self._graph.call_function(operator.getitem, (node, index)))

    def _to_node(self, value: Any) -> Any:
        return self._node(value) if isinstance(value, Tensor) else value

    def _node(self, tensor: Tensor) -> fx.Node:
        if tensor not in self._nodes:
            name = self._name()
            setattr(self._constants, name, tensor)
            self._nodes[tensor] = self._graph.get_attr(name)
        node: fx.Node = self._nodes[tensor]
        return node

    def _name(self) -> str:
        self._count += 1
        return f"tensor_{self._count}"


@contextmanager
def _without_autograd() -> Iterator[None]:
    """Dispatch operations past autograd, which takes a tenth of a microsecond of each and more.

    The results are tensors like others. Those of `torch.inference_mode` could not be clipped.
    """
    with torch.no_grad(), torch._C._AutoDispatchBelowAutograd():
        yield


def _are_same(first: Tensor, second: Tensor) -> bool:
    """Return whether two tensors are the same view of the same memory."""
    return (
        first.data_ptr() == second.data_ptr()
        and first.dtype == second.dtype
        and first.shape == second.shape
        and first.stride() == second.stride()
    )


class _InputNoise(Noise):
    """Noise whose numbers become inputs of a recorder's graph."""

    def __init__(self, noise: Noise, recorder: Recorder) -> None:
        self._noise, self._recorder = noise, recorder
        self.drawn: list[Tensor] = []
        self.draws: list[tuple[Draw, Tensor]] = []

    def draw(self, function: Draw, like: Tensor) -> Tensor:
        with self._recorder.paused():
            drawn = self._noise.draw(function, like)
            # The same shape without the memory.
            self.draws.append((function, like.new_zeros(()).expand(like.shape)))
        self._recorder.input(drawn)
        self.drawn.append(drawn)
        return drawn


class _DrawnNoise(Noise):
    """Numbers that were drawn before, in order."""

    def __init__(self, drawn: Sequence[Tensor]) -> None:
        self._drawn = iter(drawn)

    def draw(self, function: Draw, like: Tensor) -> Tensor:
        return next(self._drawn)


Function = Callable[[Sequence[Tensor], Noise], list[Tensor]]
"""A function of tensors and noise that returns tensors and does the same operations each time."""


class RepeatedStep:
    """Calls of a function, which is recorded after some of them. Its bits stay the same.

    The recorded call is undone and made by the function. The next call is made both ways. If bits
    differ, or the function cannot be recorded, it is called as before.
    """

    def __init__(self) -> None:
        self.unrecorded = UNRECORDED_STEPS  # calls that are left before a call is recorded
        self._graph: Graph | None = None
        self._draws: list[tuple[Draw, Tensor]] = []
        self._is_checked = False

    def __call__(
        self, function: Function, fixed: Sequence[Tensor], changing: Sequence[Tensor], noise: Noise
    ) -> list[Tensor]:
        """Return what the function of all these tensors returns.

        Args:
            function: The same each time.
            fixed: Tensors that it does not change.
            changing: Tensors that it may change in place; it changes no others.
            noise: The noise that it draws.
        """
        tensors = [*fixed, *changing]
        if self._graph is not None:
            drawn = [noise.draw(draw, like) for draw, like in self._draws]
            if self._is_checked:
                with _without_autograd():
                    return self._graph(*tensors, *drawn)
            before = [tensor.clone() for tensor in changing]
            results = function(tensors, _DrawnNoise(drawn))
            self._check(self._graph, [*fixed, *before, *drawn], [*results, *changing], before)
            return results
        self.unrecorded -= 1
        if self.unrecorded != -1:
            return function(tensors, noise)
        return function(tensors, self._record(function, tensors, changing, noise))

    def _record(
        self,
        function: Function,
        tensors: Sequence[Tensor],
        changing: Sequence[Tensor],
        noise: Noise,
    ) -> Noise:
        """Record a call and undo it; return the noise that it drew."""
        before = [tensor.clone() for tensor in changing]
        recorder = Recorder(tensors)
        input_noise = _InputNoise(noise, recorder)
        with recorder:
            results = function(tensors, input_noise)
        with torch.no_grad():
            for tensor, copy in zip(changing, before, strict=True):
                tensor.copy_(copy)
        try:
            self._graph, self._draws = recorder.graph(results), input_noise.draws
        except _FAULTS as error:
            logger.warning("no step is recorded: %s", error)
        return _DrawnNoise(input_noise.drawn)

    def _check(
        self,
        graph: Graph,
        inputs: Sequence[Tensor],
        expected: Sequence[Tensor],
        changed: Sequence[Tensor],
    ) -> None:
        """Compare what the graph returns and changes with what the function did."""
        try:
            with _without_autograd():
                computed = [*graph(*inputs), *changed]
            pairs = zip(computed, expected, strict=True)
            self._is_checked = all(are_equal(ours, theirs) for ours, theirs in pairs)
            why = "has other bits here"
        except _FAULTS as error:
            why = f"fails: {error}"
        if not self._is_checked:
            self._graph = None
            logger.warning("a recorded step %s; steps are computed as before", why)


def are_equal(first: Tensor, second: Tensor) -> bool:
    """Return whether all values are equal. NaN is equal to NaN, for trainings that diverge."""
    return torch.allclose(first, second, rtol=0, atol=0, equal_nan=True)
