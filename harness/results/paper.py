"""The tables and figures of the LCMA paper: what they say, their numbers, ours, the difference."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lcma.harness.results.board import Board, BoardRow, Group
from lcma.harness.results.claims import Cells, is_form_of, order_cells
from lcma.harness.results.statistics import PairedTest, compare_by_seed
from lcma.harness.results.verdicts import Verdict
from lcma.sweeps import known_sets, published
from lcma.sweeps.measures import BITS_PER_DIM, OF_SAMPLES
from lcma.sweeps.published import Number

SOURCE = "LCMA"

LAYOUTS = {
    "1": ("factorization", "dataset"),
    "2": ("factorization", "flow"),
    "3": ("flow", "factorization"),
    "4": ("factorization", "dataset"),
}
"""The fact of a number that makes the rows of a table, and the one that makes its columns."""

OURS = ("ours", "difference", "sd", "n", "steps", "budget", "data")
"""Rows of each cell of ours. The difference is ours minus the paper's; the data are the whole set
or not."""

PaperValue = float | int | str | None


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper beside ours.

    ``rows`` are (row, whose, one value for each of ``columns``), None where there is none.
    """

    number: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[PaperValue, ...]], ...]

    @property
    def title(self) -> str:
        """Title, with the table's number and what its rows are."""
        return f"Table {self.number} of the {SOURCE} paper: bits/dim as printed, ours, difference"


def compare_with_paper(board: Board, table: str) -> PaperTable:
    """Return the paper's table of that number, beside what the board has of the same cells.

    Ours are separate rows by profile, protocol and precision. Of several recipes or budgets of one
    cell the longest training, then the longest budget is taken, whatever its number is.
    """
    row_fact, column_fact = LAYOUTS[table]
    printed = [n for n in published.numbers() if (n.source, n.table) == (SOURCE, table)]
    names = list(dict.fromkeys(getattr(n, row_fact) for n in printed))
    columns = list(dict.fromkeys(getattr(n, column_fact) for n in printed))
    by_place = {(getattr(n, row_fact), getattr(n, column_fact)): n for n in printed}
    found = _our_cells(board, table)
    scales = sorted({scale for scale, _ in found})
    rows: list[tuple[str, str, tuple[PaperValue, ...]]] = []
    for name in names:
        cells = [by_place.get((name, column)) for column in columns]
        rows.append((name, "paper", tuple(None if n is None else n.bits_per_dim for n in cells)))
        for scale in scales:
            ours = [None if n is None else found.get((scale, n)) for n in cells]
            if any(ours):
                rows += _our_lines(name, scale, cells, ours)
    return PaperTable(table, tuple(columns), tuple(rows))


def _our_cells(board: Board, table: str) -> dict[tuple[str, Number], tuple[Group, BoardRow]]:
    found: dict[tuple[str, Number], tuple[Group, BoardRow]] = {}
    for group in board.groups:
        scale = ", ".join((group.profile, group.protocol, group.precision))
        for row in group.rows:
            if row.mean is None or row.map_options is not None:
                continue
            for one in row.published:
                if (one.source, one.table) != (SOURCE, table):
                    continue
                held = found.get((scale, one))
                if held is None or _training_length(group, row) > _training_length(*held):
                    found[scale, one] = group, row
    return found


def _training_length(group: Group, row: BoardRow) -> tuple[int, int, str, str]:
    return group.steps, row.budget or 0, group.recipe_id, group.data_digest


def _our_lines(
    name: str,
    scale: str,
    printed: Sequence[Number | None],
    ours: Sequence[tuple[Group, BoardRow] | None],
) -> list[tuple[str, str, tuple[PaperValue, ...]]]:
    lines: dict[str, list[PaperValue]] = {what: [] for what in OURS}
    for one, cell in zip(printed, ours, strict=True):
        values: tuple[PaperValue, ...] = (None,) * len(OURS)
        if cell is not None and one is not None:
            group, row = cell
            assert row.mean is not None
            difference = row.mean - one.bits_per_dim
            data = "whole" if group.whole else "not the whole set"
            values = (row.mean, difference, row.deviation, row.n, group.steps, row.budget, data)
        for what, value in zip(OURS, values, strict=True):
            lines[what].append(value)
    return [(name, f"{what} ({scale})", tuple(values)) for what, values in lines.items()]


# What is beside a table or figure at whatever scale it was trained here


@dataclass(frozen=True)
class PaperItem:
    """A table or figure of the paper.

    ``says`` is what it shows, in a sentence. ``rules`` are its factorizations in its order, the one
    first that the others are compared with. ``claims`` are keys of the verdicts that bear on it, by
    bits/dim or by measures of samples. ``flow`` is the only one that it is about, where there is
    one, and ``data`` the sets, where it is about any, as their forms of any size and variant are.
    ``launch`` trains its models here.
    """

    key: str
    name: str
    says: str
    rules: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()
    claims_on_samples: tuple[str, ...] = ()
    launch: str = "table1"
    flow: str | None = None
    data: tuple[str, ...] = ()

    @property
    def table(self) -> str | None:
        """Number of the table, None for a figure."""
        return self.key.removeprefix("table") if self.key in TABLE_KEYS else None

    def is_of_data(self, cells: Cells) -> bool:
        """Return whether it is about the data set of these cells, in whatever form."""
        return not self.data or any(is_form_of(cells.group, name) for name in self.data)

    def split_by_data(self, verdicts: Iterable[Verdict]) -> tuple[list[Verdict], list[Verdict]]:
        """Return those of some verdicts that are on its data sets alone, and the others."""
        own: list[Verdict] = []
        others: list[Verdict] = []
        for one in verdicts:
            (own if all(map(self.is_of_data, one.claim.members)) else others).append(one)
        return own, others

    def claims_by(self, measure: str) -> tuple[str, ...]:
        """Return the keys of the verdicts by a measure that bear on it."""
        if measure == BITS_PER_DIM:
            return self.claims
        return self.claims_on_samples if measure in OF_SAMPLES else ()


