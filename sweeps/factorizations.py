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
    "random-lattice",
    "none",
)
"""Names that mean the same for every flow and number of splits, in canonical form."""

DATA_RULES = tuple(
    f"{what}-{half}" for what in ("variance", "precision", "detail") for half in ("low", "high")
)
"""Rules that rank the dimensions of each window by the data alone, with no flow."""

MAP_RULES = ("low-global", "low-lattice", "low-tied")
"""Rules beside words that read the maps of words."""

NAMES = (
    *FIXED,
    "checkerboard",
    "conventional",
    "low",
    "high",
    *MAP_RULES,
    "self",
    "online",
    *DATA_RULES,
)

WORDS, PATTERNS = "words", "patterns"
"""Stand-ins for every word over L and H, and for every pattern, that fits the recipe."""

PAIRS = ("ab", "ac", "ad", "bc", "bd", "cd")
"""What a pattern can keep of each window, whose positions are a b over c d."""

MOST_DATA_DIMENSIONS = 3072
"""Most dimensions for which the covariance of the data is measured."""

_WORD = re.compile(r"[LH]+")
_PATTERN = re.compile(r"keep(-[abcd]{2})+")
_ALIKE = {"keep-ad": "checkerboard-even", "keep-bc": "checkerboard-odd", "keep-cd": "rows"}
"""Patterns that have a name of their own, under which they are run."""
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


