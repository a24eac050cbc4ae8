"""The operations of a step, recorded once and run again without autograd and `torch.vmap`."""

import logging
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from lcma.models.stacked import Draw, Noise

STEPS_UNRECORDED = 50
"""Steps before one is recorded and the next one checked, which takes the time of five: as many save
that."""

logger = logging.getLogger("lcma")

_NOT_REPEATABLE = (torch.Tag.nondeterministic_seeded, torch.Tag.data_dependent_output)

_FASTER = {
    getattr(torch.ops.aten, function.__name__): function
    for function in (
        *(torch.add, torch.bmm, torch.cat, torch.clone, torch.convolution, torch.div, torch.exp),
        *(torch.mm, torch.mul, torch.neg, torch.permute, torch.pow, torch.select, torch.sqrt),
        *(torch.stack, torch.sub, torch.sum, torch.transpose, torch.unsqueeze),
        *(Tensor.expand, Tensor.view),
    )
}
"""Functions that call frequent operations in half of the time of the operations' own calls."""


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A block whose operations are written down, those of its backward passes included.

    The graph of them makes the same calls with the same tensors, in place where the block did, and
    so gives the same bits. It leaves out what autograd and `torch.vmap` add to each call, a tenth
    to a fifth of the time of a small step on a CPU. The block must do the same whatever its data:
    random numbers, and what else changes from one step to the next, are `input`. Other tensors from
    outside the block, such as masks, are part of the graph.

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
        self._graph, self._constants = fx.Graph(), nn.Module()
        self._nodes = WeakTensorKeyDictionary()
        self._count, self._paused = 0, False
        self._refused: str | None = None
        for tensor in inputs:
            self.input(tensor)

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # PyTorch would import its compiler, which takes a second, to skip it

    def input(self, tensor: Tensor) -> None:
        """Make a tensor the next argument of the graph, before the block uses it."""
        self._nodes[tensor] = self._graph.placeholder(self._name())

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out of the graph what is done meanwhile."""
        self._paused = True
        try:
            yield
        finally:
            self._paused = False

    def graph(self, results: Sequence[Tensor]) -> fx.GraphModule:
        """Return the graph, a function of the inputs that returns what ``results`` were then.

        Raises TypeError after an operation that draws numbers, or whose result is none of tensors.
        """
        if self._refused is not None:
            raise TypeError(f"{self._refused} may do something else the next time")
        self._graph.output([self._node(result) for result in results])
        return fx.GraphModule(self._constants, self._graph)

    def __torch_dispatch__(
        self,
        operation: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = args, dict(kwargs or {})
        if self._paused or operation.namespace == "profiler":
            return operation(*given[0], **given[1])
        if any(tag in operation.tags for tag in _NOT_REPEATABLE):
            self._refused = str(operation)
        nodes = fx.node.map_aggregate(given, self._to_node)
        result = operation(*given[0], **given[1])
        if operation.is_view and isinstance(result, Tensor) and _are_same(result, args[0]):
            self._nodes[result] = nodes[0][0]
        else:
            function = _FASTER.get(operation.overloadpacket, operation)
            self._keep(result, self._graph.create_node("call_function", function, *nodes))
        return result

    def _keep(self, result: Any, node: fx.Node) -> None:
        if isinstance(result, Tensor):
            self._nodes[result] = node
        elif isinstance(result, list | tuple):
            for place, each in enumerate(result):
                if isinstance(each, Tensor):
                    self._keep(each, self._graph.call_function(operator.getitem, (node, place)))

    def _to_node(self, value: Any) -> Any:
        return self._node(value) if isinstance(value, Tensor) else value

    def _node(self, tensor: Tensor) -> fx.Node:
        if tensor not in self._nodes:
            name = self._name()
            self._constants.register_buffer(name, tensor)
            self._nodes[tensor] = self._graph.get_attr(name)
        node: fx.Node = self._nodes[tensor]
        return node

    def _name(self) -> str:
        self._count += 1
        return f"tensor_{self._count}"


def _are_same(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors are the same numbers in the same memory."""
    return (
        one.data_ptr() == other.data_ptr()
        and one.dtype == other.dtype
        and one.shape == other.shape
        and one.stride() == other.stride()
    )


class _NotedNoise(Noise):
    """Noise that is an input of what is recorded, drawn by ``draws``, in their order."""

    def __init__(self, noise: Noise, recorder: Recorder) -> None:
        self._noise, self._recorder = noise, recorder
        self.draws: list[tuple[Draw, Tensor]] = []

    def draw(self, one: Draw, like: Tensor) -> Tensor:
        with self._recorder.paused():
            drawn = self._noise.draw(one, like)
            self.draws.append((one, like.new_zeros(()).expand(like.shape)))
        self._recorder.input(drawn)
        return drawn


class _DrawnNoise(Noise):
    """Numbers that are drawn already, in the order in which they are asked for."""

    def __init__(self, drawn: Sequence[Tensor]) -> None:
        self._drawn = iter(drawn)

    def draw(self, one: Draw, like: Tensor) -> Tensor:
        return next(self._drawn)


class RecordedFunction:
    """A function of tensors and noise that is recorded once it has been called some times.

    A call gives the same bits as the function, which may change tensors that it is given, and must
    do the same operations each time. The call after the recorded one is made both ways. Where bits
    differ, or it cannot be recorded, the function is called as before.

    Args:
        function: Returns tensors; all that it changes is among those that it is given.
    """

    def __init__(self, function: Callable[[Sequence[Tensor], Noise], list[Tensor]]) -> None:
        self._function = function
        self.unrecorded = STEPS_UNRECORDED
        """Calls before one is recorded."""
        self._graph: fx.GraphModule | None = None
        self._draws: list[tuple[Draw, Tensor]] = []
        self._is_checked = False

    def __call__(self, tensors: Sequence[Tensor], noise: Noise) -> list[Tensor]:
        """Return what the function returns."""
        if self._graph is not None:
            drawn = [noise.draw(one, like) for one, like in self._draws]
            if self._is_checked:
                return _run(self._graph, [*tensors, *drawn])
            return self._check(self._graph, tensors, drawn)
        self.unrecorded -= 1
        if self.unrecorded == -1:
            return self._record(tensors, noise)
        return self._function(tensors, noise)

    def _record(self, tensors: Sequence[Tensor], noise: Noise) -> list[Tensor]:
        recorder = Recorder(tensors)
        noted = _NotedNoise(noise, recorder)
        with recorder:
            results = self._function(tensors, noted)
        try:
            self._graph, self._draws = recorder.graph(results), noted.draws
        except TypeError as error:
            logger.warning("no step is recorded: %s", error)
        return results

    def _check(
        self, graph: fx.GraphModule, tensors: Sequence[Tensor], drawn: Sequence[Tensor]
    ) -> list[Tensor]:
        before = [tensor.clone() for tensor in tensors]
        results = self._function(tensors, _DrawnNoise(drawn))
        again = _run(graph, [*before, *drawn])
        pairs = zip([*results, *tensors], [*again, *before], strict=True)
        self._is_checked = all(are_equal(one, other) for one, other in pairs)
        if not self._is_checked:
            self._graph = None
            logger.warning("a recorded step has other bits here: steps are computed as before")
        return results


@torch.no_grad()
def _run(graph: fx.GraphModule, tensors: Sequence[Tensor]) -> list[Tensor]:
    results: list[Tensor] = graph(*tensors)
    return results


def are_equal(one: Tensor, other: Tensor) -> bool:
    """Return whether all values are equal; those of a training that diverges may be NaN in both."""
    return torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)
