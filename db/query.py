"""Read-only SQL for users: one statement, held to reading by the engine itself."""

from lcma.db import migrate
from lcma.db.engine import Database, QueryResult
from lcma.db.places import locate
from lcma.sweeps.errors import UserError


def run_sql(url: str, sql: str, *, limit: int | None = 1000, timeout: float = 30.0) -> QueryResult:
    """Run one statement that reads.

    Args:
        url: As for `lcma.db.connect`.
        sql: The statement.
        limit: How many rows to return at most, and not much more than 64 MiB; None for all.
        timeout: Seconds that it may take. A single call of a function of SQLite that takes longer
            goes on in the background until it ends.

    Returns:
        Its rows. Numbers are int or float and truth is 1 or 0 on both engines.

    Raises:
        UserError: It is anything else: a statement that writes, attaches a file or changes a
            setting, more than one statement, wrong SQL, or a query that takes too long.
    """
    return run_query(find_database(url), sql, limit=limit, timeout=timeout)


def run_query(database: Database, sql: str, *, limit: int | None, timeout: float) -> QueryResult:
    """Run one statement that reads on a database; see `run_sql`."""
    # A second ; would be a second statement to SQLite, a first one a mistake to PostgreSQL.
    sql = sql.strip("; \t\r\n\f")
    if not sql or "\0" in sql:
        raise UserError("there is no SQL statement to run: give one, such as 'SELECT 1'")
    if limit is not None and limit < 0:
        raise UserError(f"a limit of {limit} rows makes no sense: give 0 or more")
    if not timeout > 0:
        raise UserError(f"a time limit of {timeout:g} s makes no sense: give more than 0")
    return database.query(sql, limit, timeout)


def find_database(url: str) -> Database:
    """Find the database at a URL, to be read.

    Raises:
        UserError: None is there, or one that this version cannot read.
    """
    database = locate(url)
    found = database.identify()
    migrate.require(database, found)
    migrate.require_known(database, found)
    return database
