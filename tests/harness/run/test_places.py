"""Runs whose checkpoints and weights lie on a disk, or in an object store that may be away."""

import dataclasses
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lcma import db
from lcma.harness import storage
from lcma.harness.cli import main as cli
from lcma.harness.place import find_place
from lcma.harness.run import worker
from lcma.harness.run.artifacts import run_name
from lcma.harness.run.garbage import GarbageFilter, find_garbage, remove_garbage
from lcma.harness.run.weights import load_trained, require_weights
from lcma.harness.run.work import Report
from lcma.harness.train.trainer import Trainer
from lcma.sweeps.errors import UserError
from tests.harness.run.conftest import fill

WATCHED = {"training": {"ema": 0.9, "select": "best", "holdout_every": 10}}


@pytest.fixture
def runs(files, registered):
    """Registers a sweep whose files lie in a place of each kind."""

    def make(change=None):
        store, nodes = registered(change)
        return store, [at(node, files.runs) for node in nodes]

    return make


def at(node, runs):
    place = dataclasses.replace(node.work.place, runs=runs)
    return dataclasses.replace(node, work=dataclasses.replace(node.work, place=place))


def trial(nodes):
    return next(n.work for n in nodes if n.work.trial is not None)


def chain(nodes):
    return [n.work for n in nodes if n.work.pretraining is not None]


def left(files, work) -> list[str]:
    folder = files.behind / run_name(work.job)
    return sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []


def test_a_trial_leaves_its_weights_alone_and_they_are_read_again(runs, files) -> None:
    store, (node,) = runs({"matrix": {"factorization": "conventional"}})
    work = node.work
    assert worker.run_work(work).ending == "done"
    (artifact,) = store.artifacts(work.job_id)
    assert left(files, work) == [artifact.path.split("/")[1]]
    assert files.leftovers() == []
    one = store.trained_trials([work.trial.id])[0]
    require_weights(store, work.place, one)
    flow, _ = load_trained(store, work.place, one)
    assert not flow.training
    path = files.behind / artifact.path
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"the weights .* are damaged"):
        load_trained(store, work.place, one)
    path.unlink()
    with pytest.raises(UserError, match=r"cannot read the weights .*--runs"):
        require_weights(store, work.place, one)


class Killed(SystemExit):
    """Takes a node away."""


@pytest.mark.integration
@pytest.mark.slow_on("local")
def test_another_node_goes_on_to_the_same_bits(runs, files, tmp_path, monkeypatch) -> None:
    """All that the first had on its own disks is gone with it."""
    store, nodes = runs({"recipe": WATCHED})
    work = dataclasses.replace(trial(nodes), checkpoint_seconds=0.0, lease_seconds=0.5)
    other = f"sqlite:///{tmp_path / 'other.db'}"
    db.locate(store.url).backup(tmp_path / "other.db")
    alone = dataclasses.replace(
        work, place=dataclasses.replace(work.place, db=other, runs=tmp_path / "other")
    )
    assert worker.run_work(alone).ending == "done"
    step = Trainer._one_step

    def dying(self):
        if self.step == 15:
            raise Killed
        return step(self)

    for node in ("first", "second"):
        own = tmp_path / node
        own.mkdir()
        with monkeypatch.context() as patch:
            for name in ("TMPDIR", "LCMA_SPOOL", "LCMA_CACHE"):
                patch.setenv(name, str(own))
            if node == "first":
                patch.setattr(Trainer, "_one_step", dying)
                patch.setattr(
                    worker._RunningAttempt, "_deliver", lambda *a, **k: Report("", "stopped")
                )
                with pytest.raises(Killed):
                    worker.run_work(work)
            else:
                time.sleep(0.6)
                assert worker.run_work(work).ending == "done"
        for path in own.iterdir():
            path.rename(tmp_path / f"gone-{node}-{path.name}")
    same = ["bits_per_dim", "standard_error", "holdout_bits_per_dim", "log_det", "trial_id"]
    assert store.results()[same].equals(db.connect(other).results()[same])
    assert store.attempts().sort_values("token").first_step.tolist() == [0, 10]
    (ours,), (theirs,) = store.artifacts(work.job_id), db.connect(other).artifacts(work.job_id)
    assert ours.digest == theirs.digest


@pytest.mark.integration
@pytest.mark.slow_on("local-after", "bucket-before")
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_around_its_weights_a_trial_is_done_by_the_next(
    runs, files, monkeypatch, when: str
) -> None:
    """And `lcma clean` removes what the first one may have left, which no row names."""
    store, nodes = runs({"matrix": {"factorization": "conventional"}})
    work = dataclasses.replace(nodes[0].work, lease_seconds=0.3)
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
        patch.setattr(worker._RunningAttempt, "_deliver", lambda *a, **k: Report("", "stopped"))
        with pytest.raises(Killed):
            worker.run_work(work)
    assert store.artifacts(work.job_id) == []
    time.sleep(0.4)
    assert worker.run_work(work).ending == "done"
    assert store.attempts().sort_values("token").first_step.tolist() == [0, 20]
    found = find_garbage(store, files.runs, GarbageFilter())
    gone = remove_garbage(store, files.runs, found)
    assert [one.what for one in gone] == (["unnamed"] if when == "after" else [])
    (artifact,) = store.artifacts(work.job_id)
    assert left(files, work) == [artifact.path.split("/")[1]]


