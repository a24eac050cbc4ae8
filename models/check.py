"""Check the layers of a flow against dense Jacobians and their own inverses, in float64."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from lcma.models.builder import build
from lcma.models.flow import Flow
from lcma.models.layers import Dequantize, Layer
from lcma.models.priors import Prior, StandardNormal
from lcma.models.split import Split
from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.errors import UserError, describe_error
from lcma.sweeps.recipe import Model

LOG_DET_TOLERANCE = 1e-6
"""Largest error of a log-determinant, in nats per dimension. Constants in float32 stay below it."""

INVERSE_TOLERANCE = 1e-4
"""Largest error of an inverse, relative to the largest value (at least 1). Inverses by iteration
stay below it."""

SIZES, MAX_SPLITS = (8, 16), 3
"""Height and width of the images for which a flow is built, and its most splits."""

_ROWS = 128
"""Rows of a Jacobian in one backward pass."""

_REMEDY = "correct it, see docs/extending.md#add-a-flow"


def check_flow(model: Model, factorization: str, *, seed: int = 0) -> list[str]:
    """Compare each layer's log-determinant with its dense Jacobian, and its inverse with its input.

    The flow is built in float64, for images of 8x8 or else 16x16, with at most three splits, and
    initialized on noise.

    Args:
        model: The flow and its architecture.
        factorization: A canonical name that needs no maps.
        seed: Seed of the weights and the images.

    Returns:
        A line for each part that could not be checked, with the reason.

    Raises:
        UserError: If a log-determinant or an inverse is wrong, or computing it fails.

    Example:
        >>> from lcma.sweeps import catalog
        >>> check_flow(catalog.recipe("realnvp", "digits", "tiny").model, "channel")
        []
    """
    plugin = REGISTERED[model.flow].plugin
    where = f"the flow {model.flow}" + (f" ({plugin})" if plugin else "")
    with torch.random.fork_rng(devices=[]), _float64():
        torch.default_generator.manual_seed(seed)
        flow, reason = None, f"{model.size}x{model.size} images"
        for small in _make_small(model):
            try:
                flow = _build(small, factorization, seed)
                break
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - a plug-in's code may raise any
                reason = f"{small.size}x{small.size} images: {describe_error(error)}"
        if flow is None:
            return [f"{where} was not checked: it cannot be built for {reason}"]
        try:
            with torch.no_grad():
                mistake, notes = _compare(flow)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            mistake = f"its check in float64 fails: {describe_error(error)}"
            raise UserError(f"{where}: {mistake}; {_REMEDY}") from error
    if mistake is not None:
        raise UserError(f"{where}: {mistake}; {_REMEDY}")
    return [f"{where}: {note}" for note in notes]


@contextmanager
def _float64() -> Iterator[None]:
    """Make new tensors float64 within a block, including those that layers create on the way."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _make_small(model: Model) -> list[Model]:
    splits = min(model.splits, MAX_SPLITS)
    least, most = 2 << splits, min(model.size, max(SIZES))
    sizes = sorted(size for size in {*SIZES, model.size} if least <= size <= most)
    return [model.model_copy(update={"size": size, "splits": splits}) for size in sizes]


def _build(model: Model, factorization: str, seed: int) -> Flow:
    flow = build(model, factorization, seed=seed).double()
    flow.initialize(_draw_images(flow, 16))
    with torch.no_grad():
        for weights in flow.parameters():
            # A layer that starts as the identity would hide a wrong log-determinant.
            inputs = weights[0].numel() if weights.dim() else 1
            weights.add_(0.1 / inputs**0.5 * torch.randn_like(weights))
    flow.eval().before_evaluation()
    return flow


def _draw_images(flow: Flow, count: int) -> Tensor:
    return torch.randint(0, 256, (count, *flow.shape)).double()


