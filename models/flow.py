"""A flow: a flat list of layers and a prior. Likelihood, contributions, sampling, coding."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lcma.models.layers import Layer
from lcma.models.priors import Prior, standard_noise
from lcma.models.split import Split


@dataclass(frozen=True)
class Likelihood:
    """Log-likelihood of each image of a batch in nats, shape (B,), in its two parts."""

    log_det: Tensor
    log_prior: Tensor

    @property
    def log_prob(self) -> Tensor:
        return self.log_det + self.log_prior


@dataclass(frozen=True)
class Contributions:
    """Per-dimension log-determinant in nats, (B, C, H, W) in input coordinates.

    ``at_splits`` holds what has accumulated up to each split (Algorithm 1), ``total`` at the
    end; ``log_det_at_splits`` and ``log_det`` are the scalars (B,), accumulated apart.
    ``values_at_splits`` are the dimensions' own values there, in input coordinates too.
    """

    at_splits: list[Tensor]
    values_at_splits: list[Tensor]
    total: Tensor
    log_det_at_splits: list[Tensor]
    log_det: Tensor


class _Stack(nn.ModuleList):
    """A ModuleList that is known to hold layers."""

    def __iter__(self) -> Iterator[Layer]:
        for module in super().__iter__():
            assert isinstance(module, Layer)
            yield module


class Flow(nn.Module):
    """Integer images (B, C, H, W) with values 0..255 to latents, and back.

    The layers are applied in order from data to noise. A Split hands what leaves to its own
    prior; ``prior`` is that of what stays to the end.
    """

    def __init__(self, layers: Iterable[Layer], prior: Prior, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.layers = _Stack(layers)
        self.prior = prior
        self.shape = torch.Size(shape)
        self.dimensions = self.shape.numel()

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Likelihood:
        """The likelihood of x; ``generator`` drives the dequantization noise."""
        z = x
        log_det = log_prior = torch.zeros((), device=x.device)
        for layer in self.layers:
            if isinstance(layer, Split):
                z, left = layer.cut(z)
                log_prior = log_prior + layer.prior.log_prob(left, z).flatten(1).sum(1)
            else:
                z, contribution = layer(z, generator)
                if contribution is not None:
                    log_det = log_det + contribution.flatten(1).sum(1)
        log_prior = log_prior + self.prior.log_prob(z, None).flatten(1).sum(1)
        return Likelihood(log_det.expand(len(x)), log_prior)

    def bits_per_dim(self, log_prob: Tensor) -> Tensor:
        """Bits per dimension from a log-likelihood in nats, same shape.

        No constant stands here: the dequantization's share is in its own log-determinant.
        """
        return -log_prob / (self.dimensions * math.log(2))

    def contributions(
        self, x: Tensor, generator: torch.Generator | None = None, *, scored: bool = True
    ) -> Contributions:
        """Each dimension's log-determinant, cumulative up to each split and at the end.

        With ``scored`` the preprocessing is left out, as in a contribution map; without it
        the total sums to the whole log-determinant.
        """
        batch = len(x)
        z, ids = x, self.ids(x.device)
        ledger: Tensor = torch.zeros((batch, *self.shape), device=x.device, dtype=self.dtype)
        gone = torch.zeros((batch, self.dimensions), device=x.device, dtype=self.dtype)
        gone_values = torch.zeros_like(gone)
        log_det = torch.zeros(batch, device=x.device, dtype=self.dtype)
        at_splits: list[Tensor] = []
        values: list[Tensor] = []
        scalars: list[Tensor] = []

        def in_place(here: Tensor, before: Tensor) -> Tensor:
            full = before.clone()
            full[:, ids.flatten()] = here.flatten(1)
            return full.view(-1, *self.shape)

        for layer in self.layers:
            if layer.ends_block:
                at_splits.append(in_place(ledger, gone))
                values.append(in_place(z, gone_values))
                scalars.append(log_det)
            if isinstance(layer, Split):
                z, left_values = layer.cut(z)
                ledger, left = layer.cut(ledger)
                ids, left_ids = layer.cut(ids)
                gone[:, left_ids.flatten()] = left.flatten(1)
                gone_values[:, left_ids.flatten()] = left_values.flatten(1)
                continue
            z, contribution = layer(z, generator)
            ledger, ids = layer.reorder(ledger), layer.reorder(ids)
            if contribution is not None and (layer.scored or not scored):
                ledger = ledger + contribution
                log_det = log_det + contribution.flatten(1).sum(1)
        return Contributions(at_splits, values, in_place(ledger, gone), scalars, log_det)

    def encode(self, x: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """All latents: what left at each split, in order, then what stayed to the end."""
        latents, z = [], x
        for layer in self.layers:
            if isinstance(layer, Split):
                z, left = layer.cut(z)
                latents.append(left)
            else:
                z, _ = layer(z, generator)
        return [*latents, z]

    def decode(self, latents: Sequence[Tensor]) -> Tensor:
        """The integer images (B, C, H, W) that encode to these latents."""
        rest = list(latents)
        z = rest.pop()
        for layer in reversed(list(self.layers)):
            z = layer.join(z, rest.pop()) if isinstance(layer, Split) else layer.inverse(z)
        return z

    def sample(
        self, count: int, generator: torch.Generator | None = None, *, temperature: float = 1.0
    ) -> Tensor:
        """``count`` integer images; ``temperature`` scales the noise of every prior.

        An inverse may overflow far from what was learned; such entries are 0.
        """
        like = next(self.parameters())
        shape = torch.Size((count, *self.latent_shapes[-1]))
        z = self.prior.sample(standard_noise(shape, like, generator, temperature), None)
        for layer in reversed(list(self.layers)):
            if isinstance(layer, Split):
                shape = torch.Size((count, *layer.half_shape))
                noise = standard_noise(shape, like, generator, temperature)
                z = layer.join(z, layer.prior.sample(noise, z))
            else:
                z = layer.inverse(z)
        return z.nan_to_num(nan=0.0)

    @torch.no_grad()
    def initialize(self, x: Tensor, generator: torch.Generator | None = None) -> None:
        """Set every data-dependent starting value from a first batch, layer after layer."""
        z = x
        for layer in self.layers:
            if isinstance(layer, Split):
                z, _ = layer.cut(z)
            else:
                layer.initialize(z)
                z, _ = layer(z, generator)

    def before_step(self) -> None:
        """Ready the layers for a training step: power iteration happens here, once a step."""
        for layer in self.layers:
            layer.before_step()

    def before_evaluation(self) -> None:
        """Ready the layers for evaluation: power iteration to tolerance."""
        for layer in self.layers:
            layer.before_evaluation()

    def shrunk_parameters(self) -> list[nn.Parameter]:
        """The parameters on which a recipe's L2 term falls."""
        return [p for layer in self.layers for p in layer.shrunk_parameters()]

    @property
    def dtype(self) -> torch.dtype:
        return next(self.parameters()).dtype

    def ids(self, device: torch.device | None = None) -> Tensor:
        """The identity of each dimension, 0 .. D-1, as one image (1, C, H, W)."""
        return torch.arange(self.dimensions, device=device).view(1, *self.shape)

    @property
    def latent_ids(self) -> list[Tensor]:
        """Which input dimension sits where in each latent of ``encode``, each (1, c, h, w)."""
        found, ids = [], self.ids()
        for layer in self.layers:
            if isinstance(layer, Split):
                ids, left = layer.cut(ids)
                found.append(left)
            else:
                ids = layer.reorder(ids)
        return [*found, ids]

    @property
    def latent_shapes(self) -> list[torch.Size]:
        """(c, h, w) of each latent of ``encode``."""
        return [ids.shape[1:] for ids in self.latent_ids]