@pytest.mark.integration
def test_a_store_that_is_away_for_a_while_stops_no_training(
    bucket, registered, monkeypatch
) -> None:
    """Checkpoints on the way are left out, which is told once; the next one is tried."""
    store, nodes = registered({"matrix": {"factorization": "conventional"}, "recipe": LONG})
    work = dataclasses.replace(at(nodes[0], bucket.runs).work, checkpoint_seconds=0.0)
    seen = []
    step = Trainer._one_step

    def stepping(self):
        if self.step == 5:
            bucket.off("cannot reach it")
        if self.step == 45:
            seen.append([f.name for f in bucket.behind.rglob("*.pt")])
            bucket.on()
        if self.step == 59:
            seen.append([f.name[:14] for f in bucket.behind.rglob("*.pt")])
        return step(self)

    monkeypatch.setattr(Trainer, "_one_step", stepping)
    assert worker.run_work(work).ending == "done"
    assert seen == [[], ["step-000000050"]]
    (attempt,) = store.attempts().to_dict("records")
    (line,) = attempt["message"].splitlines()
    assert line.startswith("checkpoints were not written: cannot ")
    assert "bucket://runs/of/mine" in line
    (logged,) = store.job_attempts([work.job_id])
    assert logged.log.count("checkpoints were not written") == 1
    assert store.artifacts(work.job_id)


LONG = {"training": {"steps": 60}}


def test_weights_are_waited_for_and_then_given_up_in_one_line(
    bucket, registered, monkeypatch
) -> None:
    store, nodes = registered({"matrix": {"factorization": "conventional"}})
    work = at(nodes[0], bucket.runs).work
    monkeypatch.setattr(worker, "STORE_SECONDS", 0.5)
    step = Trainer._one_step

    def stepping(self):
        if self.step == 5:
            bucket.off("cannot reach it")
        return step(self)

    monkeypatch.setattr(Trainer, "_one_step", stepping)
    report = worker.run_work(work)
    assert report.ending == "failed"
    assert "cannot write bucket://runs/of/mine/" in report.message.splitlines()[-1]
    assert "Traceback" not in report.message
    assert store.artifacts(work.job_id) == []
    bucket.on()
    monkeypatch.undo()
    assert store.retry([work.job_id]) == 1


def test_weights_are_there_when_the_store_comes_back_in_time(
    bucket, registered, monkeypatch
) -> None:
    store, nodes = registered({"matrix": {"factorization": "conventional"}})
    work = at(nodes[0], bucket.runs).work
    put = worker._RunningAttempt._wait_for_storage

    def waiting(self, action, lease):
        """Back after the first try."""
        if self.trainer is not None and self.trainer.step == 20:
            bucket.off("cannot reach it")

            def tried():
                try:
                    return action()
                finally:
                    (bucket.root / "away").unlink(missing_ok=True)

            return put(self, tried, lease)
        return put(self, action, lease)

    monkeypatch.setattr(worker._RunningAttempt, "_wait_for_storage", waiting)
    assert worker.run_work(work).ending == "done"
    assert len(store.artifacts(work.job_id)) == 1


def test_a_host_that_cannot_read_the_checkpoints_begins_nothing(
    bucket, registered, monkeypatch
) -> None:
    store, nodes = registered()
    work = at(trial_node(nodes), bucket.runs).work
    monkeypatch.setattr(worker, "START_SECONDS", 0.3)
    bucket.off("no route to it")
    report = worker.run_work(work)
    assert report.ending == "away"
    assert "cannot read bucket://runs/of/mine" in report.message
    assert "\n" not in report.message
    assert store.job(work.job_id).state == "pending"
    assert len(store.attempts()) == 0


def trial_node(nodes):
    return next(n for n in nodes if n.work.trial is not None)


@pytest.mark.integration
def test_a_full_disk_stops_no_training_and_ends_in_one_line(
    small_disk, registered, monkeypatch
) -> None:
    store, nodes = registered({"matrix": {"factorization": "conventional"}})
    work = dataclasses.replace(at(nodes[0], small_disk / "runs").work, checkpoint_seconds=0.0)
    monkeypatch.setattr(worker, "STORE_SECONDS", 0.5)
    filler = fill(small_disk)
    report = worker.run_work(work)
    assert report.ending == "failed"
    line = report.message.splitlines()[-1]
    assert f"cannot write in {small_disk}/runs/" in line
    assert "No space left on device" in line
    assert "make room" in line
    assert store.attempts().last_step.tolist() == [20]
    filler.unlink()
    store.retry([work.job_id])
    assert worker.run_work(work).ending == "done"
    assert sorted(p.suffix for p in (small_disk / "runs").rglob("*.*")) == [".safetensors"]


