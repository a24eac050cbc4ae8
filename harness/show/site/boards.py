"""The leaderboard: how groups are cut into pages, and where intervals of differences lie."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from lcma.harness.results.board import BoardRow, Group
from lcma.harness.results.statistics import PairedTest, subtract_by_seed
from lcma.harness.show.board import format_titles, list_lines_below
from lcma.harness.text import printable

LARGE = 20_000
"""Number of results above which single ones are not shown."""

PER_PAGE = 75
"""Most lines on a page of the leaderboard, so that a page is some screens long, and no more."""

AROUND = 8
"""Lines that title, heading, bars and notes of a table take."""

TrialKey = tuple[str, str, str, str, int | None, str | None, int]
"""Data digest, recipe, protocol, factorization, budget, map options, seed."""


def search_text(group: Group) -> str:
    """Return what a search finds all rows of a group by."""
    title, _ = format_titles(group)
    ids = (group.set_name, group.data_digest, group.recipe_id, group.protocol)
    return " ".join((title, *map(printable, ids)))


def row_text(row: BoardRow) -> str:
    """Return what a search finds a row of a group by."""
    return " ".join(map(printable, filter(None, (row.label, row.options_label))))


def trial_key(group: Group, row: BoardRow, seed: int) -> TrialKey:
    """Return what tells the trial behind a result of a row from all others."""
    own = (row.factorization, row.budget, row.map_options)
    return (group.data_digest, group.recipe_id, group.protocol, *own, seed)


@dataclass(frozen=True)
class BoardPart:
    """The rows of a group that stand on one page.

    ``start`` counts those on pages before. ``singly`` says whether results of seeds are shown.
    """

    group: Group
    rows: tuple[BoardRow, ...]
    singly: bool
    start: int = 0

    @cached_property
    def compared(self) -> bool:
        """Whether any row has a difference from another."""
        return any(row.difference is not None for row in self.group.rows)

    def differences(self, row: BoardRow) -> dict[int, float]:
        """Return a row's difference from the reference at each seed, where seeds are shown."""
        return subtract_by_seed(row.by_seed, self._reference) if self.singly else {}

    @cached_property
    def _reference(self) -> Mapping[int, float]:
        return next((row.by_seed for row in self.group.rows if row.reference), {})

    @cached_property
    def _scale(self) -> "Scale":
        compared = [row for row in self.group.rows if row.difference is not None]
        return make_scale((row.difference, self.differences(row)) for row in compared)

    @property
    def ends(self) -> tuple[float, float]:
        """Ends of the scale of differences."""
        return self._scale.ends

    def at(self, value: float) -> float:
        """Return where a difference lies on the scale, 0 to 100."""
        return self._scale.at(value)


def gather_notes(parts: Sequence[BoardPart]) -> list[tuple[str, list[int]]]:
    """Return the notes below tables, each once, with the places, from 1, of the tables it is of.

    Notes of all tables come first, without places.
    """
    found: dict[str, list[int]] = {}
    for place, part in enumerate(parts, start=1):
        for note in list_lines_below(part.group):
            found.setdefault(note, []).append(place)
    every = list(range(1, len(parts) + 1))
    notes = ((note, [] if places == every else places) for note, places in found.items())
    return sorted(notes, key=lambda one: bool(one[1]))


@dataclass(frozen=True)
class Scale:
    """The scale of a forest plot, between two ends."""

    ends: tuple[float, float]

    def at(self, value: float) -> float:
        """Return where a difference lies, 0 to 100."""
        least, most = self.ends
        return round(100 * (value - least) / (most - least), 2)


def make_scale(tests: Iterable[tuple[PairedTest | None, Mapping[int, float]]]) -> Scale:
    """Return the scale of zero, all differences with their intervals and seeds, and some room."""
    values: list[float | None] = [0.0]
    for test, by_seed in tests:
        values += by_seed.values()
        if test is not None:
            values += [test.mean, test.low, test.high]
    finite = [value for value in values if value is not None and math.isfinite(value)]
    room = 0.04 * (max(finite) - min(finite)) or 0.5
    return Scale((min(finite) - room, max(finite) + room))


def paginate_groups(
    groups: Sequence[Group], *, singly: bool = True, most: int = PER_PAGE
) -> list[list[BoardPart]]:
    """Return groups in order on pages of so many lines; a longer one continues on the next page."""
    found: list[list[BoardPart]] = [[]]
    room = most
    for group in groups:
        whole = BoardPart(group, group.rows, singly)
        rows = group.rows
        while rows:
            fits = len(rows) + AROUND <= room
            splits = len(rows) + AROUND > most and room > max(most // 2 - 1, AROUND)
            if found[-1] and not fits and not splits:
                found.append([])
                room = most
            taken = max(1, room - AROUND)
            start = len(group.rows) - len(rows)
            found[-1].append(replace(whole, rows=rows[:taken], start=start))
            room -= AROUND + len(rows[:taken])
            rows = rows[taken:]
    return found
