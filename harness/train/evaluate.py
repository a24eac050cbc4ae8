"""Bits per dimension of a trained flow by a protocol."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from harness.seeds import derive
from harness.statistics import Floats, Mean, mean
from harness.train.batches import Images
from harness.train.protocol import Protocol
from models import Flow

CHUNK = 100
"""Images evaluated at once. Noise is drawn chunk by chunk, so that it is part of the protocol."""


@dataclass(frozen=True)
class Evaluation:
    """Bits/dim over the images of a part, and its parts in mean nats per image."""

    bits_per_dim: Mean
    log_det: float
    log_prior: float


def evaluate(
    flow: Flow, images: Images, protocol: Protocol, groups: NDArray[np.integer] | None = None
) -> Evaluation:
    """Evaluate on every image; ``groups`` (N,) are the clusters of the standard error."""
    dtype = getattr(torch, protocol.precision)
    before = flow.dtype
    flow = flow.to(dtype)
    log_det, log_prior = np.zeros(len(images)), np.zeros(len(images))
    with torch.no_grad(), evaluating(flow):
        for draw in range(protocol.draws):
            for start in range(0, len(images), CHUNK):
                indices = np.arange(start, min(start + CHUNK, len(images)))
                generator = torch.Generator(images.device)
                generator.manual_seed(derive(protocol.seed, "evaluate", draw, start))
                likelihood = flow(images.gather(indices), generator)
                log_det[indices] += to_numpy(likelihood.log_det) / protocol.draws
                log_prior[indices] += to_numpy(likelihood.log_prior) / protocol.draws
    flow.to(before)
    bits = -(log_det + log_prior) / (flow.dimensions * np.log(2))
    return Evaluation(mean(bits, groups), float(log_det.mean()), float(log_prior.mean()))


class evaluating:  # noqa: N801 - reads as a phrase: with evaluating(flow)
    """Evaluation mode, with the layers ready for it, for the time of a block.

    Afterwards the flow is what it was, buffers included: an evaluation leaves no trace in a
    training. Gradients may be needed inside (residual blocks), so no inference mode here.
    """

    def __init__(self, flow: Flow) -> None:
        self.flow = flow

    def __enter__(self) -> None:
        self.before = self.flow.training
        self.buffers = [b.clone() for b in self.flow.buffers()]
        self.flow.eval()
        self.flow.before_evaluation()

    @torch.no_grad()
    def __exit__(self, *_: object) -> None:
        self.flow.train(self.before)
        for buffer, saved in zip(self.flow.buffers(), self.buffers, strict=True):
            buffer.copy_(saved)


def to_numpy(t: torch.Tensor) -> Floats:
    return t.detach().cpu().double().numpy()
