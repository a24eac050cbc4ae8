"""Rules, each in two sentences and a picture of the positions that leave at each split."""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from lcma.harness.results.map_statistics import find_exit_splits
from lcma.harness.text import escape_markdown
from lcma.models.factorization import make_tables
from lcma.sweeps.errors import UserError
from lcma.sweeps.factorizations import (
    DATA_RULES,
    RULES,
    is_pattern,
    is_word,
    needs_maps,
)

SIDE, COLOURS, SPLITS = 8, 3, 3
"""Pixels a side, channels, and splits of a picture, unless the rule fixes the splits."""

FILLS = ("#0b3d66", "#e3ebf2", "#a9c3d9", "#5f8fb4")
"""Colours for what stays, and for what leaves at each split, the palest first."""


@dataclass(frozen=True)
class RuleFacts:
    """A rule in two sentences and a picture."""

    name: str
    about: str
    # A mark for each position, row by row: the split at which it leaves, or 0 where it stays. There
    # are 64 marks where all channels are equal and otherwise 192, or none where the rule splits
    # nothing or is not known here.
    picture: str

    @property
    def channels(self) -> list[list[str]]:
        """The rows of marks of each drawn channel."""
        rows = [self.picture[k : k + SIDE] for k in range(0, len(self.picture), SIDE)]
        return [rows[k : k + SIDE] for k in range(0, len(rows), SIDE)]


TEXTS: dict[str, str] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text("utf-8"))
"""Two sentences on each rule; one pattern and one word stand for all."""


def list_rules(more: Iterable[str] = ()) -> list[RuleFacts]:
    """Return the facts of every rule, and of ``more`` canonical words, patterns or other rules."""
    names = dict.fromkeys([*TEXTS, *RULES, *more])
    return [describe_rule(name) for name in names]


@cache
def describe_rule(name: str) -> RuleFacts:
    """Return the facts of a rule. A rule that is not known here has no picture."""
    example = "HLL" if is_word(name) else "keep-ad-bc-cd" if is_pattern(name) else ""
    about = TEXTS.get(name) or TEXTS.get(example, "A rule of a plug-in. Its file explains it.")
    letter = {"low": "L", "online": "L", "high": "H"}.get(name)
    rule = name if letter is None else letter * SPLITS
    return RuleFacts(name, about, _draw(rule))


def _draw(rule: str) -> str:
    pairs = rule.count("-")
    splits = len(rule) if is_word(rule) else pairs if is_pattern(rule) and pairs > 1 else SPLITS
    if rule == "none" or splits > SPLITS:
        return ""
    shape = COLOURS, SIDE, SIDE
    maps = _make_example(splits, 1 if rule in DATA_RULES else 0) if needs_maps(rule) else ()
    try:
        tables = make_tables(rule, shape, splits, maps=maps)
    except (ValueError, UserError):  # of a plug-in: not loaded, or not for these images
        return ""
    exits = find_exit_splits(tables, shape)
    all_equal = (exits == exits[0]).all()
    return "".join(map(str, exits[0].ravel() if all_equal else exits.ravel()))


def _make_example(splits: int, seed: int) -> list[NDArray[Any]]:
    """Return typical maps: a lattice of rows that differs between channels, and noise."""
    noise = np.random.RandomState([seed, 8]).normal(size=(splits, COLOURS, SIDE, SIDE))
    rows = np.arange(SIDE)[:, None]
    maps = []
    for split in range(splits):
        lattice = np.where(rows // 2**split % 2 == 0, 1.0, -1.0)
        signs = np.array([1.0, -1.0, -1.0])[:, None, None]
        maps.append(0.8 * signs * lattice + 0.6 * noise[split])
    return maps


# As a page of the documentation


def rules_as_markdown(rules: Sequence[RuleFacts]) -> str:
    """Return the page of the documentation that shows the picture `images/rules.svg`."""
    lines = [f"| `{rule.name}` | {escape_markdown(rule.about)} |\n" for rule in rules]
    return PAGE.format(splits=SPLITS, rows="".join(lines))


PAGE = """# Rules

Which positions leave at which split. [Method](method.md) defines each rule exactly, the
[glossary](glossary.md) explains words. [A site](publishing.md) shows the rules with their ranks.

![Each rule on 8x8 pixels, in {splits} splits](images/rules.svg)

Dark positions stay to the end; the paler a position is, the earlier it leaves. If the three
channels differ, each is drawn. Rules that read maps or images are drawn by an example.

| rule | meaning |
| --- | --- |
{rows}"""


def draw_gallery(rules: Sequence[RuleFacts], across: int = 4, cell: int = 5) -> str:
    """Return a picture of all rules that split, as SVG."""
    shown = [rule for rule in rules if rule.picture]
    side = cell * SIDE
    wide, high = COLOURS * (side + 4) + 28, side + 34
    parts = []
    for number, rule in enumerate(shown):
        x, y = number % across * wide, number // across * high
        parts.append(f'<text x="{x}" y="{y + 12}">{escape(rule.name)}</text>')
        for k, rows in enumerate(rule.channels):
            place = f"translate({x + k * (side + 4)} {y + 18}) scale({cell})"
            paths = "".join(f'<path fill="{FILLS[m]}" d="{d}"/>' for m, d in list_paths(rows))
            parts.append(f'<g transform="{place}">{paths}</g>')
    size = f"{across * wide} {-(-len(shown) // across) * high}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-8 0 {size}" role="img">'
    style = '<g font-family="sans-serif" font-size="11" fill="#6b7580">'
    return f"{head}{style}{''.join(parts)}</g></svg>\n"


def list_paths(rows: Sequence[str]) -> list[tuple[int, str]]:
    """Return each mark of a picture with the SVG path around its positions, a unit each."""
    paths = []
    for mark in sorted(set("".join(rows))):
        runs = (
            f"M{run.start()} {y}h{run.end() - run.start()}v1H{run.start()}z"
            for y, row in enumerate(rows)
            for run in re.finditer(f"{mark}+", row)
        )
        paths.append((int(mark), "".join(runs)))
    return paths


def main(arguments: Sequence[str]) -> None:
    """Write the page and its picture into the folder of the documentation."""
    folder = Path(arguments[0])
    rules = list_rules()
    (folder / "rules.md").write_text(rules_as_markdown(rules), "utf-8")
    (folder / "images" / "rules.svg").write_text(draw_gallery(rules), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
