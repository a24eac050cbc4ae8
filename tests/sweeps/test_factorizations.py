"""Names of factorizations, and which are one experiment."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcma.sweeps.factorizations import (
    DATA_RULES,
    MAP_RULES,
    NAMES,
    PAIRS,
    ImpossibleError,
    canonical,
    needs_budget,
    needs_maps,
    normalize,
    patterns,
    synonyms,
    words,
)
from tests.refusals import catch_refusal

UNKNOWN = {
    "LXH": "unknown factorization 'LXH': a word has one letter L or H for each split, "
    "and 'X' is neither",
    "checkerbord": "unknown factorization 'checkerbord': did you mean 'checkerboard'?",
    "keep-ax": "unknown factorization 'keep-ax': a pattern names the two positions of each window",
    "keep-aa": "unknown factorization 'keep-aa': a pattern names",
    "keep": "unknown factorization 'keep': a pattern names",
    "zzz": "unknown factorization 'zzz': known are checkerboard-even,",
    "": "unknown factorization '': known are",
    "L H": "unknown factorization 'L H': known are",
    "LL\n": "unknown factorization 'LL\\n': known are",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_name_is_refused_with_the_remedy(name: str) -> None:
    assert str(catch_refusal(lambda: normalize(name))).startswith(UNKNOWN[name])


@pytest.mark.parametrize("splits", [1, 2, 3])
@pytest.mark.parametrize("conventional", ["checkerboard-even", "channel", "rows"])
def test_synonyms_are_the_names_with_the_same_canonical_name(
    splits: int, conventional: str
) -> None:
    keep = ["-".join(("keep", *pairs)) for pairs in itertools.product(PAIRS, repeat=splits)]
    groups: dict[str, set[str]] = {}
    for name in {*NAMES, *words(splits), *keep, *(f"keep-{pair}" for pair in PAIRS)}:
        run_as = canonical(name, conventional=conventional, splits=splits)
        groups.setdefault(run_as, set()).add(name)
    for run_as, names in groups.items():
        assert synonyms(run_as, conventional=conventional, splits=splits) == names


pairs_of_positions = st.lists(st.sampled_from("abcd"), min_size=2, max_size=2, unique=True).map(
    "".join
)


@given(st.lists(pairs_of_positions, min_size=1, max_size=4), st.integers(1, 4))
def test_a_canonical_pattern_is_its_own(pairs: list[str], splits: int) -> None:
    name = "-".join(("keep", *pairs))
    if len(pairs) not in (1, splits):
        with pytest.raises(ImpossibleError, match=f"names {len(pairs)} pairs, the recipe has"):
            canonical(name, conventional="channel", splits=splits)
        return
    pattern = canonical(name, conventional="channel", splits=splits)
    assert canonical(pattern, conventional="channel", splits=splits) == pattern
    swapped = "-".join(("KEEP", *(pair[::-1].upper() for pair in pairs)))
    assert canonical(swapped, conventional="channel", splits=splits) == pattern
    if len(set(map(frozenset, pairs))) == 1:
        assert canonical(f"keep-{pairs[0]}", conventional="channel", splits=splits) == pattern
    assert pattern in patterns(splits)


def test_rules_that_read_maps_and_rules_that_have_a_budget_are_known() -> None:
    names = (*NAMES, "LHL", "keep-ad-bc-cd")
    of_maps = {"LHL", *MAP_RULES, "self", *DATA_RULES}
    assert {name for name in names if needs_maps(name)} == of_maps
    with_budget = {"LHL", "low", "high", *MAP_RULES, "self"}
    assert {name for name in names if needs_budget(name)} == with_budget
