"""A server's database that is lent anew is as if it had just been made."""

from dataclasses import replace
from typing import Any

import psycopg
import pytest

from lcma import db
from tests.db.conftest import Content, PostgresTemplates, World


def connect(templates: PostgresTemplates, name: str) -> psycopg.Connection[Any]:
    return psycopg.connect(templates.server.url(name, drivername="postgresql"))


def read(templates: PostgresTemplates, name: str) -> Content:
    """Read a database, rows in an order of their own: the server may store some in freed places."""
    with connect(templates, name) as connection:
        found = Content.read(connection)
    rows = {table: b"".join(sorted(of.splitlines(True))) for table, of in found.rows.items()}
    return replace(found, rows=rows)


def test_rows_and_sequences_are_put_back(postgres_templates: PostgresTemplates) -> None:
    name = postgres_templates.lend("filled")
    before = read(postgres_templates, name)
    world = World(db.connect(postgres_templates.server.url(name), create=False))
    world.win(world.segments[1], now=5000.0)
    world.damage("DELETE FROM artifacts WHERE attempt_id = 2")
    open_one = connect(postgres_templates, name)
    open_one.execute("UPDATE jobs SET updated = 7000")
    changed = read(postgres_templates, name)
    assert (changed.rows, changed.sequences) != (before.rows, before.sequences)
    postgres_templates.give_back(name)
    assert postgres_templates.lend("filled") == name
    assert read(postgres_templates, name) == before
    postgres_templates.give_back(name)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE other (id int)",
        "DROP VIEW leaderboard",
        "ALTER TABLE jobs ALTER COLUMN steps SET DEFAULT 7",
        "COMMENT ON TABLE jobs IS 'other'",
        "ANALYZE jobs",
    ],
)
def test_a_database_in_which_more_has_changed_is_dropped(
    postgres_templates: PostgresTemplates, statement: str
) -> None:
    name = postgres_templates.lend("planned")
    with connect(postgres_templates, name) as connection:
        connection.execute(statement.encode())
    postgres_templates.give_back(name)
    found = f"SELECT count(*) FROM pg_database WHERE datname = '{name}'"
    assert postgres_templates.server.value(found) == "0"
