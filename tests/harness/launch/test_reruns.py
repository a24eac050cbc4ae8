"""Jobs that are rerun: their files, their results, and what plan and board say of them."""

import dataclasses
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lcma import db
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
from tests.harness.conftest import SMALL, merged, register
from tests.harness.launch.conftest import (
    claim_elsewhere,
    complete,
    drop_digest,
    end_job,
    find_facts,
    place_in,
    run_killed,
)
from tests.stores import beat, list_files

BUDGETS = {"matrix": {"factorization": ["conventional", "low"], "budget": [10, 20]}}


class Runs:
    """A small sweep, with its works by name, as `trial None` or `segment 10`."""

    def __init__(self, place: Place, change: dict[str, Any] = BUDGETS) -> None:
        self.place = place
        self.store, works = register(place, change)
        self.works: dict[str, Work] = {}
        for work in works:
            is_trial = work.job.kind == "trial"
            name = f"trial {work.subject.budget}" if is_trial else f"segment {work.job.budget}"
            self.works[name] = work

    def run(self) -> list[str]:
        """Run every task in order, in this process; return the endings."""
        return [run_work(work).ending for work in self.works.values()]

    def rerun(self, *names: str, why: str = "") -> None:
        ids = [self.works[name].job_id for name in names]
        assert self.store.rerun(ids, by="ann@here", why=why) == len(names)

    @property
    def facts(self) -> db.JobFacts:
        """Of the trial without a pretraining."""
        return find_facts(self.store, self.works["trial None"])

    def bits(self) -> float:
        (bits,) = self.store.view("results", trial_id=self.facts.trial_id).bits_per_dim
        return float(bits)

    def list_steps(self, name: str) -> list[tuple[int, int]]:
        """Return the first and the last step of each attempt at a job."""
        attempts = self.store.attempts([self.works[name].job_id])
        return [(attempt.first_step, attempt.last_step) for attempt in attempts]

    def folders(self) -> dict[str, list[str]]:
        """Return the names of files by folder, without digests."""
        return {
            folder.name: sorted(drop_digest(file.name) for file in folder.iterdir())
            for folder in sorted(self.place.runs.iterdir())
        }


@pytest.fixture(scope="module")
def done_once(tmp_path_factory: pytest.TempPathFactory, photos_root: Path) -> Path:
    """A folder with the sweep, whose jobs are all done."""
    folder = tmp_path_factory.mktemp("done")
    runs = Runs(place_in(folder, photos_root))
    assert runs.run() == ["done"] * 5
    runs.store.close()
    return folder


@pytest.fixture
def runs(place: Place, done_once: Path) -> Runs:
    """A copy of the sweep whose jobs are all done."""
    shutil.copytree(done_once, place.runs.parent, dirs_exist_ok=True)
    return Runs(place)


@pytest.fixture
def anywhere(place: Place, new_url: Callable[[Stage], str], request: pytest.FixtureRequest) -> Runs:
    """The sweep on each engine."""
    url = new_url("empty")
    if url.startswith("sqlite"):
        return request.getfixturevalue("runs")
    runs = Runs(dataclasses.replace(place, db=url))
    runs.run()
    return runs


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
def test_a_rerun_trains_from_scratch_in_a_folder_of_its_own(anywhere) -> None:
    runs = anywhere
    bits, before = runs.bits(), runs.folders()
    runs.rerun("trial None", why="old code")
    assert runs.bits() == bits
    assert runs.run() == ["done"] * 5
    assert runs.bits() == bits, "the same code gives the same bits"
    (new,) = runs.folders().keys() - before.keys()
    old = new.rpartition("-")[0]
    assert runs.folders()[old] == before[old]
    assert runs.list_steps("trial None") == [(0, 20), (0, 20)]
    (row,) = runs.store.sql("SELECT * FROM events WHERE event = 'rerun'").to_dict("records")
    assert (row["owner"], row["detail"]) == ("ann@here", "old code")
    assert check_integrity(runs.store.database).findings == ()


def test_former_weights_are_measured_until_the_rerun_is_done(runs) -> None:
    runs.rerun("trial None")
    load_flow(runs.store, runs.place, runs.facts)
    published = make_measure("bits_per_dim", protocol="published")
    measure_trial(runs.store, runs.place, runs.facts, published, owner="me")
    assert find_measured(runs.store, runs.facts, published)
    runs.run()
    files = list_files(runs.store, runs.facts.job_id)
    (path,) = [file.path for file in files if file.kind == "weights"]
    shutil.rmtree(runs.place.runs / path.split("/")[0].rpartition("-")[0])
    load_flow(runs.store, runs.place, runs.facts)


