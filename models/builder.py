"""Build flows from a recipe's model and a factorization."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch

from lcma.models import glow, iresnet, realnvp, resflow
from lcma.models.factorization import Map, Order, SplitTable, check_table, make_tables
from lcma.models.flow import Flow
from lcma.models.layers import Layer
from lcma.models.priors import Prior
from lcma.models.split import Split
from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.errors import UserError
from lcma.sweeps.factorizations import ImpossibleError, canonical
from lcma.sweeps.recipe import Model

Parts = Callable[..., tuple[list[Layer], Prior]]
"""Function (model, tables) that builds the layers of a flow.

It gets an index table for each split, or None for a flow without splits (NMS). It returns the
layers from data to noise, each split with its prior, and the prior of the dimensions that stay. For
a flow with `flat_nms` it also takes the keyword `flat`."""


def build(
    model: Model,
    factorization: str,
    *,
    seed: int,
    maps: Sequence[Map] = (),
    order: Order = "raster",
) -> Flow:
    """Build the flow of a factorization, with weights drawn from a seed.

    Flows of the same model and seed start from the same weights whatever their factorization,
    except `none`, so that comparisons can be paired by seed. The global generator is left as it
    was.

    Args:
        model: The flow, the size of its images, its number of splits and its architecture.
        factorization: Any name of a factorization, such as `conventional` or `low`, or a word such
            as `LLH`.
        seed: Seed of the weights, and of random tables.
        maps: For rules that read maps, one (C, H, W) per split; see `make_tables`.
        order: For rules that rank windows, the order of a window's two dimensions inside a half.

    Returns:
        A flow on the CPU, in training mode. Before it is used, `Flow.initialize` sets the starting
        values that depend on data.

    Raises:
        ImpossibleError: If the flow cannot be built, or not with this factorization.
        UserError: If the factorization is unknown, or if the function of a plug-in does not return
            layers and a prior.

    Example:
        >>> from lcma.sweeps import catalog
        >>> model = catalog.recipe("realnvp", "digits", "tiny").model
        >>> flow = build(model, "checkerboard-even", seed=0)
        >>> [tuple(shape) for shape in flow.latent_shapes]
        [(2, 4, 4), (4, 2, 2), (4, 2, 2)]
    """
    own_rule = REGISTERED[model.flow].conventional
    factorization = canonical(factorization, conventional=own_rule, splits=model.splits)
    if factorization == "none":
        return _assemble(model, None, seed)
    shape = (model.channels, model.size, model.size)
    tables = make_tables(factorization, shape, model.splits, seed=seed, maps=maps, order=order)
    return _assemble(model, tables, seed)


def build_from_tables(model: Model, tables: Sequence[SplitTable], *, seed: int) -> Flow:
    """Build a flow from index tables of your own.

    Args:
        model: As for `build`.
        tables: An index table for each split, such as `make_tables` returns.
        seed: Seed of the weights.

    Returns:
        A flow as `build` returns it.

    Raises:
        ValueError: The tables are not one for each split, or do not fit its tensor.
    """
    if len(tables) != model.splits:
        raise ValueError(f"{len(tables)} tables for {model.splits} splits")
    shape: tuple[int, ...] = (model.channels, model.size, model.size)
    for table in tables:
        check_table((table.kept, table.left), shape)
        shape = table.kept.shape
    return _assemble(model, tables, seed)


def build_nms(model: Model, *, seed: int, form: Literal["squeezed", "flat"] = "squeezed") -> Flow:
    """Build the same flow without splits (NMS), for the pretraining of Algorithm 1.

    Args:
        model: As for `build`.
        seed: Seed of the weights.
        form: `squeezed` puts a squeeze at the place of each split. `flat` squeezes nothing between
            the scales, so that every scale works at the size of the image: the paper's s x s x c,
            read literally.

    Returns:
        A flow as `build` returns it.

    Raises:
        ImpossibleError: If the flow has no flat form.

    Example:
        >>> from lcma.sweeps import catalog
        >>> model = catalog.recipe("realnvp", "digits", "tiny").model
        >>> [tuple(shape) for shape in build_nms(model, seed=0).latent_shapes]
        [(16, 2, 2)]
    """
    return _assemble(model, None, seed, flat=form == "flat")


def _assemble(
    model: Model, tables: Sequence[SplitTable] | None, seed: int, *, flat: bool = False
) -> Flow:
    facts = REGISTERED[model.flow]
    build_parts = _PARTS.get(model.flow, facts.parts)
    if build_parts is None:
        raise ImpossibleError(f"nothing builds the flow {model.flow}")
    if flat and not facts.flat_nms:
        raise ImpossibleError(f"{model.flow} has no flat form")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # those of GPUs stay as they are
        # Functions of flows without a flat form do not take `flat`.
        parts = build_parts(model, tables, **({"flat": True} if flat else {}))
        layers, prior = parts if facts.plugin is None else _check_parts(parts, model, tables)
        return Flow(layers, prior, (model.channels, model.size, model.size))


def _check_parts(
    parts: Any, model: Model, tables: Sequence[SplitTable] | None
) -> tuple[list[Layer], Prior]:
    """Return what the function of a plug-in returned. Raises UserError if that breaks `Parts`."""
    plugin = REGISTERED[model.flow].plugin
    where = f"the flow {model.flow} ({plugin})"
    pair = isinstance(parts, tuple) and len(parts) == 2
    if not pair or not isinstance(parts[0], list) or not isinstance(parts[1], Prior):
        raise UserError(f"{where}: its function must return a list of layers and a prior")
    layers, prior = parts
    for layer in layers:
        if not isinstance(layer, Layer):
            raise UserError(f"{where}: a {type(layer).__name__} is no Layer of models.layers")
    ends = [layer for layer in layers if layer.ends_block]
    if len(ends) != model.splits or any(isinstance(e, Split) == (tables is None) for e in ends):
        layer_name = "PassAll" if tables is None else "Split"
        raise UserError(f"{where}: give one {layer_name} for each of the {model.splits} splits")
    if not any(p.requires_grad for part in (*layers, prior) for p in part.parameters()):
        raise UserError(f"{where}: no layer has a parameter that could be trained")
    return layers, prior


_PARTS: dict[str, Parts] = {
    "realnvp": realnvp.build_layers,
    "glow": glow.build_layers,
    "iresnet": iresnet.build_layers,
    "resflow": resflow.build_layers,
}
