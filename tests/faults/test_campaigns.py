"""A sweep whose processes are killed at each point of the code ends as an undisturbed one."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.campaign import list_sides, make_targets, run_campaign
from tests.faults.points import HARNESS, POINTS, find_renames
from tests.faults.sweeps import WHOLE, Sweep

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("faults")]

Make = Callable[..., Sweep]
SMALLER = {"matrix": {"factorization": ["conventional", "low"], "budget": [10, 20]}}


def test_every_rename_is_in_a_kill_point() -> None:
    rooms = ("launch", "work", "measure", "train", "storage", "tuning")
    modules = [path for room in rooms for path in (HARNESS / room).glob("*.py")]
    assert {path.name: lines for path in modules if (lines := find_renames(path))} == {}


@pytest.mark.timeout(600)
def test_a_few_kills_change_nothing(make_sweep: Make, run_undisturbed: Callable) -> None:
    targets = ["step.after", "checkpoint.before", "finish.before", "driver"]
    run_campaign(lambda: make_sweep(SMALLER), run_undisturbed(SMALLER), targets)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_hundreds_of_kills_at_every_point_change_nothing(
    make_sweep: Make, run_undisturbed: Callable
) -> None:
    """Five on each side of each, and fifty between two checkpoints of a training."""
    kills = run_campaign(lambda: make_sweep(WHOLE), run_undisturbed(WHOLE), make_targets(280, 0))
    sides = [side for point in POINTS for side in list_sides(point)]
    assert {side: kills[side] for side in sides if kills[side] < 5} == {}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.xdist_group("ray")
@pytest.mark.parametrize(
    "settings", [{"engine": "postgresql"}, {"nodes": 3, "armed": True}], ids=["server", "cluster"]
)
def test_kills_change_nothing(
    make_sweep: Make, run_undisturbed: Callable, settings: dict[str, Any]
) -> None:
    """With a server, and on a cluster whose nodes are killed too."""
    targets = make_targets(40, len(settings), nodes="nodes" in settings)
    run_campaign(lambda: make_sweep(WHOLE, **settings), run_undisturbed(WHOLE), targets)
