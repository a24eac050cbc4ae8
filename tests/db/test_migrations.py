"""From nothing to the current schema and back, and no difference to the code, on each engine."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import alembic.config
import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from lcma import db
from lcma.db import migrate
from lcma.db.schema import REVISIONS, metadata, views
from lcma.sweeps.errors import UserError
from tests.db.freeze import LEFT_OUT
from tests.db.inspecting import execute, objects


def forget(url: str) -> None:
    """Take away what a downgrade to schema 0004 would lose."""
    execute(url, *LEFT_OUT["0004"])


def columns(url: str, name: str) -> set[str]:
    inspector = sa.inspect(sa.create_engine(url, poolclass=sa.NullPool))
    return {column["name"] for column in inspector.get_columns(name)}


@pytest.fixture
def empty_url(new_url: Callable[[str], str]) -> str:
    return new_url("empty")


def test_the_code_knows_the_revisions_that_there_are() -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert tuple(s.revision for s in reversed(list(scripts.walk_revisions()))) == REVISIONS


def test_the_migrations_make_the_schema_of_the_code(empty_url: str) -> None:
    migrate.check(db.locate(empty_url))
    assert {*metadata.tables} == {name for name in objects(empty_url) if name in metadata.tables}


def test_tables_and_constraints_are_those_of_the_code(
    empty_url: str, tmp_path: Path, postgres: Any
) -> None:
    if empty_url.startswith("sqlite"):
        plain = f"sqlite:///{tmp_path / 'plain.db'}"
    else:
        plain = postgres.url(postgres.make())
    metadata.create_all(sa.create_engine(plain, poolclass=sa.NullPool))
    made, of_code = objects(empty_url), objects(plain)
    assert {name: made[name] for name in metadata.tables} == of_code
    if not empty_url.startswith("sqlite"):
        postgres.drop(sa.make_url(plain).database)


@pytest.mark.parametrize(
    "change",
    ["ALTER TABLE recipes ADD COLUMN colour TEXT", "CREATE TABLE left_behind (x INTEGER)"],
)
def test_drift_is_found(empty_url: str, change: str) -> None:
    execute(empty_url, change)
    with pytest.raises(CommandError):
        migrate.check(db.locate(empty_url))


def test_down_and_up_again(empty_url: str) -> None:
    before = objects(empty_url)
    migrate.downgrade(db.locate(empty_url), "base")
    assert objects(empty_url) == {}
    db.connect(empty_url)
    assert objects(empty_url) == before
    migrate.check(db.locate(empty_url))


def test_a_downgrade_that_would_lose_rows_is_refused(filled_url: str) -> None:
    before = objects(filled_url)
    with pytest.raises(UserError, match="rows that a downgrade would lose"):
        migrate.downgrade(db.locate(filled_url), "base")
    assert objects(filled_url) == before
    assert len(db.connect(filled_url).results()) == 3


def test_a_migration_that_fails_half_way_leaves_nothing(new_place: str) -> None:
    execute(new_place, "CREATE TABLE results (x INTEGER)")
    before = objects(new_place)
    with pytest.raises(sa.exc.DBAPIError, match=r"(table|relation) \"?results\"? already exists"):
        migrate.upgrade(db.locate(new_place))
    assert objects(new_place) == before
    if new_place.startswith("sqlite"):
        assert execute(new_place, "PRAGMA application_id") == [(0,)]


def test_an_old_file_is_left_as_it_is_when_it_is_current(path: Path) -> None:
    before = path.read_bytes()
    for _ in range(3):
        db.connect(str(path), create=False)
    assert path.read_bytes() == before


NEW = {  # by the schema that they are new after
    "0001": {
        "bars": {"data_digest"},
        "index_tables": {"kept"},
        "contribution_maps": {"halves", "mask_share", "tied"},
        "pretrainings": {"nms"},
    },
    "0002": {
        "attempts": {"protocol"},
        "trial_results": {"bound_draws", "series_bias", "evaluation_seconds"},
    },
    "0003": {"attempts": {"data_wait"}, "trial_results": {"data_wait"}},
    "0004": {
        "attempts": {"devices", "gpu_seconds", "lease_seconds", "log"},
        "environments": {"driver", "flags"},
        "artifacts": {"place"},
        "results": {"seed", "cell_id"},
        "metrics": {"curve_id"},
        "cells": {"mean"},
        "events": {"event"},
        "reference_results": {"part"},
        "dictionary": {"meaning"},
    },
    "0005": {
        "recipes": {"conventional"},
        "trial_results": {"comparable", "gpu_seconds", "driver", "cell_id"},
        **{name: {"flow"} for name in views.tables if not name.endswith(("results", "statistics"))},
    },
    "0007": {"events": {"sweep_id"}, "failures": {"decision"}},
}


@pytest.mark.slow_on(*(f"postgresql-{old}" for old in list(NEW)[1:-1]))
@pytest.mark.parametrize("old", NEW)
def test_an_old_schema_is_upgraded_with_its_rows(filled_url: str, old: str) -> None:
    """Down and up again: what was there stays, and what is new is as if nobody had known it."""
    store = db.connect(filled_url)
    before, schema = store.results(), objects(filled_url)
    execute(filled_url, "DELETE FROM index_tables")
    forget(filled_url)
    migrate.downgrade(db.locate(filled_url), old)
    there = objects(filled_url)
    for name, added in NEW[old].items():
        assert name not in there or not columns(filled_url, name) & added
    assert len(execute(filled_url, "SELECT seconds FROM trial_results")) == 3
    store = db.connect(filled_url)
    migrate.check(db.locate(filled_url))
    assert objects(filled_url) == schema
    assert store.results().equals(before)
    assert [m.split for m in store.maps(pretraining_id="p", budget=100)] == [1, 2]
    assert execute(filled_url, "SELECT nms FROM pretrainings") == [("squeezed",)]
    attempts = store.attempts()
    assert attempts.protocol.isna().all()
    assert attempts.data_wait.isna().all()
    assert execute(filled_url, "SELECT count(*) FROM cells") == [(3,)]
    curve = [db.Metric("train_bits_per_dim", 100, 4.0)]
    (job_id,) = execute(filled_url, "SELECT job_id FROM curves ORDER BY job_id LIMIT 1")[0]
    assert store.metrics(job_id, "train_bits_per_dim") == curve


@pytest.mark.parametrize(("asked", "expected"), [(True, "channel"), (False, "checkerboard-even")])
def test_what_is_conventional_on_an_old_recipe_is_found(
    filled_url: str, asked: bool, expected: str
) -> None:
    """As a sweep asked for it, else as its flow has it."""
    if not asked:
        execute(filled_url, "DELETE FROM sweep_trials WHERE factorization = 'conventional'")
    migrate.downgrade(db.locate(filled_url), "0005")
    store = db.connect(filled_url)
    assert store.conventional_factorizations() == {"with": expected, "without": "none"}


@pytest.mark.slow_on("postgresql")
@pytest.mark.parametrize(
    ("old", "row"),
    [
        ("0001", "INSERT INTO bars VALUES ('" + "d" * 64 + "', 'png', 5.0, NULL, 1, '')"),
        ("0001", "UPDATE pretrainings SET nms = 'flat'"),
        ("0001", "UPDATE contribution_maps SET score = 'total' WHERE split = 1"),
        ("0001", 'UPDATE contribution_maps SET halves = "values" WHERE split = 1'),
        ("0002", "UPDATE attempts SET protocol = 'published' WHERE id = 2"),
        ("0002", "UPDATE results SET bound_draws = 10 WHERE trial_id = 'LLL-0-100'"),
        ("0002", "UPDATE results SET bound_gain = 0.5 WHERE trial_id = 'LLL-0-100'"),
        ("0002", "UPDATE results SET series_terms = 20 WHERE trial_id = 'LLL-0-100'"),
        ("0002", "UPDATE results SET series_bias = 0.0 WHERE trial_id = 'LLL-0-100'"),
        ("0003", "UPDATE attempts SET data_wait = 0.01 WHERE id = 2"),
        ("0004", "UPDATE attempts SET lease_seconds = 30 WHERE id = 2"),
        ("0004", "UPDATE attempts SET log = 'so' WHERE id = 2"),
        ("0004", "UPDATE environments SET driver = '550'"),
        ("0004", "INSERT INTO events (time, event, detail) VALUES (1.0, 'merge', '')"),
        ("0007", "INSERT INTO events (time, event, detail) VALUES (1.0, 'launch', '')"),
        ("0007", "INSERT INTO events (time, event, detail) VALUES (1.0, 'stop', '')"),
    ],
)
def test_a_downgrade_loses_nothing(filled_url: str, old: str, row: str) -> None:
    forget(filled_url)
    assert execute(filled_url, "DELETE FROM index_tables", row) == [1]
    before = objects(filled_url)
    with pytest.raises(UserError, match="rows that a downgrade would lose"):
        migrate.downgrade(db.locate(filled_url), old)
    assert objects(filled_url) == before


def test_a_downgrade_keeps_index_tables(filled_url: str) -> None:
    forget(filled_url)
    with pytest.raises(UserError, match="index_tables has rows that a downgrade would lose"):
        migrate.downgrade(db.locate(filled_url), "0001")


def test_a_file_is_copied_before_its_upgrade(filled_path: Path) -> None:
    """Each upgrade leaves a copy of its own, with all rows, that an older version can open."""
    before = db.connect(str(filled_path)).results()
    forget(str(db.connect(str(filled_path)).url))
    for number in ("", "-2"):
        migrate.downgrade(db.locate(str(filled_path)), "0003")
        db.connect(str(filled_path))
        copy = filled_path.with_name(f"{filled_path.stem}.schema-0003{number}.db")
        with closing(sqlite3.connect(copy)) as connection:
            version = "SELECT version_num FROM lcma_alembic_version"
            assert connection.execute(version).fetchall() == [("0003",)]
        names = {file.name for file in filled_path.parent.glob("*.schema-*")}
        assert copy.name in names
    assert names == {f"{filled_path.stem}.schema-0003{number}.db" for number in ("", "-2")}
    assert db.connect(str(copy)).results().equals(before)