def add(rule: FactorizationRule) -> None:
    """Make a rule known under its name. Raises ValueError if it cannot have that name."""
    name = rule.name
    if name in (*NAMES, WORDS, PATTERNS):
        raise ValueError(f"the factorization {name!r} is lcma's own: choose another name")
    if _WORD.fullmatch(name.upper()):
        raise ValueError(f"{name!r} reads as a word over L and H: choose another name")
    if _PATTERN.fullmatch(name):
        raise ValueError(f"{name!r} reads as a pattern: choose another name")
    if not _OWN_NAME.fullmatch(name):
        raise ValueError(
            f"a factorization cannot be named {name!r}: use lower case letters, digits and dashes"
        )
    if name in _RULES:
        raise ValueError(f"the factorization {name!r} is registered by {_RULES[name].plugin} too")
    _RULES[name] = rule


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
    """Return the spelling of a factorization: names in lower case, words in upper case, the
    positions of a pattern in order.

    Raises UserError for an unknown name.

    Example:
        >>> normalize("Low"), normalize("llh"), normalize("keep-DA-bc")
        ('low', 'LLH', 'keep-ad-bc')
    """
    if name.lower() in NAMES or name.lower() in RULES:
        return name.lower()
    if _WORD.fullmatch(name.upper()):
        return name.upper()
    pairs = _read_pairs(name.lower())
    if pairs and set(pairs) <= set(PAIRS):
        return "-".join(("keep", *pairs))
    if name.lower().startswith("keep"):
        hint = (
            "a pattern names the two positions of each window, a b over c d, that stay: one pair "
            "for all splits or one for each, such as keep-ad or keep-ad-bc-cd"
        )
        raise UserError(f"unknown factorization {name!r}: {hint}")
    if re.fullmatch(r"[A-Za-z]{2,8}", name) and 2 * len(re.findall("[LHlh]", name)) >= len(name):
        wrong = next((c for c in name if c.upper() not in "LH"), "")
        hint = f"a word has one letter L or H for each split, and {wrong!r} is neither"
    else:
        known = ", ".join((*NAMES, *RULES))
        hint = (
            f"known are {known}, words over L and H such as LLH and patterns such as keep-ad-bc; "
            "the file of a plug-in's rule is named in LCMA_PLUGINS"
        )
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
        >>> canonical("keep-cd-cd-cd", conventional="channel", splits=3)
        'rows'
    """
    name = normalize(name)
    if name == "conventional":
        name = conventional if splits else "none"
    if name == "checkerboard":
        name = "checkerboard-even"
    if name in ("low", "high"):
        name = name[0].upper() * splits
    pairs = _read_pairs(name)
    if len(set(pairs)) == 1 and len(pairs) in (1, splits):
        name = f"keep-{pairs[0]}"
        name = _ALIKE.get(name, name)
    if splits == 0 and name != "none":
        raise ImpossibleError("the recipe has no split; only `none` can be run on it")
    if is_word(name) and len(name) != splits:
        raise ImpossibleError(
            f"the word {name} has {len(name)} letters, the recipe has {splits} splits; "
            f"use a word such as {'L' * splits}"
        )
    if len(pairs) > 1 and len(pairs) != splits:
        raise ImpossibleError(
            f"the pattern {name} names {len(pairs)} pairs, the recipe has {splits} splits; "
            f"name one pair for all splits or one for each"
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
    for pair in PAIRS:
        alike = f"keep-{pair}"
        same[alike] = same["-".join(("keep", *[pair] * splits))] = _ALIKE.get(alike, alike)
    return frozenset(
        {canonical_name, *(n for n, as_run in same.items() if as_run == canonical_name)}
    )


def is_word(canonical_name: str) -> bool:
    """Return whether the factorization is a word, with one letter for each split."""
    return _WORD.fullmatch(canonical_name) is not None


def is_pattern(name: str) -> bool:
    """Return whether a normalized name is that of a pattern."""
    return _PATTERN.fullmatch(name) is not None


def pattern_pair(canonical_name: str, split: int) -> str | None:
    """Return the two positions that a pattern keeps at a split, from 0; None for another rule."""
    alike = {run_as: pattern for pattern, run_as in _ALIKE.items()}
    pairs = _read_pairs(alike.get(canonical_name, canonical_name))
    return pairs[split % len(pairs)] if pairs else None


def _read_pairs(name: str) -> tuple[str, ...]:
    """Return the pairs of positions that a pattern names, each in order; () for another name."""
    if _PATTERN.fullmatch(name) is None:
        return ()
    return tuple("".join(sorted(pair)) for pair in name.split("-")[1:])


def needs_maps(canonical_name: str) -> bool:
    """Return whether the factorization reads maps: of contributions or of the data."""
    rule = RULES.get(canonical_name)
    return (
        as_word(canonical_name, 1) is not None
        or canonical_name in MAP_RULES
        or (rule is not None and rule.reads == "maps")
    )


def needs_budget(normalized_name: str) -> bool:
    """Return whether the factorization reads the maps of a pretraining, which has a budget."""
    if normalized_name in ("low", "high"):
        return True
    return needs_maps(normalized_name) and normalized_name not in DATA_RULES


def as_word(canonical_name: str, splits: int) -> str | None:
    """Return the word as which a factorization reads its maps in each window, or None."""
    if is_word(canonical_name):
        return canonical_name
    if canonical_name in DATA_RULES:
        return ("L" if canonical_name.endswith("-low") else "H") * splits
    return "L" * splits if canonical_name == "self" else None


def map_options(canonical_name: str) -> frozenset[str]:
    """Return which options of maps a factorization depends on."""
    if canonical_name == "online":
        return frozenset({"online"})
    if not needs_maps(canonical_name):
        return frozenset()
    if canonical_name in DATA_RULES:
        return frozenset({"order"})
    left_out = {"low-global": {"order"}, "self": {"nms"}}.get(canonical_name, set())
    return frozenset({"score", "nms", "order", "masks", "conv1x1"} - left_out)


def online_start(conventional: str) -> str:
    """Return the tables with which `online` begins, which take two of each window.

    They are the flow's own if these do, and else `checkerboard-even`.
    """
    return conventional if pattern_pair(conventional, 0) else "checkerboard-even"


def is_wildcard(name: str) -> bool:
    """Return whether the name stands for all words, or for all patterns, of a recipe."""
    return name.lower() in (WORDS, PATTERNS)


def expand_wildcard(name: str, splits: int) -> tuple[str, ...]:
    """Return the canonical names that such a name stands for."""
    return words(splits) if name.lower() == WORDS else patterns(splits)


def is_covered(normalized_name: str, wildcard: str) -> bool:
    """Return whether a name is one of those that a wildcard stands for."""
    return (is_word if wildcard.lower() == WORDS else is_pattern)(normalized_name)


def words(splits: int) -> tuple[str, ...]:
    """Return all 2^splits words, from HH.. to LL.., in the order of the paper's Table 4."""
    return tuple("".join(letters) for letters in itertools.product("HL", repeat=splits))


def patterns(splits: int) -> tuple[str, ...]:
    """Return all 6^splits patterns by their canonical names, from ab-ab.. to cd-cd..

    Example:
        >>> patterns(1)
        ('keep-ab', 'keep-ac', 'checkerboard-even', 'checkerboard-odd', 'keep-bd', 'rows')
    """
    named = ("-".join(("keep", *pairs)) for pairs in itertools.product(PAIRS, repeat=splits))
    return tuple(canonical(name, conventional="none", splits=splits) for name in named)
