"""Linear maps whose Lipschitz constant is known.

A map W is divided by max(1, sigma / c), so that its spectral norm sigma is at most c (Behrmann et
al. 2019, section 2.1; Chen et al. 2019, appendix D). Sigma is the norm of the operator that acts
on a feature map of this size, not that of a reshaped kernel.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EVALUATION_TOLERANCE = 1e-5
EVALUATION_ITERATIONS = 500

GPU_ITERATIONS = 5
"""Most iterations of a training step on a GPU, as many as i-ResNet makes. They are launched before
it is known which was the last one."""

CPU_LAYOUT = torch.channels_last
"""Layout of a convolution's weight on a CPU, and so of all that follows: the fastest there. Sums
have another order in it than in that of a GPU."""


@dataclass(frozen=True)
class PowerIteration:
    """Settings of the power iteration of a training step.

    It ends when sigma grows by less than ``tolerance`` (relative) in an iteration, and after
    ``iterations`` at most; with ``tolerance`` 0 it makes exactly ``iterations``.

    Sigma grows towards the norm from below; where the largest singular values are close to each
    other, or ``v`` is a singular vector of another one, it stops short of it by more than the
    tolerance.
    """

    iterations: int
    tolerance: float = 0.0


def _direction(x: Tensor, length: Tensor, otherwise: Tensor) -> Tensor:
    """x with length 1, or ``otherwise`` where x is zero."""
    return torch.where(length > 0, x / length, otherwise)


class NormedMap(nn.Module):
    """A linear map with a bias, its spectral norm held at or below ``coefficient``.

    Buffers: ``u`` and ``v``, the left and right singular vectors found so far (one output and
    one input of the map), and ``sigma``, the norm found by the last iteration. The weight that
    acts, `normalized`, takes its sigma from u, v and the present weight, so that gradients pass
    through it. Call `iterate` after weights have changed.
    """

    u: Tensor
    v: Tensor
    sigma: Tensor

    def __init__(
        self, weight: Tensor, *, coefficient: float, given: tuple[int, ...], made: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.coefficient = coefficient
        self.weight = nn.Parameter(weight)
        bound = math.sqrt(1 / weight[0].numel())  # PyTorch's own start, as in both papers' codes
        nn.init.uniform_(self.weight, -bound, bound)
        self.bias = nn.Parameter(torch.empty(len(weight)).uniform_(-bound, bound))
        self.register_buffer("v", F.normalize(torch.randn(1, math.prod(given))).view(1, *given))
        self.register_buffer("u", torch.zeros(1, *made))
        self.register_buffer("sigma", torch.zeros(()))
        self.iterate(1)

    def operator(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Map x (B, ...) by ``weight``."""
        raise TypeError(f"{type(self).__name__} maps nothing")

    def adjoint(self, y: Tensor, weight: Tensor) -> Tensor:
        """Map y (B, ...) by the transpose of ``weight``."""
        raise TypeError(f"{type(self).__name__} maps nothing")

    @torch.no_grad()
    def iterate(self, iterations: int, tolerance: float = 0.0) -> None:
        """Iterate as `PowerIteration` says."""
        u, v, sigma = self.u, self.v, self.sigma
        for _ in range(iterations):
            before = sigma
            u, v, sigma = self._iterate_once(u, v)
            # Compared only with a tolerance: on a GPU this waits for the device.
            if tolerance and float((sigma - before).abs()) <= tolerance * float(sigma):
                break
        self._set([u, v, sigma])

    @torch.no_grad()
    def iterate_without_waiting(self, iterations: int, tolerance: float) -> None:
        """Iterate as `iterate` does, to the same bits, without waiting for the device: it makes all
        iterations and keeps what was found by the last one that was needed."""
        found, u, v = [], self.u, self.v
        for _ in range(iterations):
            u, v, sigma = self._iterate_once(u, v)
            found.append((u, v, sigma))
        us, vs, sigmas = (torch.stack(each) for each in zip(*found, strict=True))
        before = torch.cat([self.sigma[None], sigmas[:-1]])
        # In float64, as Python compares the numbers of a CPU.
        ended = (sigmas - before).abs().double() <= tolerance * sigmas.double()
        ended[-1:].fill_(True)
        first = ended.byte().argmax(dim=0, keepdim=True)
        self._set([each.index_select(0, first)[0] for each in (us, vs, sigmas)])

    def _iterate_once(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return u, v and sigma after an iteration."""
        image = self.operator(v, self.weight)
        u = _direction(image, image.norm(), u)
        image = self.adjoint(u, self.weight)
        sigma = image.norm()
        return u, _direction(image, sigma, v), sigma

    def _set(self, found: Sequence[Tensor]) -> None:
        torch._foreach_copy_([self.u, self.v, self.sigma], list(found))

    def before_step(self, power: PowerIteration) -> None:
        """Iterate before a training step; on a GPU at most `GPU_ITERATIONS` with a tolerance,
        and the next step goes on from there."""
        if power.tolerance and self.sigma.device.type != "cpu":
            most = min(power.iterations, GPU_ITERATIONS)
            self.iterate_without_waiting(most, power.tolerance)
        else:
            self.iterate(power.iterations, power.tolerance)

    def normalized(self) -> Tensor:
        """Return the weight that acts; it equals the parameter where sigma is small enough."""
        sigma = (self.u * self.operator(self.v, self.weight)).sum()
        return self.weight / (sigma / self.coefficient).clamp(min=1.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.operator(x, self.normalized(), self.bias)


class NormedConv(NormedMap):
    """A convolution with stride 1 and zero padding, (B, inputs, H, W) to (B, outputs, H, W).

    ``size`` is (H, W). For a 1x1 kernel the operator's norm is that of the matrix at any size.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, size: tuple[int, int], coefficient: float
    ) -> None:
        self.pad = kernel // 2
        where = (1, 1) if kernel == 1 else size
        super().__init__(
            torch.empty(outputs, inputs, kernel, kernel),
            coefficient=coefficient,
            given=(inputs, *where),
            made=(outputs, *where),
        )

    def normalized(self) -> Tensor:
        weight = super().normalized()
        on_cpu = weight.device.type == "cpu" and self.pad
        return weight.contiguous(memory_format=CPU_LAYOUT) if on_cpu else weight

    def operator(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.conv2d(x, weight, bias, padding=self.pad)

    def adjoint(self, y: Tensor, weight: Tensor) -> Tensor:
        return F.conv_transpose2d(y, weight, padding=self.pad)


class NormedLinear(NormedMap):
    """A linear map from (B, inputs) to (B, outputs)."""

    def __init__(self, inputs: int, outputs: int, coefficient: float) -> None:
        super().__init__(
            torch.empty(outputs, inputs),
            coefficient=coefficient,
            given=(inputs,),
            made=(outputs,),
        )

    def operator(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.linear(x, weight, bias)

    def adjoint(self, y: Tensor, weight: Tensor) -> Tensor:
        return F.linear(y, weight.t())
