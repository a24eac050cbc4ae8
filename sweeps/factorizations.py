"""Names of factorizations, and which names stand for one experiment."""

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
"""Canonical names that mean the same for every flow and number of splits."""

DATA_RULES = ("variance-low", "precision-low")
"""Rules that rank the dimensions of each window by the data, without a flow."""

MAP_RULES = ("low-global", "low-lattice", "low-tied")
"""Rules that read the same maps as words."""

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
"""Names that stand for every word, and for every pattern, of a recipe."""

PAIRS = ("ab", "ac", "ad", "bc", "bd", "cd")
"""The pairs of positions that a pattern can keep of each window a b over c d."""

MAX_DATA_DIMENSIONS = 3072
"""Most dimensions for which the covariance of the data is measured."""

_WORD = re.compile(r"[LH]+")
_PATTERN = re.compile(r"keep(-[abcd]{2})+")
_NAMED_PATTERNS = {"keep-ad": "checkerboard-even", "keep-bc": "checkerboard-odd", "keep-cd": "rows"}
"""Patterns with a name of their own, which is the canonical one."""
_PLUGIN_NAME = re.compile(r"[a-z][a-z0-9-]{1,39}")

Reads = Literal["nothing", "seed", "maps"]


@dataclass(frozen=True)
class FactorizationRule:
    """A factorization rule of a plug-in."""

    name: str
    fill: Callable[..., Any]  # see `lcma.sweeps.plugins.factorization`
    reads: Reads = "nothing"
    plugin: str = ""
    version: str = ""


_RULES: dict[str, FactorizationRule] = {}

RULES: Mapping[str, FactorizationRule] = MappingProxyType(_RULES)
"""Rules of plug-ins by name."""


def register(rule: FactorizationRule) -> None:
    """Register a rule. Raises ValueError if its name is taken or not allowed."""
    name = rule.name
    if name in (*NAMES, WORDS, PATTERNS):
        raise ValueError(f"the factorization {name!r} is lcma's own: choose another name")
    if _WORD.fullmatch(name.upper()):
        raise ValueError(f"{name!r} reads as a word over L and H: choose another name")
    if _PATTERN.fullmatch(name):
        raise ValueError(f"{name!r} reads as a pattern: choose another name")
    if not _PLUGIN_NAME.fullmatch(name):
        raise ValueError(
            f"a factorization cannot be named {name!r}: use 2 to 40 lower case letters, digits and "
            "dashes, a letter first"
        )
    if name in _RULES:
        raise ValueError(f"the factorization {name!r} is registered by {_RULES[name].plugin} too")
    _RULES[name] = rule


def unregister(name: str) -> None:
    """Remove a rule from the register."""
    del _RULES[name]


def version(canonical_name: str) -> str | None:
    """Return the version of the plug-in with this rule; None for a rule of lcma's own."""
    rule = RULES.get(canonical_name)
    return None if rule is None else rule.version


class ImpossibleError(Exception):
    """A factorization or recipe that exists but cannot be built here; the text is the reason."""


def normalize(name: str) -> str:
    """Return the usual spelling of a factorization.

    Names are in lower case, words in upper case, and the positions of a pattern in order.

    Raises:
        UserError: If the name is unknown.

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
            "a pattern names the two positions of each window a b over c d that stay: one pair "
            "for all splits or one for each, such as keep-ad or keep-ad-bc-cd"
        )
        raise UserError(f"unknown factorization {name!r}: {hint}")
    if re.fullmatch(r"[A-Za-z]{2,8}", name) and 2 * len(re.findall("[LHlh]", name)) >= len(name):
        letter = next((c for c in name if c.upper() not in "LH"), "")
        hint = f"a word has one letter L or H for each split, and {letter!r} is neither"
    else:
        known = ", ".join((*NAMES, *RULES))
        hint = (
            f"known are {known}, words over L and H such as LLH and patterns such as keep-ad-bc; "
            "for a rule of a plug-in, name its file in LCMA_PLUGINS"
        )
    near = suggest(name, (*NAMES, *RULES), "")
    raise UserError(f"unknown factorization {name!r}: {near if near.endswith('?') else hint}")


def canonical(name: str, *, conventional: str, splits: int) -> str:
    """Return the canonical name of a factorization: the one name of all its synonyms.

    Args:
        name: Any name of a factorization.
        conventional: The flow's own factorization.
        splits: Number of splits of the recipe.

    Raises:
        ImpossibleError: If the recipe cannot have this factorization.
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
        name = _NAMED_PATTERNS.get(name, name)
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
    return name


