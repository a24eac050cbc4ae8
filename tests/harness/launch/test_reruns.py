"""Jobs that are rerun: their files, their results, and what a launch makes of them."""

import dataclasses
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lcma.db.integrity import check_integrity
from lcma.harness.launch.plan import make_plan
from lcma.harness.measure import weights
from lcma.harness.measure.registry import make_measure
from lcma.harness.measure.trials import find_measured, measure_trial
from lcma.harness.measure.weights import load_flow
from lcma.harness.place import Place
from lcma.harness.results.board import list_lost_trials
from lcma.harness.work.garbage import GarbageFilter, find_garbage, remove_garbage
from lcma.harness.work.units import Work
from lcma.harness.work.worker import run_work
from lcma.sweeps import spec as specs
from lcma.sweeps.errors import UserError
from tests.db.conftest import Stage
from tests.db.inspecting import execute
from tests.harness.conftest import SMALL, merged
from tests.harness.launch.conftest import (
    claim_elsewhere,
    end,
    place_in,
    register,
    run_killed,
)
from tests.stores import beat, list_files

BUDGETS = {"matrix": {"factorization": ["conventional", "low"], "budget": [10, 20]}}


class Runs:
    """A small sweep in a database of one engine."""

    def __init__(self, place: Place, change: dict[str, Any] = BUDGETS) -> None:
        self.place = place
        self.store, works = register(place, change)
        self.works: dict[str, Work] = {}
        for work in works:
            is_trial = work.job.kind == "trial"
            name = f"trial {work.subject.budget}" if is_trial else f"segment {work.job.budget}"
            self.works[name] = work

    def run(self, **change: Any) -> list[str]:
        """Run every body in order, in this process; the endings."""
        return [run_work(dataclasses.replace(w, **change)).ending for w in self.works.values()]

    def rerun(self, *names: str, why: str = "") -> None:
        ids = [self.works[name].job_id for name in names]
        assert self.store.rerun(ids, by="ann@here", why=why) == len(names)

    def bits(self, name: str) -> float:
        trial = self.works[name].subject
        (bits,) = self.store.view("results", trial_id=trial.id).bits_per_dim
        return float(bits)

    def folders(self) -> dict[str, list[str]]:
        """The files by folder, without digests."""
        return {
            folder.name: sorted(
                ".".join(part for part in file.name.split(".") if len(part) != 16)
                for file in folder.iterdir()
            )
            for folder in sorted(self.place.runs.iterdir())
        }


@pytest.fixture(scope="module")
def done_once(tmp_path_factory: pytest.TempPathFactory, photos_root: Path) -> Path:
    """A folder with the sweep, all of it done once."""
    folder = tmp_path_factory.mktemp("done")
    runs = Runs(place_in(folder, photos_root))
    assert runs.run() == ["done"] * 5
    runs.store.close()
    return folder


@pytest.fixture
def runs(place: Place, done_once: Path) -> Runs:
    """The same in a place of its own."""
    shutil.copytree(done_once, place.runs.parent, dirs_exist_ok=True)
    return Runs(place)


@pytest.fixture
def anywhere(place: Place, new_url: Callable[[Stage], str], request: pytest.FixtureRequest) -> Runs:
    """The same on each engine."""
    url = new_url("empty")
    if url.startswith("sqlite"):
        return request.getfixturevalue("runs")
    runs = Runs(dataclasses.replace(place, db=url))
    runs.run()
    return runs


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
def test_a_rerun_trains_from_scratch_in_a_folder_of_its_own(anywhere: Runs) -> None:
    runs = anywhere
    first, before = runs.bits("trial None"), runs.folders()
    runs.rerun("trial None", why="old code")
    assert runs.bits("trial None") == first
    assert runs.run() == ["done"] * 5
    assert runs.bits("trial None") == first, "the same code gives the same bits"
    (new,) = runs.folders().keys() - before.keys()
    old = new.rpartition("-")[0]
    assert runs.folders()[old] == before[old]
    attempts = runs.store.attempts([runs.works["trial None"].job_id])
    assert [(one.first_step, one.last_step) for one in attempts] == [(0, 20), (0, 20)]
    (row,) = runs.store.sql("SELECT * FROM events WHERE event = 'rerun'").to_dict("records")
    assert (row["owner"], row["detail"]) == ("ann@here", "old code")
    assert check_integrity(runs.store.database).findings == ()


def test_weights_are_those_of_what_is_current(runs: Runs) -> None:
    trial = runs.works["trial None"].subject
    runs.rerun("trial None")
    (one,) = runs.store.job_facts(trial_ids=[trial.id])
    load_flow(runs.store, runs.place, one)
    published = make_measure("bits_per_dim", protocol="published")
    measure_trial(runs.store, runs.place, one, published, owner="me")
    assert find_measured(runs.store, one, published)
    runs.run()
    (one,) = runs.store.job_facts(trial_ids=[trial.id])
    (kept,) = [a for a in list_files(runs.store, one.job_id) if a.kind == "weights"]
    shutil.rmtree(runs.place.runs / kept.path.split("/")[0].rpartition("-")[0])
    load_flow(runs.store, runs.place, one)


