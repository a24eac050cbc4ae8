"""The names of factorizations: which are known, and which are one experiment."""

import difflib
import itertools
import re

from sweeps.errors import UserError

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
"""Stands in a matrix for every word over L and H that fits the recipe."""

_WORD = re.compile(r"[LH]+")


class ImpossibleError(Exception):
    """A factorization that exists but cannot be built for this recipe; the text is the reason."""


class UnavailableError(ImpossibleError):
    """Something that a sweep may name and this version does not have; the text is the reason."""


def normalize(name: str) -> str:
    """The spelling under which a factorization is known: names in lower case, words in upper.

    Raises UserError for a name that no recipe could make sense of.
    """
    if name.lower() in NAMES:
        return name.lower()
    if _WORD.fullmatch(name.upper()):
        return name.upper()
    if re.fullmatch(r"[A-Za-z]{2,8}", name) and set(name.upper()) & set("LH"):
        wrong = next((c for c in name if c.upper() not in "LH"), "")
        hint = f"a word has one letter L or H for each split, and {wrong!r} is neither"
    else:
        hint = "known are " + ", ".join(NAMES) + " and words over L and H such as LLH"
    near = difflib.get_close_matches(name.lower(), NAMES, n=1)
    if near:
        hint = f"did you mean {near[0]!r}?"
    raise UserError(f"unknown factorization {name!r}: {hint}")


def canonical(name: str, *, conventional: str, splits: int) -> str:
    """The one name under which an experiment is run: ``low`` on three splits is ``LLL``.

    ``conventional`` is the flow's own factorization. Raises ImpossibleError where the recipe
    has no such factorization and UserError for an unknown name.
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
    return name


def synonyms(canonical_name: str, *, conventional: str, splits: int) -> frozenset[str]:
    """Every name under which a canonical factorization is asked for on such a recipe."""
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
    """Whether the factorization is filled from contribution maps, one letter for each split."""
    return _WORD.fullmatch(canonical_name) is not None


def is_every_word(name: str) -> bool:
    """Whether the name stands for all words of a recipe."""
    return name.lower() == WORDS


def words(splits: int) -> tuple[str, ...]:
    """All 2^splits words, from HH.. to LL.. (the order of the paper's Table 4)."""
    return tuple("".join(letters) for letters in itertools.product("HL", repeat=splits))
