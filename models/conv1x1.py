"""Glow's invertible 1x1 convolution (Kingma & Dhariwal 2018, section 3.2)."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lcma.models.layers import Layer
from lcma.models.stacked import conv2d

Form = Literal["plu", "dense"]
Share = Literal["output", "sorted", "uniform"]


@dataclass(frozen=True)
class _Deviations:
    weight: Tensor  # W (C, C)
    share: Share
    values: Tensor  # (C,), each channel's share minus the uniform one

    def belong_to(self, weight: Tensor, share: Share) -> bool:
        same = self.weight
        alike = (same.dtype, same.device, self.share) == (weight.dtype, weight.device, share)
        return alike and torch.equal(same, weight)


@torch.no_grad()
def _compute_deviations(weight: Tensor, share: Share) -> Tensor:
    if not bool(weight.isfinite().all()):
        return torch.full_like(weight[0], torch.nan)
    # On the CPU, because a GPU is slow at small singular value decompositions.
    rotation, scales, _ = torch.linalg.svd(weight.cpu().double())
    shares: Tensor = scales.log()
    if share == "output":
        shares = rotation.square() @ shares
    return (shares - shares.mean()).to(weight)


class InvertibleConv1x1(Layer):
    """Invertible 1x1 convolution: y = W x at every pixel, with W (C, C), orthogonal at the start.

    W mixes the channels, so a convention shares out log|det W| among them at each pixel. The
    attribute `share` names it:

    - `output`: channel c gets half of the entry (c, c) of log(W Wᵀ).
    - `sorted`: channel c gets the c-th largest log singular value, as the LCMA paper words it.
    - `uniform`: each channel gets log|det W| / C.

    All shares add up to log|det W|. In training only this sum counts, and the shares are uniform.

    Args:
        channels: C.
        form: `dense`: the parameter is W. `plu`: W = P L (U + diag(sign exp(log_scale))) (equation
            10), with fixed P and signs, L unit lower and U strictly upper triangular. One matrix
            `factors` holds L below, log_scale on and U above its diagonal.

    Example:
        >>> import torch
        >>> layer = InvertibleConv1x1(4).eval()
        >>> x = torch.randn(2, 4, 8, 8)
        >>> y, contribution = layer(x)
        >>> y.shape, contribution.shape
        (torch.Size([2, 4, 8, 8]), torch.Size([1, 4, 8, 8]))
        >>> torch.allclose(layer.inverse(y), x, atol=1e-4)
        True
    """

    permutation: Tensor
    sign: Tensor
    _identity: Tensor

    def __init__(self, channels: int, form: Form = "plu") -> None:
        super().__init__()
        self.form = form
        self.share: Share = "output"
        self._deviations: _Deviations | None = None  # of the last evaluation
        weight = torch.linalg.qr(torch.randn(channels, channels)).Q
        if form == "dense":
            self.weight = nn.Parameter(weight.contiguous())
            return
        self.factors = nn.Parameter(torch.zeros(channels, channels))
        self.register_buffer("permutation", torch.eye(channels))
        self.register_buffer("sign", torch.ones(channels))
        self.register_buffer("_identity", torch.eye(channels), persistent=False)
        self.set_matrix(weight)

    @torch.no_grad()
    def set_matrix(self, weight: Tensor) -> None:
        """Set W to ``weight`` (C, C), which must be invertible."""
        if self.form == "dense":
            self.weight.copy_(weight)
            return
        permutation, lower, upper = torch.linalg.lu(weight)
        scale = upper.diagonal()
        self.permutation.copy_(permutation)
        self.sign.copy_(scale.sign())
        self.factors.copy_(lower.tril(-1) + upper.triu(1) + scale.abs().log().diag())

    @property
    def matrix(self) -> Tensor:
        """W (C, C)."""
        return self._matrix_and_log_det()[0]

    def _matrix_and_log_det(self) -> tuple[Tensor, Tensor]:
        """Return W (C, C) and log|det W|, a scalar."""
        if self.form == "dense":
            # In float32 a determinant has few correct digits.
            log_det: Tensor = torch.linalg.slogdet(self.weight.double()).logabsdet
            return self.weight, log_det.to(self.weight.dtype)
        factors, log_scale = self.factors, self.factors.diagonal()
        upper = factors.triu(1) + (self.sign * log_scale.exp()).diag()
        lower = factors.tril(-1) + self._identity
        return self.permutation @ (lower @ upper), log_scale.sum()

    def _share_out(self, weight: Tensor, log_det: Tensor) -> Tensor:
        """Return each channel's share of log|det W| at a pixel, (C,)."""
        uniform = (log_det / len(weight)).expand(len(weight))
        if self.training or self.share == "uniform":
            return uniform
        last, weight = self._deviations, weight.detach()
        if last is None or not last.belong_to(weight, self.share):
            values = _compute_deviations(weight, self.share)
            last = self._deviations = _Deviations(weight.clone(), self.share, values)
        return uniform + last.values

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        weight, log_det = self._matrix_and_log_det()
        shares = self._share_out(weight, log_det).view(1, -1, 1, 1)
        return conv2d(x, weight.view(*weight.shape, 1, 1), None), shares.expand(1, *x.shape[1:])

    def inverse(self, y: Tensor) -> Tensor:
        weight: Tensor = torch.linalg.inv(self.matrix.double()).to(y.dtype)
        return F.conv2d(y, weight[:, :, None, None])

    def extra_repr(self) -> str:
        return f"{len(self.matrix)} channels, {self.form}"


@contextmanager
def use_share(flow: nn.Module, share: Share) -> Iterator[None]:
    """Make every 1x1 convolution of a flow follow the convention ``share`` within a block."""
    layers = [m for m in flow.modules() if isinstance(m, InvertibleConv1x1)]
    shares = [layer.share for layer in layers]
    for layer in layers:
        layer.share = share
    try:
        yield
    finally:
        for layer, old in zip(layers, shares, strict=True):
            layer.share = old
