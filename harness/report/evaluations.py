"""Results of evaluations by another protocol, in text."""

from lcma.harness.results.trials import describe_trial
from lcma.harness.run.reevaluation import Reevaluated
from lcma.harness.text import format_number, printable


def describe_evaluation(one: Reevaluated) -> str:
    """Return trial, protocol, bits/dim, bound and series terms of a result, in one line."""
    result = one.result
    bits = f"{result.protocol} {format_number(result.bits_per_dim)}"
    if result.standard_error is not None:
        bits += f" \u00b1 {format_number(result.standard_error)}"
    facts = [f"{bits} bits/dim"]
    if result.bound_bits_per_dim is not None and result.bound_gain is not None:
        facts.append(
            f"K={result.bound_draws} bound {format_number(result.bound_bits_per_dim)} on "
            f"{result.bound_images} images ({format_number(-result.bound_gain, 5, sign=True)})"
        )
    if result.series_terms is not None:
        facts.append(f"{result.series_terms} terms")
    if result.series_bias is not None:
        facts[-1] += f": {format_number(result.series_bias, 5, sign=True)}"
        if result.series_bias_standard_error is not None:
            facts[-1] += f" \u00b1 {format_number(result.series_bias_standard_error, 5)}"
        facts[-1] += f" over {2 * (result.series_terms or 0)}"
    there = "" if one.new else " (there already)"
    return f"{printable(describe_trial(one.trial))}: {printable('; '.join(facts))}{there}"
