"""Curves as TensorBoard's own reader finds them, on both engines."""

import math
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lcma import db
from lcma.harness.run.tensorboard import plot_curves
from tests.db.conftest import World
from tests.harness.cli.conftest import Typed

TRIAL = "realnvp-photos16/channel-seed0-channel-"
MAPPED = "realnvp-photos16/LLL-100-seed0-LLL-0-10"
PRETRAINING = "realnvp-photos16/pretraining-seed0-p"


class Silent:
    """A display that keeps what it is told in words."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def update(self, ended: int, total: int, running: Any) -> None: ...

    def job_ended(self, title: str, report: Any) -> None: ...

    def unreachable(self, since: float, why: str) -> None: ...

    def note(self, line: str) -> None:
        self.notes.append(line)


def read(folder: Path) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Points by run and curve."""
    found = {}
    for file in folder.rglob("*tfevents*"):
        reader = EventAccumulator(str(file.parent), size_guidance={"scalars": 0})
        reader.Reload()
        found[file.parent.relative_to(folder).as_posix()] = {
            tag: [(event.step, event.value) for event in reader.Scalars(tag)]
            for tag in reader.Tags()["scalars"]
        }
    return found


def event_file(folder: Path) -> Path:
    """The only file of the trial's run."""
    (file,) = (folder / TRIAL).iterdir()
    return file


def points(name: str, *steps: int) -> list[db.Metric]:
    return [db.Metric(name, step, 8 - step / 128) for step in steps]


def as_read(*steps: int) -> list[tuple[int, float]]:
    return [(step, 8 - step / 128) for step in steps]


def train(world: World, job: str, *steps: int) -> db.Claim:
    claim = world.win(job)
    world.store.add_metrics(claim, points("train_bits_per_dim", *steps))
    return claim


def test_a_run_for_each_trial_and_pretraining_with_all_their_curves(
    planned: World, typed: Typed, tmp_path: Path
) -> None:
    for segment, steps in zip(planned.segments, [(10, 20), (30,)], strict=True):
        claim = train(planned, segment, *steps)
        maps = [planned.contribution_map(1, 100 if segment == planned.segments[0] else 200)]
        cost = db.Cost(seconds=1.0, cpu_seconds=1.0)
        assert planned.store.finish(claim, "done", last_step=20, cost=cost, maps=maps)
    claim = train(planned, planned.trials[0], 10, 20)
    planned.store.add_metrics(claim, points("holdout_bits_per_dim", 20))
    planned.store.add_metrics(claim, [db.Metric("train_bits_per_dim", 30, math.nan)])
    train(planned, planned.trials[1], 10)  # of no sweep
    code, out, err = typed("export", "--tensorboard", str(tmp_path / "tb"), "--sweep", "demo")
    assert (code, out) == (0, "")
    assert "2 runs" in err
    found = read(tmp_path / "tb")
    assert math.isnan(found[TRIAL]["train_bits_per_dim"].pop()[1])
    assert found == {
        PRETRAINING: {"train_bits_per_dim": as_read(10, 20)},
        TRIAL: {"train_bits_per_dim": as_read(10, 20), "holdout_bits_per_dim": as_read(20)},
    }
    reader = EventAccumulator(str(tmp_path / "tb" / TRIAL))
    reader.Reload()
    (text,) = reader.Tensors("run/text_summary")
    assert b"| factorization | channel |" in text.tensor_proto.string_val[0]
    assert "_hparams_/session_start_info" in reader.summary_metadata


