"""The same architectures built from normflows (Stimper et al. 2023), as its users do."""

from collections.abc import Callable

import normflows as nf
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from lcma.sweeps.architectures import (
    GlowArchitecture,
    IResNetArchitecture,
    RealNVPArchitecture,
    ResidualFlowArchitecture,
)
from lcma.sweeps.recipe import Model

LIPSCHITZ_ITERATIONS = 5
"""Power iterations before a step; normflows' own default."""


def build_peer(model: Model) -> nn.Module:
    """Return a normflows MultiscaleFlow from [0, 1) to noise, with squeezes and channel splits.

    Raises ValueError for a flow without a counterpart.
    """
    builders: dict[str, Callable[[Model], nn.Module]] = {
        "realnvp": _build_realnvp,
        "glow": _build_glow,
        "iresnet": _build_iresnet,
        "resflow": _build_resflow,
    }
    if model.flow not in builders:
        raise ValueError(f"no normflows counterpart of {model.flow}")
    return builders[model.flow](model)


class CouplingNet(nn.Module):
    """RealNVP's net in plain PyTorch: weight-normalized convolutions, concat(h, -h), skips.

    From (B, inputs, H, W) to (B, outputs, H, W); ``mask`` (1, 1, H, W) is a further input channel.
    """

    def __init__(
        self, inputs: int, outputs: int, width: int, blocks: int, norm: bool, mask: Tensor | None
    ) -> None:
        super().__init__()
        self.gain = 1.0 if mask is None else 2.0
        self.register_buffer("mask", mask, persistent=False)
        self.norm_in, self.norm_out = _norm(norm, inputs), _norm(norm, width)
        self.stem = _conv(2 * inputs + (mask is not None), width, 3)
        self.blocks = nn.ModuleList(_Block(width, norm) for _ in range(blocks))
        self.skips = nn.ModuleList(_conv(width, width, 1) for _ in range(blocks + 1))
        self.out = _conv(width, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.gain * self.norm_in(x)
        parts = [h, -h]
        if self.mask is not None:
            parts.append(self.mask.expand(len(x), -1, -1, -1))
        h = self.stem(F.relu(torch.cat(parts, 1)))
        total = self.skips[0](h)
        for block, skip in zip(self.blocks, self.skips[1:], strict=True):
            h = block(h)
            total = total + skip(h)
        return self.out(F.relu(self.norm_out(total)))


class _Block(nn.Module):
    def __init__(self, width: int, norm: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(norm, width), _norm(norm, width)
        self.conv1 = _conv(width, width, 3, bias=not norm)
        self.conv2 = _conv(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))


def _conv(inputs: int, outputs: int, kernel: int, *, bias: bool = True) -> nn.Module:
    return weight_norm(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias))


def _norm(enabled: bool, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, eps=1e-4) if enabled else nn.Identity()


class _LogScale(nn.Module):
    """The log-scale of a masked coupling; it also computes the shift, which `_Shift` returns."""

    # normflows asks two modules for the two, and RealNVP has one net for both.

    def __init__(self, net: CouplingNet) -> None:
        super().__init__()
        self.net, self.scale = net, nn.Parameter(torch.zeros(()))
        self.shift: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        h, self.shift = self.net(x).chunk(2, dim=1)
        return self.scale * h.tanh()


class _Shift(nn.Module):
    def __init__(self, log_scale: _LogScale) -> None:
        super().__init__()
        self.computed = [log_scale]  # in a list, so that its parameters are not registered here

    def forward(self, x: Tensor) -> Tensor:
        shift, self.computed[0].shift = self.computed[0].shift, None
        assert shift is not None
        return shift


class _Interleaved(nn.Module):
    """A net with normflows' order of a coupling's parameters: shift, log-scale, by channel."""

    def __init__(self, net: CouplingNet) -> None:
        super().__init__()
        self.net, self.scale = net, nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        h, shift = self.net(x).chunk(2, dim=1)
        return torch.stack((shift, self.scale * h.tanh()), dim=2).flatten(1, 2)


def _actnorm(channels: int) -> nn.Module:
    return nf.flows.ActNorm((channels, 1, 1))


def _multiscale(
    scales: list[list[nn.Module]], priors: list[nn.Module], transform: nn.Module
) -> nn.Module:
    """Return the flow of scales and priors, given from data to noise."""
    # normflows has both from noise to data.
    merges = [nf.flows.Merge("channel") for _ in scales[1:]]
    flows = [list(reversed(scale)) for scale in reversed(scales)]
    return nf.MultiscaleFlow(priors[::-1], flows, merges, transform, class_cond=False)


def _transform(model: Model) -> nn.Module:
    return nf.transforms.Logit(0.05) if model.preprocess == "logit" else nf.transforms.Shift(-0.5)


def _shapes(model: Model) -> list[tuple[int, int]]:
    """Return channels and size at the start of each scale."""
    return [(model.channels << k, model.size >> k) for k in range(model.splits + 1)]


