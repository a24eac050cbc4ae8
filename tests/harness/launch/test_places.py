"""Runs whose checkpoints and weights lie on a disk, or in an object store that may be away."""

import dataclasses
import re
import time
from pathlib import Path

import pytest

from lcma import db
from lcma.harness import storage
from lcma.harness.measure.weights import load_flow, require_weights
from lcma.harness.place import find_place
from lcma.harness.work import attempt as attempts
from lcma.harness.work import worker
from lcma.harness.work.artifacts import run_name
from lcma.harness.work.garbage import GarbageFilter, find_garbage, remove_garbage
from lcma.sweeps.errors import UserError
from tests.faults.contents import compare_rows, read_rows
from tests.harness.launch.conftest import Killed, copy_elsewhere, run_killed, typed
from tests.stores import list_files, read_job

WATCHED = {"training": {"ema": 0.9, "select": "best", "holdout_every": 10}}


@pytest.fixture
def runs(files, registered):
    """Registers a sweep whose files lie in a place of each kind."""

    def make(change=None):
        store, works = registered(change)
        return store, [at(work, files.runs) for work in works]

    return make


def at(work, runs):
    place = dataclasses.replace(work.place, runs=runs)
    return dataclasses.replace(work, place=place)


def trial(works):
    return next(n for n in works if n.job.kind == "trial")


def left(files, work) -> list[str]:
    folder = files.behind / run_name(work.job)
    return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []


def test_a_trial_leaves_its_weights_alone_and_they_are_read_again(runs, files) -> None:
    store, (work,) = runs({"matrix": {"factorization": "conventional"}})
    assert worker.run_work(work).ending == "done"
    (artifact,) = list_files(store, work.job_id)
    assert left(files, work) == [artifact.path.split("/")[1]]
    assert files.leftovers() == []
    one = store.job_facts(trial_ids=[work.subject.id])[0]
    require_weights(store, work.place, one)
    flow, _ = load_flow(store, work.place, one)
    assert not flow.training
    path = files.behind / artifact.path
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"the weights .* are damaged"):
        load_flow(store, work.place, one)
    path.unlink()
    with pytest.raises(UserError, match=r"cannot read the weights .*--runs"):
        require_weights(store, work.place, one)


@pytest.mark.integration
@pytest.mark.slow_on("local")
def test_another_node_goes_on_to_the_same_bits(runs, tmp_path, monkeypatch) -> None:
    """All that the first had on its own disks is gone with it."""
    store, works = runs({"recipe": WATCHED})
    work = dataclasses.replace(trial(works), checkpoint_seconds=0.0, lease_seconds=0.5)
    alone = copy_elsewhere(work, tmp_path / "alone")
    assert worker.run_work(alone).ending == "done"
    for node in ("first", "second"):
        own = tmp_path / node
        own.mkdir()
        with monkeypatch.context() as patch:
            for name in ("TMPDIR", "LCMA_CACHE"):
                patch.setenv(name, str(own))
            if node == "first":
                run_killed(work, 15)
            else:
                time.sleep(0.6)
                assert worker.run_work(work).ending == "done"
        for path in own.iterdir():
            path.rename(tmp_path / f"gone-{node}-{path.name}")
    assert compare_rows(read_rows(db.connect(alone.place.db)), read_rows(store)) == []
    assert store.view("attempts").sort_values("token").first_step.tolist() == [0, 10]


@pytest.mark.integration
@pytest.mark.slow_on("local-after", "bucket-before")
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_around_its_weights_a_trial_is_done_by_the_next(
    runs, files, monkeypatch, when: str
) -> None:
    """And `lcma clean` removes what the first one may have left, which no row names."""
    store, works = runs({"matrix": {"factorization": "conventional"}})
    work = dataclasses.replace(works[0], lease_seconds=0.3)
    kind = type(storage.open_folder(files.runs))
    put = kind.put

    def dying(self, write, name, **options):
        if name("").startswith("weights."):
            if when == "after":
                put(self, write, name, **options)
            raise Killed
        return put(self, write, name, **options)

    with monkeypatch.context() as patch:
        patch.setattr(kind, "put", dying)
        run_killed(work)
    assert list_files(store, work.job_id) == []
    time.sleep(0.4)
    assert worker.run_work(work).ending == "done"
    assert store.view("attempts").sort_values("token").first_step.tolist() == [0, 20]
    found = find_garbage(store, files.runs, GarbageFilter())
    gone = remove_garbage(store, files.runs, found)
    assert [one.what for one in gone] == (["unnamed"] if when == "after" else [])
    (artifact,) = list_files(store, work.job_id)
    assert left(files, work) == [artifact.path.split("/")[1]]


@pytest.mark.integration
def test_a_store_that_is_away_for_a_while_stops_no_training(bucket, registered, at_step) -> None:
    """Checkpoints on the way are left out, which is told once; the next one is tried."""
    store, works = registered({"matrix": {"factorization": "conventional"}, "recipe": LONG})
    work = dataclasses.replace(at(works[0], bucket.runs), checkpoint_seconds=0.0)
    seen = []

    def look() -> None:
        seen.append([f.name[:14] for f in bucket.behind.rglob("*.pt")])

    at_step({5: bucket.off, 45: lambda: (look(), bucket.on()), 59: look})
    assert worker.run_work(work).ending == "done"
    assert seen == [[], ["step-000000050"]]
    (attempt,) = store.view("attempts").to_dict("records")
    (line,) = attempt["message"].splitlines()
    assert line.startswith("checkpoints were not written: cannot ")
    assert "bucket://runs/of/mine" in line
    (logged,) = store.attempts([work.job_id])
    assert logged.log.count("checkpoints were not written") == 1
    assert list_files(store, work.job_id)


