"""Which checkpoints and weights go and which stay, also while trials run."""

import dataclasses
import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lcma import db
from lcma.harness import storage
from lcma.harness.measure.samples import SampleMeasure
from lcma.harness.measure.weights import load_flow
from lcma.harness.train.checkpoint import CheckpointFolder
from lcma.harness.work.artifacts import Writer, run_name
from lcma.harness.work.garbage import GarbageFilter, Survey, Waste, find_garbage, remove_garbage
from lcma.harness.work.units import Work
from lcma.harness.work.worker import run_work
from lcma.sweeps.errors import UserError
from tests.harness.conftest import LocalStore, register
from tests.harness.launch.conftest import (
    claim_elsewhere,
    complete,
    drop_digest,
    end_job,
    find_facts,
    run_cli,
)
from tests.stores import list_files


class Site:
    """A sweep in a database of one engine, and its files in a place of one kind."""

    def __init__(self, url: str, files: Any, place: Any) -> None:
        self.files = files
        self.store = db.connect(url)
        self.place = dataclasses.replace(place, db=url, runs=files.runs)

    def plan(self, change: dict[str, Any] | None = None) -> dict[str, Work]:
        """Register a sweep; return its works by name, as `segment 10` or `trial L 10`."""

        def name(work: Work) -> str:
            if work.job.kind == "pretraining":
                return f"segment {work.job.budget}"
            return f"trial {work.subject.factorization} {work.subject.budget}"

        return {name(work): work for work in register(self.place, change)[1]}

    def folder(self, work: Work) -> CheckpointFolder:
        return CheckpointFolder(storage.open_folder(self.files.runs).subfolder(run_name(work.job)))

    def write(self, work: Work, name: str, content: bytes = b"1234") -> None:
        self.folder(work).folder.put(lambda file: file.write(content), lambda digest: name)

    def names(self, work: Work) -> list[str]:
        """Return the names of the files in a folder, without digests."""
        return [drop_digest(file.name) for file in self.folder(work).folder.files()]

    def claim(self, work: Work) -> db.Claim:
        return claim_elsewhere(self.store, work.job_id, "ghost")

    def collect(self, **options: Any) -> list[str]:
        """Collect garbage; return the kinds of what went."""
        survey = find_garbage(self.store, self.files.runs, GarbageFilter(**options))
        return sorted(waste.what for waste in remove_garbage(self.store, self.files.runs, survey))

    def find_garbage(self, between: Callable[[], None] = lambda: None) -> Survey:
        return find_garbage(self.store, self.files.runs, GarbageFilter(), between)

    def load_weights(self, work: Work) -> None:
        load_flow(self.store, self.place, find_facts(self.store, work))


@pytest.fixture(params=["sqlite-local", "postgresql-bucket"])
def site(request: pytest.FixtureRequest, tmp_path: Path, place) -> Site:
    """On each engine and in each kind of place."""
    if request.param == "sqlite-local":
        return Site(f"sqlite:///{tmp_path / 'lcma.db'}", LocalStore(tmp_path / "runs"), place)
    url, bucket = (request.getfixturevalue(name) for name in ("current_postgres_url", "bucket"))
    return Site(url, bucket, place)


BUDGETS = {"matrix": {"factorization": ["conventional", "low", "high"], "budget": [10, 20]}}


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
def test_only_what_nobody_needs_goes_and_the_table_counts_it(site, capsys) -> None:
    works = site.plan(BUDGETS)
    complete(works["segment 10"], works["segment 20"])
    done, running, failed = (works[f"trial {name}"] for name in ("L 10", "L 20", "H 10"))
    pending = works["trial H 20"]
    lost_claim = site.claim(done)
    site.store.release("ghost")
    complete(done)
    held_claim = site.claim(running)
    end_job(site.store, site.claim(failed), "code_error", last_step=10)
    for work in (done, running, failed, pending):
        for step in (10, 20):
            site.folder(work).save(step, {"step": step})
        site.write(work, ".1-abcd.tmp")
    site.folder(works["segment 10"]).save(10, {"step": 10}, keep=True)
    site.write(done, Writer.make(lost_claim.token, lost_claim.owner).weights)
    site.write(done, Writer.make(1, "of another database").weights)
    site.write(running, Writer.make(held_claim.token, held_claim.owner).weights)
    stranger = storage.open_folder(site.files.runs).subfolder(f"{'e' * 20}-{'f' * 12}")
    stranger.put(lambda file: file.write(b"12345"), lambda digest: "step-1.pt")

    checkpoints = ["step-000000010.pt", "step-000000020.pt"]
    before = {work: site.names(work) for work in works.values()}
    clean = ["clean", "--db", site.store.url, "--runs", str(site.files.runs)]
    survey = json.loads(run_cli(capsys, *clean, "--dry-run", "--json")[1])
    assert {work: site.names(work) for work in works.values()} == before
    assert {row["what"]: row["files"] for row in survey["removed"]} == {
        "checkpoints": 2,
        "snapshots": 1,
        "temporary": 3,
        "unnamed": 1,
    }
    assert survey["unknown"] == {"files": 1, "bytes": 5}
    code, out, _ = run_cli(capsys, *clean)
    assert code == 0
    for line in (
        r"checkpoints of trials that are done +2 ",
        r"checkpoints of pretrainings that are done +1 ",
        r"files of writers that were killed +3 +12 B",
        r"weights of attempts that were lost +1 +4 B",
        r"total +7 ",
        r"freed .* in .*runs",
        r"kept: 1 file \(5 B\) of runs that this database does not know",
    ):
        assert re.search(line, out), (line, out)
    assert all(name.startswith("weights.") for name in site.names(done))
    assert len(site.names(done)) == 2, "the named weights, and those of another database"
    assert [name for name in site.names(running) if name[0] == "s"] == checkpoints
    assert ".1-abcd.tmp" in site.names(running)
    assert site.names(failed) == site.names(pending) == checkpoints
    assert site.names(works["segment 20"]) == ["step-000000020.kept.pt"]
    assert len(stranger.files()) == 1
    assert "freed 0 B" in run_cli(capsys, *clean)[1]

    assert site.collect(lost=True) == ["lost", "lost"]
    assert site.names(failed) == []
    site.load_weights(done)
    assert site.collect(weights=True) == ["named"]
    assert list_files(site.store, done.job_id) == []
    assert not find_facts(site.store, done).weights
    assert site.collect(lost=True, weights=True) == []
    checkpoint = site.folder(pending).load(at_most=20)
    assert checkpoint == (20, {"step": 20})


