"""What is known of how far the numbers of a board lie from what they stand for."""

from collections.abc import Sequence
from statistics import fmean

from lcma.db import Beside


def correction_notes(results: Sequence[Beside]) -> list[str]:
    """Sentences on the K-sample bounds and the series of results that stand in one table."""
    return [*_bounds(results), *_series(results)]


def _bounds(results: Sequence[Beside]) -> list[str]:
    found = [(r.bound_draws, r.bound_gain) for r in results if r.bound_gain is not None]
    if not found:
        return []
    draws = "/".join(str(k) for k in sorted({k for k, _ in found if k is not None}))
    gain = fmean(gain for _, gain in found)
    if round(gain, 5) == 0:
        told = "is that of one within 0.00001 bits/dim"
    else:
        side = "lower" if gain > 0 else "higher"
        told = f"is {side} than that of one by {abs(gain):.5f} bits/dim"
    return [f"The bound of {draws} dequantization draws {told}, on average over trials."]


def _series(results: Sequence[Beside]) -> list[str]:
    found = [(r.series_bias, r) for r in results if r.series_bias is not None]
    if not found:
        return []
    bias, worst = max(found, key=lambda one: abs(one[0]))
    terms, error = worst.series_terms or 0, worst.series_bias_standard_error
    within = "" if error is None else f" \u00b1 {error:.5f}"
    return [
        f"Bits/dim at {terms} terms of the series less those at {2 * terms}, by the same probes: "
        f"{bias:+.5f}{within} in the trial with the most."
    ]
