"""Rules in two sentences and a picture: which positions of 8x8 pixels leave at which split."""

import itertools
import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from rich.console import RenderableType
from rich.text import Text

from lcma.harness.results.map_statistics import find_exit_splits
from lcma.harness.text import escape_markdown
from lcma.models.factorization import make_tables
from lcma.sweeps.factorizations import (
    DATA_RULES,
    RULES,
    is_pattern,
    is_word,
    needs_maps,
)

SIDE, COLOURS, SPLITS = 8, 3, 3
"""Of what is drawn: pixels a side, channels, and splits where the rule has no number of its own."""

SHADES = "█░▒▓"
"""Characters of a terminal for what stays, and for what leaves at each split, first the palest."""

FILLS = ("#0b3d66", "#e3ebf2", "#a9c3d9", "#5f8fb4")
"""Colours of the same."""


@dataclass(frozen=True)
class RuleFacts:
    """A rule: what it is in two sentences, and where positions leave.

    ``picture`` has a mark for each position, row by row: 0 where it stays to the end, and else the
    number of the split at which it leaves. It has 64 marks where all channels are alike, and else
    192, and is empty where the rule splits nothing or is not known here.
    """

    name: str
    about: str
    picture: str

    @property
    def channels(self) -> list[list[str]]:
        """The rows of marks of each channel that is drawn."""
        rows = [self.picture[k : k + SIDE] for k in range(0, len(self.picture), SIDE)]
        return [rows[k : k + SIDE] for k in range(0, len(rows), SIDE)]


ABOUT: dict[str, str] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
"""What each rule is, in two sentences; a pattern and a word stand for all others."""


def list_rules(more: Iterable[str] = ()) -> list[RuleFacts]:
    """Return the facts of every rule, and of ``more`` canonical words, patterns and other rules."""
    names = dict.fromkeys([*ABOUT, *RULES, *more])
    return [describe_rule(name) for name in names]


@cache
def describe_rule(name: str) -> RuleFacts:
    """Return what a rule is. A rule that is not known here has no picture."""
    like = "HLL" if is_word(name) else "keep-ad-bc-cd" if is_pattern(name) else ""
    about = ABOUT.get(name) or ABOUT.get(like, "A rule of a plug-in. Its file says what it does.")
    drawn = {"low": "L", "online": "L", "high": "H"}.get(name)
    drawn = name if drawn is None else drawn * SPLITS
    return RuleFacts(name, about, _draw(drawn))


def _draw(drawn: str) -> str:
    pairs = drawn.count("-")
    splits = len(drawn) if is_word(drawn) else pairs if is_pattern(drawn) and pairs > 1 else SPLITS
    if drawn == "none" or splits > SPLITS:
        return ""
    shape = COLOURS, SIDE, SIDE
    maps = _make_example(splits, 1 if drawn in DATA_RULES else 0) if needs_maps(drawn) else ()
    try:
        tables = make_tables(drawn, shape, splits, maps=maps)
    except ValueError:  # of a plug-in that is not loaded
        return ""
    leaves = find_exit_splits(tables, shape)
    alike = (leaves == leaves[0]).all()
    return "".join(map(str, leaves[0].ravel() if alike else leaves.ravel()))


def _make_example(splits: int, seed: int) -> list[NDArray[Any]]:
    """Return maps as they look: a lattice of rows that differs between channels, and noise."""
    drawn = np.random.RandomState([seed, 8]).normal(size=(splits, COLOURS, SIDE, SIDE))
    rows = np.arange(SIDE)[:, None]
    found = []
    for split in range(splits):
        lattice = np.where(rows // 2**split % 2 == 0, 1.0, -1.0)
        signs = np.array([1.0, -1.0, -1.0])[:, None, None]
        found.append(0.8 * signs * lattice + 0.6 * drawn[split])
    return found


# In a terminal, and as a page of the documentation


def render_rules(rules: Sequence[RuleFacts]) -> RenderableType:
    """Return each rule with its picture beside its sentences, for a terminal of 80 columns."""
    return Text("\n".join([f"{_describe_marks(SHADES)}\n", *map(_show_rule, rules)]))


def _describe_marks(marks: Sequence[str]) -> str:
    leaves = ", ".join(f"{marks[k]} at split {k}" for k in range(1, SPLITS + 1))
    return f"{marks[0]} stays to the end; leaves: {leaves}. Maps and images are examples."


def _show_rule(one: RuleFacts) -> str:
    text = [one.name, *textwrap.wrap(one.about, 50)]
    channels = [["".join(SHADES[int(mark)] for mark in row) for row in c] for c in one.channels]
    picture = list(map(" ".join, zip(*channels, strict=True)))
    lines = itertools.zip_longest(picture, text, fillvalue="")
    return "".join(
        f"{left:<{COLOURS * (SIDE + 1)}} {right}".rstrip() + "\n" for left, right in lines
    )


def rules_as_markdown(rules: Sequence[RuleFacts]) -> str:
    """Return the page of the documentation, beside its picture `images/rules.svg`."""
    lines = [f"| `{one.name}` | {escape_markdown(one.about)} |\n" for one in rules]
    return PAGE.format(splits=SPLITS, rows="".join(lines))


PAGE = """# Rules

Which positions leave at which split. [Method](method.md) defines each rule exactly, the
[glossary](glossary.md) explains words. `lcma board --rules` shows the rules in a terminal,
[a site](publishing.md) shows them with their ranks.

![Each rule on 8x8 pixels, in {splits} splits](images/rules.svg)

Dark positions stay to the end; the paler a position is, the earlier it leaves. If the three
channels differ, each is drawn. Rules that read maps or images are drawn by an example.

| rule | what it is |
| --- | --- |
{rows}"""


def draw_gallery(rules: Sequence[RuleFacts], across: int = 4, cell: int = 5) -> str:
    """Return a picture of all rules that split, as SVG."""
    shown = [one for one in rules if one.picture]
    side = cell * SIDE
    wide, high = COLOURS * (side + 4) + 28, side + 34
    parts = []
    for number, one in enumerate(shown):
        x, y = number % across * wide, number // across * high
        parts.append(f'<text x="{x}" y="{y + 12}">{escape(one.name)}</text>')
        for k, rows in enumerate(one.channels):
            at = f"translate({x + k * (side + 4)} {y + 18}) scale({cell})"
            paths = "".join(f'<path fill="{FILLS[m]}" d="{d}"/>' for m, d in list_paths(rows))
            parts.append(f'<g transform="{at}">{paths}</g>')
    size = f"{across * wide} {-(-len(shown) // across) * high}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 0 {size}" role="img">'
    style = '<g font-family="sans-serif" font-size="11" fill="#6b7580">'
    return f"{head}{style}{''.join(parts)}</g></svg>\n"


def list_paths(rows: Sequence[str]) -> list[tuple[int, str]]:
    """Return for each mark of a picture the outline of its positions, of a unit each."""
    found = []
    for mark in sorted(set("".join(rows))):
        runs = (
            f"M{run.start()} {y}h{run.end() - run.start()}v1H{run.start()}z"
            for y, row in enumerate(rows)
            for run in re.finditer(f"{mark}+", row)
        )
        found.append((int(mark), "".join(runs)))
    return found


def main(arguments: Sequence[str]) -> None:
    """Write the page and its picture into the folder of the documentation."""
    folder = Path(arguments[0])
    rules = list_rules()
    (folder / "rules.md").write_text(rules_as_markdown(rules), "utf-8")
    (folder / "images" / "rules.svg").write_text(draw_gallery(rules), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
