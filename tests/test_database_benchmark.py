"""The benchmark of the database asks sound data. No time is asserted."""

from pathlib import Path

import pytest

from benchmarks.many_trials import make_database
from lcma import db
from lcma.db.integrity import check_integrity

ROOT = Path(__file__).parents[1]


@pytest.mark.integration
def test_a_database_made_at_once_is_as_the_store_would_have_made_it(tmp_path: Path) -> None:
    url = make_database(tmp_path, 2000, maps=False)
    assert check_integrity(db.locate(url)).findings == ()