@pytest.mark.integration
def test_a_snapshot_that_cannot_be_written_costs_no_map(bucket, registered, monkeypatch) -> None:
    store, nodes = registered({"matrix": {"budget": [10, 20]}})
    short, long = (at(n, bucket.runs).work for n in nodes if n.work.pretraining is not None)
    monkeypatch.setattr(worker, "STORE_SECONDS", 0.3)
    step = Trainer._one_step

    def stepping(self):
        if self.step == 9 and not (bucket.root / "away").exists():
            bucket.off("gone")
        return step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_one_step", stepping)
        assert worker.run_work(short).ending == "done"
    assert "checkpoints were not written" in store.attempts().message[0]
    assert store.maps(pretraining_id=short.pretraining.id, budget=10, score="cumulative")
    bucket.on()
    assert worker.run_work(long).ending == "done"
    assert store.attempts().first_step.tolist() == [0, 0]


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
    with pytest.raises(SystemExit) as end:
        cli.main(
            [
                *("launch", "demo", "--local", "--dataset", "photos8"),
                *("--db", "lcma.db", "--data", str(photos_root)),
            ]
        )
    assert end.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(said, line), line
    assert "geheim" not in line
    assert sorted(in_tmp.rglob("*")) == before


SECRET = "bucket://me:ge%40heim@runs/of/mine?key=schluessel"


def test_passwords_and_keys_are_never_shown(bucket, registered, capsys, monkeypatch) -> None:
    """Not of a store that repeats them in what it says, nor in the database."""
    store, nodes = registered({"matrix": {"factorization": "conventional"}})
    (bucket.root / "objects" / "me:ge%40heim@runs").mkdir()
    work = at(nodes[0], SECRET).work
    assert worker.run_work(work).ending == "done"
    (artifact,) = store.artifacts(work.job_id)
    assert artifact.place == "bucket://me@runs/of/mine"
    bucket.off(f"no answer from {SECRET} (ge@heim, schluessel)")
    place = find_place(store.url, SECRET, None)
    told = [repr(work), repr(place)]
    with pytest.raises(UserError) as caught:
        load_trained(store, place, store.trained_trials([work.trial.id])[0])
    told.append(str(caught.value))
    monkeypatch.setenv("LCMA_RUNS", SECRET)
    for verb in (["clean"], ["doctor"], ["doctor", "--json"], ["samples", work.trial.id]):
        with pytest.raises(SystemExit):
            cli.main([*verb, "--db", store.url])
        printed = capsys.readouterr()
        told += [printed.out, printed.err]
    told.append(Path(store.url.removeprefix("sqlite:///")).read_bytes().decode("latin-1"))
    for text in told:
        assert "heim" not in text
        assert "schluessel" not in text
    assert "bucket://me@runs/of/mine" in told[4]


def test_doctor_says_whether_a_store_can_be_written(bucket, in_tmp, capsys) -> None:
    def said() -> str:
        with pytest.raises(SystemExit):
            cli.main(["doctor", "--runs", str(bucket.runs)])
        return next(line for line in capsys.readouterr().out.splitlines() if " runs: " in line)

    assert "good  runs: bucket://runs/of/mine can be written and read" in said()
    assert [p for p in bucket.root.rglob("*") if p.is_file()] == [], (
        "nothing of the look at it stays"
    )
    bucket.off("no route")
    assert said().startswith("bad   runs: cannot write bucket://runs/of/mine")


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    assert find_place(None, f"file://{tmp_path}/runs", None).runs == tmp_path / "runs"
    assert storage.open_folder(find_place(None, "memory://a/b", None).runs).name == "memory://a/b"


@pytest.mark.slow
@pytest.mark.timeout(1800)  # six commands, each of which imports PyTorch
def test_a_sweep_in_an_object_store_is_launched_read_and_collected(
    bucket, in_tmp, photos_root
) -> None:
    """The verbs themselves, with worker processes of their own."""
    where = ["--db", "lcma.db", "--data", str(photos_root), "--runs", str(bucket.runs)]

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "lcma", *arguments],
            capture_output=True,
            text=True,
            env=os.environ | {"COLUMNS": "200"},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    sweep = ["demo", "--dataset", "photos8", "--seeds", "1", "--set", "training.steps=20"]
    run("launch", *sweep, "--budget", "10", "--local", *where, "--no-pictures")
    assert {p.suffix for p in bucket.behind.rglob("*.*")} == {".pt", ".safetensors"}
    run("samples", *where[:2], *where[4:], "--count", "4")
    assert "there already" not in run("measure", "--protocol", "published", *where)
    assert "freed 0 B" in run("clean", *where[:2], *where[4:])
