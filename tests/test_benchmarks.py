"""The benchmark runs, and compares equal models."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lcma.models import Flow
from lcma.models.conv1x1 import InvertibleConv1x1
from lcma.models.coupling import ChannelCoupling, CheckerboardCoupling, CouplingNet
from lcma.models.glow import GlowNet
from lcma.models.norm import ChannelNorm
from lcma.models.residual import ResidualBlock

nf = pytest.importorskip("normflows", reason="normflows is not installed")
ROOT = Path(__file__).parents[1]


def _run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.step_time", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def _leaves(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, f"{at}.{key}")
    else:
        yield at, value


@pytest.mark.slow
def test_the_command_measures_both_sides_and_writes_json(tmp_path: Path) -> None:
    out = tmp_path / "rows.json"
    done = _run("--quick", "map-realnvp/", "--repeats", 2, "--json", out)
    assert done.returncode == 0, done.stderr
    document = json.loads(out.read_text())
    assert [row["name"] for row in document["rows"]] == ["map-realnvp/tiny"]
    assert {"torch", "normflows", "threads", "device", "load_average"} <= set(
        document["conditions"]
    )
    for row in document["rows"]:
        assert row["name"] in done.stdout
        for side in ("first", "second"):
            assert row[side] in done.stdout
        assert min(row["mebibytes"].values()) > 0
        for clock in ("wall", "cpu"):
            ratio = row["times"][clock]
            assert 0 < ratio["quartile_1"] <= ratio["median"] <= ratio["quartile_3"]
    numbers = {at: v for at, v in _leaves(document["rows"][0]) if not isinstance(v, str)}
    assert all(math.isfinite(v) for v in numbers.values())


def _both(name: str) -> tuple[Flow, nn.Module]:
    """Return the two models of a quick row, before their data-dependent initialization."""
    from benchmarks.comparisons import list_comparisons
    from benchmarks.peers import build_peer
    from benchmarks.sides import build_flow

    (row,) = (c for c in list_comparisons(quick=True) if c.name == name)
    assert row.first.recipe == row.second.recipe
    torch.manual_seed(0)
    ours, theirs = build_flow(row.first), build_peer(row.second.recipe.model)
    for module in theirs.modules():
        if isinstance(module, nf.flows.ActNorm):
            module.data_dep_init_done = torch.tensor(1.0)
    return ours, theirs


def _as_parametrized(net: nn.Module) -> dict[str, torch.Tensor]:
    """Return our net's weights under the names of torch's weight normalization."""
    names = {"magnitude": "original0", "direction": "original1"}
    found = {}
    for name, value in net.state_dict().items():
        owner, _, last = name.rpartition(".")
        if last in names:
            name = f"{owner}.parametrizations.weight.{names[last]}"
        found[name] = value
    return found


def _found(model: nn.Module, kind: Any) -> list[Any]:
    return [m for m in model.modules() if isinstance(m, kind)]


def _in_our_order(model: nn.Module, kind: Any) -> list[Any]:
    """normflows keeps levels and the flows in them from noise to data."""
    flows = [f for level in reversed(list(model.flows)) for f in reversed(list(level))]
    return [m for f in flows for m in _found(f, kind)]


def _likelihoods(ours: Flow, theirs: nn.Module) -> tuple[Tensor, Tensor]:
    """Return both log-likelihoods of the same 16 images with the same noise, in nats."""
    from benchmarks.sides import load_photographs

    x = torch.from_numpy(load_photographs(8)[:16])
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        mine = ours(x, torch.Generator().manual_seed(3)).log_prob
    other = theirs.log_prob((x + noise) / 256, None) - x[0].numel() * math.log(256)
    return mine, other.detach()


@torch.no_grad()
def _copy_gained(theirs: list[nn.Conv2d], ours: GlowNet) -> None:
    for conv, mine in zip(theirs, (ours.first, ours.middle, ours.last), strict=True):
        nn.init.normal_(conv.weight, std=0.1)
        nn.init.normal_(conv.bias, std=0.1)
        mine.weight.copy_(conv.weight)
        mine.shift.copy_(conv.bias)
        if mine.border is not None:
            mine.border.zero_()
    ours.last.weight[0::2] *= -1  # normflows subtracts the shift
    ours.last.shift[0::2] *= -1


def test_both_glows_give_the_same_likelihood_for_equal_weights() -> None:
    ours, theirs = _both("glow/tiny")
    norms = zip(_found(ours, ChannelNorm), _in_our_order(theirs, nf.flows.ActNorm), strict=True)
    with torch.no_grad():
        for mine, norm in norms:
            nn.init.normal_(norm.s, std=0.1)
            nn.init.normal_(norm.t, std=0.1)
            mine.shift.copy_(-norm.t.flatten())
            mine.log_scale.copy_(-norm.s.flatten() / mine.rate)
    convolutions = _in_our_order(theirs, nf.flows.Invertible1x1Conv)
    for mine, conv in zip(_found(ours, InvertibleConv1x1), convolutions, strict=True):
        mine.set_matrix(conv._assemble_W())
    nets = _in_our_order(theirs, nf.nets.ConvNet2d)
    for mine, net in zip(_found(ours, GlowNet), nets, strict=True):
        _copy_gained(_found(net, nn.Conv2d), mine)
    torch.testing.assert_close(*_likelihoods(ours, theirs), rtol=1e-4, atol=1e-3)


def test_both_realnvps_give_the_same_likelihood_for_equal_weights() -> None:
    import benchmarks.peers as peers

    ours, theirs = _both("coupling/tiny")
    kinds = (peers._LogScale, peers._Interleaved)
    couplings = _found(ours, (CheckerboardCoupling, ChannelCoupling))
    with torch.no_grad():
        for mine, other in zip(couplings, _in_our_order(theirs, kinds), strict=True):
            nn.init.constant_(mine.scale, 0.5)
            other.scale.copy_(mine.scale)
            assert isinstance(mine.net, CouplingNet)
            other.net.load_state_dict(_as_parametrized(mine.net))
            # normflows subtracts the shift and the log-scale
            other.net.out.parametrizations.weight.original0.neg_()
            other.net.out.bias.neg_()
    torch.testing.assert_close(*_likelihoods(ours, theirs), rtol=1e-4, atol=1e-3)


@pytest.mark.slow_on("residual/tiny")
@pytest.mark.parametrize("name", ["residual/tiny", "series/tiny"])
def test_both_residual_flows_give_the_same_latents_for_equal_weights(name: str) -> None:
    """Log-determinants are noisy estimates, so only their mean is compared, loosely."""
    ours, theirs = _both(name)
    blocks = _in_our_order(theirs, nf.nets.LipschitzCNN)
    blocks[0].net[0] = nn.Identity()  # the one activation that our flow does not have
    with torch.no_grad():
        for mine, net in zip(_found(ours, ResidualBlock), blocks, strict=True):
            kinds = nf.nets.lipschitz.InducedNormConv2d
            for normed, conv in zip(mine.net.normed, _found(net, kinds), strict=True):
                conv.weight.copy_(normed.weight)
                conv.bias.copy_(normed.bias)
    ours.eval()
    theirs.eval()
    _likelihoods(ours, theirs)  # starts normflows' singular vectors
    nf.utils.update_lipschitz(theirs, 200)
    ours.before_evaluation()
    torch.manual_seed(0)
    mine_log_prob, other_log_prob = _likelihoods(ours, theirs)
    difference = (mine_log_prob - other_log_prob).mean() / (ours.dimensions * math.log(2))
    assert abs(difference) < 0.02

    from benchmarks.sides import load_photographs

    x = torch.from_numpy(load_photographs(8)[:4])
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(3))
    latents = ours.encode(x, torch.Generator().manual_seed(3))
    others, _ = theirs.inverse_and_log_det((x + noise) / 256)
    for latent, other in zip(latents, reversed(others), strict=True):
        torch.testing.assert_close(latent, other, rtol=1e-3, atol=1e-3)
