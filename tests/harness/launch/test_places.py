"""Runs with checkpoints and weights on a disk, or in an object store that may be unreachable."""

import dataclasses
import errno
import re
import tempfile
import time
from pathlib import Path

import pytest
import yaml

import lcma
from lcma import db
from lcma.harness import storage
from lcma.harness.launch.workers import check_writable
from lcma.harness.measure.weights import load_flow, require_weights
from lcma.harness.place import find_place
from lcma.harness.work import attempt as attempts
from lcma.harness.work import worker
from lcma.harness.work.artifacts import run_name
from lcma.harness.work.garbage import GarbageFilter, find_garbage, remove_garbage
from lcma.sweeps.errors import UserError
from tests.faults.contents import compare_rows, read_rows
from tests.harness.launch.conftest import (
    Killed,
    complete,
    copy_elsewhere,
    find_facts,
    place_in,
    run_cli,
    run_killed,
    select,
)
from tests.stores import list_files, read_job

WATCHED = {"training": {"ema": 0.9, "select": "best", "holdout_every": 10}}
"""A recipe that evaluates the holdout part during the training."""


@pytest.fixture
def runs(files, registered):
    """Return a function that registers a sweep with its files in a place of each kind."""

    def make(change=None):
        store, works = registered(change)
        return store, [move_runs(work, files.runs) for work in works]

    return make


def move_runs(work, runs):
    return dataclasses.replace(work, place=dataclasses.replace(work.place, runs=runs))


def list_names(files, work) -> list[str]:
    return sorted(path.name for path in (files.behind / run_name(work.job)).iterdir())


def test_a_trial_leaves_only_its_weights_which_can_be_loaded(runs, files) -> None:
    store, (work,) = runs({"matrix": {"factorization": "conventional"}})
    complete(work)
    (artifact,) = list_files(store, work.job_id)
    assert list_names(files, work) == [artifact.path.split("/")[1]]
    assert files.leftovers() == []
    facts = find_facts(store, work)
    require_weights(store, work.place, facts)
    flow, _ = load_flow(store, work.place, facts)
    assert not flow.training
    path = files.behind / artifact.path
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"the weights .* are damaged"):
        load_flow(store, work.place, facts)
    path.unlink()
    with pytest.raises(UserError, match=r"cannot read the weights .*--runs"):
        require_weights(store, work.place, facts)


@pytest.mark.integration
@pytest.mark.slow_on("local")
def test_another_node_goes_on_to_the_same_bits(runs, tmp_path, monkeypatch) -> None:
    """What the first node wrote on its own disks is gone."""
    store, works = runs({"recipe": WATCHED})
    work = select(works, "trial")[0]
    work = dataclasses.replace(work, checkpoint_seconds=0.0, lease_seconds=0.5)
    undisturbed = copy_elsewhere(work, tmp_path / "undisturbed")
    complete(undisturbed)
    for node in ("first", "second"):
        disk = tmp_path / node
        disk.mkdir()
        with monkeypatch.context() as patch:
            for name in ("TMPDIR", "LCMA_CACHE"):
                patch.setenv(name, str(disk))
            if node == "first":
                run_killed(work, 15)
            else:
                time.sleep(0.6)
                complete(work)
        for path in disk.iterdir():
            path.rename(tmp_path / f"gone-{node}-{path.name}")
    assert compare_rows(read_rows(db.connect(undisturbed.place.db)), read_rows(store)) == []
    assert store.view("attempts").sort_values("token").first_step.tolist() == [0, 10]


