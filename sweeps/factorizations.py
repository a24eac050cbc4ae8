"""Names of factorizations, and which of them are one experiment."""

import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from lcma.sweeps.errors import UserError, suggest

FIXED = (
    "checkerboard-even",
    "checkerboard-odd",
    "channel",
    "rows",
    "random",
    "random-local",
    "none",
)
"""Names that mean the same for every flow and number of splits, in canonical form."""

NAMES = (*FIXED, "checkerboard", "conventional", "low", "high")

WORDS = "words"
"""Stand-in for every word over L and H that fits the recipe."""

_WORD = re.compile(r"[LH]+")
_OWN_NAME = re.compile(r"[a-z][a-z0-9-]{1,39}")

Reads = Literal["nothing", "seed", "maps"]


@dataclass(frozen=True)
class FactorizationRule:
    """A factorization rule of a plug-in.

    ``fill(shape, split, seed, values)`` returns for one split, counted from 1, the half of the
    dimensions of a tensor of ``shape`` (C, H, W) that stays. ``reads`` says what else it depends
    on: nothing, the trial's ``seed``, or the contribution map, whose ``values`` (C, H, W) are
    those of the dimensions that are still there.
    """

    name: str
    fill: Callable[..., Any]
    reads: Reads = "nothing"
    least_splits: int = 1
    most_splits: int | None = None
    plugin: str = ""
    version: str = ""

    def fits(self, splits: int) -> bool:
        """Return whether the rule is for so many splits."""
        most = splits if self.most_splits is None else self.most_splits
        return self.least_splits <= splits <= most


_RULES: dict[str, FactorizationRule] = {}

RULES: Mapping[str, FactorizationRule] = MappingProxyType(_RULES)
"""Rules of plug-ins by name."""


def add(rule: FactorizationRule) -> FactorizationRule:
    """Make a rule known under its name. Raises ValueError if it cannot have that name."""
    name = rule.name
    if name in (*NAMES, WORDS):
        raise ValueError(f"the factorization {name!r} is lcma's own: choose another name")
    if _WORD.fullmatch(name.upper()):
        raise ValueError(f"{name!r} reads as a word over L and H: choose another name")
    if not _OWN_NAME.fullmatch(name):
        raise ValueError(
            f"a factorization cannot be named {name!r}: use lower case letters, digits and dashes"
        )
    if _RULES.setdefault(name, rule) != rule:
        by = _RULES[name].plugin
        raise ValueError(f"the factorization {name!r} is already registered, by {by}")
    return rule


def forget(name: str) -> None:
    """Remove a plug-in's rule from the register."""
    del _RULES[name]


def version(canonical_name: str) -> str | None:
    """Return the version of the plug-in that has the rule; None for one of lcma's own."""
    rule = RULES.get(canonical_name)
    return None if rule is None else rule.version


class ImpossibleError(Exception):
    """A factorization that exists but cannot be built for this recipe; the text is the reason."""


class UnavailableError(ImpossibleError):
    """Something that a sweep may name and this version does not have; the text is the reason."""


def normalize(name: str) -> str:
    """Return the spelling of a factorization: names in lower case, words in upper case.

    Raises UserError for an unknown name.

    Example:
        >>> normalize("Low"), normalize("llh")
        ('low', 'LLH')
    """
    if name.lower() in NAMES or name.lower() in RULES:
        return name.lower()
    if _WORD.fullmatch(name.upper()):
        return name.upper()
    if re.fullmatch(r"[A-Za-z]{2,8}", name) and set(name.upper()) & set("LH"):
        wrong = next((c for c in name if c.upper() not in "LH"), "")
        hint = f"a word has one letter L or H for each split, and {wrong!r} is neither"
    else:
        known = ", ".join((*NAMES, *RULES))
        hint = f"known are {known} and words over L and H such as LLH"
    near = suggest(name, (*NAMES, *RULES), "")
    raise UserError(f"unknown factorization {name!r}: {near if near.endswith('?') else hint}")


def canonical(name: str, *, conventional: str, splits: int) -> str:
    """Return the one name under which an experiment is run.

    Args:
        name: Any name of a factorization.
        conventional: The flow's own factorization.
        splits: Number of splits of the recipe.

    Raises:
        ImpossibleError: If the recipe has no such factorization.
        UserError: If the name is unknown.

    Example:
        >>> canonical("low", conventional="channel", splits=3)
        'LLL'
        >>> canonical("conventional", conventional="channel", splits=3)
        'channel'
    """
    name = normalize(name)
    if name == "conventional":
        name = conventional if splits else "none"
    if name == "checkerboard":
        name = "checkerboard-even"
    if name in ("low", "high"):
        name = name[0].upper() * splits
    if splits == 0 and name != "none":
        raise ImpossibleError("the recipe has no split; only `none` can be run on it")
    if is_word(name) and len(name) != splits:
        raise ImpossibleError(
            f"the word {name} has {len(name)} letters, the recipe has {splits} splits; "
            f"use a word such as {'L' * splits}"
        )
    if name in RULES and splits and not RULES[name].fits(splits):
        rule = RULES[name]
        most = "" if rule.most_splits is None else f" to {rule.most_splits}"
        least = rule.least_splits if most else f"at least {rule.least_splits}"
        raise ImpossibleError(f"{name} is for {least}{most} splits, the recipe has {splits}")
    return name


def synonyms(canonical_name: str, *, conventional: str, splits: int) -> frozenset[str]:
    """Return every name that stands for a canonical factorization on such a recipe."""
    same = {
        "checkerboard": "checkerboard-even",
        "conventional": conventional if splits else "none",
        "low": "L" * splits,
        "high": "H" * splits,
    }
    return frozenset(
        {canonical_name, *(n for n, as_run in same.items() if as_run == canonical_name)}
    )


def is_word(canonical_name: str) -> bool:
    """Return whether the factorization is a word, with one letter for each split."""
    return _WORD.fullmatch(canonical_name) is not None


def needs_maps(canonical_name: str) -> bool:
    """Return whether the factorization reads contribution maps, by its letters or by a rule."""
    rule = RULES.get(canonical_name)
    return is_word(canonical_name) or (rule is not None and rule.reads == "maps")


def is_every_word(name: str) -> bool:
    """Return whether the name stands for all words of a recipe."""
    return name.lower() == WORDS


def words(splits: int) -> tuple[str, ...]:
    """Return all 2^splits words, from HH.. to LL.., in the order of the paper's Table 4."""
    return tuple("".join(letters) for letters in itertools.product("HL", repeat=splits))
