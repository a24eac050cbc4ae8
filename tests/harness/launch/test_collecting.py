"""What goes and what stays of checkpoints and weights, beside work that goes on."""

import dataclasses
import hashlib
import json
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

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
from lcma.sweeps.spec import Keep
from tests.harness.conftest import LocalStore
from tests.harness.launch.conftest import claim_elsewhere, end, register, run_killed, typed
from tests.stores import list_files


class Site:
    """A sweep in a database of one engine, and its files in a place of one kind."""

    def __init__(self, url: str, files: Any, place: Any) -> None:
        self.files = files
        self.store = db.connect(url)
        self.place = dataclasses.replace(place, db=url, runs=files.runs)

    def plan(self, change: dict[str, Any] | None = None) -> dict[str, Work]:
        """Register a sweep; its work by kind, factorization and budget, as `trial L 10`."""
        _, works = register(self.place, change)
        return {self.named(n): n for n in works}

    @staticmethod
    def named(work: Work) -> str:
        if work.job.kind == "pretraining":
            return f"segment {work.job.budget}"
        return f"trial {work.subject.factorization} {work.subject.budget}"

    def folder(self, work: Work) -> CheckpointFolder:
        return CheckpointFolder(storage.open_folder(self.files.runs).subfolder(run_name(work.job)))

    def write(self, work: Work, name: str, content: bytes = b"1234") -> None:
        self.folder(work).folder.put(lambda file: file.write(content), lambda digest: name)

    def names(self, work: Work) -> list[str]:
        """What is in a folder, without digests."""
        return [
            ".".join(p for p in f.name.split(".") if len(p) != 16)
            for f in self.folder(work).folder.files()
        ]

    def on_record(self, *works: Work) -> list[str]:
        """The checkpoints that rows name, without digests; each is there as its row says."""
        found = [
            a for w in works for a in list_files(self.store, w.job_id) if a.kind == "checkpoint"
        ]
        names = []
        for one in found:
            folder, name = one.path.split("/")
            content = storage.open_folder(self.files.runs).subfolder(folder).read(name)
            assert (len(content), hashlib.sha256(content).hexdigest()) == (one.bytes, one.digest)
            assert one.place == storage.open_folder(self.files.runs).place
            names.append(".".join(p for p in name.split(".") if len(p) != 16))
        return names

    def claim(self, work: Work) -> db.Claim:
        return claim_elsewhere(self.store, work.job_id, "ghost")

    def collect(self, **asked: Any) -> list[str]:
        """Collect; what went."""
        found = find_garbage(self.store, self.files.runs, GarbageFilter(**asked))
        return sorted(w.what for w in remove_garbage(self.store, self.files.runs, found))


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
def test_what_is_done_leaves_what_somebody_needs(site, capsys) -> None:
    """Of everything there is, only what nobody needs goes, and the table says what it was."""
    works = site.plan(BUDGETS)
    for segment in ("segment 10", "segment 20"):
        assert run_work(works[segment]).ending == "done"
    done, running, failed = (works[f"trial {n}"] for n in ("L 10", "L 20", "H 10"))
    pending = works["trial H 20"]
    lost = site.claim(done)
    site.store.release("ghost")
    assert run_work(done).ending == "done"
    held = site.claim(running)
    end(site.store, site.claim(failed), "code_error", last_step=10)
    for work in (done, running, failed, pending):
        for step in (10, 20):
            site.folder(work).save(step, {"step": step})
        site.write(work, ".1-abcd.tmp")
    site.folder(works["segment 10"]).save(10, {"step": 10}, keep=True)
    site.write(done, Writer.make(lost.token, lost.owner).weights)
    site.write(done, Writer.make(1, "of another database").weights)
    site.write(running, Writer.make(held.token, held.owner).weights)
    stranger = storage.open_folder(site.files.runs).subfolder(f"{'e' * 20}-{'f' * 12}")
    stranger.put(lambda file: file.write(b"12345"), lambda digest: "step-1.pt")
    probe = storage.open_folder(site.files.runs).subfolder("probe-1234567812345678")
    probe.put(lambda file: file.write(b"12"), lambda digest: "launch")

    two = ["step-000000010.pt", "step-000000020.pt"]
    left = {w: site.names(w) for w in works.values()}
    where = ["--db", site.store.url, "--runs", str(site.files.runs)]
    young = json.loads(typed(capsys, "clean", *where, "--dry-run", "--json", "--older", "1")[1])
    assert young["removed"] == [], "all of it was written within a day"
    would = json.loads(typed(capsys, "clean", *where, "--dry-run", "--json")[1])
    assert {w: site.names(w) for w in works.values()} == left
    assert {one["what"]: one["files"] for one in would["removed"]} == {
        "checkpoints": 2,
        "snapshots": 1,
        "temporary": 3,
        "unnamed": 1,
    }
    assert would["unknown"] == {"files": 1, "bytes": 5}
    code, said, _ = typed(capsys, "clean", *where)
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
        assert re.search(line, said), (line, said)
    assert [n for n in site.names(done) if not n.startswith("weights.")] == []
    assert len(site.names(done)) == 2, "the named weights, and those of another database"
    assert [n for n in site.names(running) if n[0] == "s"] == two
    assert ".1-abcd.tmp" in site.names(running)
    assert site.names(failed) == site.names(pending) == two
    assert site.names(works["segment 20"]) == ["step-000000020.kept.pt"]
    assert len(stranger.files()) == len(probe.files()) == 1
    assert "freed 0 B" in typed(capsys, "clean", *where)[1]

    assert site.collect(lost=True) == ["lost", "lost"]
    assert site.names(failed) == []
    one = site.store.job_facts(trial_ids=[done.subject.id])[0]
    load_flow(site.store, site.place, one)
    assert site.collect(weights=True) == ["named"]
    assert list_files(site.store, done.job_id) == []
    assert not site.store.job_facts(trial_ids=[done.subject.id])[0].weights
    assert site.collect(lost=True, weights=True) == []
    found = site.folder(pending).load(at_most=20, device=torch.device("cpu"))
    assert found == (20, {"step": 20})


