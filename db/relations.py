"""Every view, table and column with its meaning, from the schema's own comments."""

import re
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from lcma.db.schema import metadata
from lcma.db.views import views
from lcma.sweeps.errors import UserError, suggest

TYPES: dict[type, str] = {
    sa.Text: "text",
    sa.Integer: "integer",
    sa.BigInteger: "integer",
    sa.Double: "float",
    sa.LargeBinary: "bytes",
}

UNKNOWN_NAME = re.compile(
    r"(?:no such )?(?P<kind>table|relation|column)(?:: | )\"?(?:\w+\.)*(?P<name>\w+)\"?"
    r"(?: does not exist|$)"
)
"""How SQLite and PostgreSQL say that a name in a query does not exist."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a view or table."""

    name: str
    type: str  # also whether it is a key, may be null, or refers to another column
    meaning: str  # with the unit, if there is one


@dataclass(frozen=True, slots=True)
class Relation:
    """A view or a table."""

    name: str
    kind: Literal["view", "table"]
    meaning: str
    columns: tuple[Column, ...]


def find_relations(name: str | None = None) -> tuple[Relation, ...]:
    """Return all views, then all tables; or only the one of this name.

    Raises:
        UserError: No view or table has this name.
    """
    relations = {table.name: table for table in (*views.tables.values(), *metadata.sorted_tables)}
    if name is None:
        return tuple(map(describe_relation, relations.values()))
    if name not in relations:
        raise UserError(
            f"there is no view or table '{' '.join(name.split())}' in the schema: "
            + suggest(name, relations, "there are")
        )
    return (describe_relation(relations[name]),)


def explain_name(message: str) -> str:
    """Return the advice for an engine's message about a query, such as the likely name."""
    match = UNKNOWN_NAME.search(message)
    if match is None:
        return "check its SQL"
    relations = (*views.tables.values(), *metadata.sorted_tables)
    names = [table.name for table in relations]
    if match["kind"] == "column":
        owners = [table.name for table in relations if match["name"].lower() in table.columns]
        if owners:
            others = f" and {len(owners) - 3} more" if len(owners) > 3 else ""
            return f"it is a column of {', '.join(owners[:3])}{others}"
        names = [column.name for table in relations for column in table.columns]
    hint = suggest(match["name"], dict.fromkeys(names))
    likely = hint.endswith("?") and len(match["name"]) > 3  # three letters resemble many names
    return hint if likely else "`lcma sql --schema` lists views, tables and columns"


def describe_relation(table: sa.Table) -> Relation:
    """Return a view or table of the schema with its columns and their meanings."""
    kind: Literal["view", "table"] = "view" if table.metadata is views else "table"
    columns = tuple(Column(c.name, _describe_type(c), str(c.comment)) for c in table.columns)
    return Relation(table.name, kind, str(table.comment), columns)


def _describe_type(column: sa.Column[object]) -> str:
    text = TYPES[type(column.type)]
    if column.primary_key:
        text += ", key"
    elif column.nullable:
        text += " or null"
    return text + "".join(f", in {key.target_fullname}" for key in column.foreign_keys)
