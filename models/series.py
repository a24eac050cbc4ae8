"""Estimators of log det(I + J) from vector-Jacobian products (Chen et al. 2019, section 3).

log det(I + J) is the sum over k >= 1 of (-1)^(k+1) tr(J^k) / k. For a random probe v of mean 0 and
covariance I, tr(J^k) is the mean of v^T J^k v, and diag(J^k) is the mean of v * (v^T J^k).
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

Probe = Literal["gaussian", "rademacher"]

Vjp = Callable[[Tensor], Tensor]
"""Function from w (B, ...) to w^T J of each image."""


def draw_probe(like: Tensor, kind: Probe, generator: torch.Generator | None) -> Tensor:
    """Draw a probe with the shape, dtype and device of ``like``; its entries have variance 1."""
    shape, dtype, device = like.shape, like.dtype, like.device
    if kind == "gaussian":
        return torch.randn(shape, generator=generator, dtype=dtype, device=device)
    bits = torch.randint(0, 2, shape, generator=generator, device=device)
    return (2 * bits - 1).to(dtype)


def poisson_tail(mean: float, least: int) -> float:
    """Return P(N >= least) for N ~ Poisson(mean)."""
    if least <= 0:
        return 1.0
    first = math.exp(least * math.log(mean) - mean - math.lgamma(least + 1))
    total, term, k = 0.0, first, least
    while total + term > total:
        total += term
        k += 1
        term *= mean / k
    return min(total, 1.0)


def roulette_weights(exact: int, further: int, mean: float) -> tuple[float, ...]:
    """Return the weights of the terms 1 .. exact + further of a series under Russian roulette.

    ``further`` is a draw of N ~ Poisson(mean). With the weights 1 / P(N >= k - exact) the sum is an
    unbiased estimate of the infinite series (equation 6).
    """
    return tuple(1 / poisson_tail(mean, k - exact) for k in range(1, exact + further + 1))


_HOST_GENERATORS = WeakKeyDictionary[torch.Generator, torch.Generator]()
"""For each generator of a GPU, a generator on the host with the same seed."""


def draw_poisson(mean: float, generator: torch.Generator | None) -> int:
    """Draw from Poisson(mean) on the host."""
    # The number decides what is launched next, so the host would wait for one drawn on a GPU.
    if generator is not None and generator.device.type != "cpu":
        if generator not in _HOST_GENERATORS:
            _HOST_GENERATORS[generator] = torch.Generator().manual_seed(generator.initial_seed())
        generator = _HOST_GENERATORS[generator]
    return int(torch.poisson(torch.tensor(mean, dtype=torch.float64), generator=generator))


def sum_series(vjp: Vjp, probe: Tensor, weights: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return the partial sums of two series, each of the shape of the probe v.

    The first is the sum over k = 1 .. n of a_k (-1)^(k+1) / k v * (v^T J^k). Summed over an image,
    it estimates log det(I + J). The second is v^T plus the sum over k = 1 .. n of
    a_k (-1)^k v^T J^k. Times dJ v, it estimates the gradient of log det(I + J) (equation 8).

    Args:
        vjp: The map from w to w^T J.
        probe: v (B, ...).
        weights: a_1 .. a_n; [1] * n cuts the series after n terms.

    Example:
        >>> import torch
        >>> jacobian = torch.diag(torch.tensor([0.5, -0.2]))
        >>> terms, _ = sum_series(lambda w: w @ jacobian, torch.ones(1, 2), [1.0] * 30)
        >>> torch.allclose(terms[0], torch.tensor([1.5, 0.8]).log(), atol=1e-6)
        True
    """
    power, neumann = probe, probe
    total = torch.zeros_like(probe)
    for k, weight in enumerate(weights, start=1):
        power = vjp(power)
        sign = -1.0 if k % 2 else 1.0
        total = total + (-sign * weight / k) * power
        neumann = neumann + (sign * weight) * power
    return probe * total, neumann
