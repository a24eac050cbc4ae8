"""The reference part of docs/database.md, rendered from the schema (`python -m lcma.db.docs`)."""

import sys
from collections.abc import Iterable
from pathlib import Path

import sqlalchemy as sa

from lcma.db.relations import Column, describe_relation
from lcma.db.schema import metadata
from lcma.db.views import views
from lcma.sweeps.errors import UserError

BEGIN = "<!-- The rest is rendered by `python -m lcma.db.docs docs/database.md`. -->"
"""The line of the document below which everything is rendered."""


def render() -> str:
    """Return every table, view and column with type and meaning, as Markdown."""
    parts = ["## Tables", *(_table(table) for table in metadata.sorted_tables)]
    parts += ["## Views", _index(views.tables.values())]
    parts += [_table(view) for view in views.tables.values()]
    return "\n\n".join(parts) + "\n"


def update(path: Path) -> None:
    """Rewrite what stands below the marker line of the document.

    Raises:
        UserError: The document has no such line.
    """
    text = path.read_text(encoding="utf-8")
    if BEGIN not in text:
        raise UserError(f"{path} lacks the line {BEGIN}: add it where the reference begins")
    written = text[: text.index(BEGIN)] + BEGIN + "\n\n" + render()
    path.write_text(written, encoding="utf-8")


def _table(table: sa.Table) -> str:
    relation = describe_relation(table)
    lines = [f"### {relation.name}", "", relation.meaning, ""]
    lines += ["| column | type | meaning |", "| --- | --- | --- |"]
    lines += [_column(column) for column in relation.columns]
    uniques = sorted(
        ", ".join(column.name for column in constraint.columns)
        for constraint in table.constraints
        if isinstance(constraint, sa.UniqueConstraint)
    )
    indices = sorted(", ".join(column.name for column in index.columns) for index in table.indexes)
    notes = [f"Unique: ({columns})." for columns in uniques]
    notes += [f"Index: ({columns})." for columns in indices]
    if notes:
        lines += ["", " ".join(notes)]
    return "\n".join(lines)


def _index(tables: Iterable[sa.Table]) -> str:
    lines = ["| view | what it has |", "| --- | --- |"]
    for relation in map(describe_relation, tables):
        lines.append(f"| [`{relation.name}`](#{relation.name}) | {relation.meaning} |")
    return "\n".join(lines)


def _column(column: Column) -> str:
    meaning = column.meaning.replace("|", "\\|")
    return f"| `{column.name}` | {column.type} | {meaning} |"


def main(arguments: list[str]) -> int:
    """Render into the document named, or to standard output; return the exit code."""
    if not arguments:
        sys.stdout.write(render())
        return 0
    try:
        update(Path(arguments[0]))
    except (UserError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
