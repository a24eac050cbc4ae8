"""The interface of layers, and the layers that only preprocess or rearrange."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcma.models.stacked import draw
from lcma.sweeps.recipe import Model


class Layer(nn.Module):
    """An invertible step from data towards noise; base class of all layers.

    A layer of your own overrides `forward` and `inverse`, and `reorder` if it moves dimensions:
    ids and accumulated contributions follow the data through `reorder`.
    """

    scored: bool = True
    """True if the contribution counts in a contribution map."""

    ends_block: bool = False
    """True if a contribution map is taken before this layer (Algorithm 1)."""

    def forward(
        self, x: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Map x to y.

        Args:
            x: Input (B, C, H, W).
            generator: Source of noise; the global one by default.

        Returns:
            y, and the *contribution*: the log-determinant in nats that each dimension of y
            received, in the layout of y, of shape (B, C, H, W), or (1, C, H, W) if it is the same
            for every image, or None if it is zero. The layer's log-determinant is its sum.
        """
        del generator
        return self.reorder(x), None

    def inverse(self, y: Tensor) -> Tensor:
        """Return the x that `forward` maps to y. Raises TypeError if there is no inverse."""
        raise TypeError(f"{type(self).__name__} has no inverse")

    def reorder(self, t: Tensor) -> Tensor:
        """Move a tensor from the layout of x to that of y; by default nothing moves."""
        return t

    def shrunk_parameters(self) -> list[nn.Parameter]:
        """Return the parameters whose squares are summed in a recipe's L2 term."""
        return []

    def initialize(self, x: Tensor) -> None:
        """Set data-dependent starting values from this layer's first input x (B, C, H, W)."""

    def before_step(self) -> None:
        """Prepare a training step; called once before each."""

    def before_evaluation(self) -> None:
        """Prepare evaluation; called once before it."""


class Dequantize(Layer):
    """Uniform dequantization: y = (x + u) / levels in [0, 1), with u ~ U(0, 1).

    x holds integers 0..levels-1. The contribution of every dimension is -log(levels), so the flow's
    density is one of integers; no other code knows this constant.

    Example:
        >>> import torch
        >>> y, contribution = Dequantize()(torch.full((1, 3, 8, 8), 255.0))
        >>> contribution.shape, round(float(contribution[0, 0, 0, 0]), 4)
        (torch.Size([1, 3, 8, 8]), -5.5452)
        >>> float(Dequantize().inverse(y).max())
        255.0
    """

    scored = False
    levels: Tensor

    def __init__(self, levels: int = 256) -> None:
        super().__init__()
        self.register_buffer("levels", torch.tensor(float(levels)), persistent=False)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        noise = draw(self._noise, x, generator)
        constant = (-self.levels.log()).expand(1, *x.shape[1:])
        return (x + noise) / self.levels, constant

    def _noise(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        levels = self.levels
        return torch.rand(x.shape, generator=generator, dtype=levels.dtype, device=levels.device)

    def inverse(self, y: Tensor) -> Tensor:
        return (y * self.levels).floor().clamp(min=0).minimum(self.levels - 1)

    def extra_repr(self) -> str:
        return f"{int(self.levels)} levels"


class Center(Layer):
    """Shift from [0, 1) to [-0.5, 0.5): y = x - 0.5."""

    scored = False

    def forward(
        self, x: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor | None]:
        return x - 0.5, None

    def inverse(self, y: Tensor) -> Tensor:
        return y + 0.5


class Logit(Layer):
    """Logit of [0, 1]: y = logit(alpha + (1 - 2 alpha) x).

    The contribution is log(1 - 2 alpha) - log(t) - log(1 - t) with t = alpha + (1 - 2 alpha) x. The
    default alpha is that of RealNVP's released code.

    Example:
        >>> import torch
        >>> y, contribution = Logit()(torch.full((1, 1, 1, 1), 0.5))
        >>> round(float(contribution), 4)
        1.2809
    """

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

    def extra_repr(self) -> str:
        return f"alpha {self.alpha}"


class Squeeze(Layer):
    """Rearrangement of (C, H, W) into (4C, H/2, W/2).

    Channel 4c + 2dr + dq is position (dr, dq) of each 2x2 window of channel c.

    Example:
        >>> import torch
        >>> y, _ = Squeeze()(torch.arange(4.0).view(1, 1, 2, 2))
        >>> y.shape, y.flatten().tolist()
        (torch.Size([1, 4, 1, 1]), [0.0, 1.0, 2.0, 3.0])
    """

    def inverse(self, y: Tensor) -> Tensor:
        return F.pixel_shuffle(y, 2)

    def reorder(self, t: Tensor) -> Tensor:
        return F.pixel_unshuffle(t, 2)


class Unsqueeze(Layer):
    """The inverse of `Squeeze` as a layer."""

    def inverse(self, y: Tensor) -> Tensor:
        return F.pixel_unshuffle(y, 2)

    def reorder(self, t: Tensor) -> Tensor:
        return F.pixel_shuffle(t, 2)


class PassAll(Squeeze):
    """Stand-in for a split in a flow without splits (NMS): a squeeze that all dimensions pass."""

    ends_block = True


class PassFlat(Layer):
    """Stand-in for a split in the flat form of NMS: the identity."""

    ends_block = True

    def inverse(self, y: Tensor) -> Tensor:
        return y


def preprocess(model: Model) -> list[Layer]:
    """Return the first two layers of a flow: dequantization, and the model's map of [0, 1)."""
    return [Dequantize(), Logit() if model.preprocess == "logit" else Center()]
