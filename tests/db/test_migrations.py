"""From nothing to the current schema, and from older views, on each engine."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lcma import db
from lcma.db import migrate, run_sql
from lcma.db.integrity import check_integrity
from lcma.sweeps.errors import UserError
from tests.db.inspecting import execute, is_current, make_older, objects

READERS: dict[str, Callable[[str], object]] = {
    "connect": lambda url: db.connect(url, create=False),
    "check": lambda url: check_integrity(db.locate(url)),
    "query": lambda url: run_sql(url, "SELECT 1"),
}


def test_reading_does_not_upgrade_and_a_query_needs_no_upgrade(filled_url: str) -> None:
    version = make_older(filled_url)
    before = objects(filled_url)
    for name in ("connect", "check"):
        with pytest.raises(UserError, match=rf"has schema {version}.*run `lcma db upgrade`"):
            READERS[name](filled_url)
    assert run_sql(filled_url, "SELECT count(*) FROM results").rows == ((3,),)
    assert objects(filled_url) == before
    assert db.locate(filled_url).identify().revision == version


def test_no_upgrade_under_a_live_lease(filled: Any) -> None:
    url = filled.store.url
    execute(url, "UPDATE jobs SET lease_until = 1e11 WHERE state = 'running'")
    version = make_older(url)
    before = objects(url)
    for upgrade in (db.connect, lambda url: migrate.upgrade(db.locate(url))):
        with pytest.raises(UserError, match=r"\(1 now\).*lcma stop.*lcma db upgrade --force"):
            upgrade(url)
        assert objects(url) == before
        assert db.locate(url).identify().revision == version
    migrate.upgrade(db.locate(url), force=True)
    assert is_current(url)


@pytest.mark.parametrize("version", ["0999", "0001-00000000-00000000"])
def test_another_schema_is_refused_and_left_alone(filled_url: str, version: str) -> None:
    """A schema of a known revision with other tables is too, as before the first release."""
    execute(filled_url, f"UPDATE lcma_alembic_version SET version_num = '{version}'")
    before = objects(filled_url)
    for use in (*READERS.values(), db.connect):
        with pytest.raises(UserError, match=rf"schema {version}, which this version .* not know"):
            use(filled_url)
    assert objects(filled_url) == before


def test_an_upgrade_that_fails_half_way_leaves_nothing(new_place: str) -> None:
    execute(new_place, "CREATE TABLE results (x INTEGER)")
    before = objects(new_place)
    with pytest.raises(sa.exc.DBAPIError, match=r"(table|relation) \"?results\"? already exists"):
        migrate.upgrade(db.locate(new_place))
    assert objects(new_place) == before
    if new_place.startswith("sqlite"):
        assert execute(new_place, "PRAGMA application_id") == [(0,)]


def test_a_file_is_copied_before_its_upgrade(filled_path: Path) -> None:
    """Each upgrade leaves another copy, which has all rows and which an older version can open."""
    url = f"sqlite:///{filled_path}"
    for number in ("", "-2"):
        version = make_older(url)
        db.connect(url)
        copy = filled_path.with_name(f"{filled_path.stem}.schema-{version}{number}.db")
        assert db.locate(str(copy)).identify().revision == version
        assert len(execute(f"sqlite:///{copy}", "SELECT trial_id FROM results")) == 3
