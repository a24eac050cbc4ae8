"""Predicted device hours, in text and as JSON values."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from rich.console import Group as Lines
from rich.text import Text

from lcma.harness.run.limits import Limits
from lcma.harness.run.prediction import (
    QUANTILES,
    Amount,
    Hours,
    PredictedPart,
    Prediction,
    Predictions,
)
from lcma.harness.text import format_count, format_duration, printable


def render_predictions(predicted: Predictions) -> Lines:
    """Return a few lines for each device, or one that says that there is no history."""
    lines = [line for device in predicted.devices for line in _device(device)]
    if not lines:
        lines = [f"No prediction: {_unknown(predicted.left)}"]
    return Lines(*(Text(printable(line)) for line in lines))


def describe_rest(predicted: Predictions) -> Iterator[str]:
    """Yield a line about what is left for each device on which something of it is known."""
    for device in predicted.devices:
        if device.left.known:
            yield f"Predicted for what is left on {device.device}: {_amount(device.left)}"


def describe_limits(limits: Limits, predicted: Predictions | None) -> Iterator[str]:
    """Yield a line with the limits of a launch beside what is predicted; none without limits.

    ``predicted`` is None where nothing is.
    """
    said = []
    if limits.device_hours is not None:
        said.append(f"{limits.device_hours:g} device hours")
    if limits.sweep_device_hours is not None:
        said.append(f"{limits.sweep_device_hours:g} device hours of all launches of the sweep")
    if limits.hours is not None:
        said.append(f"{limits.hours:g} h by the wall")
    if predicted is None:
        if said:
            yield f"At most {', '.join(said)}"
        return
    known = [one for one in predicted.devices if one.left.known]
    hours = [f"{one.left.hours.expected:.2g}" for one in known]
    if len(known) > 1:
        hours = [f"{each} on {one.device}" for each, one in zip(hours, known, strict=True)]
    if said:
        expected = f"predicted {', '.join(hours)}" if hours else "no history to predict from"
        yield f"At most {', '.join(said)}; {expected}"


def predictions_as_dict(predicted: Predictions) -> dict[str, Any]:
    """Return predictions with each of their parts as JSON values, in device hours."""
    return {
        "unit": "device hours",
        "quantiles_percent": dict(zip(("low", "expected", "high"), QUANTILES, strict=True)),
        "devices": [
            {
                "device": device.device,
                "left": _as_dict(device.left),
                "shared": _as_dict(device.shared),
                "unshared": _as_dict(device.alone),
            }
            for device in predicted.devices
        ],
        "no_history": [] if predicted.devices else [asdict(p) for p in predicted.left.parts],
    }


def _as_dict(amount: Amount) -> dict[str, Any]:
    return {
        **(asdict(amount.hours) if amount.known else dict.fromkeys(("expected", "low", "high"))),
        "parts": [asdict(part) for part in amount.known],
        "no_history": [asdict(part) for part in amount.unknown],
    }


def _device(device: Prediction) -> Iterator[str]:
    yield f"Predicted device hours on {device.device}: {_amount(device.left)}"
    both = f"{_hours(device.shared.hours)}, each cell alone {_hours(device.alone.hours)}"
    whole = ", of what has a history" if device.shared.unknown else ""
    yield f"  the whole sweep from the start: {both}{whole}"


def _amount(amount: Amount) -> str:
    words = []
    if amount.known:
        attempts = sorted({part.attempts for part in amount.known})
        of_each = " of each kind" if len(amount.known) > 1 else ""
        number = "-".join(map(str, attempts[:1] + attempts[1:][-1:]))
        ending = "" if attempts[-1] == 1 else "s"
        words.append(f"{_hours(amount.hours)}, from {number} attempt{ending}{of_each}")
    if amount.unknown:
        words.append(_unknown(amount))
    return "; ".join(words) or "nothing is left"


def _unknown(amount: Amount) -> str:
    reasons = {
        "no history for": [part for part in amount.unknown if part.prepared],
        "not known before the images are prepared": [p for p in amount.unknown if not p.prepared],
    }
    said = [f"{reason}: {_named(parts)}" for reason, parts in reasons.items() if parts]
    return "; ".join(said) or "nothing is left"


def _named(parts: Iterable[PredictedPart]) -> str:
    jobs = defaultdict[str, Counter[str]](Counter)
    for part in parts:
        jobs[f"{part.flow} on {part.dataset}"][part.what] += part.jobs
    return ", ".join(
        f"{where} ({', '.join(_counted(*each) for each in sorted(counts.items(), reverse=True))})"
        for where, counts in jobs.items()
    )


def _counted(what: str, jobs: int) -> str:
    name = "segment" if what == "pretraining" else what
    of = " of pretrainings" if what == "pretraining" else ""
    return f"{format_count(jobs, name)}{of}"


def _hours(hours: Hours) -> str:
    low, high = format_duration(3600 * hours.low), format_duration(3600 * hours.high)
    return f"{format_duration(3600 * hours.expected)} ({low} to {high})"
