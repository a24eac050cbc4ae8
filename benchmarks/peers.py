"""The same architectures from normflows' parts (Stimper et al. 2023), as its users build them."""

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


def peer(model: Model) -> nn.Module:
    """A normflows MultiscaleFlow from [0, 1) to noise: squeezes, splits by channels.

    Raises ValueError for a flow that has no counterpart here.
    """
    builders: dict[str, Callable[[Model], nn.Module]] = {
        "realnvp": _realnvp,
        "glow": _glow,
        "iresnet": _iresnet,
        "resflow": _resflow,
    }
    if model.flow not in builders:
        raise ValueError(f"no normflows counterpart of {model.flow}")
    return builders[model.flow](model)


class CouplingNet(nn.Module):
    """RealNVP's net in plain PyTorch: weight-normalized convolutions, concat(h, -h), skips.

    (B, inputs, H, W) to (B, outputs, H, W); ``mask`` (1, 1, H, W) is one input channel more.
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


def _norm(wanted: bool, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, eps=1e-4) if wanted else nn.Identity()


class _LogScale(nn.Module):
    """The log-scale of a masked coupling; it computes the shift too, which `_Shift` then gives,
    so that one net serves both as in RealNVP."""

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
        self.computed = [log_scale]  # in a list: its parameters are not ours

    def forward(self, x: Tensor) -> Tensor:
        shift, self.computed[0].shift = self.computed[0].shift, None
        assert shift is not None
        return shift


class _Interleaved(nn.Module):
    """normflows' order of a coupling's parameters: shift, log-scale, channel by channel."""

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
    """Scales and priors from data to noise; normflows orders both the other way round."""
    merges = [nf.flows.Merge("channel") for _ in scales[1:]]
    flows = [list(reversed(scale)) for scale in reversed(scales)]
    return nf.MultiscaleFlow(priors[::-1], flows, merges, transform, class_cond=False)


def _transform(model: Model) -> nn.Module:
    return nf.transforms.Logit(0.05) if model.preprocess == "logit" else nf.transforms.Shift(-0.5)


def _shapes(model: Model) -> list[tuple[int, int]]:
    """Channels and size at the start of each scale."""
    return [(model.channels << k, model.size >> k) for k in range(model.splits + 1)]


def _latents(model: Model) -> list[tuple[int, int, int]]:
    """What leaves at each split, squeezed, then what stays, as it is after the last split."""
    shapes = _shapes(model)
    return [*((c, s, s) for c, s in shapes[1:]), (shapes[-1][0], shapes[-1][1], shapes[-1][1])]


def _realnvp(model: Model) -> nn.Module:
    arch = model.architecture
    assert isinstance(arch, RealNVPArchitecture)
    norm = arch.net_norm == "batch"

    def checkerboard(channels: int, size: int, width: int, count: int) -> list[nn.Module]:
        grid = torch.arange(size)
        found: list[nn.Module] = []
        for i in range(count):
            given = ((grid[:, None] + grid) % 2 == i % 2).float()[None]
            net = CouplingNet(channels, 2 * channels, width, arch.blocks, norm, given[None])
            log_scale = _LogScale(net)
            masked = nf.flows.MaskedAffineFlow(given, t=_Shift(log_scale), s=log_scale)
            found += [masked, _actnorm(channels)]
        return found

    def channelwise(channels: int, width: int, count: int) -> list[nn.Module]:
        found: list[nn.Module] = []
        for i in range(count):
            net = CouplingNet(channels // 2, channels, width, arch.blocks, norm, None)
            mode = "channel_inv" if i % 2 else "channel"
            block = nf.flows.AffineCouplingBlock(_Interleaved(net), split_mode=mode)
            found += [block, _actnorm(channels)]
        return found

    scales, width = [], arch.width
    for channels, size in _shapes(model)[:-1]:
        first = checkerboard(channels, size, width, arch.checkerboard_couplings)
        second = channelwise(4 * channels, arch.growth * width, arch.channel_couplings)
        scales.append([*first, nf.flows.Squeeze(), *second])
        width *= arch.growth
    scales.append(checkerboard(*_shapes(model)[-1], width, arch.last_couplings))
    priors = [nf.distributions.DiagGaussian(s, trainable=False) for s in _latents(model)]
    return _multiscale(scales, priors, _transform(model))


def _glow(model: Model) -> nn.Module:
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
    *left, (c, s, _) = _latents(model)
    priors = [nf.distributions.GlowBase(shape) for shape in (*left, (4 * c, s // 2, s // 2))]
    return _multiscale(scales, priors, _transform(model))


def _lipschitz_net(channels: int, width: int, coefficient: float) -> nn.Module:
    return nf.nets.LipschitzCNN(
        [channels, width, width, channels],
        [3, 1, 3],
        lipschitz_const=coefficient,
        max_lipschitz_iter=LIPSCHITZ_ITERATIONS,
    )


def _iresnet(model: Model) -> nn.Module:
    arch = model.architecture
    assert isinstance(arch, IResNetArchitecture)
    scales = []
    for channels, _ in _shapes(model):
        found = [nf.flows.Squeeze()]
        for _ in range(arch.blocks):
            net = _lipschitz_net(4 * channels, arch.width, arch.coefficient)
            block = nf.flows.Residual(
                net, reduce_memory=arch.neumann, n_power_series=arch.train_terms
            )
            found += [_actnorm(4 * channels), block]
        scales.append(found)
    *left, (c, s, _) = _latents(model)
    shapes = (*left, (4 * c, s // 2, s // 2))
    return _multiscale(
        scales, [nf.distributions.DiagGaussian(shape) for shape in shapes], _transform(model)
    )


def _resflow(model: Model) -> nn.Module:
    arch = model.architecture
    assert isinstance(arch, ResidualFlowArchitecture)
    if arch.fully_connected or arch.squeeze_first:
        raise ValueError("no normflows counterpart with fully connected blocks or a first squeeze")
    scales = []
    for k, (channels, _) in enumerate(_shapes(model)):
        found = [] if k else [_actnorm(channels)]
        for _ in range(arch.blocks):
            net = _lipschitz_net(channels, arch.width, arch.coefficient)
            block = nf.flows.Residual(
                net,
                reduce_memory=arch.neumann,
                n_dist="poisson",
                lamb=float(arch.roulette_mean),
                n_exact_terms=arch.exact_terms,
            )
            found += [block, _actnorm(channels)]
        if k < model.splits:
            found.append(nf.flows.Squeeze())
        scales.append(found)
    priors = [nf.distributions.DiagGaussian(s, trainable=False) for s in _latents(model)]
    return _multiscale(scales, priors, _transform(model))
