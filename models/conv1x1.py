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
class _Deviation:
    """A convention's difference from uniform shares, (C,), with the W that it belongs to."""

    weight: Tensor
    share: Share
    deviation: Tensor


def _same(one: Tensor, other: Tensor) -> bool:
    alike = one.dtype == other.dtype and one.device == other.device
    return alike and torch.equal(one, other)


@torch.no_grad()
def _deviation(weight: Tensor, share: Share) -> Tensor:
    # On the CPU: small singular value decompositions are slow on a GPU.
    rotation, scales, _ = torch.linalg.svd(weight.cpu().double())
    shares: Tensor = scales.log()
    if share == "output":
        shares = rotation.square() @ shares
    return (shares - shares.mean()).to(weight)


class InvertibleConv1x1(Layer):
    """Invertible 1x1 convolution: y = W x at every pixel, W (C, C), orthogonal at the start.

    ``dense``: W is the parameter. ``plu``: W = P L (U + diag(sign exp(log_scale))), with P and
    the signs fixed, L unit lower and U strictly upper triangular (equation 10); L, log_scale and
    U lie below, on and above the diagonal of one matrix, ``factors``.

    W mixes channels, so its log-determinant for each pixel, log|det W|, is shared out by a
    convention, ``share``. In evaluation: `output` gives channel c half the entry cc of
    log(W Wᵀ), `sorted` gives channel c the c-th largest log singular value (the LCMA paper's
    words), `uniform` gives log|det W| / C to each. All of them add up to log|det W|, and in
    training, where only their sum counts, the shares are uniform.
    """

    permutation: Tensor
    sign: Tensor
    _one: Tensor

    def __init__(self, channels: int, form: Form = "plu") -> None:
        super().__init__()
        self.form = form
        self.share: Share = "output"
        self._last: _Deviation | None = None
        weight = torch.linalg.qr(torch.randn(channels, channels)).Q
        if form == "dense":
            self.weight = nn.Parameter(weight.contiguous())
            return
        self.factors = nn.Parameter(torch.zeros(channels, channels))
        self.register_buffer("permutation", torch.eye(channels))
        self.register_buffer("sign", torch.ones(channels))
        self.register_buffer("_one", torch.eye(channels), persistent=False)
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
            # A determinant in float32 is worth few digits.
            log_det: Tensor = torch.linalg.slogdet(self.weight.double()).logabsdet
            return self.weight, log_det.to(self.weight.dtype)
        factors, one, log_scale = self.factors, self._one, self.factors.diagonal()
        upper = factors.triu(1) + (self.sign * log_scale.exp()).diag()
        return self.permutation @ ((factors.tril(-1) + one) @ upper), log_scale.sum()

    def _shares(self, weight: Tensor, log_det: Tensor) -> Tensor:
        """Return each channel's share of log|det W| at a pixel, (C,)."""
        uniform = (log_det / len(weight)).expand(len(weight))
        if self.training or self.share == "uniform":
            return uniform
        last, weight = self._last, weight.detach()
        if last is None or last.share != self.share or not _same(last.weight, weight):
            last = _Deviation(weight.clone(), self.share, _deviation(weight, self.share))
            self._last = last
        return uniform + last.deviation

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        weight, log_det = self._matrix_and_log_det()
        shares = self._shares(weight, log_det).view(1, -1, 1, 1)
        return conv2d(x, weight.view(*weight.shape, 1, 1), None), shares.expand(1, *x.shape[1:])

    def inverse(self, y: Tensor) -> Tensor:
        weight: Tensor = torch.linalg.inv(self.matrix.double()).to(y.dtype)
        return F.conv2d(y, weight[:, :, None, None])

    def extra_repr(self) -> str:
        return f"{len(self.matrix)} channels, {self.form}"


@contextmanager
def sharing(flow: nn.Module, share: Share) -> Iterator[None]:
    """Make every 1x1 convolution of a flow use a convention of shares, for the time of a block."""
    found = [m for m in flow.modules() if isinstance(m, InvertibleConv1x1)]
    before = [layer.share for layer in found]
    for layer in found:
        layer.share = share
    try:
        yield
    finally:
        for layer, old in zip(found, before, strict=True):
            layer.share = old
