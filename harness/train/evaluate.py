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

BOUND_DRAWS = 10
"""Draws of the bound that is stored with the result of a flow without residual blocks."""

BESIDE_IMAGES = 200
"""Images of that bound and of the series' bias; it takes a twentieth of the shortest trainings."""

BOUND_IMAGES = 1000
"""Most images of a bound of `lcma measure --draws`."""

Seen = Callable[[int], None]
"""Called with the number of images evaluated since the last call."""


@dataclass(frozen=True)
class Evaluation:
    """Bits/dim over the images of a part, and its parts in mean nats per image."""

    bits_per_dim: Mean
    log_det: float
    log_prior: float


@dataclass(frozen=True)
class Bound:
    """The importance-weighted bound of ``draws`` dequantizations, bits/dim over ``images``.

    ``gain`` is the bound of one draw on the same images less this one.
    """

    draws: int
    images: int
    bits_per_dim: float
    gain: float


@dataclass(frozen=True)
class SeriesBias:
    """Bias of bits/dim by the truncated series of residual blocks.

    ``bits_per_dim`` is the mean of the bits/dim at ``terms`` terms less those at twice as many
    with the same probes, over some images; None with roulette, which leaves no bias.
    """

    terms: int
    bits_per_dim: Mean | None


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
            one = _one_draw(ready, images, protocol, draw, len(images), seen)
            log_det += one.log_det / protocol.draws
            log_prior += one.log_prior / protocol.draws
    bits = _bits(flow, log_det + log_prior)
    return Evaluation(clustered_mean(bits, groups), float(log_det.mean()), float(log_prior.mean()))


def sample_bound(
    flow: Flow,
    images: Images,
    protocol: Protocol,
    draws: int,
    seen: Seen = lambda count: None,
    most: int = BOUND_IMAGES,
) -> Bound:
    """Return -log of the mean over ``draws`` of p(x, u_k), on the first min(N, ``most``) images.

    Draws are nested: the first is the protocol's own, and more of them never raise the bound in
    expectation (Burda et al. 2016). Residual blocks put the noise of their estimate into it.
    """
    count = min(len(images), most)
    with _ready(flow, protocol) as ready:
        each = [
            _one_draw(ready, images, protocol, draw, count, seen).log_prob for draw in range(draws)
        ]
    log_probs = np.stack(each)
    highest = log_probs.max(0)
    together = highest + np.log(np.exp(log_probs - highest).mean(0))
    bits, one = _bits(flow, together).mean(), _bits(flow, log_probs[0]).mean()
    return Bound(draws, count, float(bits), float(one - bits))


def series_bias(
    flow: Flow,
    images: Images,
    protocol: Protocol,
    groups: NDArray[np.integer] | None = None,
    seen: Seen = lambda count: None,
    most: int = BESIDE_IMAGES,
) -> SeriesBias | None:
    """Measure the bias of the series on the first min(N, ``most``) images; None without one."""
    terms = series_terms(protocol, flow)
    if terms is None or protocol.roulette_mean is not None:
        return None if terms is None else SeriesBias(terms, None)
    count = min(len(images), most)
    bits = []
    for n in (terms, 2 * terms):
        with _ready(flow, protocol.model_copy(update={"terms": n})) as ready:
            one = _one_draw(ready, images, protocol, 0, count, seen)
            bits.append(_bits(flow, one.log_prob))
    used = None if groups is None else groups[:count]
    return SeriesBias(terms, clustered_mean(bits[0] - bits[1], used))


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Log-likelihoods of images (n,) at one dequantization, in nats."""

    log_det: Floats
    log_prior: Floats

    @property
    def log_prob(self) -> Floats:
        return self.log_det + self.log_prior


def _one_draw(
    flow: Flow, images: Images, protocol: Protocol, draw: int, count: int, seen: Seen
) -> _Drawn:
    """Evaluate the first ``count`` images; noise and probes follow from seed, draw and chunk."""
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
