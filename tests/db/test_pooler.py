"""PgBouncer in transaction mode: settings of a connection that it drops are noticed."""

from collections.abc import Iterator
from typing import Any

import pytest

from lcma import db
from lcma.db import run_sql
from lcma.sweeps.errors import UserError
from tests.conftest import Pooler, pooling
from tests.db.conftest import plan


@pytest.fixture
def name(postgres_templates: Any) -> Iterator[str]:
    """An empty database at the current schema."""
    name = postgres_templates.copy("empty")
    yield name
    postgres_templates.server.drop(name)


def refuse(url: str, *words: str) -> None:
    for action in (
        lambda: db.connect(url),
        lambda: run_sql(url, "SELECT 1"),
        lambda: db.exists(url),
    ):
        with pytest.raises(UserError) as caught:
            action()
        assert "docs/postgresql.md" in str(caught.value)
        for word in words:
            assert word in str(caught.value)
        assert not isinstance(caught.value, db.Unavailable)


def test_a_pooler_as_it_comes_is_refused_with_what_to_set(postgres: Any, name: str) -> None:
    with pooling(postgres, "") as pooler:
        refuse(pooler.url(name), "unsupported startup parameter", "ignore `options`")


def test_settings_that_a_pooler_drops_are_an_error(pooler: Pooler, name: str) -> None:
    refuse(pooler.url(name), "lock_timeout is 0 and not 1min")
    pooler.server.run(f"ALTER DATABASE {name} SET lock_timeout = '60s'")
    url = pooler.url(name, options="-csearch_path=mine --work-mem=8MB")
    refuse(url, 'search_path is "$user", public and not mine', "work_mem is 4MB and not 8MB")


def test_a_store_behind_a_pooler_is_like_any(pooler: Pooler, name: str) -> None:
    pooler.server.run(f"ALTER DATABASE {name} SET lock_timeout = '60s'")
    url = pooler.url(name)
    world = plan(db.connect(url))
    world.finish_segment(0)
    world.finish_trial(0)
    found = run_sql(url, "SELECT factorization, bits_per_dim FROM results")
    assert found.rows == (("channel", 3.5),)
    with world.store.database.turn():
        assert world.store.job_counts().trial.done == 1
