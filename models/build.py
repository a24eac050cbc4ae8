"""From a recipe's model and a factorization to a flow."""

from collections.abc import Sequence

import torch

from models import realnvp
from models.factorization import Map, Table, tables
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
) -> Flow:
    """The flow of a canonical factorization, with weights drawn from ``seed``.

    ``table_seed`` drives the random tables (default: ``seed``). The global generator is left
    as it was. Flows that differ in their tables alone start from the same weights, so that
    comparisons can be paired by seed.
    """
    shape = (model.channels, model.size, model.size)
    found = None
    if factorization != "none":
        chosen = seed if table_seed is None else table_seed
        found = tables(factorization, shape, model.splits, seed=chosen, maps=maps)
    return _assemble(model, found, seed)


def nms(model: Model, *, seed: int) -> Flow:
    """The same flow with no split, for the pretraining of Algorithm 1."""
    return _assemble(model, None, seed)


def _assemble(model: Model, found: Sequence[Table] | None, seed: int) -> Flow:
    shape = (model.channels, model.size, model.size)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Flow(_LAYERS[model.flow](model, found), StandardNormal(), shape)


_LAYERS = {"realnvp": realnvp.layers}