def synonyms(canonical_name: str, *, conventional: str, splits: int) -> frozenset[str]:
    """Return every name of a canonical factorization; the arguments are those of `canonical`."""
    names = {
        "checkerboard": "checkerboard-even",
        "conventional": conventional if splits else "none",
        "low": "L" * splits,
        "high": "H" * splits,
    }
    for pair in PAIRS:
        pattern = f"keep-{pair}"
        repeated = "-".join(("keep", *[pair] * splits))
        names[pattern] = names[repeated] = _NAMED_PATTERNS.get(pattern, pattern)
    return frozenset(
        {canonical_name, *(n for n, run_as in names.items() if run_as == canonical_name)}
    )


def name_rule(canonical_name: str | None) -> str | None:
    """Return a name that does not depend on the number of splits, as in the column `rule`."""
    return {"L": "low", "H": "high"}.get("".join(set(canonical_name or "")), canonical_name)


def is_word(canonical_name: str) -> bool:
    """Return whether the factorization is a word, with one letter for each split."""
    return _WORD.fullmatch(canonical_name) is not None


def is_pattern(name: str) -> bool:
    """Return whether a normalized name is a pattern."""
    return _PATTERN.fullmatch(name) is not None


def pattern_pair(canonical_name: str, split: int) -> str | None:
    """Return the two positions that a pattern keeps at a split, counted from 0, such as `ad`.

    Returns None for another rule.
    """
    patterns = {name: pattern for pattern, name in _NAMED_PATTERNS.items()}
    pairs = _read_pairs(patterns.get(canonical_name, canonical_name))
    return pairs[split % len(pairs)] if pairs else None


def _read_pairs(name: str) -> tuple[str, ...]:
    """Return the pairs of positions of a pattern, each in order; () for another name."""
    if _PATTERN.fullmatch(name) is None:
        return ()
    return tuple("".join(sorted(pair)) for pair in name.split("-")[1:])


def needs_maps(canonical_name: str) -> bool:
    """Return whether the factorization reads maps, of contributions or of the data."""
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
    """Return the word that ranks the windows of maps as the factorization does, or None."""
    if is_word(canonical_name):
        return canonical_name
    return "L" * splits if canonical_name in ("self", *DATA_RULES) else None


def map_options(canonical_name: str) -> frozenset[str]:
    """Return the names of the map options that a factorization depends on."""
    if canonical_name == "online":
        return frozenset({"online"})
    if not needs_maps(canonical_name) or canonical_name in DATA_RULES:
        return frozenset()
    unread = {"self": {"nms"}}.get(canonical_name, set())
    if canonical_name == "low-global" or canonical_name in RULES:
        unread = {"order"}
    return frozenset({"score", "nms", "order", "masks", "conv1x1"} - unread)


def online_start(conventional: str) -> str:
    """Return the rule of the tables with which `online` starts.

    It is the flow's ``conventional`` rule, or `checkerboard-even` if that one is not a pattern.
    """
    return conventional if pattern_pair(conventional, 0) else "checkerboard-even"


def is_wildcard(name: str) -> bool:
    """Return whether the name stands for all words or all patterns of a recipe."""
    return name.lower() in (WORDS, PATTERNS)


def expand_wildcard(name: str, splits: int) -> tuple[str, ...]:
    """Return the canonical names that a wildcard stands for."""
    return words(splits) if name.lower() == WORDS else patterns(splits)


def is_covered(normalized_name: str, wildcard: str) -> bool:
    """Return whether a wildcard stands for a name."""
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
    names = ("-".join(("keep", *pairs)) for pairs in itertools.product(PAIRS, repeat=splits))
    return tuple(canonical(name, conventional="none", splits=splits) for name in names)
