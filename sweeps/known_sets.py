"""Data sets that a sweep can name: those of lcma, their box-filtered forms, a person's own.

A set has a name, under which it is prepared. A trial knows it by `dataset` and
`variant`; `set_name` leads back.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, TypeAdapter

from lcma.sweeps import strict_yaml
from lcma.sweeps.errors import UserError

PLAIN: Final = ("u8", "npz")
"""Variants that are not part of a name."""

OWN_IMAGES: Final = "`lcma data prepare NAME --from FOLDER --size S` makes one of your own images"
"""What to say to who names a set that is not known."""

_BOXES: Final = {2: "two", 4: "four"}
_LEAST: Final = 8
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_own: dict[str, "DataSetFacts"] = {}


class DataSetFacts(BaseModel):
    """Facts about a data set that planning needs, without having it.

    size: H = W in pixels. dataset, variant: what a trial and a result keep of it. filtered_from:
    the set of which this one is a box-filtered form. licence: on what terms its images are to be
    had, as far as it is known. may_be_published: whether these terms let a site show images of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int
    channels: int = 3
    dataset: str
    variant: str = "u8"
    about: str
    licence: str = "not known"
    may_be_published: bool = False
    filtered_from: str | None = None


def shipped() -> Mapping[str, DataSetFacts]:
    """Return the sets that lcma can prepare, box-filtered forms after the sets they are made of."""
    return _shipped()


def known() -> Mapping[str, DataSetFacts]:
    """Return the sets that a sweep can name: those of `shipped`, and those given to `add`."""
    return {**_shipped(), **_own}


def add(name: str, facts: DataSetFacts) -> None:
    """Make a set of a person's own known in this process. Raises UserError as `check_own` does."""
    check_own(name)
    _own[name] = facts


def can_be_own(name: str) -> bool:
    """Return whether a person's own set can have a name."""
    return name not in _shipped() and _NAME.fullmatch(name) is not None


def check_own(name: str) -> None:
    """Raise UserError if a person's own set cannot have a name."""
    if name in _shipped():
        raise UserError(f"{name} is the name of a set that lcma knows: choose another")
    if not can_be_own(name):
        raise UserError(
            f"{name!r} cannot name a data set: use small letters, digits and hyphens, at most 64"
        )


def set_name(dataset: str, variant: str) -> str:
    """Return the name under which the set of a trial is prepared."""
    return dataset if variant in PLAIN else f"{dataset}-{variant}"


def find_whole(name: str) -> str:
    """Return the set of which one is a box-filtered form, or else the set itself."""
    facts = known().get(name)
    return (facts and facts.filtered_from) or name


def find_family(name: str) -> str:
    """Return what a set has in common with its variants and box-filtered forms: their data."""
    whole = find_whole(name)
    return known()[whole].dataset if whole in known() else whole


@cache
def _shipped() -> Mapping[str, DataSetFacts]:
    text = (files("lcma.sweeps") / "datasets.yaml").read_text()
    entries = TypeAdapter(dict[str, dict[str, Any]]).validate_python(
        strict_yaml.parse(text, "sweeps/datasets.yaml")
    )
    found: dict[str, DataSetFacts] = {}
    for name, entry in entries.items():
        filtered = entry.pop("filtered", True)
        facts = DataSetFacts.model_validate({"dataset": name} | entry)
        found[name] = facts
        if filtered and facts.filtered_from is None:
            found |= _filtered(name, facts)
    return found


def _filtered(name: str, facts: DataSetFacts) -> dict[str, DataSetFacts]:
    forms = {}
    for box, word in _BOXES.items():
        size = facts.size // box
        if size < _LEAST:
            continue
        dataset = f"{facts.dataset}-{size}"
        about = f"{facts.about}; box-filtered by {word}"
        changed = {"size": size, "dataset": dataset, "about": about, "filtered_from": name}
        forms[set_name(dataset, facts.variant)] = facts.model_copy(update=changed)
    return forms
