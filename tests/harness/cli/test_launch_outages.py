"""A launch whose PostgreSQL server is stopped before, between and after its jobs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from lcma import db
from lcma.db import Store
from lcma.harness.cli import launching
from lcma.harness.kill_points import install_hook
from lcma.harness.run import sweep
from tests.harness.cli.conftest import Typed
from tests.harness.outages import Moment, Outages, passing
from tests.harness.run.conftest import stoppable

pytestmark = pytest.mark.slow

CALLS: Mapping[str, tuple[Any, str]] = {
    "register": (Store, "register"),
    "begin": (Store, "begin_launch"),
    "retry": (Store, "retry"),
    "plan": (sweep, "update_plan"),
    "board": (launching, "read_board"),
}

AT: Mapping[Moment, int] = {
    ("register", "before"): 1,
    ("begin", "before"): 1,
    ("retry", "before"): 1,
    ("plan", "before"): 1,
    ("board", "before"): 1,
}


def test_a_launch_waits_for_its_database_from_registering_to_its_board(
    lcma: Typed, in_tmp: Path, small_sweep: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (in_tmp / "small.yaml").write_text(yaml.safe_dump(small_sweep))
    launch = ("launch", "small.yaml", "--local", "--retry", "--no-pictures")
    assert lcma(*launch, "--db", "alone.db")[0] == 0
    for name, (owner, attribute) in CALLS.items():
        monkeypatch.setattr(owner, attribute, passing(name, getattr(owner, attribute)))
    with stoppable() as server:
        outages = Outages(server, AT)
        install_hook(outages)
        try:
            code, out, err = lcma(*launch, "--db", server.url)
        finally:
            install_hook(None)
            outages.wait()
        assert (code, outages.left) == (0, {}), err
        assert out.count("The database is unreachable: waiting for it.") >= 4
        assert bits(server.url) == bits("sqlite:///alone.db")


def bits(url: str) -> list[tuple[Any, ...]]:
    query = "select trial_id, bits_per_dim, holdout_bits_per_dim from trial_results order by 1"
    return list(db.connect(url).database.query(query, limit=None, timeout=10).rows)
