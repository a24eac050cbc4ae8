"""Rungs: steps of a training at which a tuner compares it with others and may stop it.

The value at a rung is bits/dim on the holdout part, as at the end. It is a curve of its own, so
that the curves that a recipe asks for are the same with and without a tuner.
"""

from lcma.db import Store

CURVE = "rung_bits_per_dim"
"""The curve of the values at rungs."""

HOLDOUT = "holdout_bits_per_dim"
"""The curve of the same at the steps that the recipe asks for."""


class AtRungError(Exception):
    """A training stands at its rung, with a checkpoint of that step where one could be written."""


def rung_values(store: Store, job_id: str) -> dict[int, float]:
    """Bits/dim on the holdout part by step, wherever it is known."""
    curves = (store.metrics(job_id, name) for name in (HOLDOUT, CURVE))
    return {point.step: point.value for curve in curves for point in curve}
