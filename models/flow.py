"""A flow as a flat list of layers and a prior: likelihood, contributions, sampling, coding."""

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
    """Log-likelihood of each image of a batch in nats, shape (B,), as the sum of its two parts."""

    log_det: Tensor
    log_prior: Tensor

    @property
    def log_prob(self) -> Tensor:
        """Log-likelihood in nats, (B,)."""
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


class _LayerList(nn.ModuleList):
    """A ModuleList that is known to hold layers."""

    def __iter__(self) -> Iterator[Layer]:
        for module in super().__iter__():
            assert isinstance(module, Layer)
            yield module


class Flow(nn.Module):
    """An invertible map from integer images (B, C, H, W), values 0..255, to latents.

    The layers are applied in order from data to noise. A `Split` factors out half of the
    dimensions, which get its own prior.

    Args:
        layers: From data to noise.
        prior: Prior of what stays to the end.
        shape: (C, H, W) of the images.

    Example:
        >>> import torch
        >>> from lcma import models
        >>> from lcma.sweeps import catalog
        >>> model = catalog.recipe("realnvp", "digits", "tiny").model
        >>> flow = models.build(model, "checkerboard-even", seed=0).eval()
        >>> images = torch.randint(0, 256, (4, 1, 8, 8), generator=torch.manual_seed(0)).float()
        >>> flow(images).log_prob.shape
        torch.Size([4])
        >>> [tuple(latent.shape) for latent in flow.encode(images)]
        [(4, 2, 4, 4), (4, 4, 2, 2), (4, 4, 2, 2)]
        >>> torch.equal(flow.decode(flow.encode(images)), images)
        True
        >>> flow.sample(2).shape
        torch.Size([2, 1, 8, 8])
    """

    def __init__(self, layers: Iterable[Layer], prior: Prior, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.layers = _LayerList(layers)
        self.prior = prior
        self.shape = torch.Size(shape)
        self.dimensions = self.shape.numel()

    def __repr__(self) -> str:
        shape, count = "x".join(map(str, self.shape)), sum(p.numel() for p in self.parameters())
        layers = [f"{type(layer).__name__}({layer.extra_repr()})" for layer in self.layers]
        head = f"Flow of {shape} images, {count:,} parameters:"
        return "\n  ".join([head, *layers, type(self.prior).__name__])

    def forward(
        self,
        x: Tensor,
        generator: torch.Generator | None = None,
        at_splits: list[Tensor] | None = None,
    ) -> Likelihood:
        """Return the log-likelihood of images.

        Args:
            x: Integer images (B, C, H, W), values 0..255, in the flow's dtype.
            generator: Source of the dequantization noise, by default the global one.
            at_splits: A list to which the log-determinants accumulated up to each split are
                appended, summed over the images, (C, H, W) in the layout of the split's input.
                They have no gradient, and preprocessing is left out, as in a contribution map.

        Returns:
            Log-determinant and log-prior in nats, each (B,); `bits_per_dim` converts their sum.
        """
        z = x
        log_det = log_prior = torch.zeros((), device=x.device)
        ledger = torch.zeros((1, *self.shape), device=x.device, dtype=self.dtype)
        for layer in self.layers:
            if at_splits is not None and layer.ends_block:
                at_splits.append(ledger[0])
            if isinstance(layer, Split):
                if at_splits is not None:
                    ledger, _ = layer.cut(ledger)
                z, left = layer.cut(z)
                log_prior = log_prior + layer.prior.log_prob(left, z).flatten(1).sum(1)
            else:
                z, contribution = layer(z, generator)
                if contribution is not None:
                    log_det = log_det + contribution.flatten(1).sum(1)
                if at_splits is not None:
                    ledger = layer.reorder(ledger)
                    if contribution is not None and layer.scored:
                        each = len(x) // len(contribution)  # it may be the same of every image
                        ledger = ledger + each * contribution.detach().sum(0, keepdim=True)
        log_prior = log_prior + self.prior.log_prob(z, None).flatten(1).sum(1)
        return Likelihood(log_det.expand(len(x)), log_prior)

    def bits_per_dim(self, log_prob: Tensor) -> Tensor:
        """Convert a log-likelihood in nats to bits per dimension, same shape.

        No constant stands here: the dequantization's share is in its own log-determinant.
        """
        return -log_prob / (self.dimensions * math.log(2))

    def contributions(
        self, x: Tensor, generator: torch.Generator | None = None, *, scored: bool = True
    ) -> Contributions:
        """Return each dimension's log-determinant, cumulative up to each split and at the end.

        This is step 2 of Algorithm 1, before the mean over the training set.

        Args:
            x: Integer images (B, C, H, W), values 0..255.
            generator: Source of the dequantization noise, by default the global one.
            scored: Leave the preprocessing out, as in a contribution map; otherwise the total
                sums to the whole log-determinant.

        Returns:
            Contributions in nats, (B, C, H, W) in the coordinates of the images.
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
        """Map images to latents.

        Args:
            x: Integer images (B, C, H, W), values 0..255.
            generator: Source of the dequantization noise, by default the global one.

        Returns:
            What is factored out at each split, in order, then what stays to the end; their shapes
            are (B, c, h, w) by `latent_shapes`.
        """
        latents, z = [], x
        for layer in self.layers:
            if isinstance(layer, Split):
                z, left = layer.cut(z)
                latents.append(left)
            else:
                z, _ = layer(z, generator)
        return [*latents, z]

    def decode(self, latents: Sequence[Tensor]) -> Tensor:
        """Map latents, as `encode` returns them, to integer images (B, C, H, W), values 0..255."""
        rest = list(latents)
        z = rest.pop()
        for layer in reversed(list(self.layers)):
            z = layer.join(z, rest.pop()) if isinstance(layer, Split) else layer.inverse(z)
        return z

    def sample(
        self, count: int, generator: torch.Generator | None = None, *, temperature: float = 1.0
    ) -> Tensor:
        """Draw integer images (count, C, H, W), values 0..255.

        An inverse may overflow far from what was learned: such entries are 0, or 255.

        Args:
            count: Number of images.
            generator: Source of the priors' noise, by default the global one.
            temperature: Factor of the noise of every prior.
        """
        return self.sample_checked(count, generator, temperature=temperature)[0]

    def sample_checked(
        self, count: int, generator: torch.Generator | None = None, *, temperature: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Draw images as `sample` does, and return which of them overflowed too, (count,).

        An image has overflowed if any value on its way was not finite.
        """
        like = next(self.parameters())
        shape = torch.Size((count, *self.latent_shapes[-1]))
        z = self.prior.sample(standard_noise(shape, like, generator, temperature), None)
        finite = _are_finite(z)
        for layer in reversed(list(self.layers)):
            if isinstance(layer, Split):
                shape = torch.Size((count, *layer.half_shape))
                noise = standard_noise(shape, like, generator, temperature)
                z = layer.join(z, layer.prior.sample(noise, z))
            else:
                z = layer.inverse(z)
            finite &= _are_finite(z)
        return z.nan_to_num(nan=0.0), ~finite

    @torch.no_grad()
    def initialize(self, x: Tensor, generator: torch.Generator | None = None) -> None:
        """Set every data-dependent starting value from a first batch x (B, C, H, W)."""
        z = x
        for layer in self.layers:
            if isinstance(layer, Split):
                z, _ = layer.cut(z)
            else:
                layer.initialize(z)
                z, _ = layer(z, generator)

    def before_step(self) -> None:
        """Prepare the layers for a training step, such as by power iteration."""
        for layer in self.layers:
            layer.before_step()

    def before_evaluation(self) -> None:
        """Prepare the layers for evaluation, such as by power iteration to tolerance."""
        for layer in self.layers:
            layer.before_evaluation()

    def shrunk_parameters(self) -> list[nn.Parameter]:
        """Return the parameters in a recipe's L2 term."""
        return [p for layer in self.layers for p in layer.shrunk_parameters()]

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the weights."""
        return next(self.parameters()).dtype

    def ids(self, device: torch.device | None = None) -> Tensor:
        """Return the identity of each dimension, 0 .. D-1, as one image (1, C, H, W)."""
        return torch.arange(self.dimensions, device=device).view(1, *self.shape)

    @property
    def latent_ids(self) -> list[Tensor]:
        """Input dimension at each place of each latent of `encode`, each (1, c, h, w)."""
        found, ids = [], self.ids(next(self.parameters()).device)
        for layer in self.layers:
            if isinstance(layer, Split):
                ids, left = layer.cut(ids)
                found.append(left)
            else:
                ids = layer.reorder(ids)
        return [*found, ids]

    @property
    def latent_shapes(self) -> list[torch.Size]:
        """(c, h, w) of each latent of `encode`."""
        return [ids.shape[1:] for ids in self.latent_ids]


def _are_finite(z: Tensor) -> Tensor:
    return z.flatten(1).isfinite().all(1)
