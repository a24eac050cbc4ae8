"""The tables of the LCMA paper: their numbers, ours, the difference."""

from lcma.harness.results.board import Board, BoardRow, Group
from lcma.sweeps import published
from lcma.sweeps.published import Number

SOURCE = "LCMA"

LAYOUTS = {
    "1": ("factorization", "dataset"),
    "2": ("factorization", "flow"),
    "3": ("flow", "factorization"),
    "4": ("factorization", "dataset"),
}
"""The fact of a number that makes the rows of a table, and the one that makes its columns."""

PaperValue = float | int | str | None


def compare_with_paper(board: Board, table: str) -> list[dict[str, PaperValue]]:
    """Return the rows of the paper's table of that number, each with rows of ours below it.

    ``row`` is the paper's, ``bits_per_dim`` says what a row has: the paper's numbers or ours; the
    others are the paper's columns, None where there is nothing. Ours are separate rows by profile,
    protocol and precision. Of several recipes or budgets of one cell the longest training, then the
    longest budget is taken, whatever its number is.
    """
    row_fact, column_fact = LAYOUTS[table]
    printed = [n for n in published.numbers() if (n.source, n.table) == (SOURCE, table)]
    columns = list(dict.fromkeys(getattr(n, column_fact) for n in printed))
    by_place = {(getattr(n, row_fact), getattr(n, column_fact)): n for n in printed}
    ours = _find_ours(board, table)
    rows: list[dict[str, PaperValue]] = []
    for name in dict.fromkeys(getattr(n, row_fact) for n in printed):
        cells = {column: by_place.get((name, column)) for column in columns}
        values = {column: None if n is None else n.bits_per_dim for column, n in cells.items()}
        rows.append({"row": name, "bits_per_dim": "paper", **values})
        for scale, found in sorted(ours.items()):
            lines = {
                column: {} if n not in found or n is None else _describe_ours(n, *found[n])
                for column, n in cells.items()
            }
            for what in next(filter(None, lines.values()), ()):
                of_column = {column: line.get(what) for column, line in lines.items()}
                rows.append({"row": name, "bits_per_dim": f"{what} ({scale})", **of_column})
    return rows


def _find_ours(board: Board, table: str) -> dict[str, dict[Number, tuple[Group, BoardRow]]]:
    """Return by profile, protocol and precision what stands beside each number."""
    found: dict[str, dict[Number, tuple[Group, BoardRow]]] = {}
    for group in board.groups:
        of_scale = found.setdefault(f"{group.profile}, {group.protocol}, {group.precision}", {})
        for row in group.rows:
            if row.mean is None or row.map_options is not None:
                continue
            for number in row.published:
                if (number.source, number.table) == (SOURCE, table):
                    both = (of_scale.get(number, (group, row)), (group, row))
                    of_scale[number] = max(both, key=_measure_length)
    return found


def _measure_length(cell: tuple[Group, BoardRow]) -> tuple[int, int, str, str]:
    group, row = cell
    return group.steps, row.budget or 0, group.recipe_id, group.data_digest


def _describe_ours(printed: Number, group: Group, row: BoardRow) -> dict[str, PaperValue]:
    assert row.mean is not None
    return {
        "ours": row.mean,
        "difference": row.mean - printed.bits_per_dim,
        "sd": row.deviation,
        "n": row.n,
        "steps": group.steps,
        "budget": row.budget,
        "data": "whole" if group.whole else "not the whole set",
    }
