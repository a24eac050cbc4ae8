"""How much of a map is a pattern that repeats over the image, as the coupling masks do."""

from collections.abc import Iterator, Mapping, Sequence

from lcma.harness.report.ranking import Group
from lcma.harness.report.verdicts.cells import cells_of
from lcma.harness.report.verdicts.claims import Claim, Comparison
from lcma.harness.report.verdicts.within import make_claim

Shares = Mapping[tuple[str, str, int | None], Mapping[int, float]]
"""Mask share at split 1 by seed, of the tables of `low`: by recipe, data digest and budget."""

HALF = 0.5


def mask_claims(groups: Sequence[Group], shares: Shares) -> Iterator[Claim]:
    """One claim for each group with `low` whose tables have their statistics."""
    seen = set()
    for group in groups:
        found = cells_of(group)
        key = (group.recipe_id, group.data_digest, found.budget)
        if found.low is None or not shares.get(key) or key in seen:
            continue
        seen.add(key)
        yield make_claim(
            found,
            [found.low],
            [
                Comparison(
                    "1/2 - mask share at split 1",
                    {seed: HALF - share for seed, share in sorted(shares[key].items())},
                )
            ],
            key="mask-share",
            source="ours",
            text="more than half of what the map of split 1 says inside windows is one pattern "
            "all over the image, as the coupling masks are",
            unit="of the variance",
            margin=None,
            sweep="demo" if group.flow == "realnvp" else "flows",
        )
