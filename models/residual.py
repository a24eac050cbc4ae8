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
    """Settings of the estimator of a block's log-determinant, a power series."""

    terms: int
    """Terms in training."""

    roulette_mean: float | None = None
    """Mean of the Poisson number of further terms in training, weighted so that the estimate has no
    bias (Russian roulette); None for no further terms."""

    probe: Probe = "gaussian"
    """Distribution of the probe in training; evaluation takes Rademacher probes."""

    neumann: bool = True
    """Whether the gradient is the Neumann series; else the estimate is differentiated."""

    eval_terms: int = 20
    """Terms in evaluation."""


@dataclass(frozen=True)
class FixedPoint:
    """Settings of the fixed-point iteration of a block's inverse."""

    tolerance: float = 1e-6
    """The iteration ends when no entry changes by more than this or the rounding error."""

    max_iterations: int = 200


_Stage = tuple[NormedMap, Tensor, Tensor, bool]
"""A map, its weight, its bias, and whether a nonlinearity precedes it."""


class ResidualNet(nn.Module):
    """The net g of a residual block: linear maps, each preceded by a 1-Lipschitz nonlinearity.

    It maps (B, ...) to the same shape. `tensors` computes the normalized weights once; `apply_to`
    and `linearize` take them any number of times.

    Args:
        maps: The linear maps, in order.
        activation: The nonlinearity.
        first: Leave out the nonlinearity before the first map.
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
        """Return each map's normalized weight and bias, then the sharpness of each LipSwish."""
        maps = [t for layer in self.normed for t in (layer.normalized(), layer.bias)]
        return [*maps, *(self.sharpness or ())]

    def _make_stages(self, tensors: Sequence[Tensor]) -> tuple[Tensor | None, list[_Stage]]:
        """Return a factor of x (None for 1) and the maps, with the gains of LipSwish folded in."""
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
            (layer, weight, bias, k > 0 or not self.first)
            for k, (layer, weight, bias) in enumerate(
                zip(self.normed, weights, biases, strict=True)
            )
        ]
        return gain, stages

    def apply_to(self, x: Tensor, tensors: Sequence[Tensor]) -> Tensor:
        """Return g(x) with ``tensors`` from `tensors`."""
        gain, stages = self._make_stages(tensors)
        activate = F.elu if self.activation == "elu" else F.silu
        h = x if gain is None else gain * x
        for layer, weight, bias, activated in stages:
            h = layer.operator(activate(h) if activated else h, weight, bias)
        return h

    def linearize(self, x: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, Vjp]:
        """Return g(x), and the function that maps w (B, ...) to w^T J, with J the Jacobian at x.

        Both can be differentiated once.
        """
        # The slopes are computed once for all products, and no product walks a graph.
        gain, stages = self._make_stages(tensors)
        activate = activations.elu if self.activation == "elu" else activations.silu
        h = x if gain is None else gain * x
        slopes: list[Tensor | None] = []
        for layer, weight, bias, activated in stages:
            h, slope = activate(h) if activated else (h, None)
            slopes.append(slope)
            h = layer.operator(h, weight, bias)

        def vjp(w: Tensor) -> Tensor:
            for (layer, weight, _, _), slope in zip(stages[::-1], slopes[::-1], strict=True):
                w = layer.adjoint(w, weight)
                if slope is not None:
                    w = w * slope
            return w if gain is None else w * gain

        return h, vjp

    def forward(self, x: Tensor) -> Tensor:
        return self.apply_to(x, self.tensors())

    def extra_repr(self) -> str:
        maps = (
            f"{len(layer.weight)} {'x'.join(map(str, layer.weight.shape[2:]))}".rstrip()
            for layer in self.normed
        )
        return f"{self.activation}, maps to {', '.join(maps)}"


class FlatNet(ResidualNet):
    """A net g whose maps work on flattened images (B, C*H*W)."""

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
    """Return a net of a 3x3, a 1x1 and a 3x3 convolution, for (B, channels, size, size).

    ``width`` is the number of channels between them.
    """
    widths, kernels = (channels, width, width, channels), (3, 1, 3)
    maps = [
        NormedConv(inputs, outputs, kernel, (size, size), coefficient)
        for inputs, outputs, kernel in zip(widths[:-1], widths[1:], kernels, strict=True)
    ]
    return ResidualNet(maps, activation, first=first)


