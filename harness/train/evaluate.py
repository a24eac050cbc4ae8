"""Evaluation of a trained flow in bits per dimension by a protocol."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from lcma.harness.averages import Floats, Mean, clustered_mean
from lcma.harness.seeds import derive_seed
from lcma.harness.train.batches import Images
from lcma.harness.train.protocol import Protocol
from lcma.models import Flow
from lcma.models.layers import Layer
from lcma.models.residual import ResidualBlock
from lcma.models.series import draw_poisson, draw_probe, roulette_weights

CHUNK = 100
"""Images evaluated at once. Noise is drawn chunk by chunk, so this is part of the protocol."""

OnImages = Callable[[int], None]
"""Called with the number of images evaluated since the last call."""


@dataclass(frozen=True)
class Evaluation:
    """Bits/dim over the images of a part, and its parts in mean nats per image."""

    bits_per_dim: Mean
    log_det: float
    log_prior: float


def evaluate(
    flow: Flow,
    images: Images,
    protocol: Protocol,
    groups: NDArray[np.integer] | None = None,
    on_images: OnImages = lambda count: None,
) -> Evaluation:
    """Evaluate a flow on every image; ``groups`` (N,) are the clusters of the standard error."""
    both = np.zeros((2, len(images)))
    with _ready(flow, protocol) as ready:
        for draw in range(protocol.draws):
            both += _one_draw(ready, images, protocol, draw, on_images) / protocol.draws
    log_det, log_prior = both
    bits = _bits(flow, log_det + log_prior)
    return Evaluation(clustered_mean(bits, groups), float(log_det.mean()), float(log_prior.mean()))


def sample_bound(
    flow: Flow,
    images: Images,
    protocol: Protocol,
    draws: int,
    on_images: OnImages = lambda count: None,
) -> tuple[float, float]:
    """Return -log of the mean over ``draws`` of p(x, u_k) in bits/dim, and by how much that is
    below the same of one draw.

    Draws are nested: the first is the protocol's own, and more of them never raise the bound in
    expectation (Burda et al. 2016). Residual blocks put the noise of their estimate into it.
    """
    with _ready(flow, protocol) as ready:
        each = [_one_draw(ready, images, protocol, draw, on_images) for draw in range(draws)]
    log_probs = np.stack([log_det + log_prior for log_det, log_prior in each])
    highest = log_probs.max(0)
    together = highest + np.log(np.exp(log_probs - highest).mean(0))
    bits, one = _bits(flow, together).mean(), _bits(flow, log_probs[0]).mean()
    return float(bits), float(one - bits)


def series_bias(
    flow: Flow,
    images: Images,
    protocol: Protocol,
    groups: NDArray[np.integer] | None = None,
    on_images: OnImages = lambda count: None,
) -> Mean | None:
    """Return the mean of bits/dim at the protocol's terms minus those at twice as many with the
    same probes.

    It is None without a series, and with roulette, which leaves no bias.
    """
    terms = series_terms(protocol, flow)
    if terms is None or protocol.roulette_mean is not None:
        return None
    bits = []
    for n in (terms, 2 * terms):
        with _ready(flow, protocol.model_copy(update={"terms": n})) as ready:
            log_det, log_prior = _one_draw(ready, images, protocol, 0, on_images)
            bits.append(_bits(flow, log_det + log_prior))
    return clustered_mean(bits[0] - bits[1], groups)


def _one_draw(
    flow: Flow, images: Images, protocol: Protocol, draw: int, on_images: OnImages
) -> Floats:
    """Return log-determinants and log-priors of images, (2, N) in nats.

    Noise and probes follow from seed, draw and chunk.
    """
    found = np.zeros((2, len(images)))
    for start in range(0, len(images), CHUNK):
        indices = np.arange(start, min(start + CHUNK, len(images)))
        generator = Generator(images.device)
        generator.manual_seed(derive_seed(protocol.seed, "evaluate", draw, start))
        likelihood = flow(images.gather(indices), generator)
        found[0, indices] = to_numpy(likelihood.log_det)
        found[1, indices] = to_numpy(likelihood.log_prior)
        on_images(len(indices))
    return found


@contextmanager
def _ready(flow: Flow, protocol: Protocol) -> Iterator[Flow]:
    """Yield the flow as the protocol evaluates it, and restore it afterwards."""
    before = flow.dtype
    estimated = replace_estimator(protocol, flow.to(getattr(torch, protocol.precision)))
    try:
        with torch.no_grad(), evaluation_mode(estimated):
            yield estimated
    finally:
        flow.to(before)


def _bits(flow: Flow, log_prob: Floats) -> Floats:
    return np.asarray(-log_prob / (flow.dimensions * np.log(2)))


@contextmanager
def evaluation_mode(flow: Flow) -> Iterator[None]:
    """Put a flow and its layers into evaluation mode for the time of a block.

    Afterwards the flow is what it was, buffers included: an evaluation leaves no trace in a
    training. Gradients may be needed inside (residual blocks), so no inference mode here.
    """
    before = flow.training
    buffers = [buffer.clone() for buffer in flow.buffers()]
    flow.eval()
    flow.before_evaluation()
    try:
        yield
    finally:
        flow.train(before)
        with torch.no_grad():
            for buffer, saved in zip(flow.buffers(), buffers, strict=True):
                buffer.copy_(saved)


def to_numpy(t: Tensor) -> Floats:
    """Copy a tensor to the host in float64."""
    return t.detach().cpu().double().numpy()


class EstimatedBlock(Layer):
    """A residual block under another estimator; map, weights and inverse are the block's own.

    One number of terms is drawn for a block and a batch, as published.
    """

    def __init__(self, block: ResidualBlock, protocol: Protocol) -> None:
        super().__init__()
        self.block, self.protocol = block, protocol

    def forward(self, x: Tensor, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        exact, mean = self.protocol.terms or self.block.eval_terms, self.protocol.roulette_mean
        weights: tuple[float, ...] = (1.0,) * exact
        if mean is not None:
            weights = roulette_weights(exact, draw_poisson(mean, generator), mean)
        kind = self.protocol.probe
        probes = [draw_probe(x, kind, generator) for _ in range(self.block.probes)]
        return self.block.estimate(x, probes, weights)

    def inverse(self, y: Tensor) -> Tensor:
        return self.block.inverse(y)

    def before_evaluation(self) -> None:
        if self.protocol.sigma == "converged":
            self.block.before_evaluation()


def replace_estimator(protocol: Protocol, flow: Flow) -> Flow:
    """Return the flow with the protocol's estimator; it shares its parts with the one given."""
    if protocol.is_default_series or not residual_blocks(flow):
        return flow
    layers = [
        EstimatedBlock(layer, protocol) if isinstance(layer, ResidualBlock) else layer
        for layer in flow.layers
    ]
    channels, height, width = flow.shape
    made = Flow(layers, flow.prior, (channels, height, width))
    made.training = flow.training  # as its parts are
    return made


def residual_blocks(flow: Flow) -> list[ResidualBlock]:
    """Return the flow's residual blocks, from data to noise."""
    return [layer for layer in flow.layers if isinstance(layer, ResidualBlock)]


def series_terms(protocol: Protocol, flow: Flow) -> int | None:
    """Return the exact terms of the series in an evaluation; None for a flow without a series."""
    blocks = residual_blocks(flow)
    if not blocks:
        return None
    return protocol.terms or max(block.eval_terms for block in blocks)
