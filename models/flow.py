"""A flow as a flat list of layers and a prior: likelihood, contributions, latents and samples."""

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
    """The two parts of each image's log-likelihood, in nats, each of shape (B,)."""

    log_det: Tensor
    """Log-determinant from the integer image to its latents."""

    log_prior: Tensor
    """Log-density of all latents under their priors."""

    @property
    def log_prob(self) -> Tensor:
        """Log-likelihood in nats, (B,): the sum of both parts."""
        return self.log_det + self.log_prior


@dataclass(frozen=True)
class Contributions:
    """Log-determinant of each dimension of a batch, in nats.

    Tensors (B, C, H, W) are in input coordinates: each number is at its dimension's place in the
    image. Dimensions that have left keep the number with which they left.
    """

    at_splits: list[Tensor]
    """Per split, the log-determinant accumulated before it (step 2 of Algorithm 1)."""

    values_at_splits: list[Tensor]
    """Per split, the value of each dimension before it."""

    total: Tensor
    """Log-determinant accumulated over all layers."""

    log_det_at_splits: list[Tensor]
    """Per split, the scalar log-determinant (B,), summed by layers and not over `at_splits`."""

    log_det: Tensor
    """Scalar log-determinant (B,) of all layers, summed in the same way."""


class _LayerList(nn.ModuleList):
    """A ModuleList whose items are typed as layers."""

    def __iter__(self) -> Iterator[Layer]:
        for module in super().__iter__():
            assert isinstance(module, Layer)
            yield module


