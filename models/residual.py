"""Residual blocks y = x + g(x) with Lip(g) < 1 (Behrmann et al. 2019; Chen et al. 2019)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcma.models import activations
from lcma.models.layers import Layer
from lcma.models.lipschitz import (
    EVALUATION_ITERATIONS,
    EVALUATION_TOLERANCE,
    NormedConv,
    NormedMap,
    PowerIteration,
)
from lcma.models.series import (
    Probe,
    Vjp,
    draw_poisson,
    draw_probe,
    roulette_weights,
    sum_series,
)

Activation = Literal["elu", "lipswish"]


@dataclass(frozen=True)
class Estimator:
    """Settings of the estimator of a block's log-determinant.

    Training: ``terms`` terms of the power series, and where ``roulette_mean`` is given a Poisson
    number of further ones, weighted so that the estimate has no bias; one probe of the kind
    ``probe``. Its gradient is that of the estimate itself, or with ``neumann`` the Neumann
    series'. Evaluation: ``eval_terms`` terms, Rademacher probes.
    """

    terms: int
    roulette_mean: float | None = None
    probe: Probe = "gaussian"
    neumann: bool = True
    eval_terms: int = 20


@dataclass(frozen=True)
class FixedPoint:
    """Settings of the inverse's iteration.

    It ends when no entry changes by more than ``tolerance``, or by more than rounding does, and
    after ``max_iterations`` at the latest.
    """

    tolerance: float = 1e-6
    max_iterations: int = 200


_Stage = tuple[NormedMap, Tensor, Tensor, bool]
"""A map, the weight and bias that act, and whether a nonlinearity stands before it."""


class ResidualNet(nn.Module):
    """The net g of a block: linear maps, each behind a 1-Lipschitz nonlinearity.

    It maps (B, ...) to the same shape.

    ``first`` leaves out the nonlinearity before the first map. `tensors` computes everything
    that g depends on, so that normalized weights are computed once for many uses of `apply_to`.
    """

    def __init__(
        self, maps: Sequence[NormedMap], activation: Activation, *, first: bool = False
    ) -> None:
        super().__init__()
        self.maps = nn.ModuleList(maps)
        self.activation = activation
        self.first = first
        self.sharpness: nn.ParameterList | None = None
        if activation == "lipswish":
            count = len(maps) - first
            self.sharpness = nn.ParameterList(torch.tensor(0.5) for _ in range(count))

    @property
    def normed(self) -> Iterator[NormedMap]:
        """The linear maps, in order."""
        for module in self.maps:
            assert isinstance(module, NormedMap)
            yield module

    def tensors(self) -> list[Tensor]:
        """Return normalized weights and biases map by map, then what nonlinearities learn."""
        found = [t for each in self.normed for t in (each.normalized(), each.bias)]
        return [*found, *(self.sharpness or ())]

    def _stages(self, tensors: Sequence[Tensor]) -> tuple[Tensor | None, list[_Stage]]:
        """Return the factor of x (None for 1) and the maps, with LipSwish's gains folded in."""
        count = len(self.maps)
        weights, biases = list(tensors[: 2 * count : 2]), list(tensors[1 : 2 * count : 2])
        gain = None
        for k, sharpness in enumerate(tensors[2 * count :], start=int(self.first)):
            before, after = activations.lipswish_gains(sharpness)
            weights[k] = weights[k] * after
            if k:
                weights[k - 1], biases[k - 1] = weights[k - 1] * before, biases[k - 1] * before
            else:
                gain = before
        stages = [
            (each, weight, bias, bool(k) or not self.first)
            for k, (each, weight, bias) in enumerate(zip(self.normed, weights, biases, strict=True))
        ]
        return gain, stages

    def apply_to(self, x: Tensor, tensors: Sequence[Tensor]) -> Tensor:
        """Return g(x) with these `tensors`."""
        gain, stages = self._stages(tensors)
        bend = F.elu if self.activation == "elu" else F.silu
        h = x if gain is None else gain * x
        for each, weight, bias, bent in stages:
            h = each.operator(bend(h) if bent else h, weight, bias)
        return h

    def linearize(self, x: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, Vjp]:
        """Return g(x) with these `tensors`, and the map from w (B, ...) to w^T J at x.

        Both can be differentiated once. The slopes of the nonlinearities are computed once for
        all products, and no graph has to be walked for one of them.
        """
        gain, stages = self._stages(tensors)
        bend = activations.elu if self.activation == "elu" else activations.silu
        h = x if gain is None else gain * x
        slopes: list[Tensor | None] = []
        for each, weight, bias, bent in stages:
            h, slope = bend(h) if bent else (h, None)
            slopes.append(slope)
            h = each.operator(h, weight, bias)

        def vjp(w: Tensor) -> Tensor:
            for (each, weight, _, _), slope in zip(stages[::-1], slopes[::-1], strict=True):
                w = each.adjoint(w, weight)
                if slope is not None:
                    w = w * slope
            return w if gain is None else w * gain

        return h, vjp

    def forward(self, x: Tensor) -> Tensor:
        return self.apply_to(x, self.tensors())

    def extra_repr(self) -> str:
        maps = (
            f"{len(each.weight)} {'x'.join(map(str, each.weight.shape[2:]))}".rstrip()
            for each in self.normed
        )
        return f"{self.activation}, maps to {', '.join(maps)}"


