"""From a recipe's model and a factorization to a flow."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch

from models import glow, iresnet, realnvp, resflow
from models.factorization import Map, Order, Table, tables
from models.flow import Flow
from models.layers import Layer
from models.priors import Prior
from sweeps.architectures import REGISTERED
from sweeps.factorizations import ImpossibleError
from sweeps.recipe import Model

Parts = Callable[..., tuple[list[Layer], Prior]]
"""From a model and its tables, one a split or None for no split (NMS), to the layers from data to
noise, each split with its prior, and the prior of what stays to the end. A flow whose facts say
``flat_nms`` also takes ``flat``."""


def build(
    model: Model,
    factorization: str,
    *,
    seed: int,
    table_seed: int | None = None,
    maps: Sequence[Map] = (),
    order: Order = "raster",
) -> Flow:
    """The flow of a canonical factorization, with weights drawn from ``seed``.

    ``maps`` and ``order`` are for words, see `tables`. ``table_seed`` drives the random tables
    (default: ``seed``). The global generator is left as it was. Flows that differ in their
    tables alone start from the same weights, so that comparisons can be paired by seed.
    Raises ImpossibleError where the flow cannot be built.
    """
    shape = (model.channels, model.size, model.size)
    found = None
    if factorization != "none":
        chosen = seed if table_seed is None else table_seed
        found = tables(factorization, shape, model.splits, seed=chosen, maps=maps, order=order)
    return _assemble(model, found, seed)


def nms(model: Model, *, seed: int, form: Literal["squeezed", "flat"] = "squeezed") -> Flow:
    """The same flow with no split, for the pretraining of Algorithm 1.

    ``squeezed``: the tensor is squeezed where a split would be, and nothing leaves; ``flat``:
    all blocks at the size of the image, the paper's literal s x s x c. Raises ImpossibleError
    where the flow has no such form.
    """
    return _assemble(model, None, seed, flat=form == "flat")


def register(flow: str, parts: Parts) -> None:
    """Say how a flow is built. Planning knows it by `sweeps.architectures.register`."""
    _PARTS[flow] = parts


def _assemble(
    model: Model, found: Sequence[Table] | None, seed: int, *, flat: bool = False
) -> Flow:
    if model.flow not in _PARTS:
        raise ImpossibleError(f"nothing builds the flow {model.flow}")
    if flat and not REGISTERED[model.flow].flat_nms:
        raise ImpossibleError(f"{model.flow} has no flat form")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # Only a flow that has a flat form is asked for it.
        layers, prior = _PARTS[model.flow](model, found, **({"flat": True} if flat else {}))
        return Flow(layers, prior, (model.channels, model.size, model.size))


_PARTS: dict[str, Parts] = {
    "realnvp": realnvp.parts,
    "glow": glow.parts,
    "iresnet": iresnet.parts,
    "resflow": resflow.parts,
}