def _latents(model: Model) -> list[tuple[int, int, int]]:
    """Return the shapes of what leaves at each split, squeezed, and of what stays at the end."""
    shapes = _shapes(model)
    return [(c, s, s) for c, s in (*shapes[1:], shapes[-1])]


def _squeezed_latents(model: Model) -> list[tuple[int, int, int]]:
    """Return the same where the last scale also begins with a squeeze."""
    *latents, (c, s, _) = _latents(model)
    return [*latents, (4 * c, s // 2, s // 2)]


def _build_realnvp(model: Model) -> nn.Module:
    arch = model.architecture
    assert isinstance(arch, RealNVPArchitecture)
    norm = arch.net_norm == "batch"

    def checkerboard(channels: int, size: int, width: int, count: int) -> list[nn.Module]:
        grid = torch.arange(size)
        layers: list[nn.Module] = []
        for i in range(count):
            mask = ((grid[:, None] + grid) % 2 == i % 2).float()[None]
            net = CouplingNet(channels, 2 * channels, width, arch.blocks, norm, mask[None])
            log_scale = _LogScale(net)
            coupling = nf.flows.MaskedAffineFlow(mask, t=_Shift(log_scale), s=log_scale)
            layers += [coupling, _actnorm(channels)]
        return layers

    def channelwise(channels: int, width: int, count: int) -> list[nn.Module]:
        layers: list[nn.Module] = []
        for i in range(count):
            net = CouplingNet(channels // 2, channels, width, arch.blocks, norm, None)
            mode = "channel_inv" if i % 2 else "channel"
            block = nf.flows.AffineCouplingBlock(_Interleaved(net), split_mode=mode)
            layers += [block, _actnorm(channels)]
        return layers

    scales, width = [], arch.width
    for channels, size in _shapes(model)[:-1]:
        before = checkerboard(channels, size, width, arch.checkerboard_couplings)
        after = channelwise(4 * channels, arch.growth * width, arch.channel_couplings)
        scales.append([*before, nf.flows.Squeeze(), *after])
        width *= arch.growth
    scales.append(checkerboard(*_shapes(model)[-1], width, arch.last_couplings))
    priors = [nf.distributions.DiagGaussian(s, trainable=False) for s in _latents(model)]
    return _multiscale(scales, priors, _transform(model))


def _build_glow(model: Model) -> nn.Module:
    arch = model.architecture
    assert isinstance(arch, GlowArchitecture)
    scales = [
        [
            nf.flows.Squeeze(),
            *(
                nf.flows.GlowBlock(
                    4 * channels,
                    arch.width,
                    use_lu=arch.conv1x1 == "plu",
                    scale_map=arch.scale,
                    net_actnorm=arch.net_actnorm,
                )
                for _ in range(arch.steps)
            ),
        ]
        for channels, _ in _shapes(model)
    ]
    priors = [nf.distributions.GlowBase(shape) for shape in _squeezed_latents(model)]
    return _multiscale(scales, priors, _transform(model))


def _lipschitz_net(channels: int, width: int, coefficient: float) -> nn.Module:
    return nf.nets.LipschitzCNN(
        [channels, width, width, channels],
        [3, 1, 3],
        lipschitz_const=coefficient,
        max_lipschitz_iter=LIPSCHITZ_ITERATIONS,
    )


def _build_iresnet(model: Model) -> nn.Module:
    arch = model.architecture
    assert isinstance(arch, IResNetArchitecture)
    scales = []
    for channels, _ in _shapes(model):
        layers = [nf.flows.Squeeze()]
        for _ in range(arch.blocks):
            net = _lipschitz_net(4 * channels, arch.width, arch.coefficient)
            block = nf.flows.Residual(
                net, reduce_memory=arch.neumann, n_power_series=arch.train_terms
            )
            layers += [_actnorm(4 * channels), block]
        scales.append(layers)
    priors = [nf.distributions.DiagGaussian(shape) for shape in _squeezed_latents(model)]
    return _multiscale(scales, priors, _transform(model))


def _build_resflow(model: Model) -> nn.Module:
    arch = model.architecture
    assert isinstance(arch, ResidualFlowArchitecture)
    if arch.fully_connected or arch.squeeze_first:
        raise ValueError("no normflows counterpart with fully connected blocks or a first squeeze")
    scales = []
    for k, (channels, _) in enumerate(_shapes(model)):
        layers = [] if k else [_actnorm(channels)]
        for _ in range(arch.blocks):
            net = _lipschitz_net(channels, arch.width, arch.coefficient)
            block = nf.flows.Residual(
                net,
                reduce_memory=arch.neumann,
                n_dist="poisson",
                lamb=float(arch.roulette_mean),
                n_exact_terms=arch.exact_terms,
            )
            layers += [block, _actnorm(channels)]
        if k < model.splits:
            layers.append(nf.flows.Squeeze())
        scales.append(layers)
    priors = [nf.distributions.DiagGaussian(s, trainable=False) for s in _latents(model)]
    return _multiscale(scales, priors, _transform(model))
