"""Effects of the letters of words: at which split it matters which contributions are factored out.

The 2^L words over L and H are a full factorial design, one factor of two levels for each of the L
splits, repeated at every seed at which all words have a result. Main effects and interactions are
its orthogonal contrasts (Box, Hunter, Hunter: Statistics for Experimenters, 2nd ed., ch. 5), paired
by seed as the board's differences are. `compute_effects` computes them from a board.
"""

import itertools
import math
import shlex
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lcma.harness.results.board import ENOUGH, Board, BoardRow, Group, list_settings
from lcma.harness.results.statistics import PairedTest, compare_by_seed
from lcma.harness.text import printable
from lcma.sweeps import factorizations

HANDFUL = 5
"""Number of words or seeds that a note names before it counts the rest."""


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
    test: PairedTest
    share: float | None


@dataclass(frozen=True)
class Incomplete:
    """A seed with results of some words but not of all."""

    seed: int
    missing: tuple[str, ...]


@dataclass(frozen=True)
class Effects:
    """All effects among the words of one group, budget and map options.

    ``seeds`` are those at which all 2^splits words have a result. Where there are none, ``main``
    and ``interactions`` are empty and a note says what is missing. ``interactions`` are of two and
    more letters, ``interactions_share`` is the sum of their shares. ``lost`` are the words of which
    any trial diverged or failed.
    """

    group: Group
    budget: int | None
    map_options: str | None
    seeds: tuple[int, ...]
    main: tuple[Effect, ...]
    interactions: tuple[Effect, ...]
    interactions_share: float | None
    incomplete: tuple[Incomplete, ...]
    lost: tuple[str, ...]
    notes: tuple[str, ...]


def compute_effects(board: Board) -> tuple[Effects, ...]:
    """Return the effects in each group of a board, by budget, including those that lack words.

    Empty where no group has words. A board from `board.filter_board` lacks the words filtered out.
    """
    found: list[Effects] = []
    for group in board.groups:
        words = frozenset(factorizations.words(group.splits))
        cells: dict[tuple[int, str], list[BoardRow]] = {}
        for row in group.rows:
            if row.factorization in words:
                budget = -1 if row.budget is None else row.budget
                cells.setdefault((budget, row.map_options or ""), []).append(row)
        found += [_compute_group(group, cells[cell]) for cell in sorted(cells)]
    return tuple(found)


def _compute_group(group: Group, rows: Sequence[BoardRow]) -> Effects:
    rows = sorted(rows, key=lambda r: r.factorization)
    by_seed: dict[int, dict[str, float]] = {}
    for row in rows:
        for seed, bits in row.by_seed.items():
            by_seed.setdefault(seed, {})[row.factorization] = bits
    words = factorizations.words(group.splits)
    full = {seed: by_seed[seed] for seed in sorted(by_seed) if len(by_seed[seed]) == len(words)}
    incomplete = tuple(
        Incomplete(seed, tuple(word for word in words if word not in by_seed[seed]))
        for seed in sorted(by_seed.keys() - full.keys())
    )
    all_effects = _decompose(full, group.splits) if full else ()
    main = tuple(e for e in all_effects if len(e.splits) == 1)
    interactions = tuple(e for e in all_effects if len(e.splits) > 1)
    shares = [e.share for e in interactions if e.share is not None]
    known = any(e.share is not None for e in all_effects)
    return Effects(
        group=group,
        budget=rows[0].budget,
        map_options=rows[0].map_options,
        seeds=tuple(full),
        main=main,
        interactions=interactions,
        interactions_share=math.fsum(shares) if known else None,
        incomplete=incomplete,
        lost=tuple(row.factorization for row in rows if row.diverged or row.failed),
        notes=tuple(_list_notes(group, rows, tuple(full), incomplete)),
    )


def _decompose(full: Mapping[int, Mapping[str, float]], splits: int) -> tuple[Effect, ...]:
    """Return every contrast of the design, single letters first.

    ``full`` has all words at each seed.
    """
    places = range(1, splits + 1)
    found = {
        chosen: _compute_contrast(full, chosen)
        for count in places
        for chosen in itertools.combinations(places, count)
    }
    total = math.fsum(test.mean**2 for test in found.values())  # SS / 2^(L - 2)
    return tuple(
        Effect(chosen, test, test.mean**2 / total if total else None)
        for chosen, test in found.items()
    )


def _compute_contrast(
    full: Mapping[int, Mapping[str, float]], splits: tuple[int, ...]
) -> PairedTest:
    even: dict[int, float] = {}
    odd: dict[int, float] = {}
    for seed, by_word in full.items():
        halves: tuple[list[float], list[float]] = ([], [])
        for word, bits in by_word.items():
            halves[sum(word[k - 1] == "H" for k in splits) % 2].append(bits)
        even[seed], odd[seed] = map(statistics.fmean, halves)
    found = compare_by_seed(even, odd)
    assert found is not None
    return found


def _list_notes(
    group: Group,
    rows: Sequence[BoardRow],
    seeds: tuple[int, ...],
    incomplete: Sequence[Incomplete],
) -> Iterator[str]:
    if not seeds:
        yield _missing_note(factorizations.words(group.splits), incomplete)
    elif incomplete:
        of_each = [f"{one.seed} (missing {_listed(one.missing)})" for one in incomplete]
        some = "seed" if len(incomplete) == 1 else "seeds"
        yield f"Left out, for not all {2**group.splits} words: {some} {_listed(of_each)}."
    if 0 < len(seeds) < ENOUGH:
        yield f"Fewer than {ENOUGH} seeds decide nothing: this is a first look."
    lost = [
        f"{row.factorization} {count} {state}"
        for row in rows
        for count, state in ((row.diverged, "diverged"), (row.failed, "failed"))
        if count
    ]
    if lost:
        yield f"Lost trials: {_listed(lost)}; `lcma status` says why."
    if incomplete or not seeds:
        yield _next_command(group, rows[0], incomplete)


def _missing_note(words: Sequence[str], incomplete: Sequence[Incomplete]) -> str:
    if incomplete:
        fullest = min(incomplete, key=lambda one: len(one.missing))
        there = (
            f"seed {fullest.seed} has the most, {len(words) - len(fullest.missing)} of "
            f"{len(words)}, missing {_listed(fullest.missing)}"
        )
    else:
        there = f"0 of {len(words)} have a result, missing {_listed(words)}"
    return f"No effects: they need all words at one seed; {there}."


def _next_command(group: Group, word: BoardRow, incomplete: Sequence[Incomplete]) -> str:
    overrides = group.overrides
    if overrides is None:
        return "Next: all words of a recipe that no profile here has."
    options = ["--flow", group.flow, "--dataset", group.set_name]
    options += ["--profile", group.profile.split(", ")[0]]
    options += ["--seeds", str(max([ENOUGH, *(one.seed + 1 for one in incomplete)]))]
    if word.budget is not None:
        options += ["--budget", str(word.budget)]
    options += list_settings(overrides)
    if word.map_options is not None:
        options += ["--set", f"maps={word.map_options}"]
    return "Next: " + shlex.join(["lcma", "launch", "words", *map(printable, options)])


def _listed(items: Sequence[str]) -> str:
    named = ", ".join(items[:HANDFUL])
    return named if len(items) <= HANDFUL else f"{named} and {len(items) - HANDFUL} more"
