"""The layer contract, and the layers that only prepare or rearrange."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Layer(nn.Module):
    """One invertible step from data towards noise.

    ``forward`` maps x (B, C, H, W) to y and to the *contribution*: the log-determinant in nats
    that each dimension of y received, of shape (B, C, H, W) or (1, C, H, W), in the layout of
    y; None where it is zero throughout. The scalar log-determinant is its sum, never computed
    apart. ``inverse`` undoes forward. ``reorder`` moves any tensor of x's shape as the layer
    moves dimensions: ids and accumulated contributions follow the data through it.
    """

    scored: bool = True
    """Whether the contribution counts in a contribution map."""

    ends_block: bool = False
    """Whether a contribution map is taken before this layer (Algorithm 1)."""

    def forward(
        self, x: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """y and the contribution; ``generator`` feeds layers that draw noise."""
        del generator
        return self.reorder(x), None

    def inverse(self, y: Tensor) -> Tensor:
        """The x that forward maps to y."""
        raise TypeError(f"{type(self).__name__} has no inverse")

    def reorder(self, t: Tensor) -> Tensor:
        """``t`` moved from x's layout into y's; layers that move nothing keep this."""
        return t

    def shrunk_parameters(self) -> list[nn.Parameter]:
        """The parameters on which a recipe's L2 term falls."""
        return []

    def initialize(self, x: Tensor) -> None:
        """Set data-dependent starting values from a first batch x (B, C, H, W)."""

    def before_step(self) -> None:
        """What is done once before each training step, such as power iteration."""

    def before_evaluation(self) -> None:
        """What is done once before evaluation, such as power iteration to tolerance."""


class Dequantize(Layer):
    """Integers 0..levels-1 to [0, 1): (x + u) / levels with u ~ U(0, 1).

    Its contribution, -log(levels) for every dimension, is what turns the density into bits/dim
    of the integers; no other place knows the constant.
    """

    scored = False
    levels: Tensor

    def __init__(self, levels: int = 256) -> None:
        super().__init__()
        self.register_buffer("levels", torch.tensor(float(levels)), persistent=False)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        noise = torch.rand(
            x.shape, generator=generator, dtype=self.levels.dtype, device=self.levels.device
        )
        constant = (-self.levels.log()).expand(1, *x.shape[1:])
        return (x + noise) / self.levels, constant

    def inverse(self, y: Tensor) -> Tensor:
        return (y * self.levels).floor().clamp(min=0).minimum(self.levels - 1)


class Center(Layer):
    """[0, 1) to [-.5, .5)."""

    scored = False

    def forward(
        self, x: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        return x - 0.5, None

    def inverse(self, y: Tensor) -> Tensor:
        return y + 0.5


class Logit(Layer):
    """x in [0, 1] to logit(a + (1 - 2a) x), as RealNVP's released code has it (a = .05)."""

    scored = False

    def __init__(self, alpha: float = 0.05) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        t = self.alpha + (1 - 2 * self.alpha) * x
        log_t, log_rest = t.log(), (1 - t).log()
        return log_t - log_rest, math.log(1 - 2 * self.alpha) - log_t - log_rest

    def inverse(self, y: Tensor) -> Tensor:
        return (y.sigmoid() - self.alpha) / (1 - 2 * self.alpha)


class Squeeze(Layer):
    """(C, H, W) to (4C, H/2, W/2): channel 4c + 2dr + dq is position (dr, dq) of each window."""

    def inverse(self, y: Tensor) -> Tensor:
        return F.pixel_shuffle(y, 2)

    def reorder(self, t: Tensor) -> Tensor:
        return F.pixel_unshuffle(t, 2)


class Unsqueeze(Layer):
    """The inverse of Squeeze as a layer."""

    def inverse(self, y: Tensor) -> Tensor:
        return F.pixel_unshuffle(y, 2)

    def reorder(self, t: Tensor) -> Tensor:
        return F.pixel_shuffle(t, 2)


class PassAll(Squeeze):
    """Stands where a split would be in a flow without splits (NMS): squeezes, nothing leaves."""

    ends_block = True


class PassFlat(Layer):
    """Stands where a split would be in the flat reading of NMS: changes nothing."""

    ends_block = True

    def inverse(self, y: Tensor) -> Tensor:
        return y