class FlatNet(ResidualNet):
    """A net g on flattened images (B, C H W)."""

    def apply_to(self, x: Tensor, tensors: Sequence[Tensor]) -> Tensor:
        return super().apply_to(x.flatten(1), tensors).view_as(x)

    def linearize(self, x: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, Vjp]:
        g, vjp = super().linearize(x.flatten(1), tensors)
        return g.view_as(x), lambda w: vjp(w.flatten(1)).view_as(x)


def conv_net(
    channels: int,
    size: int,
    width: int,
    coefficient: float,
    activation: Activation,
    *,
    first: bool = False,
) -> ResidualNet:
    """Return the net 3x3, 1x1, 3x3 with ``width`` feature maps, for (B, channels, size, size)."""
    widths, kernels = (channels, width, width, channels), (3, 1, 3)
    maps = [
        NormedConv(inputs, outputs, kernel, (size, size), coefficient)
        for inputs, outputs, kernel in zip(widths[:-1], widths[1:], kernels, strict=True)
    ]
    return ResidualNet(maps, activation, first=first)


class ResidualBlock(Layer):
    """Residual block y = x + g(x) on images (B, C, H, W).

    In evaluation the contribution is v * (v^T J - v^T J^2 / 2 + ...), whose mean over probes v
    is the diagonal of log(I + J), up to the bias of ``eval_terms`` terms; averaged over
    ``probes`` of them, and differentiable. In training its sum over the batch has the value and
    the gradient of the estimator. The gradient is computed in the forward pass, which needs no
    memory for the series (Chen et al. 2019, section 3.3), on the condition that every element of
    the contribution has the same upstream gradient, as it has where the objective is a mean over
    images; otherwise backward raises ValueError.
    ``memory_saving`` False lifts the condition.
    """

    def __init__(
        self,
        net: ResidualNet,
        estimator: Estimator,
        power: PowerIteration,
        fixed_point: FixedPoint | None = None,
    ) -> None:
        super().__init__()
        self.net = net
        self.estimator, self.power = estimator, power
        self.fixed_point = fixed_point or FixedPoint()
        self.probes, self.eval_terms = 1, estimator.eval_terms
        self.memory_saving = True
        self.last_iterations = 0
        """Number of iterations of the last `inverse`."""

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        if not self.training:
            probes = [draw_probe(x, "rademacher", generator) for _ in range(self.probes)]
            return self.estimate(x, probes, [1.0] * self.eval_terms)
        mean, exact = self.estimator.roulette_mean, self.estimator.terms
        weights: Sequence[float] = [1.0] * exact
        if mean is not None:
            weights = roulette_weights(exact, draw_poisson(mean, generator), mean)
        return self.estimate(x, [draw_probe(x, self.estimator.probe, generator)], weights)

    def estimate(
        self, x: Tensor, probes: Sequence[Tensor], weights: Sequence[float]
    ) -> tuple[Tensor, Tensor]:
        """Return y and the contribution for given probes, averaged, and weights of terms 1 .. n.

        The Neumann gradient has one term more, J^0 to J^n: in the mean over probes it is the
        gradient of the power series of n + 1 terms where the weights are 1.
        """
        tensors = self.net.tensors()
        neumann = self.training and self.estimator.neumann and torch.is_grad_enabled()
        if neumann and self.memory_saving:
            g, contribution = _Neumann.apply(  # type: ignore[no-untyped-call]
                self.net, probes, weights, x, *tensors
            )
            return x + g, contribution
        g, vjp = self.net.linearize(x, tensors)
        if neumann:
            contribution, gradient = _neumann(vjp, probes, weights)
            return x + g, contribution + (gradient - gradient.detach())
        return x + g, _log_diagonal(vjp, probes, weights)

    @torch.no_grad()
    def inverse(self, y: Tensor) -> Tensor:
        """Return the fixed point of x = y - g(x), started at y.

        `last_iterations` says how it went; the error is at most c / (1-c) times the last change, in
        the Euclidean norm, for a Lipschitz constant c.
        """
        tensors = self.net.tensors()
        rounding = 4 * torch.finfo(y.dtype).eps * float(y.abs().max())
        x = y
        for made in range(1, self.fixed_point.max_iterations + 1):
            moved = y - self.net.apply_to(x, tensors)
            self.last_iterations, change = made, float((moved - x).abs().max())
            x = moved
            if change <= max(self.fixed_point.tolerance, rounding):
                break
        return x

    def initialize(self, x: Tensor) -> None:
        self.before_evaluation()

    def extra_repr(self) -> str:
        return self.net.extra_repr()

    def before_step(self) -> None:
        for each in self.net.normed:
            each.before_step(self.power)

    def before_evaluation(self) -> None:
        for each in self.net.normed:
            each.iterate(EVALUATION_ITERATIONS, EVALUATION_TOLERANCE)


