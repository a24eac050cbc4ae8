"""The benchmark of steps runs, and compares equal models."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.comparisons import list_comparisons
from benchmarks.sides import build_flow, load_photographs
from lcma.models import Flow
from lcma.models.conv1x1 import InvertibleConv1x1
from lcma.models.coupling import ChannelCoupling, CheckerboardCoupling, CouplingNet
from lcma.models.glow import GlowNet
from lcma.models.norm import ChannelNorm
from lcma.models.residual import ResidualBlock
from tests.processes import read_output

nf = pytest.importorskip("normflows", reason="normflows is not installed")
peers = pytest.importorskip("benchmarks.peers")


@pytest.mark.slow
def test_the_command_measures_both_sides_and_writes_json(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    options = ("--quick", "map-realnvp/", "--repeats", 2, "--json", path)
    out = read_output("-m", "benchmarks.step_time", *options)
    document = json.loads(path.read_text())
    conditions = {"torch", "normflows", "threads", "device", "load_average"}
    assert conditions <= document["conditions"].keys()
    (row,) = document["rows"]
    assert row["name"] == "map-realnvp/tiny"
    for key in ("name", "first", "second"):
        assert row[key] in out
    assert min(row["mebibytes"].values()) > 0
    for clock in ("wall", "cpu"):
        ratio = row["times"].pop(clock)
        assert 0 < ratio["quartile_1"] <= ratio["median"] <= ratio["quartile_3"] < math.inf
    assert all(0 < seconds < math.inf for seconds in row["times"].values())


def make_models(name: str) -> tuple[Flow, nn.Module]:
    """Return the two models of a quick row, before their data-dependent initialization."""
    (row,) = (row for row in list_comparisons(quick=True) if row.name == name)
    assert row.first.recipe == row.second.recipe
    torch.manual_seed(0)
    ours, peer = build_flow(row.first), peers.build_peer(row.second.recipe.model)
    for norm in list_modules(peer, nf.flows.ActNorm):
        norm.data_dep_init_done = torch.tensor(1.0)
    return ours, peer


def list_modules(model: nn.Module, kind: Any) -> list[Any]:
    return [module for module in model.modules() if isinstance(module, kind)]


def pair_modules(ours: Flow, kind: Any, peer: nn.Module, peer_kind: Any) -> Iterator[Any]:
    """Return pairs of a module of ours and one of the peer, from data to noise."""
    # normflows keeps levels, and the flows in them, from noise to data.
    flows = [flow for level in reversed(peer.flows) for flow in reversed(level)]
    modules = [module for flow in flows for module in list_modules(flow, peer_kind)]
    return zip(list_modules(ours, kind), modules, strict=True)


def load_images(number: int) -> tuple[Tensor, torch.Generator, Tensor]:
    """Return images for our flow, its generator, and the images with its noise for the peer."""
    x = torch.from_numpy(load_photographs(8)[:number])
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(3))
    return x, torch.Generator().manual_seed(3), (x + noise) / 256


def compute_likelihoods(ours: Flow, peer: nn.Module) -> tuple[Tensor, Tensor]:
    """Return both log-likelihoods of the same 16 images with the same noise, in nats."""
    x, generator, noisy = load_images(16)
    with torch.no_grad():
        log_prob = ours(x, generator).log_prob
    peer_log_prob = peer.log_prob(noisy, None) - x[0].numel() * math.log(256)
    return log_prob, peer_log_prob.detach()


@torch.no_grad()
def test_both_glows_give_the_same_likelihood_for_equal_weights() -> None:
    ours, peer = make_models("glow/tiny")
    for norm, peer_norm in pair_modules(ours, ChannelNorm, peer, nf.flows.ActNorm):
        nn.init.normal_(peer_norm.s, std=0.1)
        nn.init.normal_(peer_norm.t, std=0.1)
        norm.shift.copy_(-peer_norm.t.flatten())
        norm.log_scale.copy_(-peer_norm.s.flatten() / norm.rate)
    for conv, peer_conv in pair_modules(ours, InvertibleConv1x1, peer, nf.flows.Invertible1x1Conv):
        conv.set_matrix(peer_conv._assemble_W())
    for net, peer_net in pair_modules(ours, GlowNet, peer, nf.nets.ConvNet2d):
        layers = (net.first, net.middle, net.last)
        for layer, conv in zip(layers, list_modules(peer_net, nn.Conv2d), strict=True):
            nn.init.normal_(conv.weight, std=0.1)
            nn.init.normal_(conv.bias, std=0.1)
            layer.weight.copy_(conv.weight)
            layer.shift.copy_(conv.bias)
            if layer.border is not None:
                layer.border.zero_()
        net.last.weight[0::2] *= -1  # normflows subtracts the shift
        net.last.shift[0::2] *= -1
    torch.testing.assert_close(*compute_likelihoods(ours, peer), rtol=1e-4, atol=1e-3)


@torch.no_grad()
def test_both_realnvps_give_the_same_likelihood_for_equal_weights() -> None:
    ours, peer = make_models("coupling/tiny")
    kinds = (CheckerboardCoupling, ChannelCoupling), (peers._LogScale, peers._Interleaved)
    for coupling, peer_coupling in pair_modules(ours, kinds[0], peer, kinds[1]):
        nn.init.constant_(coupling.scale, 0.5)
        peer_coupling.scale.copy_(coupling.scale)
        assert isinstance(coupling.net, CouplingNet)
        weights = coupling.net.state_dict()
        for name in list(weights):  # our names, and those of torch's weight normalization
            layer, _, part = name.rpartition(".")
            if part in ("magnitude", "direction"):
                number = int(part == "direction")
                weights[f"{layer}.parametrizations.weight.original{number}"] = weights.pop(name)
        peer_coupling.net.load_state_dict(weights)
        # normflows subtracts the shift and the log-scale
        peer_coupling.net.out.parametrizations.weight.original0.neg_()
        peer_coupling.net.out.bias.neg_()
    torch.testing.assert_close(*compute_likelihoods(ours, peer), rtol=1e-4, atol=1e-3)


@pytest.mark.slow_on("residual/tiny")
@pytest.mark.parametrize("name", ["residual/tiny", "series/tiny"])
def test_both_residual_flows_give_the_same_latents_for_equal_weights(name: str) -> None:
    """Log-determinants are noisy estimates, so only their mean is compared, loosely."""
    ours, peer = make_models(name)
    pairs = list(pair_modules(ours, ResidualBlock, peer, nf.nets.LipschitzCNN))
    pairs[0][1].net[0] = nn.Identity()  # the one activation that our flow does not have
    for block, peer_net in pairs:
        convolutions = list_modules(peer_net, nf.nets.lipschitz.InducedNormConv2d)
        for normed, conv in zip(block.net.normed, convolutions, strict=True):
            conv.weight.data.copy_(normed.weight)
            conv.bias.data.copy_(normed.bias)
    ours.eval()
    peer.eval()
    compute_likelihoods(ours, peer)  # starts normflows' singular vectors
    nf.utils.update_lipschitz(peer, 200)
    ours.before_evaluation()
    torch.manual_seed(0)
    log_prob, peer_log_prob = compute_likelihoods(ours, peer)
    difference = (log_prob - peer_log_prob).mean() / (ours.dimensions * math.log(2))
    assert abs(difference) < 0.02

    x, generator, noisy = load_images(4)
    latents, (peer_latents, _) = ours.encode(x, generator), peer.inverse_and_log_det(noisy)
    for latent, peer_latent in zip(latents, reversed(peer_latents), strict=True):
        torch.testing.assert_close(latent, peer_latent, rtol=1e-3, atol=1e-3)
