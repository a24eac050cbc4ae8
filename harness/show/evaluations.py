"""Results of evaluations of kept weights, in text."""

from dataclasses import asdict
from typing import Any

from lcma.db import JobFacts, Measure, Result
from lcma.harness.results.trials import describe_trial, trial_as_dict
from lcma.harness.run.reevaluation import Reevaluated
from lcma.harness.text import format_number, printable
from lcma.sweeps.measures import BITS_PER_DIM, HELD_OUT, OF_SAMPLES, name_overflow


def evaluation_as_dict(one: Reevaluated) -> dict[str, Any]:
    """Return the trial, its result with measures by name, and whether it is new."""
    measures = {measure.name: asdict(measure) for measure in one.result.measures}
    facts = trial_as_dict(one.trial) | asdict(one.result)
    return facts | {"measures": measures, "new": one.new}


def describe_evaluation(one: Reevaluated) -> str:
    """Return trial, protocol, bits/dim, bound and series terms of a result, in one line."""
    measures = {measure.name: measure for measure in one.result.measures}
    bits = f"{one.result.protocol} {_describe(measures[BITS_PER_DIM])}"
    facts = [f"{bits} bits/dim"]
    bound, gain = measures.get("bound_bits_per_dim"), measures.get("bound_gain")
    if bound is not None and gain is not None:
        facts.append(
            f"K={measures['bound_draws'].value:.0f} bound {format_number(bound.value)} on "
            f"{bound.images} images ({format_number(-gain.value, 5, sign=True)})"
        )
    if "series_terms" in measures:
        terms = round(measures["series_terms"].value)
        facts.append(f"{terms} terms")
        if "series_bias" in measures:
            bias = _describe(measures["series_bias"], 5, sign=True)
            facts[-1] += f": {bias} over {2 * terms}"
    there = "" if one.new else " (there already)"
    return f"{printable(describe_trial(one.trial))}: {printable('; '.join(facts))}{there}"


def describe_samples(name: str, trial: JobFacts, result: Result, *, new: bool) -> str:
    """Return trial, value on both parts and overflow of a measure of samples, in one line.

    A measure of a plug-in is said to be on images, since how many samples it draws is its own.
    """
    found = {measure.name: measure for measure in result.measures}
    of = "samples" if name in OF_SAMPLES else "images"
    facts = [f"{name} {_describe(found[name])} on {found[name].images} {of}"]
    if HELD_OUT + name in found:
        facts.append(f"holdout {_describe(found[HELD_OUT + name])}")
    overflow = found.get(name_overflow(name))
    if overflow is not None and overflow.value:
        facts.append(f"{overflow.value:.0f} of {overflow.images} overflowed")
    there = "" if new else " (there already)"
    return f"{printable(describe_trial(trial))}: {'; '.join(facts)}{there}"


def _describe(measure: Measure, digits: int = 4, *, sign: bool = False) -> str:
    text = format_number(measure.value, digits, sign=sign)
    if measure.standard_error is None:
        return text
    return f"{text} \u00b1 {format_number(measure.standard_error, digits)}"