FOUR = ("celeba64", "cifar10", "imagenet32", "imagenet64")

TABLE_KEYS = tuple(f"table{number}" for number in LAYOUTS)

ITEMS = (
    PaperItem(
        "table1",
        "Table 1",
        "RealNVP has fewer bits/dim with low than with its own rule, on each of four data sets.",
        ("conventional", "low"),
        ("low-conventional", "faces"),
        flow="realnvp",
        data=FOUR,
    ),
    PaperItem(
        "table2",
        "Table 2",
        "Each of four flows has fewer bits/dim on CIFAR-10 with low than with its own rule.",
        ("conventional", "low"),
        ("low-conventional",),
        launch="table2",
        data=("cifar10",),
    ),
    PaperItem(
        "table3",
        "Table 3",
        "On CelebA, low is best, then RealNVP's own rule, then a random one, and high is worst.",
        ("conventional", "low", "random", "high"),
        ("table3-order",),
        ("table3-order",),
        launch="table3",
        flow="realnvp",
        data=("celeba64",),
    ),
    PaperItem(
        "table4",
        "Table 4",
        "On CelebA, of the eight words over low and high each further H costs bits, most at the "
        "first split.",
        ("LLL", "LLH", "LHL", "LHH", "HLL", "HLH", "HHL", "HHH"),
        ("table4-order", "first-split"),
        launch="table4",
        flow="realnvp",
        data=("celeba64",),
    ),
    PaperItem(
        "figure1",
        "Figure 1",
        "Maps of contributions, pooled over windows, decide what is factored out at each split.",
        claims=("low-random-local", "low-random-lattice", "layout", "ranking"),
        launch="rules",
    ),
    PaperItem(
        "figure2",
        "Figure 2",
        "Samples of RealNVP with low, of four data sets.",
        claims_on_samples=("low-conventional",),
        flow="realnvp",
        data=FOUR,
    ),
    PaperItem(
        "figure3",
        "Figure 3",
        "Images decoded between the latents of two faces pass smoothly from one to the other.",
        data=("celeba64",),
    ),
)
"""All that the paper shows, in its order. The sentences are ours."""


@dataclass(frozen=True)
class ScaledRow:
    """A rule of a table: what the paper prints of it, and what a recipe here has.

    Differences are from the table's first rule.
    """

    rule: str
    printed: float | None
    printed_difference: float | None
    row: BoardRow | None
    difference: PairedTest | None


@dataclass(frozen=True)
class ScaledTable:
    """A table of the paper with the results of one recipe on one data set, whatever its scale.

    ``printed_of`` says of which flow and data set the printed numbers are, None where the paper has
    none that could stand beside these.
    """

    cells: Cells
    printed_of: str | None
    rows: tuple[ScaledRow, ...]


def scale_table(board: Board, item: PaperItem) -> list[ScaledTable]:
    """Return a table of the paper beside every recipe that has two of its rules.

    Of several budgets that is taken under which most of its rules have results, of several such the
    longest. A box-filtered set stands beside the set that it is of.
    """
    found = []
    for group in board.groups:
        if group.protocol != "plain" or item.flow not in (None, group.flow):
            continue
        under = [(cells, list(map(cells.find, item.rules))) for cells in order_cells(group, {})]
        cells, ours = max(under, key=lambda one: sum(row is not None for row in one[1]))
        if sum(row is not None for row in ours) < 2:
            continue
        printed_of, printed = _find_printed(item, group)
        rows = []
        for rule, row in zip(item.rules, ours, strict=True):
            number, base, first = printed.get(rule), printed.get(item.rules[0]), ours[0]
            paired = None
            if row is not None and first is not None and row is not first:
                paired = compare_by_seed(row.by_seed, first.by_seed)
            gap = None if number is None or base is None else round(number - base, 4)
            rows.append(ScaledRow(rule, number, gap, row, paired))
        found.append(ScaledTable(cells, printed_of, tuple(rows)))
    return found


def _find_printed(item: PaperItem, group: Group) -> tuple[str | None, dict[str, float]]:
    """Return the subject of the printed numbers nearest to a group, and these numbers by rule."""
    numbers = [n for n in published.numbers() if (n.source, n.table) == (SOURCE, item.table)]
    if item.key == "table1":  # a variant stands beside the one that was printed
        family = known_sets.find_family(group.set_name)
        numbers = [n for n in numbers if known_sets.find_family(n.dataset) == family]
    elif item.flow is None:
        numbers = [n for n in numbers if n.flow == group.flow]
    if not numbers:
        return None, {}
    of = f"{numbers[0].flow} on {numbers[0].dataset}"
    return of, {n.factorization: n.bits_per_dim for n in numbers}