@pytest.mark.slow_on("postgresql")
def test_only_one_sweep_and_only_what_is_old(site) -> None:
    works = site.plan({"matrix": {"factorization": "conventional"}})
    other = site.plan({"name": "other", "matrix": {"factorization": "channel"}})
    (one,), (two,) = works.values(), other.values()
    for work in (one, two):
        assert run_work(work).ending == "done"
        site.folder(work).save(10, {"step": 10})
    assert site.collect(older=1.0) == []
    for path in site.files.behind.rglob("step-*"):
        os.utime(path, (time.time() - 200_000,) * 2)
    assert site.collect(older=3.0) == []
    assert site.collect(older=2.0, sweep="other") == ["checkpoints"]
    assert site.names(one)[0].startswith("step-")
    assert site.collect(older=2.0) == ["checkpoints"]
    with pytest.raises(UserError, match="no sweep 'nothing' in the database"):
        site.collect(sweep="nothing")


def test_a_worker_that_starts_meanwhile_keeps_what_it_writes(site) -> None:
    """After the files were listed, and before the database is read."""
    works = site.plan({"matrix": {"factorization": "conventional"}})
    (work,) = works.values()
    site.write(work, ".1-dead.tmp")

    def starts() -> None:
        site.claim(work)
        site.write(work, ".2-live.tmp")
        site.folder(work).save(10, {"step": 10})

    found = find_garbage(site.store, site.files.runs, GarbageFilter(), starts)
    assert remove_garbage(site.store, site.files.runs, found) == []
    site.store.release("ghost")

    def starts_again() -> None:
        site.write(work, ".3-live.tmp")
        site.claim(work)

    found = find_garbage(site.store, site.files.runs, GarbageFilter(), starts_again)
    assert found.waste == ()
    assert len(site.names(work)) == 4


