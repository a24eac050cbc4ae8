"""Replacement of the estimator of residual blocks by that of a protocol."""

from torch import Generator, Tensor

from lcma.harness.train.protocol import Protocol
from lcma.models import Flow
from lcma.models.layers import Layer
from lcma.models.residual import ResidualBlock
from lcma.models.series import draw_poisson, draw_probe, roulette_weights


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
