"""Evaluation of a trained flow in bits per dimension by a protocol."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lcma.harness.averages import Floats, Mean, clustered_mean
from lcma.harness.seeds import derive_seed
from lcma.harness.train.batches import Images
from lcma.harness.train.protocol import Protocol
from lcma.harness.train.series import replace_estimator, series_terms
from lcma.models import Flow

CHUNK = 100
"""Images evaluated at once. Noise is drawn chunk by chunk, so this is part of the protocol."""

Seen = Callable[[int], None]
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
    seen: Seen = lambda count: None,
) -> Evaluation:
    """Evaluate a flow on every image; ``groups`` (N,) are the clusters of the standard error."""
    log_det, log_prior = np.zeros(len(images)), np.zeros(len(images))
    with _ready(flow, protocol) as ready:
        for draw in range(protocol.draws):
            one = _one_draw(ready, images, protocol, draw, seen)
            log_det += one.log_det / protocol.draws
            log_prior += one.log_prior / protocol.draws
    bits = _bits(flow, log_det + log_prior)
    return Evaluation(clustered_mean(bits, groups), float(log_det.mean()), float(log_prior.mean()))


def sample_bound(
    flow: Flow, images: Images, protocol: Protocol, draws: int, seen: Seen = lambda count: None
) -> tuple[float, float]:
    """Return -log of the mean over ``draws`` of p(x, u_k) in bits/dim, and by how much that is
    below the same of one draw.

    Draws are nested: the first is the protocol's own, and more of them never raise the bound in
    expectation (Burda et al. 2016). Residual blocks put the noise of their estimate into it.
    """
    with _ready(flow, protocol) as ready:
        log_probs = np.stack(
            [_one_draw(ready, images, protocol, draw, seen).log_prob for draw in range(draws)]
        )
    highest = log_probs.max(0)
    together = highest + np.log(np.exp(log_probs - highest).mean(0))
    bits, one = _bits(flow, together).mean(), _bits(flow, log_probs[0]).mean()
    return float(bits), float(one - bits)


def series_bias(
    flow: Flow,
    images: Images,
    protocol: Protocol,
    groups: NDArray[np.integer] | None = None,
    seen: Seen = lambda count: None,
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
            bits.append(_bits(flow, _one_draw(ready, images, protocol, 0, seen).log_prob))
    return clustered_mean(bits[0] - bits[1], groups)


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Log-likelihoods of images (n,) at one dequantization, in nats."""

    log_det: Floats
    log_prior: Floats

    @property
    def log_prob(self) -> Floats:
        return self.log_det + self.log_prior


def _one_draw(flow: Flow, images: Images, protocol: Protocol, draw: int, seen: Seen) -> _Drawn:
    """Evaluate images; noise and probes follow from seed, draw and chunk."""
    count = len(images)
    found = _Drawn(np.zeros(count), np.zeros(count))
    for start in range(0, count, CHUNK):
        indices = np.arange(start, min(start + CHUNK, count))
        generator = torch.Generator(images.device)
        generator.manual_seed(derive_seed(protocol.seed, "evaluate", draw, start))
        likelihood = flow(images.gather(indices), generator)
        found.log_det[indices] = to_numpy(likelihood.log_det)
        found.log_prior[indices] = to_numpy(likelihood.log_prior)
        seen(len(indices))
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


def to_numpy(t: torch.Tensor) -> Floats:
    """Copy a tensor to the host in float64."""
    return t.detach().cpu().double().numpy()
