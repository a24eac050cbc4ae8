"""Tests of a group run in one process: two Ray clusters at once would be slow."""

import pytest


@pytest.mark.xdist_group("any")
def test_a_group_is_kept_on_one_worker(request: pytest.FixtureRequest) -> None:
    """pytest-xdist knows a group by its tests' ids; where it cannot write there, it is silent."""
    if request.config.getoption("loadgroup", None):
        assert request.node.nodeid.endswith("@any")