@pytest.mark.slow_on("postgresql")
def test_collecting_takes_one_sweep(site) -> None:
    (work,) = site.plan({"matrix": {"factorization": "conventional"}}).values()
    others = site.plan({"name": "other", "matrix": {"factorization": "channel"}}).values()
    for each in (work, *others):
        complete(each)
        site.folder(each).save(10, {"step": 10})
    other = next(sweep.id for sweep in site.store.sweeps() if sweep.name == "other")
    assert site.collect(sweep_id=other) == ["checkpoints"]
    assert site.names(work)[0].startswith("step-")
    assert site.collect() == ["checkpoints"]


def test_a_worker_that_starts_meanwhile_keeps_what_it_writes(site) -> None:
    """It starts after the files were listed and before the database is read."""
    (work,) = site.plan({"matrix": {"factorization": "conventional"}}).values()
    site.write(work, ".1-dead.tmp")

    def start() -> None:
        site.claim(work)
        site.write(work, ".2-live.tmp")
        site.folder(work).save(10, {"step": 10})

    survey = site.find_garbage(start)
    assert remove_garbage(site.store, site.files.runs, survey) == []
    site.store.release("ghost")

    def start_again() -> None:
        site.write(work, ".3-live.tmp")
        site.claim(work)

    assert site.find_garbage(start_again).waste == ()
    assert len(site.names(work)) == 4


def test_weights_that_are_named_while_the_database_is_read_stay(site, monkeypatch) -> None:
    """The files are listed before the weights have a row, and the rows are read before it too."""
    (work,) = site.plan({"matrix": {"factorization": "conventional"}}).values()
    written, go_on = threading.Event(), threading.Event()
    take_swd, read_paths = SampleMeasure.take, db.Store.artifacts

    def wait(*arguments):
        written.set()
        assert go_on.wait(60)
        return take_swd(*arguments)

    with ThreadPoolExecutor(1) as pool, monkeypatch.context() as patch:
        patch.setattr(SampleMeasure, "take", wait)
        training = pool.submit(run_work, work)
        assert written.wait(60)

        def read_before_it_ends(store):
            paths = read_paths(store)
            go_on.set()
            assert training.result().ending == "done"
            return paths

        patch.setattr(db.Store, "artifacts", read_before_it_ends)
        assert site.find_garbage().waste == ()
    site.load_weights(work)


@pytest.mark.integration
@pytest.mark.slow_on("sqlite")
def test_a_longer_budget_that_is_registered_meanwhile_finds_its_snapshots(site) -> None:
    site.plan({"name": "all", "keep": {"snapshots": "all"}, **BUDGETS})
    works = site.plan(BUDGETS)
    segments = works["segment 10"], works["segment 20"]
    complete(*segments)
    snapshots = ["step-000000010.kept.pt", "step-000000020.kept.pt"]
    assert site.names(segments[1]) == snapshots
    assert site.collect() == [], "another sweep wants all of them"
    owner, name = site.store.jobs()[segments[1].job_id], run_name(segments[1].job)
    files = site.folder(segments[1]).folder.files()
    survey = Survey(tuple(Waste("snapshots", name, file, owner) for file in files), ())
    longer = site.plan({"matrix": {"factorization": "low", "budget": 30}})["segment 30"]
    assert remove_garbage(site.store, site.files.runs, survey) == []
    complete(longer)
    attempts = site.store.view("attempts", job_id=longer.job_id)
    assert attempts.first_step.tolist() == [20]


KEEPS: list[tuple[dict[str, Any], list[str], list[str], bool]] = [
    ({}, [], ["step-000000020.kept.pt"], True),
    (
        {"checkpoints": "last", "weights": False, "snapshots": "all"},
        ["step-000000020.pt"],
        ["step-000000010.kept.pt", "step-000000020.kept.pt"],
        False,
    ),
    ({"snapshots": "none"}, [], [], True),
]


@pytest.mark.integration
@pytest.mark.slow_on("keep0", "keep2")
@pytest.mark.parametrize(("keep", "of_trial", "of_pretraining", "weights"), KEEPS)
def test_a_sweep_says_what_stays(place, tmp_path, keep, of_trial, of_pretraining, weights) -> None:
    site = Site(place.db, LocalStore(tmp_path / "runs"), place)
    works = site.plan({"matrix": {"factorization": "low", "budget": [10, 20]}, "keep": keep})
    segments, trial = (works["segment 10"], works["segment 20"]), works["trial L 20"]
    complete(*segments, trial)
    assert [name for name in site.names(trial) if name[0] == "s"] == of_trial
    assert site.names(segments[1]) == of_pretraining
    assert len(list_files(site.store, trial.job_id)) == weights
    assert site.collect() == [], "the sweep keeps all of it"
    if not weights:
        with pytest.raises(UserError, match="left no weights"):
            site.load_weights(trial)
