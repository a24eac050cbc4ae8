"""What to keep in mind of a table of the board, a line each: precision, bars, seeds, losses."""

from collections.abc import Iterator, Mapping

from lcma.db import Measurement
from lcma.harness.results.board import MIN_SEEDS, Group, name_unit
from lcma.harness.text import format_number, printable
from lcma.sweeps.measures import BITS_PER_DIM, CONTROL_ORDERS, CONTROLS, name_control, name_overflow

PUBLISHED = frozenset({"cifar10", "imagenet32", "imagenet64", "celeba64"})
"""Data sets on which papers report bits/dim. Box-filtered ones are others."""


def list_notes(group: Group) -> list[str]:
    """Return the notes on a group, one line each."""
    return [
        *_note_precision(group),
        *(_note_bars(group) if group.measure == BITS_PER_DIM else ()),
        *_note_rows(group),
        *_note_images(group),
        *list_sample_notes(group.measure, group.sample_controls),
    ]


def _note_precision(group: Group) -> Iterator[str]:
    clustered = "" if group.clusters is None else f" in {group.clusters} photographs"
    known = "an unknown number of" if group.images is None else f"{group.images:,}"
    counted = f"{known} test images{clustered}"
    if group.standard_error is None:
        yield f"{counted}, without a standard error."
    else:
        kind = "standard error" if group.clusters is None else "standard error by photograph"
        error = f"{format_number(group.standard_error)} {name_unit(group.unit)}"
        yield f"{counted}; one trial's {kind} is at most {error}."


def _note_bars(group: Group) -> Iterator[str]:
    if any(row.cleared is False for row in group.rows):
        yield "† undertrained: worse than a simple baseline (in brackets)."
    if not group.bars:
        yield "No bars are known for this data set: launch again to measure them."
    for bar in group.bars:
        if bar.bits_per_dim is None:
            yield f"No bar {printable(bar.name)}: {printable(bar.detail)}"


def _note_rows(group: Group) -> Iterator[str]:
    for number in dict.fromkeys(n for row in group.rows for n in row.published if n.note):
        yield f"{number.bits_per_dim:.2f} ({number.where}, {number.split}): {number.note}."
    if any(row.n < MIN_SEEDS for row in group.rows):
        yield f"Fewer than {MIN_SEEDS} seeds decide nothing: this is a first look."
    with_results = [row for row in group.rows if row.seeds]
    if len({row.seeds for row in with_results}) > 1:
        yield "Rows have different seeds: trust the paired differences, not the order."
    for row in group.rows:
        if row.diverged or row.failed:
            at = "" if row.budget is None else f" at budget {row.budget}"
            yield f"{printable(row.label)}{at}: {row.diverged} diverged, {row.failed} failed."
    rules = {row.factorization for row in with_results}
    if "none" in rules and rules != {"none"}:
        yield (
            "none factors nothing out, so it is a larger model than the other rows, of three to "
            "four times the parameters in the profile tiny."
        )


OF_VARIANT = {
    "float": "its images are not rounded to integers, so these numbers are no bound on the bits of "
    "discrete images",
    "npz": "the npz release is easier by roughly 0.3 bits/dim than the PNG release that published "
    "numbers are on",
    "u8": "published numbers on CelebA are on images that are not rounded to integers, as those of "
    "the variant float",
}
"""What keeps numbers of a published set from those of another variant."""


def _note_images(group: Group) -> Iterator[str]:
    name, published = printable(group.dataset), group.dataset in PUBLISHED
    about = OF_VARIANT.get(group.variant)
    if about and (group.variant != "u8" or group.dataset == "celeba64"):
        yield f"{name} ({group.variant}): {about}."
    if not published or not group.whole:
        why = "not the whole official set" if published else "no published benchmark"
        yield f"{name} is {why}: do not compare it with published numbers."


# Of measures of samples


def list_sample_notes(measure: str, beside: Mapping[str, Measurement]) -> Iterator[str]:
    """Yield the controls of a measure of samples, where it fails them, and what overflowed."""
    overflow = beside.get(name_overflow(measure))
    if overflow is not None and overflow.value:
        yield (
            f"{overflow.value:,.0f} of {overflow.images or 0:,} samples overflowed; what did is "
            "black or white in them."
        )
    found = _find_controls(measure, beside)
    if found:
        texts = [f"{what} {_describe(found[control])}" for control, what in CONTROLS.items()]
        yield f"Controls of {measure} on {found['null'].images or 0:,} images: {'; '.join(texts)}."
    if wrong := find_failed_controls(measure, beside):
        yield (
            f"! {measure} fails its controls on this data set, so its order may not be that of "
            f"looks: {'; '.join(wrong)}."
        )


def find_failed_controls(measure: str, beside: Mapping[str, Measurement]) -> list[str]:
    """Return which controls a measure of samples does not tell apart as it must."""
    found = _find_controls(measure, beside)
    return [
        f"{CONTROLS[worse]} are no worse than {CONTROLS[better]}"
        for better, worse in CONTROL_ORDERS
        if found and not found[better].value < found[worse].value
    ]


def _find_controls(measure: str, beside: Mapping[str, Measurement]) -> dict[str, Measurement]:
    """Return the controls, empty unless all are there."""
    found = {c: one for c in CONTROLS if (one := beside.get(name_control(measure, c)))}
    return found if len(found) == len(CONTROLS) else {}


def _describe(one: Measurement) -> str:
    error = "" if one.standard_error is None else f" \u00b1 {format_number(one.standard_error)}"
    return f"{format_number(one.value)}{error}"
