"""Curves as TensorBoard's own reader reads them, on both engines."""

import math
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lcma import db
from lcma.harness.launch.tensorboard import plot_curves
from tests.db.conftest import World
from tests.harness.launch.conftest import FakeDisplay
from tests.stores import add_metrics, list_running

pytestmark = pytest.mark.slow_on("postgresql")

FOLDER = "realnvp-photos16"
TRAIN = "train_bits_per_dim"


def read(folder: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Return the points by run and curve."""
    curves_by_run = {}
    for file in folder.rglob("*tfevents*"):
        reader = EventAccumulator(str(file.parent), size_guidance={"scalars": 0})
        reader.Reload()
        curves_by_run[file.parent.relative_to(folder).as_posix()] = {
            tag: [(event.step, event.value) for event in reader.Scalars(tag)]
            for tag in reader.Tags()["scalars"]
        }
    return curves_by_run


def name_run(kind: str, job_id: str) -> str:
    return f"{FOLDER}/{kind}-seed0-{job_id[:8]}"


def make_points(*steps: int) -> list[tuple[int, float]]:
    return [(step, 8 - step / 128) for step in steps]


def add_points(world: World, claim: db.Claim, *steps: int, name: str = TRAIN) -> None:
    points = [db.Metric(name, *point) for point in make_points(*steps)]
    assert add_metrics(world.store, claim, points)


def train(world: World, job: str, *steps: int) -> db.Claim:
    claim = world.win(job)
    add_points(world, claim, *steps)
    return claim


@pytest.fixture(autouse=True)
def _plot_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lcma.harness.launch.tensorboard.SECONDS", 0.0)


def test_a_run_for_each_job_with_all_its_curves(planned: World, tmp_path: Path) -> None:
    for segment, steps in zip(planned.segments, [(10, 20), (30,)], strict=True):
        claim = train(planned, segment, *steps)
        maps = [planned.contribution_map(1, 100 if segment == planned.segments[0] else 200)]
        cost = db.Cost(seconds=1.0, cpu_seconds=1.0)
        assert planned.store.finish(claim, "done", last_step=20, cost=cost, maps=maps)
    trial = planned.trials[0]
    claim = train(planned, trial, 10, 20)
    add_points(planned, claim, 20, name="holdout_bits_per_dim")
    add_metrics(planned.store, claim, [db.Metric(TRAIN, 30, math.nan)])
    train(planned, planned.trials[1], 10)  # of another launch
    with plot_curves(tmp_path / "tb", FakeDisplay(), planned.store, [*planned.segments, trial]):
        pass
    curves_by_run = read(tmp_path / "tb")
    run = name_run("channel", trial)
    assert math.isnan(curves_by_run[run][TRAIN].pop()[1])
    first, second = planned.segments
    assert curves_by_run == {
        name_run("pretraining-100", first): {TRAIN: make_points(10, 20)},
        name_run("pretraining-200", second): {TRAIN: make_points(30)},
        run: {TRAIN: make_points(10, 20), "holdout_bits_per_dim": make_points(20)},
    }


def test_new_points_are_appended_and_none_is_written_twice(planned: World, tmp_path: Path) -> None:
    run = name_run("channel", planned.trials[0])
    claim = train(planned, planned.trials[0], 10, 20)
    for step in (30, 60):  # two launches with the same folder
        with plot_curves(tmp_path / "tb", FakeDisplay(), planned.store, planned.trials) as display:
            inodes = set()
            for new in (step, step + 10):
                add_points(planned, claim, new)
                display.update(0, 6, list_running(planned.store))
                (file,) = (tmp_path / "tb").rglob("*tfevents*")
                inodes.add(file.stat().st_ino)
                assert read(tmp_path / "tb")[run][TRAIN][-1] == make_points(new)[0]
            assert len(inodes) == 1, "a reader that has the file open sees the new points"
            add_points(planned, claim, step + 20)
    points = make_points(10, 20, 30, 40, 50, 60, 70, 80)
    assert read(tmp_path / "tb") == {run: {TRAIN: points}}


def test_late_points_are_in_order(planned: World, tmp_path: Path) -> None:
    claim = train(planned, planned.trials[0], 10)
    with plot_curves(tmp_path / "tb", FakeDisplay(), planned.store, planned.trials) as display:
        for step in (30, 20):
            add_points(planned, claim, step)
            display.update(0, 6, list_running(planned.store))
    (curves,) = read(tmp_path / "tb").values()
    assert curves == {TRAIN: make_points(10, 20, 30)}


def test_an_obstacle_in_the_folder_does_not_end_a_launch(planned: World, tmp_path: Path) -> None:
    """A note is printed once, and the curves are written once the obstacle is gone."""
    display = FakeDisplay()
    with plot_curves(tmp_path / "tb", display, planned.store, planned.trials) as plotter:
        obstacle = tmp_path / "tb" / FOLDER
        obstacle.parent.mkdir()
        obstacle.write_text("in the way")
        train(planned, planned.trials[0], 10)
        for _ in range(3):
            plotter.update(0, 1, list_running(planned.store))
        obstacle.unlink()
    (note,) = display.notes
    assert note.startswith("the curves for TensorBoard are not complete: ")
    (curves,) = read(tmp_path / "tb").values()
    assert curves == {TRAIN: make_points(10)}


@pytest.mark.parametrize("depth", [1, 2])
def test_nothing_is_written_through_a_link_below_the_folder(
    planned: World, tmp_path: Path, depth: int
) -> None:
    trial = planned.trials[0]
    train(planned, trial, 10)
    run = tmp_path / "tb" / name_run("channel", trial)
    link = [run.parent, run][depth - 1]
    inside = tmp_path / "outside" / (run.name if depth == 1 else "") / "events.out.tfevents.1.a"
    inside.parent.mkdir(parents=True)
    inside.write_text("mine")
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "outside")
    display = FakeDisplay()
    with plot_curves(tmp_path / "tb", display, planned.store, planned.trials):
        pass
    (note,) = display.notes
    assert f"{link} is a symbolic link" in note
    assert [path for path in (tmp_path / "outside").rglob("*") if path.is_file()] == [inside]
    assert inside.read_text() == "mine"