@pytest.mark.integration
@pytest.mark.slow_on("local-after", "bucket-before")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_killed_around_its_weights_leaves_the_trial_to_the_next(
    runs, files, monkeypatch, when
) -> None:
    """`lcma clean` removes the weights without a row that the first one may have left."""
    store, works = runs({"matrix": {"factorization": "conventional"}})
    work = dataclasses.replace(works[0], lease_seconds=0.3)
    kind = type(storage.open_folder(files.runs))
    put = kind.put

    def put_or_die(self, write, name, **options):
        if name("").startswith("weights."):
            if when == "after":
                put(self, write, name, **options)
            raise Killed
        return put(self, write, name, **options)

    with monkeypatch.context() as patch:
        patch.setattr(kind, "put", put_or_die)
        run_killed(work)
    assert list_files(store, work.job_id) == []
    time.sleep(0.4)
    complete(work)
    assert store.view("attempts").sort_values("token").first_step.tolist() == [0, 20]
    survey = find_garbage(store, files.runs, GarbageFilter())
    removed = remove_garbage(store, files.runs, survey)
    assert [waste.what for waste in removed] == (["unnamed"] if when == "after" else [])
    (artifact,) = list_files(store, work.job_id)
    assert list_names(files, work) == [artifact.path.split("/")[1]]


@pytest.mark.integration
def test_a_training_goes_on_while_the_store_is_unreachable(bucket, registered, at_step) -> None:
    """It leaves out checkpoints, says so once, and writes the next one that it can."""
    recipe = {"training": {"steps": 60}}
    store, works = registered({"matrix": {"factorization": "conventional"}, "recipe": recipe})
    work = dataclasses.replace(move_runs(works[0], bucket.runs), checkpoint_seconds=0.0)
    checkpoints = []

    def look() -> None:
        checkpoints.append([path.name[:14] for path in bucket.behind.rglob("*.pt")])

    at_step({5: bucket.off, 45: lambda: (look(), bucket.on()), 59: look})
    complete(work)
    assert checkpoints == [[], ["step-000000050"]]
    (attempt,) = store.view("attempts").to_dict("records")
    (line,) = attempt["message"].splitlines()
    assert line.startswith("checkpoints were not written: cannot ")
    assert "bucket://runs/of/mine" in line
    (row,) = store.attempts([work.job_id])
    assert row.log.count("checkpoints were not written") == 1
    assert list_files(store, work.job_id)


def test_a_trial_that_cannot_write_its_weights_fails_in_one_line(
    bucket, registered, monkeypatch, at_step
) -> None:
    store, works = registered({"matrix": {"factorization": "conventional"}})
    work = move_runs(works[0], bucket.runs)
    monkeypatch.setattr(attempts, "STORE_SECONDS", 0.5)
    at_step({5: bucket.off})
    report = worker.run_work(work)
    assert report.ending == "failed"
    assert "cannot write bucket://runs/of/mine/" in report.message.splitlines()[-1]
    assert "Traceback" not in report.message
    assert list_files(store, work.job_id) == []


def test_a_host_that_cannot_read_the_checkpoints_claims_nothing(
    bucket, registered, monkeypatch
) -> None:
    store, works = registered()
    work = move_runs(works[-1], bucket.runs)
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
    shorter, longer = (move_runs(work, bucket.runs) for work in select(works, "pretraining"))
    monkeypatch.setattr(attempts, "STORE_SECONDS", 0.3)
    at_step({9: bucket.off})
    complete(shorter)
    assert "checkpoints were not written" in store.view("attempts").message[0]
    assert store.maps(pretraining_id=shorter.subject.id, budget=10, score="cumulative")
    bucket.on()
    at_step({})
    complete(longer)
    assert store.view("attempts").first_step.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nowhere://x/y", r"nowhere://x/y \(Protocol not known: nowhere\): check the URL"),
        ("smb://me:geheim@host/share", r"smb://me@host/share: a package is missing here .*smbprot"),
        ("bucket://missing/x", r"cannot write bucket://missing/x/.*: make that bucket"),
        ("memory://x", r"no other process sees memory://x: give --runs a folder"),
    ],
)
def test_an_unusable_place_is_refused_before_anything_is_written(
    bucket, in_tmp, capsys, monkeypatch, photos_root, url, message
) -> None:
    monkeypatch.setenv("LCMA_RUNS", url)
    before = sorted(in_tmp.rglob("*"))
    places = ("--db", "lcma.db", "--data", photos_root)
    code, _, err = run_cli(capsys, "launch", "demo", "--local", "--dataset", "photos8", *places)
    assert code == 2
    (line,) = err.splitlines()
    assert re.search(message, line), line
    assert "geheim" not in line
    assert sorted(in_tmp.rglob("*")) == before


