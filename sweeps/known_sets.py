"""Data sets that a sweep can name: those of lcma, their box-filtered forms, and your own.

A set is prepared under its name. Trials hold `dataset` and `variant`, from which `set_name` makes
the name.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter

from lcma.sweeps import strict_yaml
from lcma.sweeps.errors import UserError

UNNAMED_VARIANTS: Final = ("u8", "npz")
"""Variants that are not part of a set's name."""

OWN_IMAGES: Final = "`lcma data prepare NAME --from FOLDER --size S` makes one of your own images"
"""A hint for messages about an unknown set."""

_BOX_WORDS: Final = {2: "two", 4: "four"}
_MIN_FILTERED_SIZE: Final = 8
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_own_sets: dict[str, "DataSetFacts"] = {}


class DataSetFacts(BaseModel):
    """What planning needs to know about a data set, without its images."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int  # height and width in pixels
    images: int | None = None  # of all its parts as it is published, None if not known
    channels: int = 3
    dataset: str  # in trials and results, with `variant`
    variant: str = "u8"
    about: str
    licence: str = "not known"
    filtered_from: str | None = None  # the set that was box-filtered to this one


def known() -> Mapping[str, DataSetFacts]:
    """Return the sets that a sweep can name: those of lcma, and those that are registered."""
    return {**shipped(), **_own_sets}


def register(name: str, facts: DataSetFacts) -> None:
    """Register a user's own set in this process. Raises UserError as `check_own` does."""
    check_own(name)
    _own_sets[name] = facts


def can_be_own(name: str) -> bool:
    """Return whether a user's own set can have this name."""
    return name not in shipped() and _NAME.fullmatch(name) is not None


def check_own(name: str) -> None:
    """Raise UserError if a user's own set cannot have this name."""
    if name in shipped():
        raise UserError(f"{name} is the name of a set of lcma: choose another")
    if not can_be_own(name):
        raise UserError(
            f"{name!r} cannot name a data set: use small letters, digits and hyphens, at most 64"
        )


def set_name(dataset: str, variant: str) -> str:
    """Return the name under which the set of a trial is prepared."""
    return dataset if variant in UNNAMED_VARIANTS else f"{dataset}-{variant}"


def find_source(name: str) -> str:
    """Return the set that was box-filtered to this one, or this one if it is not filtered."""
    facts = known().get(name)
    return (facts and facts.filtered_from) or name


def find_family(name: str) -> str:
    """Return the `dataset` that all variants and box-filtered forms of a set come from."""
    source = find_source(name)
    return known()[source].dataset if source in known() else source


@cache
def shipped() -> Mapping[str, DataSetFacts]:
    """Return the sets that lcma can prepare, each followed by its box-filtered forms."""
    text = (files("lcma.sweeps") / "datasets.yaml").read_text()
    entries = TypeAdapter(dict[str, dict[str, Any]]).validate_python(
        strict_yaml.parse(text, "sweeps/datasets.yaml")
    )
    sets: dict[str, DataSetFacts] = {}
    for name, entry in entries.items():
        filtered = entry.pop("filtered", True)
        facts = DataSetFacts.model_validate({"dataset": name} | entry)
        sets[name] = facts
        if filtered and facts.filtered_from is None:
            sets |= _make_filtered_forms(name, facts)
    return sets


def _make_filtered_forms(name: str, facts: DataSetFacts) -> dict[str, DataSetFacts]:
    forms = {}
    for box, word in _BOX_WORDS.items():
        size = facts.size // box
        if size < _MIN_FILTERED_SIZE:
            continue
        dataset = f"{facts.dataset}-{size}"
        about = f"{facts.about}; box-filtered by {word}"
        changed = {"size": size, "dataset": dataset, "about": about, "filtered_from": name}
        forms[set_name(dataset, facts.variant)] = facts.model_copy(update=changed)
    return forms
