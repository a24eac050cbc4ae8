"""PgBouncer in transaction mode: settings of a connection that it drops are noticed."""

from typing import Any

import pytest
import sqlalchemy as sa

from lcma import db
from tests.conftest import Pooler, pooling
from tests.db.conftest import plan
from tests.db.inspecting import refuse_all


@pytest.fixture
def name(current_postgres_url: str) -> str:
    """The name of an empty database at the current schema."""
    return str(sa.make_url(current_postgres_url).database)


def test_a_pooler_as_it_comes_is_refused_with_what_to_set(postgres: Any, name: str) -> None:
    with pooling(postgres, "") as pooler:
        remedy = "ignore `options`"
        refuse_all(pooler.url(name), "unsupported startup parameter", remedy, "docs/postgresql.md")


def test_settings_that_a_pooler_drops_are_an_error(pooler: Pooler, name: str) -> None:
    refuse_all(pooler.url(name), "lock_timeout is 0 and not 1min", "docs/postgresql.md")
    pooler.server.run(f"ALTER DATABASE {name} SET lock_timeout = '60s'")
    url = pooler.url(name, options="-csearch_path=mine --work-mem=8MB")
    refuse_all(url, 'search_path is "$user", public and not mine', "work_mem is 4MB and not 8MB")


def test_a_store_behind_a_pooler_is_like_any(pooler: Pooler, name: str) -> None:
    pooler.server.run(f"ALTER DATABASE {name} SET lock_timeout = '60s'")
    url = pooler.url(name)
    world = plan(db.connect(url))
    world.finish_segment(0)
    world.finish_trial(0)
    answer = db.run_sql(url, "SELECT factorization, bits_per_dim FROM results")
    assert answer.rows == (("channel", 3.5),)
    with world.store.database.turn():
        assert world.store.job_counts().trial.done == 1