def _log_diagonal(vjp: Vjp, probes: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    found = [sum_series(vjp, probe, weights)[0] for probe in probes]
    return torch.stack(found).mean(0) if len(found) > 1 else found[0]


def _neumann(vjp: Vjp, probes: Sequence[Tensor], weights: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return the series' terms, and a tensor whose sum has the Neumann estimator as gradient."""
    terms = gradient = torch.zeros_like(probes[0])
    for probe in probes:
        with torch.no_grad():
            log_diagonal, neumann = sum_series(vjp, probe, weights)
        terms = terms + log_diagonal / len(probes)
        gradient = gradient + probe * vjp(neumann) / len(probes)
    return terms, gradient


class _Neumann(torch.autograd.Function):
    """g(x), and the series' terms, whose gradient is the Neumann estimator's.

    The gradient of the log-determinant is computed here and kept; the graph that it took is
    gone when forward returns. The graph of g alone stays for its own gradient.
    """

    @staticmethod
    def forward(
        ctx: Any,
        net: ResidualNet,
        probes: Sequence[Tensor],
        weights: Sequence[float],
        x: Tensor,
        *tensors: Tensor,
    ) -> tuple[Tensor, Tensor]:
        inputs = [t.detach().requires_grad_() for t in (x, *tensors)]
        with torch.enable_grad():
            g, vjp = net.linearize(inputs[0], inputs[1:])
            terms, gradient = _neumann(vjp, probes, weights)
            total = gradient.sum()
        ctx.kept = torch.autograd.grad(total, inputs, retain_graph=True, allow_unused=True)
        ctx.g, ctx.inputs = g, inputs
        return g.detach(), terms

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        of_g, of_terms = upstream
        factor = _common(of_terms)
        plain = torch.autograd.grad(ctx.g, ctx.inputs, of_g, allow_unused=True)
        both = [_added(a, b, factor) for a, b in zip(plain, ctx.kept, strict=True)]
        return (None, None, None, *both)


def _common(upstream: Tensor) -> Tensor:
    """Return the one number that all elements are, ()."""
    first = upstream[(0,) * upstream.dim()]
    # A sum's gradient is one number expanded: then nothing need be read, which on a GPU waits.
    expanded = not any(upstream.stride())
    if not expanded and not bool((upstream == first).all()):
        raise ValueError(
            "the gradient in the forward pass needs an objective that is a mean over images; "
            "set memory_saving = False on the residual blocks for any other"
        )
    return first


def _added(plain: Tensor | None, kept: Tensor | None, factor: Tensor) -> Tensor | None:
    if kept is None:
        return plain
    return kept * factor if plain is None else torch.addcmul(plain, kept, factor)