def test_weights_that_are_named_while_the_database_is_read_stay(site, monkeypatch) -> None:
    """They are listed without a row, which is written once it is known which files have one."""
    works = site.plan({"matrix": {"factorization": "conventional"}})
    (work,) = works.values()
    written, go_on = threading.Event(), threading.Event()
    take_swd, read_paths = SampleMeasure.take, db.Store.artifacts

    def wait(*given):
        written.set()
        assert go_on.wait(60)
        return take_swd(*given)

    with ThreadPoolExecutor(1) as pool, monkeypatch.context() as patch:
        patch.setattr(SampleMeasure, "take", wait)
        running = pool.submit(run_work, work)
        assert written.wait(60)

        def read_before_it_ends(store):
            found = read_paths(store)
            go_on.set()
            assert running.result().ending == "done"
            return found

        patch.setattr(db.Store, "artifacts", read_before_it_ends)
        found = find_garbage(site.store, site.files.runs, GarbageFilter())
    assert found.waste == ()
    load_flow(site.store, site.place, site.store.job_facts(trial_ids=[work.subject.id])[0])


@pytest.mark.integration
@pytest.mark.slow_on("sqlite")
def test_a_longer_budget_that_is_asked_for_meanwhile_finds_its_snapshots(site) -> None:
    works = site.plan({"keep": {"snapshots": "all"}, **BUDGETS})
    for budget in (10, 20):
        assert run_work(works[f"segment {budget}"]).ending == "done"
    both = ["step-000000010.kept.pt", "step-000000020.kept.pt"]
    assert site.names(works["segment 20"]) == both
    assert site.on_record(works["segment 10"], works["segment 20"]) == both
    site.plan({"name": "plain", **BUDGETS})
    assert site.collect() == [], "another sweep wants all of them"
    found = Survey(
        tuple(
            Waste("snapshots", run_name(works["segment 20"].job), file, _owner(site, works))
            for file in site.folder(works["segment 20"]).folder.files()
        ),
        (),
    )
    longer = site.plan({"matrix": {"factorization": "low", "budget": 30}})["segment 30"]
    assert remove_garbage(site.store, site.files.runs, found) == []
    assert run_work(longer).ending == "done"
    attempts = site.store.view("attempts", job_id=longer.job_id)
    assert attempts.first_step.tolist() == [20]


@pytest.mark.slow_on("sqlite")
def test_a_snapshot_that_is_collected_is_off_the_record(site) -> None:
    works = site.plan(BUDGETS)
    segments = works["segment 10"], works["segment 20"]
    all_of_them = [dataclasses.replace(w, keep=Keep(snapshots="all")) for w in segments]
    assert {run_work(work).ending for work in all_of_them} == {"done"}
    assert len(site.on_record(*segments)) == 2
    assert site.collect() == ["snapshots"]
    assert site.on_record(*segments) == ["step-000000020.kept.pt"]


def _owner(site: Site, works: dict[str, Work]) -> db.Job:
    return next(o for o in site.store.jobs().values() if o.id == works["segment 20"].job_id)


@pytest.mark.slow
def test_collecting_all_the_while_costs_a_training_nothing(site, at_step) -> None:
    """Also where its worker dies, and another one goes on."""
    (work,) = site.plan({"matrix": {"factorization": "conventional"}}).values()
    at_step(dict.fromkeys(range(20), lambda: site.collect(lost=True, weights=True)))
    first = dataclasses.replace(work, checkpoint_seconds=0.0, lease_seconds=0.5)
    run_killed(first, 15)
    site.collect(lost=True)
    time.sleep(0.6)
    assert run_work(first).ending == "done"
    assert site.store.view("attempts").sort_values("token").first_step.tolist() == [0, 10]


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
def test_a_sweep_says_what_stays(
    place, tmp_path, keep, of_trial, of_pretraining, weights: bool
) -> None:
    site = Site(place.db, LocalStore(tmp_path / "runs"), place)
    works = site.plan({"matrix": {"factorization": "low", "budget": [10, 20]}, "keep": keep})
    for name in ("segment 10", "segment 20", "trial L 20"):
        assert run_work(works[name]).ending == "done"
    trial = works["trial L 20"]
    assert [n for n in site.names(trial) if n[0] == "s"] == of_trial
    assert site.names(works["segment 20"]) == of_pretraining
    assert len(list_files(site.store, trial.job_id)) == weights
    assert site.on_record(works["segment 10"], works["segment 20"]) == of_pretraining
    assert site.collect() == [], "nothing that it said should stay"
    if not weights:
        with pytest.raises(UserError, match="left no weights"):
            load_flow(site.store, place, site.store.job_facts(trial_ids=[trial.subject.id])[0])
