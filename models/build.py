"""From a recipe's model and a factorization to a flow."""

from collections.abc import Sequence
from typing import Literal

import torch

from models import realnvp
from models.factorization import Map, Order, Table, tables
from models.flow import Flow
from models.priors import StandardNormal
from sweeps.recipe import Model


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
    all blocks at the size of the image, the paper's literal s x s x c.
    """
    return _assemble(model, None, seed, flat=form == "flat")


def _assemble(
    model: Model, found: Sequence[Table] | None, seed: int, *, flat: bool = False
) -> Flow:
    shape = (model.channels, model.size, model.size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = _LAYERS[model.flow](model, found, flat=flat)
        return Flow(layers, StandardNormal(), shape)


_LAYERS = {"realnvp": realnvp.layers}