class Flow(nn.Module):
    """An invertible map from integer images (B, C, H, W), values 0..255, to latents.

    The layers are applied in order from data to noise. Each `Split` lets half of the dimensions
    leave and holds their prior.

    Args:
        layers: The layers, from data to noise.
        prior: Prior of the dimensions that stay to the end.
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
        >>> bool((flow.decode(flow.encode(images)) - images).abs().max() <= 1)
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
            generator: Source of the dequantization noise; the global one by default.
            at_splits: A list to which this call appends, for each split, the log-determinant
                accumulated before it, summed over the images: (C, H, W) in the layout of the
                split's input, without gradient and without preprocessing, as in a contribution map.

        Returns:
            Log-determinant and log-prior in nats, each (B,); `bits_per_dim` converts their sum.

        Raises:
            ValueError: The images have another shape than the flow's.
        """
        self._require_shape(x)
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
                        # A contribution (1, C, H, W) is that of every image.
                        copies = len(x) // len(contribution)
                        ledger = ledger + copies * contribution.detach().sum(0, keepdim=True)
        log_prior = log_prior + self.prior.log_prob(z, None).flatten(1).sum(1)
        return Likelihood(log_det.expand(len(x)), log_prior)

    def bits_per_dim(self, log_prob: Tensor) -> Tensor:
        """Convert a log-likelihood in nats to bits per dimension, of the same shape."""
        # The 8 bits of an integer are not added here: `Dequantize` has log(256) in its own log-det.
        return -log_prob / (self.dimensions * math.log(2))

    def contributions(
        self, x: Tensor, generator: torch.Generator | None = None, *, scored: bool = True
    ) -> Contributions:
        """Return each dimension's log-determinant, cumulative up to each split and at the end.

        A contribution map (step 2 of Algorithm 1) is their mean over training images, in evaluation
        mode.

        Args:
            x: Integer images (B, C, H, W), values 0..255.
            generator: Source of the dequantization noise; the global one by default.
            scored: Leave out the preprocessing, as a contribution map does. If False, the total
                sums to the whole log-determinant.

        Returns:
            Contributions in nats, (B, C, H, W) in the coordinates of the images.
        """
        self._require_shape(x)
        batch = len(x)
        z, ids = x, self.ids(x.device)
        ledger: Tensor = torch.zeros((batch, *self.shape), device=x.device, dtype=self.dtype)
        # Dimensions that have left: their log-determinant and value, at their place in the image.
        left_ledger = torch.zeros((batch, self.dimensions), device=x.device, dtype=self.dtype)
        left_values = torch.zeros_like(left_ledger)
        log_det = torch.zeros(batch, device=x.device, dtype=self.dtype)
        at_splits: list[Tensor] = []
        values: list[Tensor] = []
        scalars: list[Tensor] = []

        def to_input_layout(stayed: Tensor, left: Tensor) -> Tensor:
            result = left.clone()
            result[:, ids.flatten()] = stayed.flatten(1)
            return result.view(-1, *self.shape)

        for layer in self.layers:
            if layer.ends_block:
                at_splits.append(to_input_layout(ledger, left_ledger))
                values.append(to_input_layout(z, left_values))
                scalars.append(log_det)
            if isinstance(layer, Split):
                z, leaving_values = layer.cut(z)
                ledger, leaving = layer.cut(ledger)
                ids, leaving_ids = layer.cut(ids)
                left_ledger[:, leaving_ids.flatten()] = leaving.flatten(1)
                left_values[:, leaving_ids.flatten()] = leaving_values.flatten(1)
                continue
            z, contribution = layer(z, generator)
            ledger, ids = layer.reorder(ledger), layer.reorder(ids)
            if contribution is not None and (layer.scored or not scored):
                ledger = ledger + contribution
                log_det = log_det + contribution.flatten(1).sum(1)
        total = to_input_layout(ledger, left_ledger)
        return Contributions(at_splits, values, total, scalars, log_det)

    def encode(self, x: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
        """Map images to latents.

        Args:
            x: Integer images (B, C, H, W), values 0..255.
            generator: Source of the dequantization noise; the global one by default.

        Returns:
            The dimensions that leave at each split, in order, then those that stay to the end.
            Each is (B, c, h, w), with (c, h, w) from `latent_shapes`.
        """
        self._require_shape(x)
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
        remaining = list(latents)
        z = remaining.pop()
        for layer in reversed(list(self.layers)):
            z = layer.join(z, remaining.pop()) if isinstance(layer, Split) else layer.inverse(z)
        return z

    def sample(
        self, count: int, generator: torch.Generator | None = None, *, temperature: float = 1.0
    ) -> Tensor:
        """Draw integer images (count, C, H, W), values 0..255.

        Far from the training data an inverse may overflow; such entries are 0 or 255.

        Args:
            count: Number of images.
            generator: Source of the priors' noise; the global one by default.
            temperature: Factor by which the noise of every prior is multiplied.
        """
        return self.sample_checked(count, generator, temperature=temperature)[0]

    def sample_checked(
        self, count: int, generator: torch.Generator | None = None, *, temperature: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Draw images as `sample` does.

        Returns:
            The images (count, C, H, W), and a boolean (count,) that is True where any value on the
            way from noise to image was not finite.
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
        """Set all data-dependent starting values.

        Args:
            x: A first batch of integer images (B, C, H, W), values 0..255.
            generator: Source of the dequantization noise; the global one by default.
        """
        z = x
        for layer in self.layers:
            if isinstance(layer, Split):
                z, _ = layer.cut(z)
            else:
                layer.initialize(z)
                z, _ = layer(z, generator)

    def before_step(self) -> None:
        """Prepare the layers for a training step (power iteration of residual blocks)."""
        for layer in self.layers:
            layer.before_step()

    def before_evaluation(self) -> None:
        """Prepare the layers for evaluation (power iteration to convergence)."""
        for layer in self.layers:
            layer.before_evaluation()

    def shrunk_parameters(self) -> list[nn.Parameter]:
        """Return the parameters whose squares are summed in a recipe's L2 term."""
        return [p for layer in self.layers for p in layer.shrunk_parameters()]

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the weights."""
        return next(self.parameters()).dtype

    def _require_shape(self, x: Tensor) -> None:
        # A split would drop what its table does not name.
        if x.shape[1:] != self.shape:
            raise ValueError(f"images {tuple(x.shape[1:])}, not {tuple(self.shape)}")

    def ids(self, device: torch.device | None = None) -> Tensor:
        """Return the id of each dimension, 0 .. D-1 in raster order, as one image (1, C, H, W)."""
        return torch.arange(self.dimensions, device=device).view(1, *self.shape)

    @property
    def latent_ids(self) -> list[Tensor]:
        """For each latent of `encode`, the input dimension at each of its places, (1, c, h, w)."""
        latents, ids = [], self.ids(next(self.parameters()).device)
        for layer in self.layers:
            if isinstance(layer, Split):
                ids, left = layer.cut(ids)
                latents.append(left)
            else:
                ids = layer.reorder(ids)
        return [*latents, ids]

    @property
    def latent_shapes(self) -> list[torch.Size]:
        """(c, h, w) of each latent of `encode`."""
        return [ids.shape[1:] for ids in self.latent_ids]


def _are_finite(z: Tensor) -> Tensor:
    return z.flatten(1).isfinite().all(1)
