"""Attempts, and what they made, are known by hashes of content, no more by running numbers."""

import re

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import CreateIndex, CreateTable

from lcma.db.records import content_hash
from lcma.db.results import hash_measure
from lcma.db.schema import metadata

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BY_ATTEMPT = ("contribution_maps", "index_tables", "artifacts")

COLUMNS = {
    ("attempts", "id"): "own.uid",
    ("attempts", "continues"): "NULL",
    ("attempts", "replaces"): "(SELECT one.uid FROM old_supersedes AS s JOIN old_attempts AS one"
    " ON one.id = s.superseded_id WHERE s.attempt_id = own.id ORDER BY one.ended DESC LIMIT 1)",
    ("jobs", "attempt_id"): "(SELECT a.uid FROM old_attempts AS a WHERE a.id = own.attempt_id)",
    ("jobs", "done_attempt_id"): "(SELECT a.uid FROM old_attempts AS a"
    " WHERE a.id = own.done_attempt_id)",
    ("events", "attempt_id"): "(SELECT a.uid FROM old_attempts AS a WHERE a.id = own.attempt_id)",
    ("metrics", "attempt_id"): "of.uid",
    ("metrics", "name"): "curve.name",
    ("attempts", "evaluated_step"): "(SELECT r.step FROM old_results AS r"
    " WHERE r.attempt_id = own.id)",
    ("measurements", "attempt_id"): "trained.uid",
    ("measurements", "measured_by"): "of.uid",
    ("measurements", "digest"): "''",
    **{(table, "attempt_id"): "of.uid" for table in BY_ATTEMPT},
}
"""What is not taken over as it is, by table and column."""

OF_ATTEMPT = "JOIN old_attempts AS of ON of.id = {}.attempt_id"
OF_RESULT = (
    "JOIN old_results AS result ON result.id = own.result_id"
    " JOIN old_attempts AS trained ON trained.id = result.attempt_id"
)
FORMER = {"measurements": "measures"}
"""Tables that had another name."""

JOINS = {
    "measurements": f"{OF_RESULT} {OF_ATTEMPT.format('own')}",
    "metrics": f"JOIN old_curves AS curve ON curve.id = own.curve_id {OF_ATTEMPT.format('curve')}",
    **{table: OF_ATTEMPT.format("own") for table in BY_ATTEMPT},
}

PUBLISHED = re.compile("launch-[0-9a-f]{20}")


def upgrade() -> None:
    """Make all tables of a file anew from those that it has, of which a new one has none."""
    connection = op.get_bind()
    quote = connection.dialect.identifier_preparer.quote
    there = set(sa.inspect(connection).get_table_names())
    if "curves" not in there:
        return
    gone = {"cells", "curves", "supersedes", "dictionary", "reference_results", "table_overlaps"}
    gone |= {"results", "measures", "verifications"}
    old = sorted((metadata.tables.keys() | gone) & there)
    for name in old:
        select = f"SELECT * FROM {quote(name)}"  # noqa: S608 - names of the schema
        op.execute(f"CREATE TEMPORARY TABLE old_{name} AS {select}")
    known = {
        name: [column["name"] for column in sa.inspect(connection).get_columns(name)]
        for name in old
    }
    for name in old:
        op.execute(f"DROP TABLE {quote(name)}")
    for table in metadata.sorted_tables:
        op.execute(CreateTable(table))
        for index in sorted(table.indexes, key=lambda one: str(one.name)):
            op.execute(CreateIndex(index))
    for table in metadata.sorted_tables:
        former = FORMER.get(table.name, table.name)
        if former in known:
            _take_over(connection, table, former, known[former])
    for name in old:
        op.execute(f"DROP TABLE old_{name}")
    _rename_launches(connection)
    _hash_anew(connection)


def _take_over(connection: sa.Connection, table: sa.Table, former: str, known: list[str]) -> None:
    quote = connection.dialect.identifier_preparer.quote
    columns = {
        column.name: COLUMNS.get((table.name, column.name), f"own.{quote(column.name)}")
        for column in table.columns
        if column.name in known or (table.name, column.name) in COLUMNS
    }
    into = ", ".join(map(quote, columns))
    select = f"SELECT {', '.join(columns.values())} FROM old_{former} AS own"  # noqa: S608 - these too
    connection.exec_driver_sql(
        f"INSERT INTO {quote(table.name)} ({into}) {select} {JOINS.get(table.name, '')}",
        execution_options={"no_parameters": True},
    )


def _rename_launches(connection: sa.Connection) -> None:
    """Give launches the names that published databases have of them, without host and process."""
    tables = [metadata.tables[name] for name in ("launches", "attempts", "jobs", "events")]
    owners = connection.execute(
        sa.union(sa.select(tables[0].c.owner), sa.select(tables[1].c.owner))
    )
    for (owner,) in owners.all():
        if not PUBLISHED.fullmatch(owner):
            name = f"launch-{content_hash('launch', owner)[:20]}"
            for table in tables:
                own = sa.update(table).where(table.c.owner == owner)
                connection.execute(own.values(owner=name))


def _hash_anew(connection: sa.Connection) -> None:
    """Give measures the digests of what they consist of now."""
    measures = metadata.tables["measurements"]
    keys = ("attempt_id", "protocol", "name")
    rows = [dict(row) for row in connection.execute(sa.select(measures)).mappings()]
    if rows:
        same = (measures.c[name] == sa.bindparam(f"the_{name}") for name in keys)
        new = [{f"the_{n}": row[n] for n in keys} | {"digest": hash_measure(row)} for row in rows]
        connection.execute(sa.update(measures).where(*same), new)
