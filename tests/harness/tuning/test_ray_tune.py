"""The same studies on Ray Tune: what it stops, what it leaves, and what it writes of its own."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lcma.harness.run.cluster import RayExecutor
from lcma.sweeps.spec import Resources
from tests.faults.moments import hooked
from tests.harness.conftest import merged
from tests.harness.tuning.conftest import POINTS, STEPS, STOP, Tuning

pytestmark = [pytest.mark.integration, pytest.mark.ray, pytest.mark.xdist_group("ray")]

Make = Callable[..., Tuning]


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayExecutor]:
    from lcma.harness.tuning.raytune import SETTINGS  # Ray Tune, which one process needs

    with pytest.MonkeyPatch.context() as patch:
        # They are left set: local workers of tests that follow in this process would not be copies.
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        executor = RayExecutor(Resources(), None)
        executor.check(1)
        yield executor
        executor.close(kill=True)


def run(tuned: Tuning, cluster: RayExecutor, parallel: int = 1) -> None:
    from lcma.harness.tuning.raytune import run_ray_tune  # Ray Tune, which one process needs

    with tuned.opened() as tuner:
        run_ray_tune(tuner, cluster.need, parallel)


def test_it_is_the_study_that_runs_without_ray(
    tuning: Make, cluster: RayExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no file of Tune's holds the database's URL: its folder is searched while the study runs,
    at every trial's end."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    tuned = tuning(
        merged(STOP, {"tune": {"budget": {"high": 20}, "cost_weight": 3e3, "trials": 3}})
    )
    secret, seen, leaks = tuned.place.db.encode(), set[str](), list[str]()

    def search(name: str, when: str) -> None:
        for folder, _, files in os.walk(scratch):
            for path in (Path(folder) / file for file in files):
                seen.add(path.name)
                if secret in path.read_bytes():
                    leaks.append(path.name)

    with hooked(search):
        run(tuned, cluster)
    assert "tuner.pkl" in seen
    assert leaks == []
    assert list(scratch.iterdir()) == []
    local = tuned.elsewhere()
    local.run()
    assert {row[2] for row in local.history()} == {"COMPLETE", "PRUNED"}
    assert tuned.history() == local.history()
    assert tuned.bits() == local.bits()


@pytest.mark.slow
def test_several_at_once_and_two_objectives(tuning: Make, cluster: RayExecutor) -> None:
    tuned = tuning({"tune": {"objective": "pareto", "parallel": 2}})
    run(tuned, cluster, parallel=2)
    history = tuned.history()
    assert {row[2] for row in history} == {"COMPLETE"}
    assert sorted(row[1] for row in history) == list(POINTS)
    assert tuned.steps("pretraining") == POINTS[-1]
    assert tuned.steps("trial") == STEPS * (1 + len(POINTS))
    before = tuned.steps("trial")
    run(tuned, cluster)
    assert tuned.steps("trial") == before
