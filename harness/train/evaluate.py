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
"""Images evaluated at once. The noise of a chunk has its own seed, so every protocol fixes this."""

OnImages = Callable[[int], None]
"""Called with the number of images evaluated since the last call."""


@dataclass(frozen=True)
class Evaluation:
    """Bits/dim over the images of a part, and its two terms."""

    bits_per_dim: Mean
    log_det: float  # mean nats per image
    log_prior: float  # mean nats per image


def evaluate(
    flow: Flow,
    images: Images,
    protocol: Protocol,
    groups: NDArray[np.integer] | None = None,
    on_images: OnImages = lambda count: None,
) -> Evaluation:
    """Evaluate a flow on every image; ``groups`` (N,) are the clusters of the standard error."""
    terms = np.zeros((2, len(images)))
    with _prepare(flow, protocol) as prepared:
        for draw in range(protocol.draws):
            terms += _evaluate_draw(prepared, images, protocol, draw, on_images) / protocol.draws
    log_det, log_prior = terms
    bits = _to_bits(flow, log_det + log_prior)
    return Evaluation(clustered_mean(bits, groups), float(log_det.mean()), float(log_prior.mean()))


def sample_bound(
    flow: Flow,
    images: Images,
    protocol: Protocol,
    draws: int,
    on_images: OnImages = lambda count: None,
) -> tuple[float, float]:
    """Return -log of the mean over ``draws`` of p(x, u_k) in bits/dim, and how far it is below
    that of one draw.

    The first draw is the protocol's own. In expectation more draws never raise the bound (Burda et
    al. 2016). With residual blocks it includes the noise of their estimate.
    """
    with _prepare(flow, protocol) as prepared:
        terms = [_evaluate_draw(prepared, images, protocol, k, on_images) for k in range(draws)]
    log_probs = np.stack([log_det + log_prior for log_det, log_prior in terms])
    highest = log_probs.max(0)
    log_mean = highest + np.log(np.exp(log_probs - highest).mean(0))
    bits, first_bits = _to_bits(flow, log_mean).mean(), _to_bits(flow, log_probs[0]).mean()
    return float(bits), float(first_bits - bits)


def series_bias(
    flow: Flow,
    images: Images,
    protocol: Protocol,
    groups: NDArray[np.integer] | None = None,
    on_images: OnImages = lambda count: None,
) -> Mean | None:
    """Return the mean of bits/dim with the protocol's terms minus bits/dim with twice as many and
    the same probes; None without a series, and with roulette, which has no bias."""
    terms = series_terms(protocol, flow)
    if terms is None or protocol.roulette_mean is not None:
        return None
    bits = []
    for n in (terms, 2 * terms):
        with _prepare(flow, protocol.model_copy(update={"terms": n})) as prepared:
            log_det, log_prior = _evaluate_draw(prepared, images, protocol, 0, on_images)
            bits.append(_to_bits(flow, log_det + log_prior))
    return clustered_mean(bits[0] - bits[1], groups)


def _evaluate_draw(
    flow: Flow, images: Images, protocol: Protocol, draw: int, on_images: OnImages
) -> Floats:
    """Return log-determinants and log-priors of images, (2, N) in nats.

    Noise and probes follow from seed, draw and chunk.
    """
    terms = np.zeros((2, len(images)))
    for start in range(0, len(images), CHUNK):
        indices = np.arange(start, min(start + CHUNK, len(images)))
        generator = Generator(images.device)
        generator.manual_seed(derive_seed(protocol.seed, "evaluate", draw, start))
        likelihood = flow(images.gather(indices), generator)
        terms[0, indices] = to_numpy(likelihood.log_det)
        terms[1, indices] = to_numpy(likelihood.log_prior)
        on_images(len(indices))
    return terms


@contextmanager
def _prepare(flow: Flow, protocol: Protocol) -> Iterator[Flow]:
    """Yield the flow as the protocol evaluates it, and restore it afterwards."""
    before = flow.dtype
    estimated = replace_estimator(protocol, flow.to(getattr(torch, protocol.precision)))
    try:
        with torch.no_grad(), evaluation_mode(estimated):
            yield estimated
    finally:
        flow.to(before)


def _to_bits(flow: Flow, log_prob: Floats) -> Floats:
    return np.asarray(-log_prob / (flow.dimensions * np.log(2)))


@contextmanager
def evaluation_mode(flow: Flow) -> Iterator[None]:
    """Put a flow and its layers into evaluation mode during a block.

    Afterwards mode and buffers are as before, so that an evaluation does not change a training.
    This is not PyTorch's inference mode, since residual blocks need gradients.
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
    """A residual block with another estimator; map and weights are the block's own.

    One number of terms is drawn for a block and a batch, as in the papers.
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

    def before_evaluation(self) -> None:
        if self.protocol.sigma == "converged":
            self.block.before_evaluation()


def replace_estimator(protocol: Protocol, flow: Flow) -> Flow:
    """Return the flow with the protocol's estimator. It shares all tensors with ``flow``."""
    if protocol.is_default_series or not residual_blocks(flow):
        return flow
    layers = [
        EstimatedBlock(layer, protocol) if isinstance(layer, ResidualBlock) else layer
        for layer in flow.layers
    ]
    channels, height, width = flow.shape
    estimated = Flow(layers, flow.prior, (channels, height, width))
    estimated.training = flow.training  # its layers have this mode already
    return estimated


def residual_blocks(flow: Flow) -> list[ResidualBlock]:
    """Return the flow's residual blocks, from data to noise."""
    return [layer for layer in flow.layers if isinstance(layer, ResidualBlock)]


def series_terms(protocol: Protocol, flow: Flow) -> int | None:
    """Return the number of the series' exact terms; None for a flow without a series."""
    blocks = residual_blocks(flow)
    if not blocks:
        return None
    return protocol.terms or max(block.eval_terms for block in blocks)