class ResidualBlock(Layer):
    """Residual block y = x + g(x) on images (B, C, H, W), with Lip(g) < 1.

    In evaluation the contribution is v * (v^T J - v^T J^2 / 2 + ...) with ``eval_terms`` terms,
    where J is the Jacobian of g. Its mean over probes v is the diagonal of log(I + J), up to the
    bias of the cut series; `probes` is the number of probes that are averaged.

    In training the sum of the contribution over the batch has the value and the gradient of the
    `Estimator`. The Neumann gradient is computed in the forward pass, which keeps no graph of the
    series in memory (Chen et al. 2019, section 3.3). This needs the same upstream gradient for
    every element of the contribution, as with a mean over images; for any other objective,
    backward raises ValueError, and the estimator must differentiate the series itself.

    Example:
        >>> import torch
        >>> net = conv_net(3, 8, 16, 0.9, "elu")
        >>> block = ResidualBlock(net, Estimator(5), PowerIteration(5)).eval()
        >>> x = torch.randn(2, 3, 8, 8)
        >>> y, contribution = block(x)
        >>> y.shape, contribution.shape
        (torch.Size([2, 3, 8, 8]), torch.Size([2, 3, 8, 8]))
        >>> torch.allclose(block.inverse(y), x, atol=1e-4)
        True
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
        self.last_iterations = 0  # of `inverse`

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
        """Return y and the contribution, averaged over probes.

        Args:
            x: Input (B, C, H, W).
            probes: Tensors of the shape of x, with entries of mean 0 and variance 1.
            weights: Weights of the terms 1 .. n of the series.
        """
        # The Neumann gradient has terms J^0 .. J^n, so with weights 1 it is, in the mean over
        # probes, the gradient of the power series of n + 1 terms.
        tensors = self.net.tensors()
        if self.training and self.estimator.neumann and torch.is_grad_enabled():
            g, contribution = _Neumann.apply(  # type: ignore[no-untyped-call]
                self.net, probes, weights, x, *tensors
            )
            return x + g, contribution
        g, vjp = self.net.linearize(x, tensors)
        y = x + g
        terms = [sum_series(vjp, probe, weights)[0] for probe in probes]
        return y, torch.stack(terms).mean(0) if len(terms) > 1 else terms[0]

    @torch.no_grad()
    def inverse(self, y: Tensor) -> Tensor:
        """Return the fixed point of x = y - g(x), by iterations that start at y.

        Its Euclidean error is at most c / (1 - c) times the last change, where c is the Lipschitz
        constant of g. `last_iterations` is set to the number of iterations.
        """
        tensors = self.net.tensors()
        rounding = 4 * torch.finfo(y.dtype).eps * float(y.abs().max())
        x = y
        for iteration in range(1, self.fixed_point.max_iterations + 1):
            update = y - self.net.apply_to(x, tensors)
            self.last_iterations, change = iteration, float((update - x).abs().max())
            x = update
            if change <= max(self.fixed_point.tolerance, rounding):
                break
        return x

    def initialize(self, x: Tensor) -> None:
        self.before_evaluation()

    def extra_repr(self) -> str:
        return self.net.extra_repr()

    def before_step(self) -> None:
        for layer in self.net.normed:
            layer.before_step(self.power)

    def before_evaluation(self) -> None:
        for layer in self.net.normed:
            layer.iterate(EVALUATION_ITERATIONS, EVALUATION_TOLERANCE)


def _sum_neumann(
    vjp: Vjp, probes: Sequence[Tensor], weights: Sequence[float]
) -> tuple[Tensor, Tensor]:
    """Return the contribution, and a tensor whose sum has the Neumann estimate as its gradient."""
    terms = gradient = torch.zeros_like(probes[0])
    for probe in probes:
        with torch.no_grad():
            log_diagonal, neumann = sum_series(vjp, probe, weights)
        terms = terms + log_diagonal / len(probes)
        gradient = gradient + probe * vjp(neumann) / len(probes)
    return terms, gradient


class _Neumann(torch.autograd.Function):
    """g(x), and the contribution with the Neumann estimate as its gradient."""

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
            terms, gradient = _sum_neumann(vjp, probes, weights)
            total = gradient.sum()
        # Computed here, so that the graph of the series is freed when this returns. The graph of g
        # is retained for the gradient of g.
        ctx.gradients = torch.autograd.grad(total, inputs, retain_graph=True, allow_unused=True)
        ctx.g, ctx.inputs = g, inputs
        return g.detach(), terms

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        grad_g, grad_terms = upstream
        factor = _find_common_value(grad_terms)
        plain = torch.autograd.grad(ctx.g, ctx.inputs, grad_g, allow_unused=True)
        both = [_add_scaled(a, b, factor) for a, b in zip(plain, ctx.gradients, strict=True)]
        return (None, None, None, *both)


def _find_common_value(upstream: Tensor) -> Tensor:
    """Return the value () of all elements. Raises ValueError if they differ."""
    first = upstream[(0,) * upstream.dim()]
    # The gradient of a sum is an expanded scalar. Then its elements need not be compared, for which
    # the host would wait for a GPU.
    expanded = not any(upstream.stride())
    if not expanded and not bool((upstream == first).all()):
        raise ValueError(
            "the gradient in the forward pass needs an objective that is a mean over images; "
            "build the flow with `neumann: false` for any other"
        )
    return first


def _add_scaled(a: Tensor | None, b: Tensor | None, factor: Tensor) -> Tensor | None:
    """Return a + factor * b, where None is 0."""
    if b is None:
        return a
    return b * factor if a is None else torch.addcmul(a, b, factor)