@pytest.mark.slow_on("postgresql")
def test_what_comes_while_it_runs_is_added_and_nothing_is_there_twice(
    planned: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lcma.harness.run.tensorboard.SECONDS", 0.0)
    store, trial = planned.store, planned.trials[0]
    ids = [*planned.segments, *planned.trials]
    claim = train(planned, trial, 10, 20)
    for step in (30, 60):  # two launches with the same folder
        with plot_curves(tmp_path / "tb", Silent(), store, ids) as display:
            files = set()
            for more in (0, 10):
                store.add_metrics(claim, points("train_bits_per_dim", step + more))
                display.update(0, 6, store.running_jobs())
                files.add(event_file(tmp_path / "tb").stat().st_ino)
                found = read(tmp_path / "tb")[TRIAL]["train_bits_per_dim"]
                assert found[-1] == as_read(step + more)[0]
            assert len(files) == 1  # a reader that has it open sees what was added
            store.add_metrics(claim, points("train_bits_per_dim", step + 20))
        if step == 30:  # as one of an earlier day is called
            event_file(tmp_path / "tb").rename(tmp_path / "tb" / TRIAL / "events.out.tfevents.1.a")
    expected = {"train_bits_per_dim": as_read(10, 20, 30, 40, 50, 60, 70, 80)}
    assert read(tmp_path / "tb") == {TRIAL: expected}


@pytest.mark.slow_on("postgresql")
@pytest.mark.parametrize("damage", ["cut off", "older points are missing", "gone"])
def test_a_file_that_is_not_as_the_database_says_is_made_anew(
    planned: World, typed: Typed, tmp_path: Path, damage: str
) -> None:
    claim = train(planned, planned.trials[0], 10, 30)
    arguments = ("export", "--tensorboard", str(tmp_path / "tb"))
    assert typed(*arguments)[0] == 0
    file = event_file(tmp_path / "tb")
    steps = [10, 30]
    if damage == "cut off":  # as by a kill in the middle of a write
        file.write_bytes(file.read_bytes()[:-3])
    elif damage == "gone":
        file.unlink()
    else:
        planned.store.add_metrics(claim, points("train_bits_per_dim", 20))
        steps = [10, 20, 30]
    assert typed(*arguments)[0] == 0
    assert read(tmp_path / "tb") == {TRIAL: {"train_bits_per_dim": as_read(*steps)}}


@pytest.mark.slow_on("postgresql")
def test_points_that_came_late_are_in_their_place(
    planned: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lcma.harness.run.tensorboard.SECONDS", 0.0)
    claim = train(planned, planned.trials[0], 10)
    with plot_curves(tmp_path / "tb", Silent(), planned.store, planned.trials) as display:
        for step in (30, 20):
            planned.store.add_metrics(claim, points("train_bits_per_dim", step))
            display.update(0, 6, planned.store.running_jobs())
    assert read(tmp_path / "tb") == {TRIAL: {"train_bits_per_dim": as_read(10, 20, 30)}}


@pytest.mark.slow_on("postgresql")
def test_a_long_curve_is_read_in_parts(planned: World, typed: Typed, tmp_path: Path) -> None:
    steps = range(1, 10_011)
    train(planned, planned.trials[2], *steps)
    assert typed("export", "--tensorboard", str(tmp_path / "tb"))[0] == 0
    assert read(tmp_path / "tb")[MAPPED]["train_bits_per_dim"] == as_read(*steps)


@pytest.mark.slow_on("postgresql")
def test_a_launch_ends_well_whatever_becomes_of_its_files(
    planned: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lcma.harness.run.tensorboard.SECONDS", 0.0)
    display = Silent()
    with plot_curves(tmp_path / "tb", display, planned.store, planned.trials) as shown:
        (tmp_path / "tb" / "realnvp-photos16").write_text("in the way")
        train(planned, planned.trials[0], 10)
        for _ in range(3):
            shown.update(0, 1, planned.store.running_jobs())
    (told,) = display.notes
    assert told.startswith("the curves for TensorBoard are not complete: cannot write in")


@pytest.mark.slow_on("postgresql")
def test_two_do_not_write_in_one_folder(planned: World, typed: Typed, tmp_path: Path) -> None:
    with plot_curves(tmp_path / "tb", Silent(), planned.store, planned.trials):
        code, out, err = typed("export", "--tensorboard", str(tmp_path / "tb"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "another launch writes its curves there" in err


@pytest.mark.slow_on("postgresql")
@pytest.mark.parametrize("command", [("launch", "demo", "--local", "--no-pictures"), ("export",)])
def test_a_folder_that_cannot_be_written_is_refused_before_anything_changes(
    planned: World, typed: Typed, tmp_path: Path, command: tuple[str, ...]
) -> None:
    (tmp_path / "file").write_text("")
    before = planned.dump()
    code, _, err = typed(*command, "--tensorboard", str(tmp_path / "file" / "tb"))
    assert (code, err.count("\n")) == (2, 1)
    assert "--tensorboard DIR" in err
    assert planned.dump() == before


@pytest.mark.slow_on("postgresql")
@pytest.mark.parametrize("planted", ["realnvp-photos16", MAPPED, ".lcma.lock"])
def test_nothing_is_written_through_a_link_below_the_folder(
    planned: World, typed: Typed, tmp_path: Path, planted: str
) -> None:
    """Not to the runs whose own folders are none either."""
    for job in (planned.trials[0], planned.trials[2]):
        train(planned, job, 10)
    outside, link = tmp_path / "outside", tmp_path / "tb" / planted
    inside = outside / MAPPED.split("/")[1] / "events.out.tfevents.1.a"
    inside.parent.mkdir(parents=True)
    inside.write_text("mine")
    link.parent.mkdir(parents=True)
    targets = {MAPPED: inside.parent, ".lcma.lock": inside}
    link.symlink_to(targets.get(planted, outside))
    code, out, err = typed("export", "--tensorboard", str(tmp_path / "tb"))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "--tensorboard DIR" in err
    assert [path for path in outside.rglob("*") if path.is_file()] == [inside]
    assert inside.read_text() == "mine"
    assert not list((tmp_path / "tb").rglob("*tfevents*"))