def _compare(flow: Flow) -> tuple[str | None, list[str]]:
    """Return the first mistake, or None, and a note for each part that could not be checked."""
    z = _draw_images(flow, 4)
    passed: list[tuple[str, Layer, Tensor, Tensor]] = []
    drawn: list[str] = []
    notes: list[str] = []
    for number, layer in enumerate(flow.layers, start=1):
        name = f"layer {number} ({type(layer).__name__})"
        if isinstance(layer, Split):
            z, left = layer.cut(z)
            mistake = _compare_log_det(_Density(layer.prior, z[:1]), torch.randn_like(left), drawn)
            if mistake is not None:
                return f"the prior of {name}, a map of normal noise, {mistake}", []
            continue
        y, _ = layer(z.clone())
        if not y.isfinite().all():
            notes.append(f"not checked from {name} on: its values are not finite")
            break
        mistake = _compare_log_det(layer, z, drawn)
        if mistake is not None:
            return f"{name} {mistake}", []
        passed.append((name, layer, z, y))
        z = y
    else:
        mistake = _compare_log_det(_Density(flow.prior, None), torch.randn_like(z), drawn)
        if mistake is not None:
            return f"the last prior, a map of normal noise, {mistake}", []
    flow.encode(_draw_images(flow, 4))  # an inverse must not depend on the last forward
    for name, layer, x, y in passed:
        back = layer.inverse(y.clone())
        worst = int((back - x).abs().nan_to_num(nan=torch.inf).argmax())
        inverted, value = float(back.flatten()[worst]), float(x.flatten()[worst])
        if not abs(inverted - value) <= INVERSE_TOLERANCE * max(1.0, float(x.abs().max())):
            return f"the inverse of {name} gives {inverted:.6g} where its input was {value:.6g}", []
    if drawn:
        names = ", ".join(sorted(set(drawn)))
        notes.append(f"the log-determinant of {names} is drawn, so it was not checked")
    return None, notes


class _Density(Layer):
    """A prior as a layer that maps standard normal noise to its latents."""

    def __init__(self, prior: Prior, kept: Tensor | None) -> None:
        super().__init__()
        self.prior, self.kept = prior, kept

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        kept = None if self.kept is None else self.kept.expand(len(x), -1, -1, -1)
        z = self.prior.sample(x, kept)
        return z, StandardNormal().log_prob(x) - self.prior.log_prob(z, kept)


def _compare_log_det(layer: Layer, x: Tensor, drawn: list[str]) -> str | None:
    """Return what is wrong with the log-determinant of the first of x (B, C, H, W), or None.

    If the log-determinant is drawn, the layer's name is added to ``drawn``.
    """
    y, contribution = layer(x.clone())
    again, contribution_again = layer(x.clone())
    if contribution is None or contribution_again is None:
        contribution = contribution_again = torch.zeros_like(y)
    if contribution.shape[1:] != y.shape[1:]:
        shapes = f"{tuple(contribution.shape[1:])} for an output {tuple(y.shape[1:])}"
        return f"reports a contribution {shapes}: give one for each dimension"
    pairs = ((y, again), (contribution, contribution_again))
    if not all(torch.allclose(*pair, equal_nan=True) for pair in pairs):
        if type(layer) is not Dequantize:
            part = layer.prior if isinstance(layer, _Density) else layer
            drawn.append(type(part).__name__)
        return None
    reported = float(contribution[0].sum())
    dense = float(torch.linalg.slogdet(_compute_jacobian(layer, x[:1])).logabsdet)
    if abs(reported - dense) <= LOG_DET_TOLERANCE * max(x[0].numel(), abs(dense)):
        return None
    return f"reports a log-determinant of {reported:.6g} nats where its Jacobian has {dense:.6g}"


def _compute_jacobian(layer: Layer, x: Tensor) -> Tensor:
    """Return the Jacobian (D, D) at one input (1, C, H, W): row i is the gradient of output i."""
    rows = []
    for basis in torch.split(torch.eye(x.numel(), dtype=x.dtype), _ROWS):
        # Images of a batch do not affect each other: copy k gets the gradient of one output.
        copies = x.expand(len(basis), *x.shape[1:]).clone().requires_grad_()
        with torch.enable_grad():
            y, _ = layer(copies.clone())  # a layer may change its input in place
            rows.append(torch.autograd.grad(y.flatten(1), copies, basis)[0].flatten(1))
    return torch.cat(rows)
