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


UNKNOWN = re.compile(
    r"(?:no such )?(?P<kind>table|relation|column)(?:: | )\"?(?:\w+\.)*(?P<name>\w+)\"?"
    r"(?: does not exist|$)"
)
"""How SQLite and PostgreSQL say that a name of a query is not there."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a view or table.

    `type` tells too whether it is a key, may be null, or refers to another column; `meaning` has
    the unit, where there is one.
    """

    name: str
    type: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A view or a table."""

    name: str
    kind: Literal["view", "table"]
    meaning: str
    columns: tuple[Column, ...]


def find_relations(name: str | None = None) -> tuple[Relation, ...]:
    """Return all views, then all tables; or the one of a name.

    Raises:
        UserError: There is none of this name.
    """
    known = {table.name: table for table in (*views.tables.values(), *metadata.sorted_tables)}
    if name is None:
        return tuple(map(describe_relation, known.values()))
    if name not in known:
        raise UserError(
            f"there is no view or table '{' '.join(name.split())}' in the schema: "
            + suggest(name, known, "there are")
        )
    return (describe_relation(known[name]),)


def explain_name(message: str) -> str:
    """Return what to do about an engine's message on a query, for a name that is not there too."""
    found = UNKNOWN.search(message)
    if found is None:
        return "check its SQL"
    relations = (*views.tables.values(), *metadata.sorted_tables)
    known = [one.name for one in relations]
    if found["kind"] == "column":
        having = [one.name for one in relations if found["name"].lower() in one.columns]
        if having:
            others = f" and {len(having) - 3} more" if len(having) > 3 else ""
            return f"it is a column of {', '.join(having[:3])}{others}"
        known = [column.name for one in relations for column in one.columns]
    hint = suggest(found["name"], dict.fromkeys(known))
    likely = hint.endswith("?") and len(found["name"]) > 3  # three letters are near to many
    return hint if likely else "`lcma sql --schema` lists views, tables and columns"


def describe_relation(table: sa.Table) -> Relation:
    """Return a view or table of the schema with its columns and their meanings."""
    kind: Literal["view", "table"] = "view" if table.metadata is views else "table"
    columns = tuple(
        Column(column.name, _type(column), str(column.comment)) for column in table.columns
    )
    return Relation(table.name, kind, str(table.comment), columns)


def _type(column: sa.Column[object]) -> str:
    text = TYPES[type(column.type)]
    if column.primary_key:
        text += ", key"
    elif column.nullable:
        text += " or null"
    return text + "".join(f", in {key.target_fullname}" for key in column.foreign_keys)
