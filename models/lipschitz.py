"""Linear maps with a bounded Lipschitz constant.

The weight W of a map is divided by max(1, sigma / c), where sigma is its spectral norm, so that the
norm is at most c (Behrmann et al. 2019, section 2.1; Chen et al. 2019, appendix D). The norm is
that of the operator on feature maps of a given size, not that of the reshaped kernel.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EVALUATION_TOLERANCE = 1e-5
EVALUATION_ITERATIONS = 500

GPU_ITERATIONS = 5
"""Most iterations before a training step on a GPU, as many as i-ResNet makes. All are launched,
because the host would have to wait for the device to know when to stop."""

CPU_LAYOUT = torch.channels_last
"""Memory format of a convolution's weight on a CPU, which its output takes over: the fastest there.
It changes the order of sums, so the bits differ from those of the default format."""


@dataclass(frozen=True)
class PowerIteration:
    """Settings of the power iteration before a training step.

    Sigma approaches the norm from below. If the largest singular values are close to each other, or
    ``v`` is the singular vector of a smaller one, the iteration ends further below the norm than
    ``tolerance``.
    """

    iterations: int
    """Most iterations."""

    tolerance: float = 0.0
    """Relative change of sigma at which the iteration ends; 0 for exactly ``iterations``."""


def _normalize(x: Tensor, length: Tensor, fallback: Tensor) -> Tensor:
    """Return x / ``length``, or ``fallback`` if the length is 0."""
    return torch.where(length > 0, x / length, fallback)


class NormedMap(nn.Module):
    """A linear map with a bias whose spectral norm is at most ``coefficient``; base class.

    Call `iterate` after the weight has changed.

    Args:
        weight: A tensor of the shape of the weight, which this draws.
        coefficient: The bound c of the norm.
        input_shape: Shape of one input, without the batch.
        output_shape: Shape of one output.
    """

    u: Tensor  # (1, *output_shape), the left singular vector that iterations have found
    v: Tensor  # (1, *input_shape), the right one
    sigma: Tensor  # (), the norm that the last iteration found

    def __init__(
        self,
        weight: Tensor,
        *,
        coefficient: float,
        input_shape: tuple[int, ...],
        output_shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.coefficient = coefficient
        self.weight = nn.Parameter(weight)
        bound = math.sqrt(1 / weight[0].numel())  # PyTorch's own start, as in both papers' codes
        nn.init.uniform_(self.weight, -bound, bound)
        self.bias = nn.Parameter(torch.empty(len(weight)).uniform_(-bound, bound))
        v = F.normalize(torch.randn(1, math.prod(input_shape))).view(1, *input_shape)
        self.register_buffer("v", v)
        self.register_buffer("u", torch.zeros(1, *output_shape))
        self.register_buffer("sigma", torch.zeros(()))
        self.iterate(1)

    def operator(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Map x (B, *input_shape) by ``weight``."""
        raise TypeError(f"{type(self).__name__} maps nothing")

    def adjoint(self, y: Tensor, weight: Tensor) -> Tensor:
        """Map y (B, *output_shape) by the transpose of ``weight``."""
        raise TypeError(f"{type(self).__name__} maps nothing")

    @torch.no_grad()
    def iterate(self, iterations: int, tolerance: float = 0.0) -> None:
        """Update u, v and sigma by at most ``iterations`` iterations; see `PowerIteration`."""
        u, v, sigma = self.u, self.v, self.sigma
        for _ in range(iterations):
            before = sigma
            u, v, sigma = self._iterate_once(u, v)
            # Only with a tolerance, since this comparison makes the host wait for a GPU.
            if tolerance and float((sigma - before).abs()) <= tolerance * float(sigma):
                break
        self._set_state([u, v, sigma])

    @torch.no_grad()
    def iterate_without_waiting(self, iterations: int, tolerance: float) -> None:
        """Do what `iterate` does, to the same bits, without waiting for a GPU.

        All iterations are made; then the state at which `iterate` would have ended is kept.
        """
        states, u, v = [], self.u, self.v
        for _ in range(iterations):
            u, v, sigma = self._iterate_once(u, v)
            states.append((u, v, sigma))
        us, vs, sigmas = (torch.stack(tensors) for tensors in zip(*states, strict=True))
        before = torch.cat([self.sigma[None], sigmas[:-1]])
        # In float64, because `iterate` compares Python floats.
        ended = (sigmas - before).abs().double() <= tolerance * sigmas.double()
        ended[-1:].fill_(True)
        first = ended.byte().argmax(dim=0, keepdim=True)
        self._set_state([tensor.index_select(0, first)[0] for tensor in (us, vs, sigmas)])

    def _iterate_once(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        image = self.operator(v, self.weight)
        u = _normalize(image, image.norm(), u)
        image = self.adjoint(u, self.weight)
        sigma = image.norm()
        return u, _normalize(image, sigma, v), sigma

    def _set_state(self, state: list[Tensor]) -> None:
        torch._foreach_copy_([self.u, self.v, self.sigma], state)

    def before_step(self, power: PowerIteration) -> None:
        """Iterate before a training step.

        On a GPU, an iteration with a tolerance makes at most `GPU_ITERATIONS`; that before the next
        step continues it.
        """
        if power.tolerance and self.sigma.device.type != "cpu":
            iterations = min(power.iterations, GPU_ITERATIONS)
            self.iterate_without_waiting(iterations, power.tolerance)
        else:
            self.iterate(power.iterations, power.tolerance)

    def normalized(self) -> Tensor:
        """Return the weight divided by max(1, sigma / coefficient)."""
        # From u, v and the weight, not from the buffer, so that gradients pass through sigma.
        sigma = (self.u * self.operator(self.v, self.weight)).sum()
        return self.weight / (sigma / self.coefficient).clamp(min=1.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.operator(x, self.normalized(), self.bias)


class NormedConv(NormedMap):
    """A convolution with zero padding, from (B, inputs, H, W) to (B, outputs, H, W).

    ``size`` is (H, W), for which the norm is bounded.

    Example:
        >>> import torch
        >>> conv = NormedConv(3, 8, 3, size=(8, 8), coefficient=0.9)
        >>> conv.iterate(100)
        >>> conv(torch.randn(2, 3, 8, 8)).shape
        torch.Size([2, 8, 8, 8])
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, size: tuple[int, int], coefficient: float
    ) -> None:
        self.pad = kernel // 2
        # A 1x1 kernel is one matrix at every pixel: its norm does not depend on the size.
        size = (1, 1) if kernel == 1 else size
        super().__init__(
            torch.empty(outputs, inputs, kernel, kernel),
            coefficient=coefficient,
            input_shape=(inputs, *size),
            output_shape=(outputs, *size),
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
            input_shape=(inputs,),
            output_shape=(outputs,),
        )

    def operator(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.linear(x, weight, bias)

    def adjoint(self, y: Tensor, weight: Tensor) -> Tensor:
        return F.linear(y, weight.t())
