"""The predicted time of what is left, and limits of it, in text."""

from collections.abc import Iterator

from lcma.harness.cpus import count_cpus
from lcma.harness.launch.limits import Limits
from lcma.harness.launch.plan import REFERENCE
from lcma.harness.launch.prediction import Prediction
from lcma.harness.text import format_duration, printable


def describe_time(predicted: Prediction, slots: int | None = None) -> str:
    """Return how long what is left takes, by whose jobs, and what is not known.

    ``slots`` is how many jobs the cores of this machine run at once, None where others run them.
    """
    said, hours = list[str](), predicted.hours
    if hours is not None:
        jobs = sum(part.jobs for part in predicted.parts)
        expected, low, high = (
            format_duration(3600 * one / min(slots or 1, jobs))
            for one in (hours.expected, hours.low, hours.high)
        )
        how = "of one GPU" if predicted.share else "if one job runs at a time"
        if slots is not None:
            cores = count_cpus()
            how = "on this core" if cores == 1 else f"on these {cores} cores"
        said.append(f"about {expected} {how} ({low} to {high}), from {_name_attempts(predicted)}")
    if predicted.unknown:
        device = "GPU" if predicted.share else "CPU"
        flows = ", ".join(dict.fromkeys(part.flow for part in predicted.unknown))
        said.append(f"not known for {flows}: no job of this shape has run on a {device}")
    return printable("; ".join(said) or "nothing is left to train")


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
        flows = ", ".join(dict.fromkeys(part.flow for part in of))
        devices = ", ".join(sorted({device for part in of for device in part.devices}))
        on = "in the reference, on other machines" if source == REFERENCE else f"on {devices}"
        said.append(f"{flows} {on}")
    return " and ".join(said)