def test_a_trial_that_is_being_rerun_is_not_measured(runs, monkeypatch) -> None:
    runs.rerun("trial None")
    claim = claim_elsewhere(runs.store, runs.facts.job_id)
    monkeypatch.setattr(weights, "load_data", None)  # it is refused before any work
    swd = make_measure("swd", samples=40)
    with pytest.raises(UserError, match="is being rerun"):
        measure_trial(runs.store, runs.place, runs.facts, swd, owner="me")
    assert beat(runs.store, claim, step=1, lease_seconds=60.0)


def test_weights_that_a_rerun_replaces_meanwhile_are_not_measured(runs, monkeypatch) -> None:
    """Neither the former result nor the new one gets a value of other weights."""
    facts, load = runs.facts, weights.load_flow

    def load_and_rerun(*arguments: Any) -> Any:
        loaded = load(*arguments)
        runs.rerun("trial None")
        runs.run()
        return loaded

    swd = make_measure("swd", samples=40)
    with monkeypatch.context() as patch:
        patch.setattr(weights, "load_flow", load_and_rerun)
        with pytest.raises(UserError, match="was rerun meanwhile; what is stored stays"):
            measure_trial(runs.store, runs.place, facts, swd, owner="me")
    assert runs.list_steps("trial None") == [(0, 20), (0, 20)]
    assert find_measured(runs.store, facts, swd) is None
    measure_trial(runs.store, runs.place, facts, swd, owner="me")
    assert find_measured(runs.store, facts, swd)


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
def test_segments_that_are_rerun_together_form_one_chain(anywhere) -> None:
    runs = anywhere
    runs.rerun("segment 10", "segment 20", "trial 10", "trial 20")
    assert runs.run() == ["done"] * 5
    assert runs.list_steps("segment 20") == [(10, 20), (10, 20)]
    names = [name for name in runs.folders() if name.count("-") == 2]
    assert len(names) == 3, "two trials and a pretraining"
    pretraining = runs.works["segment 10"].subject
    (folder,) = (name for name in names if name.startswith(pretraining.id))
    assert runs.folders()[folder] == ["step-000000020.kept.pt"]


@pytest.mark.integration
def test_a_killed_trial_whose_maps_are_remade_starts_from_scratch(place) -> None:
    runs = Runs(place)
    segment, trial = runs.works["segment 10"], runs.works["trial 10"]
    complete(segment)
    die_at(15, trial)
    runs.rerun("segment 10")
    runs.store.mark_lost(trial.job_id, owner=trial.owner, token=1)
    complete(segment, trial)
    assert [first for first, _ in runs.list_steps("trial 10")] == [0, 0]


def die_at(step: int, work: Work) -> None:
    run_killed(dataclasses.replace(work, checkpoint_seconds=0.0, lease_seconds=0.3), step)


def test_a_rerun_that_was_killed_goes_on_from_its_own_checkpoint(runs) -> None:
    bits = runs.bits()
    execute(runs.store.url, "UPDATE measurements SET value = value + 1 WHERE name = 'bits_per_dim'")
    runs.rerun("trial None")
    die_at(15, runs.works["trial None"])
    time.sleep(0.3)
    complete(runs.works["trial None"])
    assert [first for first, _ in runs.list_steps("trial None")] == [0, 0, 10]
    assert runs.bits() == bits


@pytest.mark.slow
def test_files_of_reruns_stay_while_rows_name_them(runs) -> None:
    runs.rerun("segment 10", "segment 20", "trial 10", "trial 20", "trial None")

    def collect(**options: Any) -> list[str]:
        survey = find_garbage(runs.store, runs.place.runs, GarbageFilter(**options))
        assert survey.unknown == ()
        return [waste.what for waste in remove_garbage(runs.store, runs.place.runs, survey)]

    assert collect() == []
    complete(runs.works["segment 10"], runs.works["segment 20"])
    assert collect(lost=True) == []
    runs.run()
    before = runs.folders()
    assert collect() == []
    assert runs.folders() == before
    assert collect(weights=True) == ["named"] * 6


def test_plan_and_board_keep_the_former_result(runs) -> None:
    spec = specs.check(merged(SMALL, BUDGETS), "test")
    runs.rerun("trial None")

    def find_noted_cell() -> Any:
        (cell,) = (cell for cell in make_plan(spec, runs.place, runs.store).cells if cell.note)
        return cell

    cell = find_noted_cell()
    assert cell.status == "new"
    assert cell.note.startswith("to be rerun, its result of 2")
    assert cell.note.endswith(" stays until then")
    end_job(runs.store, claim_elsewhere(runs.store, runs.facts.job_id), "code_error")
    cell = find_noted_cell()
    assert cell.status == "failed"
    assert cell.note.endswith(" stays; launch with --retry to run it again")
    assert list_lost_trials(runs.store) == []
