"""Predicted device hours, and limits of them, in text."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from lcma.harness.run.limits import Limits
from lcma.harness.run.plan import REFERENCE
from lcma.harness.run.prediction import PredictedPart, Prediction
from lcma.harness.text import format_count, format_duration, printable


def describe_prediction(predicted: Prediction) -> str:
    """Return a line: the device hours of what is left, by which attempts, and what is not known."""
    said, hours = list[str](), predicted.hours
    if hours is not None:
        expected, low, high = (
            format_duration(3600 * one) for one in (hours.expected, hours.low, hours.high)
        )
        said.append(f"{expected} ({low} to {high}), from {_name_attempts(predicted)}")
    if predicted.unknown:
        device = "GPU" if predicted.share else "CPU"
        unknown = f"not known for {_name_parts(predicted.unknown)}"
        said.append(f"{unknown}: no job of this shape has run on a {device}")
    return printable(f"Predicted device hours of what is left: {'; '.join(said) or 'none'}")


def describe_limits(limits: Limits, predicted: Prediction | None) -> Iterator[str]:
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
    if said and predicted is None:
        yield f"At most {', '.join(said)}"
    elif said and predicted is not None:
        hours = predicted.hours
        expected = "nothing to predict from" if hours is None else f"predicted {hours.expected:.2g}"
        yield f"At most {', '.join(said)}; {expected}"


def _name_attempts(predicted: Prediction) -> str:
    known = [part for part in predicted.parts if part.hours is not None]
    said = []
    for source in dict.fromkeys(part.source for part in known):
        of = [part for part in known if part.source == source]
        least, most = min(part.attempts for part in of), max(part.attempts for part in of)
        number = f"{most}" if least == most else f"{least}-{most}"
        attempts = f"{number} attempt{'' if most == 1 else 's'}" + " of each kind" * (len(of) > 1)
        devices = ", ".join(sorted({device for part in of for device in part.devices}))
        on = "of the reference, on other machines" if source == REFERENCE else f"on {devices}"
        said.append(f"{attempts} {on}")
    return " and ".join(said)


def _name_parts(parts: Iterable[PredictedPart]) -> str:
    jobs = defaultdict[str, Counter[str]](Counter)
    for part in parts:
        jobs[f"{part.flow} on {part.dataset}"][part.what] += part.jobs
    return ", ".join(
        f"{where} ({', '.join(format_count(n, what) for what, n in sorted(counts.items()))})"
        for where, counts in jobs.items()
    )
