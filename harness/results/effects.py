"""Effects of the letters of words: at which split it matters which contributions are factored out.

The 2^L words over L and H are a full factorial design: one factor of two levels for each of the L
splits, repeated at every seed where all words have a result. Main effects and interactions are its
orthogonal contrasts (Box, Hunter, Hunter: Statistics for Experimenters, 2nd ed., ch. 5), paired by
seed like the board's differences.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from lcma.harness.results.board import Board, BoardRow, Group
from lcma.harness.results.statistics import Summary, summarize
from lcma.sweeps import factorizations


@dataclass(frozen=True)
class Effect:
    """Mean of half of the words minus that of the other half, by seed, then over seeds.

    For one split this is its main effect: words with L there minus words with H there. In bits/dim
    it is below 0 where factoring out the low contributions gives fewer. For several splits it is
    their interaction: words with an even number of H at these splits minus the others. For two
    splits that is half of the change in a split's effect when the other's letter goes from H to L.
    """

    splits: tuple[int, ...]  # counted from 1
    test: Summary  # of the values by seed
    # Part of the sum of squares among the word means, 2^L (mean / 2)^2 / SS; None where SS is 0.
    # The shares of all effects add up to 1, and include noise.
    share: float | None


@dataclass(frozen=True)
class Effects:
    """All effects among the words of one group, budget and map options."""

    group: Group
    budget: int | None
    map_options: str | None
    seeds: tuple[int, ...]  # those where all 2^splits words have a result
    main: tuple[Effect, ...]  # empty without seeds, as the next
    interactions: tuple[Effect, ...]  # of two and more letters
    incomplete: tuple[int, ...]  # the other seeds with results

    @property
    def interactions_share(self) -> float | None:
        """Sum of the shares of the interactions; None where no effect has a share."""
        if not any(effect.share is not None for effect in self.main):
            return None
        return math.fsum(effect.share or 0.0 for effect in self.interactions)


def compute_effects(board: Board) -> tuple[Effects, ...]:
    """Return the effects in each group of a board, by budget, also where words are missing.

    Empty where no group has words.
    """
    effects: list[Effects] = []
    for group in board.groups:
        words = {*factorizations.words(group.splits)}
        cells: defaultdict[tuple[int, str], list[BoardRow]] = defaultdict(list)
        for row in sorted(group.rows, key=lambda row: row.factorization):
            if row.factorization in words:
                cells[-1 if row.budget is None else row.budget, row.map_options or ""].append(row)
        effects += [_compute_group(group, rows) for _, rows in sorted(cells.items())]
    return tuple(effects)


def _compute_group(group: Group, rows: Sequence[BoardRow]) -> Effects:
    all_seeds = sorted({seed for row in rows for seed in row.by_seed})
    has_all_words = len(rows) == 2**group.splits
    seeds = [s for s in all_seeds if has_all_words and all(s in row.by_seed for row in rows)]
    places = range(1, group.splits + 1)
    contrasts = [chosen for n in places for chosen in itertools.combinations(places, n)]
    tests = [_test_contrast(rows, chosen, seeds) for chosen in contrasts] if seeds else []
    total = math.fsum(test.mean**2 for test in tests)  # SS / 2^(L - 2)
    effects = [
        Effect(chosen, test, test.mean**2 / total if total else None)
        for chosen, test in zip(contrasts, tests, strict=False)
    ]
    return Effects(
        group,
        rows[0].budget,
        rows[0].map_options,
        tuple(seeds),
        main=tuple(effects[: group.splits]),
        interactions=tuple(effects[group.splits :]),
        incomplete=tuple(seed for seed in all_seeds if seed not in seeds),
    )


def _test_contrast(
    rows: Sequence[BoardRow], splits: Sequence[int], seeds: Sequence[int]
) -> Summary:
    signs = [(-1) ** sum(row.factorization[k - 1] == "H" for k in splits) for row in rows]
    signed = list(zip(signs, rows, strict=True))
    sums = [math.fsum(sign * row.by_seed[seed] for sign, row in signed) for seed in seeds]
    return summarize([total / (len(rows) / 2) for total in sums])
