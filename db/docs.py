"""The page of views, tables and columns, made from the schema (`python -m lcma.db.docs PATH`)."""

import sys
from pathlib import Path

import sqlalchemy as sa

from lcma.db.relations import describe_relation
from lcma.db.schema import metadata
from lcma.db.views import views


def render() -> str:
    """Return every view, table and column with type and meaning, as Markdown."""
    parts = ["# Views and tables", "`lcma sql --schema` shows this page in a terminal."]
    parts += ["## Views", *map(_render_relation, views.tables.values())]
    parts += ["## Tables", *map(_render_relation, metadata.sorted_tables)]
    return "\n\n".join(parts) + "\n"


def _render_relation(table: sa.Table) -> str:
    relation = describe_relation(table)
    lines = [f"### {relation.name}", "", relation.meaning, ""]
    lines += ["| column | type | meaning |", "| --- | --- | --- |"]
    for column in relation.columns:
        meaning = column.meaning.replace("|", "\\|")
        lines.append(f"| `{column.name}` | {column.type} | {meaning} |")
    uniques = [one for one in table.constraints if isinstance(one, sa.UniqueConstraint)]
    notes = [
        f"{kind}: ({', '.join(one.columns.keys())})."
        for kind, of in (("Unique", uniques), ("Index", table.indexes))
        for one in of
    ]
    if notes:
        lines += ["", " ".join(sorted(notes, reverse=True))]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Write the page to the path that is named, and its folder; return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m lcma.db.docs PATH\n")
        return 2
    path = Path(arguments[0])
    path.parent.mkdir(exist_ok=True)
    path.write_text(render(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
