"""What is known of how far the numbers of a board lie from what they stand for."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any


def notes(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sentences on the K-sample bounds and the series of results that stand in one table."""
    return [*_bounds(records), *_series(records)]


def _bounds(records: Sequence[Mapping[str, Any]]) -> list[str]:
    found = [r for r in records if r.get("bound_gain") is not None]
    if not found:
        return []
    draws = "/".join(str(k) for k in sorted({int(r["bound_draws"]) for r in found}))
    gain = fmean(r["bound_gain"] for r in found)
    if round(gain, 5) == 0:
        told = "is that of one within 0.00001 bits/dim"
    else:
        side = "lower" if gain > 0 else "higher"
        told = f"is {side} than that of one by {abs(gain):.5f} bits/dim"
    return [f"The bound of {draws} dequantization draws {told}, on average over trials."]


def _series(records: Sequence[Mapping[str, Any]]) -> list[str]:
    found = [r for r in records if r.get("series_bias") is not None]
    if not found:
        return []
    worst = max(found, key=lambda r: abs(r["series_bias"]))
    terms, error = int(worst["series_terms"]), worst["series_bias_standard_error"]
    within = "" if error is None else f" \u00b1 {error:.5f}"
    return [
        f"Bits/dim at {terms} terms of the series less those at {2 * terms}, by the same probes: "
        f"{worst['series_bias']:+.5f}{within} in the trial with the most."
    ]
