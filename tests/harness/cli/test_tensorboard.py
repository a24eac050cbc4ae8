"""Curves as TensorBoard's own reader reads them, on both engines."""

import math
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lcma import db
from lcma.harness.launch.tensorboard import plot_curves
from tests.db.conftest import World
from tests.harness.cli.conftest import Lcma
from tests.harness.launch.conftest import Told
from tests.stores import add_metrics, list_running

pytestmark = pytest.mark.slow_on("postgresql")

FOLDER = "realnvp-photos16"


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


def event_file(folder: Path) -> Path:
    """Return the only file of the only run."""
    (file,) = folder.rglob("*tfevents*")
    return file


def points(name: str, *steps: int) -> list[db.Metric]:
    return [db.Metric(name, step, 8 - step / 128) for step in steps]


def as_read(*steps: int) -> list[tuple[int, float]]:
    return [(step, 8 - step / 128) for step in steps]


def train(world: World, job: str, *steps: int) -> db.Claim:
    claim = world.win(job)
    add_metrics(world.store, claim, points("train_bits_per_dim", *steps))
    return claim


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lcma.harness.launch.tensorboard.SECONDS", 0.0)


def test_a_run_for_each_job_with_all_its_curves(planned: World, tmp_path: Path) -> None:
    for segment, steps in zip(planned.segments, [(10, 20), (30,)], strict=True):
        claim = train(planned, segment, *steps)
        maps = [planned.contribution_map(1, 100 if segment == planned.segments[0] else 200)]
        cost = db.Cost(seconds=1.0, cpu_seconds=1.0)
        assert planned.store.finish(claim, "done", last_step=20, cost=cost, maps=maps)
    trial, other = planned.trials[0], planned.trials[1]
    claim = train(planned, trial, 10, 20)
    add_metrics(planned.store, claim, points("holdout_bits_per_dim", 20))
    add_metrics(planned.store, claim, [db.Metric("train_bits_per_dim", 30, math.nan)])
    train(planned, other, 10)  # of another launch
    with plot_curves(tmp_path / "tb", Told(), planned.store, [*planned.segments, trial]):
        pass
    curves_by_run = read(tmp_path / "tb")
    run = name_run("channel", trial)
    assert math.isnan(curves_by_run[run]["train_bits_per_dim"].pop()[1])
    first, second = planned.segments
    assert curves_by_run == {
        name_run("pretraining-100", first): {"train_bits_per_dim": as_read(10, 20)},
        name_run("pretraining-200", second): {"train_bits_per_dim": as_read(30)},
        run: {"train_bits_per_dim": as_read(10, 20), "holdout_bits_per_dim": as_read(20)},
    }


def test_what_comes_while_it_runs_is_added_and_nothing_is_there_twice(
    planned: World, tmp_path: Path
) -> None:
    store, trial = planned.store, planned.trials[0]
    run = name_run("channel", trial)
    claim = train(planned, trial, 10, 20)
    for step in (30, 60):  # two launches with the same folder
        with plot_curves(tmp_path / "tb", Told(), store, planned.trials) as display:
            files = set()
            for more in (0, 10):
                add_metrics(store, claim, points("train_bits_per_dim", step + more))
                display.update(0, 6, list_running(store))
                files.add(event_file(tmp_path / "tb").stat().st_ino)
                curve = read(tmp_path / "tb")[run]["train_bits_per_dim"]
                assert curve[-1] == as_read(step + more)[0]
            assert (
                len(files) == 1
            )  # the file is appended to, so a reader that has it open sees the new points
            add_metrics(store, claim, points("train_bits_per_dim", step + 20))
    expected = {"train_bits_per_dim": as_read(10, 20, 30, 40, 50, 60, 70, 80)}
    assert read(tmp_path / "tb") == {run: expected}


def test_points_that_came_late_are_in_their_place(planned: World, tmp_path: Path) -> None:
    claim = train(planned, planned.trials[0], 10)
    with plot_curves(tmp_path / "tb", Told(), planned.store, planned.trials) as display:
        for step in (30, 20):
            add_metrics(planned.store, claim, points("train_bits_per_dim", step))
            display.update(0, 6, list_running(planned.store))
    (curves,) = read(tmp_path / "tb").values()
    assert curves == {"train_bits_per_dim": as_read(10, 20, 30)}


def test_a_launch_ends_well_whatever_becomes_of_its_files(planned: World, tmp_path: Path) -> None:
    """A note is printed once, and the curves are written once the obstacle is gone."""
    display = Told()
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
    assert curves == {"train_bits_per_dim": as_read(10)}


def test_a_folder_that_cannot_be_written_is_refused_before_anything_changes(
    planned: World, lcma: Lcma, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    before = planned.dump()
    wrong = str(tmp_path / "file" / "tb")
    code, _, err = lcma("launch", "demo", "--local", "--no-pictures", "--tensorboard", wrong)
    assert (code, err.count("\n")) == (2, 1)
    assert "--tensorboard DIR" in err
    assert planned.dump() == before


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
    display = Told()
    with plot_curves(tmp_path / "tb", display, planned.store, planned.trials):
        pass
    (note,) = display.notes
    assert f"{link} is a symbolic link" in note
    assert [path for path in (tmp_path / "outside").rglob("*") if path.is_file()] == [inside]
    assert inside.read_text() == "mine"