def test_what_is_run_anew_now_is_neither_evaluated_nor_measured(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = runs.works["trial None"].subject
    runs.rerun("trial None")
    claim = claim_elsewhere(runs.store, runs.works["trial None"].job_id)
    (one,) = runs.store.job_facts(trial_ids=[trial.id])
    monkeypatch.setattr(weights, "load_data", None)  # it is refused before there is any work
    with pytest.raises(UserError, match="is being rerun"):
        measure_trial(runs.store, runs.place, one, make_measure("swd", samples=40), owner="me")
    assert beat(runs.store, claim, step=1, lease_seconds=60.0)


def test_weights_that_a_rerun_replaces_meanwhile_are_not_measured(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the result of the rerun nor the former one gets a number of other weights."""
    trial = runs.works["trial None"].subject
    (one,) = runs.store.job_facts(trial_ids=[trial.id])
    load = weights.load_flow

    def run_anew(*given: Any) -> Any:
        loaded = load(*given)
        runs.rerun("trial None")
        runs.run()
        return loaded

    swd = make_measure("swd", samples=40)
    with monkeypatch.context() as patch:
        patch.setattr(weights, "load_flow", run_anew)
        before = runs.store.view("attempts", job_id=one.job_id)
        with pytest.raises(UserError, match="was rerun meanwhile; what is stored stays"):
            measure_trial(runs.store, runs.place, one, swd, owner="me")
    assert len(runs.store.view("attempts", job_id=one.job_id)) == len(before) + 1
    assert find_measured(runs.store, one, swd) is None
    measure_trial(runs.store, runs.place, one, swd, owner="me")
    assert find_measured(runs.store, one, swd)


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
def test_segments_put_back_together_go_on_from_one_another(anywhere: Runs) -> None:
    runs = anywhere
    runs.rerun("segment 10", "segment 20", "trial 10", "trial 20")
    assert runs.run() == ["done"] * 5
    attempts = runs.store.attempts([runs.works["segment 20"].job_id])
    assert [(one.first_step, one.last_step) for one in attempts] == [(10, 20), (10, 20)]
    names = [name for name in runs.folders() if name.count("-") == 2]
    assert len(names) == 3, "two trials and a pretraining"
    pretraining = runs.works["segment 10"].subject
    (again,) = (name for name in names if name.startswith(pretraining.id))
    assert runs.folders()[again] == ["step-000000020.kept.pt"]


@pytest.mark.integration
def test_a_trial_that_was_cut_off_does_not_go_on_with_former_maps(place: Place) -> None:
    runs = Runs(place)
    segment, trial = runs.works["segment 10"], runs.works["trial 10"]
    assert run_work(segment).ending == "done"
    die_at(15, trial)
    runs.rerun("segment 10")
    runs.store.mark_lost(trial.job_id, owner=trial.owner, token=1)
    assert run_work(segment).ending == run_work(trial).ending == "done"
    attempts = runs.store.attempts([trial.job_id])
    assert [one.first_step for one in attempts] == [0, 0]


def die_at(step: int, work: Work) -> None:
    run_killed(dataclasses.replace(work, checkpoint_seconds=0.0, lease_seconds=0.3), step)


def test_a_rerun_that_was_killed_goes_on_from_its_own_checkpoint(runs: Runs) -> None:
    first = runs.bits("trial None")
    execute(runs.store.url, "UPDATE measurements SET value = value + 1 WHERE name = 'bits_per_dim'")
    runs.rerun("trial None")
    die_at(15, runs.works["trial None"])
    time.sleep(0.3)
    assert run_work(runs.works["trial None"]).ending == "done"
    attempts = runs.store.attempts([runs.works["trial None"].job_id])
    assert [one.first_step for one in attempts] == [0, 0, 10]
    assert runs.bits("trial None") == first


@pytest.mark.slow
def test_files_of_reruns_are_known_and_stay_while_rows_name_them(runs: Runs) -> None:
    runs.rerun("segment 10", "segment 20", "trial 10", "trial 20", "trial None")

    def collect(**asked: Any) -> list[str]:
        found = find_garbage(runs.store, runs.place.runs, GarbageFilter(**asked))
        assert found.unknown == ()
        return [one.what for one in remove_garbage(runs.store, runs.place.runs, found)]

    assert collect() == []
    assert [run_work(runs.works[name]).ending for name in ("segment 10", "segment 20")] == [
        "done",
        "done",
    ]
    assert collect(lost=True) == []
    runs.run()
    before = runs.folders()
    assert collect() == []
    assert runs.folders() == before
    assert collect(weights=True) == ["named"] * 6


def test_a_plan_and_a_board_keep_what_is_current(runs: Runs) -> None:
    spec = specs.check(merged(SMALL, BUDGETS), "test")
    runs.rerun("trial None")

    def noted() -> list[tuple[str, str]]:
        plan = make_plan(spec, runs.place, runs.store)
        return [(one.status, one.note) for one in plan.cells if one.note]

    ((status, note),) = noted()
    assert status == "new"
    assert note.startswith("to be rerun, its result of 2")
    assert note.endswith(" stays until then")
    end(runs.store, claim_elsewhere(runs.store, runs.works["trial None"].job_id), "code_error")
    ((status, note),) = noted()
    assert status == "failed"
    assert note.endswith(" stays; launch with --retry to run it again")
    assert list_lost_trials(runs.store) == []