LONG = {"training": {"steps": 60}}


def test_weights_are_waited_for_and_then_given_up_in_one_line(
    bucket, registered, monkeypatch, at_step
) -> None:
    store, works = registered({"matrix": {"factorization": "conventional"}})
    work = at(works[0], bucket.runs)
    monkeypatch.setattr(attempts, "STORE_SECONDS", 0.5)
    at_step({5: bucket.off})
    report = worker.run_work(work)
    assert report.ending == "failed"
    assert "cannot write bucket://runs/of/mine/" in report.message.splitlines()[-1]
    assert "Traceback" not in report.message
    assert list_files(store, work.job_id) == []


def test_a_host_that_cannot_read_the_checkpoints_begins_nothing(
    bucket, registered, monkeypatch
) -> None:
    store, works = registered()
    work = at(works[-1], bucket.runs)
    monkeypatch.setattr(worker, "START_SECONDS", 0.3)
    bucket.off("no route to it")
    report = worker.run_work(work)
    assert report.ending == "away"
    assert "cannot read bucket://runs/of/mine" in report.message
    assert "\n" not in report.message
    assert read_job(store, work.job_id).state == "pending"
    assert len(store.view("attempts")) == 0


@pytest.mark.integration
def test_a_snapshot_that_cannot_be_written_costs_no_map(
    bucket, registered, monkeypatch, at_step
) -> None:
    store, works = registered({"matrix": {"budget": [10, 20]}})
    short, long = (at(n, bucket.runs) for n in works if n.job.kind == "pretraining")
    monkeypatch.setattr(attempts, "STORE_SECONDS", 0.3)
    at_step({9: bucket.off})
    assert worker.run_work(short).ending == "done"
    assert "checkpoints were not written" in store.view("attempts").message[0]
    assert store.maps(pretraining_id=short.subject.id, budget=10, score="cumulative")
    bucket.on()
    at_step({})
    assert worker.run_work(long).ending == "done"
    assert store.view("attempts").first_step.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nowhere://x/y", r"fsspec knows no nowhere://; give a folder, or a URL such as s3://"),
        ("smb://me:geheim@host/share", r"smb://me@host/share: a package is missing here .*smbprot"),
        ("bucket://missing/x", r"cannot write bucket://missing/x/.*: make that bucket"),
        ("memory://x", r"no other process sees memory://x: give --runs a folder"),
    ],
)
def test_a_place_that_cannot_be_used_is_refused_before_anything_is_changed(
    bucket, in_tmp, capsys, monkeypatch, photos_root, url: str, said: str
) -> None:
    monkeypatch.setenv("LCMA_RUNS", url)
    before = sorted(in_tmp.rglob("*"))
    places = ("--db", "lcma.db", "--data", photos_root)
    code, _, err = typed(capsys, "launch", "demo", "--local", "--dataset", "photos8", *places)
    assert code == 2
    (line,) = err.splitlines()
    assert re.search(said, line), line
    assert "geheim" not in line
    assert sorted(in_tmp.rglob("*")) == before


SECRET = "bucket://me:ge%40heim@runs/of/mine?key=schluessel"


def test_passwords_and_keys_are_never_shown(bucket, registered, capsys, monkeypatch) -> None:
    """Not of a store that repeats them in what it says, nor in the database."""
    store, works = registered({"matrix": {"factorization": "conventional"}})
    (bucket.root / "objects" / "me:ge%40heim@runs").mkdir()
    work = at(works[0], SECRET)
    assert worker.run_work(work).ending == "done"
    (artifact,) = list_files(store, work.job_id)
    assert artifact.place == "bucket://me@runs/of/mine"
    bucket.off(f"no answer from {SECRET} (ge@heim, schluessel)")
    place = find_place(store.url, SECRET, None)
    told = [repr(work), repr(place)]
    with pytest.raises(UserError) as caught:
        load_flow(store, place, store.job_facts(trial_ids=[work.subject.id])[0])
    told.append(str(caught.value))
    monkeypatch.setenv("LCMA_RUNS", SECRET)
    for verb in (["clean"], ["doctor"], ["doctor", "--json"], ["samples", work.subject.id]):
        told += typed(capsys, *verb, "--db", store.url)[1:]
    told.append(Path(store.url.removeprefix("sqlite:///")).read_bytes().decode("latin-1"))
    for text in told:
        assert "heim" not in text
        assert "schluessel" not in text
    assert "bucket://me@runs/of/mine" in told[4]


def test_doctor_says_whether_a_store_can_be_written(bucket, in_tmp, capsys) -> None:
    def said() -> str:
        _, out, _ = typed(capsys, "doctor", "--runs", bucket.runs)
        return next(line for line in out.splitlines() if " runs: " in line)

    assert "good  runs: bucket://runs/of/mine can be written and read" in said()
    assert [p for p in bucket.root.rglob("*") if p.is_file()] == [], (
        "nothing of the look at it stays"
    )
    bucket.off("no route")
    assert said().startswith("bad   runs: cannot write bucket://runs/of/mine")


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    assert find_place(None, f"file://{tmp_path}/runs", None).runs == tmp_path / "runs"
    assert storage.open_folder(find_place(None, "memory://a/b", None).runs).name == "memory://a/b"
