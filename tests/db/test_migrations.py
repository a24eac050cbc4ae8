"""From nothing to the current schema and back, and no difference to the code."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import alembic.config
import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from alembic.util import CommandError

import db
from db import migrate
from db.schema import REVISIONS, metadata
from sweeps.errors import UserError


def objects(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return sorted(
            connection.execute(
                "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' "
                "AND name <> 'lcma_alembic_version'"
            )
        )


def test_the_code_knows_the_revisions_that_there_are() -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert tuple(s.revision for s in reversed(list(scripts.walk_revisions()))) == REVISIONS


def test_the_migrations_make_the_schema_of_the_code(path: Path) -> None:
    migrate.check(path)
    inspector = sa.inspect(sa.create_engine(f"sqlite:///{path}"))
    assert set(inspector.get_table_names()) == {*metadata.tables, "lcma_alembic_version"}


def test_constraints_are_those_of_the_code(path: Path, tmp_path: Path) -> None:
    plain = sa.create_engine(f"sqlite:///{tmp_path / 'plain.db'}")
    metadata.create_all(plain)

    def constraints(engine: sa.Engine) -> dict[str, Any]:
        inspector = sa.inspect(engine)
        return {
            name: (
                sorted((c["name"], c["sqltext"]) for c in inspector.get_check_constraints(name)),
                sorted(
                    (c["name"], c["column_names"]) for c in inspector.get_unique_constraints(name)
                ),
                sorted(
                    (c["name"], c["constrained_columns"]) for c in inspector.get_foreign_keys(name)
                ),
                sorted((c["name"], c["column_names"]) for c in inspector.get_indexes(name)),
                inspector.get_pk_constraint(name),
            )
            for name in metadata.tables
        }

    assert constraints(sa.create_engine(f"sqlite:///{path}")) == constraints(plain)


def test_drift_is_found(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE recipes ADD COLUMN colour TEXT")
    with pytest.raises(CommandError):
        migrate.check(path)


def test_down_and_up_again(path: Path) -> None:
    before = objects(path)
    migrate.downgrade(path, "base")
    assert objects(path) == []
    db.connect(str(path))
    assert objects(path) == before
    migrate.check(path)


def test_a_downgrade_that_would_lose_rows_is_refused(filled_path: Path) -> None:
    path = filled_path
    before = objects(path)
    with pytest.raises(UserError, match="rows that a downgrade would lose"):
        migrate.downgrade(path, "base")
    assert objects(path) == before
    assert len(db.connect(str(path)).results_frame()) == 3


def test_a_migration_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "results.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE results (x INTEGER)")
    before = objects(path)
    with pytest.raises(sa.exc.OperationalError, match="table results already exists"):
        migrate.upgrade(path)
    assert objects(path) == before
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (0,)


def test_tables_of_another_tool_beside_ours_are_left_alone(filled_path: Path) -> None:
    path = filled_path
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("CREATE TABLE studies (name TEXT)")
    migrate.check(path)
    assert len(db.connect(str(path)).results_frame()) == 3


def test_an_old_file_is_left_as_it_is_when_it_is_current(path: Path) -> None:
    before = path.read_bytes()
    for _ in range(3):
        db.connect(str(path), create=False)
    assert path.read_bytes() == before


def test_a_file_of_the_first_schema_is_upgraded_with_its_rows(filled_path: Path) -> None:
    """Down to 0001 and up again: what was there stays, and the form of NMS is what it was."""
    path = filled_path
    before = db.connect(str(path)).results_frame()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM index_tables")
        connection.commit()
    migrate.downgrade(path, "0001")
    with closing(sqlite3.connect(path)) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        assert not names & {"bars", "index_tables", "table_overlaps", "map_statistics"}
        columns = {row[1] for row in connection.execute("PRAGMA table_info(contribution_maps)")}
        assert not columns & {"halves", "mask_share", "tied"}
    store = db.connect(str(path))
    migrate.check(path)
    assert store.results_frame().equals(before)
    assert [m.split for m in store.maps("p", "d" * 64, 100)] == [1, 2]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT nms FROM pretrainings").fetchall() == [("squeezed",)]


def test_a_file_of_the_second_schema_is_upgraded_with_its_rows(filled_path: Path) -> None:
    path = filled_path
    before = db.connect(str(path)).results_frame()
    migrate.downgrade(path, "0002")
    with closing(sqlite3.connect(path)) as connection:
        columns = {row[1] for row in connection.execute("PRAGMA table_info(trial_results)")}
        assert not columns & {"bound_draws", "series_bias", "evaluation_seconds"}
        assert len(connection.execute("SELECT seconds FROM trial_results").fetchall()) == 3
    store = db.connect(str(path))
    migrate.check(path)
    assert store.results_frame().equals(before)
    assert store.attempts_frame().protocol.isna().all()


@pytest.mark.parametrize(
    "row",
    [
        "UPDATE attempts SET protocol = 'published' WHERE id = 2",
        "UPDATE results SET bound_draws = 10 WHERE trial_id = 'LLL-0-100'",
        "UPDATE results SET bound_gain = 0.5 WHERE trial_id = 'LLL-0-100'",
        "UPDATE results SET series_terms = 20 WHERE trial_id = 'LLL-0-100'",
        "UPDATE results SET series_bias = 0.0 WHERE trial_id = 'LLL-0-100'",
    ],
)
def test_a_downgrade_to_the_second_schema_loses_nothing(filled_path: Path, row: str) -> None:
    path = filled_path
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(row).rowcount == 1
        connection.commit()
    before = objects(path)
    with pytest.raises(UserError, match="rows that a downgrade would lose"):
        migrate.downgrade(path, "0002")
    assert objects(path) == before


def test_a_file_of_the_third_schema_is_upgraded_with_its_rows(filled_path: Path) -> None:
    path = filled_path
    before = db.connect(str(path)).results_frame()
    migrate.downgrade(path, "0003")
    with closing(sqlite3.connect(path)) as connection:
        for name in ("attempts", "trial_results"):
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
            assert "data_wait" not in columns
        assert len(connection.execute("SELECT seconds FROM trial_results").fetchall()) == 3
    store = db.connect(str(path))
    migrate.check(path)
    assert store.results_frame().equals(before)
    assert store.attempts_frame().data_wait.isna().all()


def test_a_downgrade_to_the_third_schema_loses_nothing(filled_path: Path) -> None:
    path = filled_path
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE attempts SET data_wait = 0.01 WHERE id = 2")
        connection.commit()
    before = objects(path)
    with pytest.raises(UserError, match="rows that a downgrade would lose"):
        migrate.downgrade(path, "0003")
    assert objects(path) == before


@pytest.mark.parametrize(
    "row",
    [
        "INSERT INTO bars VALUES ((SELECT digest FROM data_sets), 'png', 5.0, NULL, 1, '')",
        "UPDATE pretrainings SET nms = 'flat'",
        "INSERT INTO index_tables SELECT id, 'd', 1, 1, 1, 1, x'', '', 0, 0, 1, 1, "
        "NULL, NULL, NULL, NULL, 1 FROM flow_trials LIMIT 1",
        "UPDATE contribution_maps SET score = 'total' WHERE split = 1",
        "UPDATE contribution_maps SET halves = x'00' WHERE split = 1",
    ],
)
def test_a_downgrade_to_the_first_schema_loses_nothing(filled_path: Path, row: str) -> None:
    path = filled_path
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM index_tables")
        connection.execute(row)
        connection.commit()
    before = objects(path)
    with pytest.raises(UserError, match="rows that a downgrade would lose"):
        migrate.downgrade(path, "0001")
    assert objects(path) == before
