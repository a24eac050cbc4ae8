"""Build flows from a recipe's model and a factorization."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch

from lcma.models import glow, iresnet, realnvp, resflow
from lcma.models.factorization import Map, Order, SplitTable, make_tables
from lcma.models.flow import Flow
from lcma.models.layers import Layer
from lcma.models.priors import Prior
from lcma.models.split import Split
from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.errors import UserError
from lcma.sweeps.factorizations import ImpossibleError
from lcma.sweeps.recipe import Model

Parts = Callable[..., tuple[list[Layer], Prior]]
"""Function that builds a flow's layers from a model and its tables: one for each split, or None
for no split (NMS). It returns the layers from data to noise, each split with its prior, and the
prior of what stays to the end. A flow whose facts say ``flat_nms`` also takes ``flat``."""


def build(
    model: Model,
    factorization: str,
    *,
    seed: int,
    table_seed: int | None = None,
    maps: Sequence[Map] = (),
    order: Order = "raster",
) -> Flow:
    """Build the flow of a factorization, with weights drawn from a seed.

    The global generator is left as it was. Flows that differ in their tables alone start from the
    same weights, so that comparisons can be paired by seed.

    Args:
        model: The flow, the size of its images, its number of splits and its architecture.
        factorization: A canonical name such as `checkerboard-even`, or a word such as `LLH`.
        seed: Seed of the weights.
        table_seed: Seed of random tables, by default ``seed``.
        maps: For words, one contribution map (C, H, W) per split; see `make_tables`.
        order: For words, the order of a window's two dimensions inside a half.

    Returns:
        A flow on the CPU, in training mode, with no data-dependent starting values yet (see
        `Flow.initialize`).

    Raises:
        ImpossibleError: If the flow cannot be built.
        UserError: If a plug-in's function does not return layers and a prior.

    Example:
        >>> from lcma.sweeps import catalog
        >>> model = catalog.recipe("realnvp", "digits", "tiny").model
        >>> flow = build(model, "checkerboard-even", seed=0)
        >>> [tuple(shape) for shape in flow.latent_shapes]
        [(2, 4, 4), (4, 2, 2), (4, 2, 2)]
    """
    if factorization == "none":
        return _assemble(model, None, seed)
    shape = (model.channels, model.size, model.size)
    chosen = seed if table_seed is None else table_seed
    found = make_tables(factorization, shape, model.splits, seed=chosen, maps=maps, order=order)
    return build_from_tables(model, found, seed=seed)


def build_from_tables(model: Model, tables: Sequence[SplitTable], *, seed: int) -> Flow:
    """Build the flow with these tables, one for each split, as `build` does."""
    return _assemble(model, tables, seed)


def build_nms(model: Model, *, seed: int, form: Literal["squeezed", "flat"] = "squeezed") -> Flow:
    """Build the same flow without splits (NMS), for the pretraining of Algorithm 1.

    Args:
        model: As for `build`.
        seed: Seed of the weights.
        form: With ``squeezed`` the tensor is squeezed where a split would be, and nothing is
            factored out; with ``flat`` all blocks work at the size of the image, the paper's
            literal s x s x c.

    Raises:
        ImpossibleError: If the flow has no such form.

    Example:
        >>> from lcma.sweeps import catalog
        >>> model = catalog.recipe("realnvp", "digits", "tiny").model
        >>> [tuple(shape) for shape in build_nms(model, seed=0).latent_shapes]
        [(16, 2, 2)]
    """
    return _assemble(model, None, seed, flat=form == "flat")


def _assemble(
    model: Model, found: Sequence[SplitTable] | None, seed: int, *, flat: bool = False
) -> Flow:
    facts = REGISTERED[model.flow]
    parts = _PARTS.get(model.flow, facts.parts)
    if parts is None:
        raise ImpossibleError(f"nothing builds the flow {model.flow}")
    if flat and not facts.flat_nms:
        raise ImpossibleError(f"{model.flow} has no flat form")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # Only a flow that has a flat form is asked for it.
        built = parts(model, found, **({"flat": True} if flat else {}))
        layers, prior = built if facts.plugin is None else _checked(built, model, found)
        return Flow(layers, prior, (model.channels, model.size, model.size))


def _checked(
    built: Any, model: Model, found: Sequence[SplitTable] | None
) -> tuple[list[Layer], Prior]:
    """Return what a plug-in's function built. Raises UserError if it is not as `Parts` says."""
    plugin = REGISTERED[model.flow].plugin
    where = f"the flow {model.flow} ({plugin})"
    pair = isinstance(built, tuple) and len(built) == 2
    if not pair or not isinstance(built[0], list) or not isinstance(built[1], Prior):
        raise UserError(f"{where}: its function must return a list of layers and a prior")
    layers, prior = built
    strange = next((layer for layer in layers if not isinstance(layer, Layer)), None)
    if strange is not None:
        raise UserError(f"{where}: a {type(strange).__name__} is no Layer of models.layers")
    ends = [layer for layer in layers if layer.ends_block]
    if len(ends) != model.splits or any(isinstance(e, Split) == (found is None) for e in ends):
        wanted = "PassAll" if found is None else "Split"
        raise UserError(f"{where}: give one {wanted} for each of the {model.splits} splits")
    return layers, prior


_PARTS: dict[str, Parts] = {
    "realnvp": realnvp.build_layers,
    "glow": glow.build_layers,
    "iresnet": iresnet.build_layers,
    "resflow": resflow.build_layers,
}