SECRET = "bucket://me:ge%40heim@runs/of/mine?key=schluessel"


def test_passwords_and_keys_are_never_shown(bucket, registered, capsys, monkeypatch) -> None:
    """The error of the store repeats them."""
    store, works = registered({"matrix": {"factorization": "conventional"}})
    (bucket.root / "objects" / "me:ge%40heim@runs").mkdir()
    work = move_runs(works[0], SECRET)
    complete(work)
    (artifact,) = list_files(store, work.job_id)
    assert artifact.place == "bucket://me@runs/of/mine"
    bucket.off(f"no answer from {SECRET} (ge@heim, schluessel)")
    place = find_place(store.url, SECRET, None)
    texts = [repr(work), repr(place)]
    with pytest.raises(UserError) as caught:
        load_flow(store, place, find_facts(store, work))
    texts.append(str(caught.value))
    monkeypatch.setenv("LCMA_RUNS", SECRET)
    for verb in (["clean"], ["doctor"], ["doctor", "--json"], ["samples", work.subject.id]):
        texts += run_cli(capsys, *verb, "--db", store.url)[1:]
    texts.append(Path(store.url.removeprefix("sqlite:///")).read_bytes().decode("latin-1"))
    for text in texts:
        assert "heim" not in text
        assert "schluessel" not in text
    assert "bucket://me@runs/of/mine" in texts[4]


def test_doctor_says_whether_a_store_can_be_written(bucket, in_tmp, capsys) -> None:
    """It leaves no file there."""

    def read_line() -> str:
        _, out, _ = run_cli(capsys, "doctor", "--runs", bucket.runs)
        return next(line for line in out.splitlines() if " runs: " in line)

    assert "good  runs: bucket://runs/of/mine can be written and read" in read_line()
    assert not any(path.is_file() for path in bucket.root.rglob("*"))
    bucket.off("no route")
    assert read_line().startswith("bad   runs: cannot write bucket://runs/of/mine")


@pytest.fixture
def unwritable_data(photos_root, monkeypatch) -> Path:
    """A folder with photos8 in which no file can be made, even by root."""
    make = tempfile.TemporaryFile

    def refuse(*, dir):
        if Path(dir) == photos_root:
            raise PermissionError(errno.EACCES, "Permission denied")
        return make(dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    return photos_root


def test_prepared_data_need_not_be_writable(unwritable_data, tmp_path, in_tmp, capsys) -> None:
    place = place_in(tmp_path, unwritable_data)
    check_writable(place, prepares=False)
    with pytest.raises(UserError, match=r"cannot write in .*: give --data DIR"):
        check_writable(place, prepares=True)
    _, out, _ = run_cli(capsys, "doctor", "--data", unwritable_data)
    assert f"note  data: {unwritable_data} cannot be written" in out


def test_an_empty_path_counts_as_not_given(
    photos_root, small_sweep, in_tmp, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("LCMA_DATA", str(photos_root))
    assert lcma.plan(small_sweep, "", data="").unprepared == []
    Path("small.yaml").write_text(yaml.safe_dump(small_sweep))
    code, out, _ = run_cli(capsys, "plan", "small.yaml", "--db", "", "--data", "")
    assert code == 0
    assert "lcma launch small.yaml\n" in out


def test_a_file_url_is_a_folder(tmp_path) -> None:
    assert find_place(None, f"file://{tmp_path}/runs", None).runs == tmp_path / "runs"
    assert storage.open_folder(find_place(None, "memory://a/b", None).runs).name == "memory://a/b"
