"""Effects of the letters of words: at which split it matters which contributions are factored out.

The 2^L words over L and H are a full factorial design, one factor of two levels for each of the L
splits, repeated at every seed at which all words have a result. Main effects and interactions are
its orthogonal contrasts (Box, Hunter, Hunter: Statistics for Experimenters, 2nd ed., ch. 5), paired
by seed as the board's differences are. `compute_effects` computes them from a board.
"""

import itertools
import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lcma.harness.results.board import Board, BoardRow, Group
from lcma.harness.results.statistics import Summary, compare_by_seed
from lcma.sweeps import factorizations


@dataclass(frozen=True)
class Effect:
    """Mean of half of the words minus that of the others, by seed, then over seeds.

    ``splits`` are counted from 1. For one split this is its main effect: words with L there minus
    words with H there; of bits/dim it is below 0 where factoring out the low contributions gives
    fewer. For more it is their interaction: words with an even number of H at these splits minus
    the others. For two this is half of what the effect of the one changes by when the other's
    letter goes from H to L.

    ``test`` is of its values by seed. ``share`` is its part of the sum of squares among the word
    means, 2^L (mean / 2)^2 / SS, None where SS is 0. The shares of all effects add up to 1, and
    those of noise are in them.
    """

    splits: tuple[int, ...]
    test: Summary
    share: float | None


@dataclass(frozen=True)
class Effects:
    """All effects among the words of one group, budget and map options.

    ``rows`` are those of the words. ``seeds`` are those at which all 2^splits words have a result.
    Where there are none, ``main`` and ``interactions``, of two and more letters, are empty.
    ``incomplete`` has, by each other seed with results, the words that lack one.
    """

    group: Group
    rows: tuple[BoardRow, ...]
    seeds: tuple[int, ...]
    main: tuple[Effect, ...]
    interactions: tuple[Effect, ...]
    incomplete: Mapping[int, tuple[str, ...]]

    @property
    def budget(self) -> int | None:
        """Pretraining steps behind the words."""
        return self.rows[0].budget

    @property
    def map_options(self) -> str | None:
        """Options of the map that the words read."""
        return self.rows[0].map_options

    @property
    def interactions_share(self) -> float | None:
        """Sum of the shares of the interactions, None where nothing has a share."""
        if not any(one.share is not None for one in self.main):
            return None
        return math.fsum(one.share or 0.0 for one in self.interactions)

    @property
    def lost(self) -> tuple[str, ...]:
        """Words of which any trial diverged or failed."""
        return tuple(row.factorization for row in self.rows if row.diverged or row.failed)


def compute_effects(board: Board) -> tuple[Effects, ...]:
    """Return the effects in each group of a board, by budget, including those that lack words.

    Empty where no group has words. A board from `board.filter_board` lacks the words filtered out.
    """
    found: list[Effects] = []
    for group in board.groups:
        words = frozenset(factorizations.words(group.splits))
        cells: defaultdict[tuple[int, str], list[BoardRow]] = defaultdict(list)
        for row in sorted(group.rows, key=lambda row: row.factorization):
            if row.factorization in words:
                cells[-1 if row.budget is None else row.budget, row.map_options or ""].append(row)
        found += [_compute_group(group, cells[cell]) for cell in sorted(cells)]
    return tuple(found)


def _compute_group(group: Group, rows: Sequence[BoardRow]) -> Effects:
    by_seed: defaultdict[int, dict[str, float]] = defaultdict(dict)
    for row in rows:
        for seed, value in row.by_seed.items():
            by_seed[seed][row.factorization] = value
    missing = {
        seed: tuple(word for word in factorizations.words(group.splits) if word not in some)
        for seed, some in sorted(by_seed.items())
    }
    full = {seed: by_seed[seed] for seed in missing if not missing[seed]}
    effects = list(_decompose(full, group.splits)) if full else []
    return Effects(
        group,
        tuple(rows),
        seeds=tuple(full),
        main=tuple(one for one in effects if len(one.splits) == 1),
        interactions=tuple(one for one in effects if len(one.splits) > 1),
        incomplete={seed: words for seed, words in missing.items() if words},
    )


def _decompose(full: Mapping[int, Mapping[str, float]], splits: int) -> Iterator[Effect]:
    """Yield every contrast of the design, single letters first.

    ``full`` has all words at each seed.
    """
    places = range(1, splits + 1)
    chosen = [some for count in places for some in itertools.combinations(places, count)]
    tests = [_compute_contrast(full, some) for some in chosen]
    total = math.fsum(test.mean**2 for test in tests)  # SS / 2^(L - 2)
    for some, test in zip(chosen, tests, strict=True):
        yield Effect(some, test, test.mean**2 / total if total else None)


def _compute_contrast(full: Mapping[int, Mapping[str, float]], splits: tuple[int, ...]) -> Summary:
    even: dict[int, float] = {}
    odd: dict[int, float] = {}
    for seed, by_word in full.items():
        halves: tuple[list[float], list[float]] = ([], [])
        for word, value in by_word.items():
            halves[sum(word[k - 1] == "H" for k in splits) % 2].append(value)
        even[seed], odd[seed] = map(statistics.fmean, halves)
    found = compare_by_seed(even, odd)
    assert found is not None
    return found
