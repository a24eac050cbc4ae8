"""Notes on a table of the board, a line each: precision, bars, seeds, lost trials, images."""

from collections.abc import Iterator, Mapping

from lcma.db import Measurement
from lcma.harness.results.board import MIN_SEEDS, Group, name_unit
from lcma.harness.text import format_number, printable
from lcma.sweeps.measures import BITS_PER_DIM, CONTROL_ORDERS, CONTROLS, name_control, name_overflow

PUBLISHED_SETS = frozenset({"cifar10", "imagenet32", "imagenet64", "celeba64"})
"""Data sets on which papers report bits/dim; their box-filtered forms are not among them."""


def list_notes(group: Group) -> list[str]:
    return [
        *_note_precision(group),
        *(_note_bars(group) if group.measure == BITS_PER_DIM else ()),
        *_note_rows(group),
        *_note_images(group),
        *list_sample_notes(group.measure, group.sample_controls),
    ]


def name_image(group: Group) -> str:
    """Return what the images are on which a group was measured."""
    parts = {"holdout": "holdout image", "train": "training image"}
    return parts.get(group.measure.partition("_")[0], "test image")


def _note_precision(group: Group) -> Iterator[str]:
    if group.images is None and group.measure != BITS_PER_DIM:
        return
    clustered = "" if group.clusters is None else f" in {group.clusters} photographs"
    number = "an unknown number of" if group.images is None else f"{group.images:,}"
    counted = f"{number} {name_image(group)}s{clustered}"
    if group.standard_error is None:
        yield f"{counted}, without a standard error."
    else:
        kind = "standard error" if group.clusters is None else "standard error by photograph"
        error = f"{format_number(group.standard_error)} {name_unit(group.unit)}"
        yield f"{counted}; one trial's {kind} is at most {error}."


def _note_bars(group: Group) -> Iterator[str]:
    if any(row.cleared is False for row in group.rows):
        yield "†: undertrained, because its mean is above the lowest bar, a simple baseline."
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
            budget = "" if row.budget is None else f" at budget {row.budget}"
            yield f"{printable(row.label)}{budget}: {row.diverged} diverged, {row.failed} failed."
    rules = {row.factorization for row in with_results}
    if "none" in rules and rules != {"none"}:
        yield (
            "none factors nothing out, so its model is larger than those of other rows: it has "
            "three to four times their parameters in the profile tiny."
        )


VARIANT_NOTES = {
    "float": "its images are not rounded to integers, so these numbers do not bound the bits of "
    "discrete images",
    "npz": "the npz release is easier, by roughly 0.3 bits/dim, than the PNG release, for which "
    "numbers are published",
    "u8": "published numbers for CelebA are for images that are not rounded to integers, as in the "
    "variant float",
}
"""Why numbers of a variant are not comparable with those of another."""


def _note_images(group: Group) -> Iterator[str]:
    name, published = printable(group.dataset), group.dataset in PUBLISHED_SETS
    about = VARIANT_NOTES.get(group.variant)
    if about and (group.variant != "u8" or group.dataset == "celeba64"):
        yield f"{name} ({group.variant}): {about}."
    if not published or not group.whole:
        why = "not the whole official set" if published else "no published benchmark"
        yield f"{name} is {why}: do not compare it with published numbers."


# Measures of samples


def list_sample_notes(measure: str, controls: Mapping[str, Measurement]) -> Iterator[str]:
    """Yield the controls of a measure of samples, those that it fails, and what overflowed."""
    overflow = controls.get(name_overflow(measure))
    if overflow is not None and overflow.value:
        yield (
            f"{overflow.value:,.0f} of {overflow.images or 0:,} samples overflowed; overflowing "
            "values are drawn black or white."
        )
    values = _find_controls(measure, controls)
    if values:
        texts = [f"{images} {_describe(values[name])}" for name, images in CONTROLS.items()]
        yield f"Controls of {measure} on {values['null'].images or 0:,} images: {'; '.join(texts)}."
    if failed := find_failed_controls(measure, controls):
        yield (
            f"!: {measure} fails its controls on this data set, so it may not rank samples as "
            f"people see them: {'; '.join(failed)}."
        )


def find_failed_controls(measure: str, controls: Mapping[str, Measurement]) -> list[str]:
    """Return the pairs of controls that a measure of samples does not rank as it must."""
    values = _find_controls(measure, controls)
    return [
        f"{CONTROLS[worse]} are no worse than {CONTROLS[better]}"
        for better, worse in CONTROL_ORDERS
        if values and not values[better].value < values[worse].value
    ]


def _find_controls(measure: str, controls: Mapping[str, Measurement]) -> dict[str, Measurement]:
    """Return the controls by short name; empty unless all are known."""
    values = {c: value for c in CONTROLS if (value := controls.get(name_control(measure, c)))}
    return values if len(values) == len(CONTROLS) else {}


def _describe(value: Measurement) -> str:
    error = "" if value.standard_error is None else f" ± {format_number(value.standard_error)}"
    return f"{format_number(value.value)}{error}"
