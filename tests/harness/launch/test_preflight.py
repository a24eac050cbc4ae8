"""Before a launch changes anything, every machine says whether it can use place and data."""

import dataclasses
import socket
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from lcma.harness import storage
from lcma.harness.launch.preflight import (
    Answer,
    Preflight,
    Question,
    answer_question,
)
from lcma.harness.launch.workers import Workers
from lcma.sweeps.errors import UserError
from lcma.sweeps.spec import Resources
from tests.harness.launch.conftest import Inline

HOST = socket.gethostname()
BAD = "bad (10.0.0.1)"


def asked(place, runs, sets=None, change=None) -> list[Question]:
    """Look at a place with one machine, whose view of it may be changed; what it was asked."""
    questions = []

    def ask(question: Question) -> list[Answer]:
        questions.append(question)
        return [answer_question(change(question) if change else question)]

    preflight = Preflight(dataclasses.replace(place, runs=runs), sets or {})
    try:
        preflight.require_machines(ask)
    finally:
        preflight.close()
    return questions


def test_a_place_that_all_see_is_left_as_it_was(files, place) -> None:
    before = sorted(files.behind.parent.rglob("*"))
    for _ in range(2):
        assert len(asked(place, files.runs)) == 1
    assert sorted(files.behind.parent.rglob("*")) == before
    if isinstance(files.runs, Path):
        files.runs.mkdir()
        asked(place, files.runs)
        assert list(files.runs.iterdir()) == []


def test_a_folder_of_one_host_alone_is_named_with_host_and_remedy(place, tmp_path) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"

    def elsewhere(question: Question) -> Question:
        return dataclasses.replace(question, place=dataclasses.replace(place, runs=theirs))

    with pytest.raises(UserError) as caught:
        asked(place, mine, change=elsewhere)
    assert str(caught.value) == (
        f"host {HOST} does not see what the launch wrote in {theirs}, which is not shared: give "
        "--runs (LCMA_RUNS) a folder that all hosts see, or a URL such as s3://BUCKET/PREFIX"
    )
    assert not mine.exists()
    assert not theirs.exists()


def test_a_host_that_may_only_read_says_so(bucket, place, monkeypatch) -> None:
    def refused(self: Any, write: Any, name: Any, **options: Any) -> None:
        raise storage.StorageError(f"cannot write {self.name} (Access Denied): check the keys")

    def ask(question: Question) -> list[Answer]:
        with monkeypatch.context() as patch:
            patch.setattr("lcma.harness.storage.remote.RemoteFolder.put", refused)
            return [answer_question(question), Answer("other", problem="another")]

    preflight = Preflight(dataclasses.replace(place, runs=bucket.runs), {})
    with pytest.raises(UserError, match=rf"on host {HOST}: cannot write .*or give --runs .*1 more"):
        preflight.require_machines(ask)
    preflight.close()
    assert not any(p.is_file() for p in bucket.root.rglob("*"))


def test_data_that_a_host_lacks_are_named_before_they_are_needed(place, tmp_path) -> None:
    digest = "0" * 64
    with pytest.raises(UserError, match=rf"photos8 on host {HOST} holds other images"):
        asked(place, tmp_path / "runs", {"photos8": digest})

    def without(question: Question) -> Question:
        return dataclasses.replace(
            question, place=dataclasses.replace(question.place, data=tmp_path)
        )

    with pytest.raises(UserError, match=rf"photos8 is missing on host {HOST} .*--to {tmp_path}"):
        asked(place, tmp_path / "runs", {"photos8": digest}, without)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"code": ("0.0.1+abc", None)}, "other code, .*, than the launch, 0.0.1.abc: .*--any-code"),
        ({"device": "cuda"}, "offers GPUs, and its PyTorch .* (is built for CPUs|finds no device)"),
        ({"place": None}, "on host .*cannot make the database"),
    ],
)
def test_whatever_else_a_host_lacks_is_named(place, tmp_path, monkeypatch, change, said) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    def ask(question: Question) -> Question:
        lost = dataclasses.replace(question.place, db=str(tmp_path / "no folder" / "lcma.db"))
        return dataclasses.replace(
            question, **(change if change != {"place": None} else {"place": lost})
        )

    with pytest.raises(UserError, match=said):
        asked(place, tmp_path / "runs", change=ask)


def test_a_gpu_that_cannot_compute_is_named(place, tmp_path, monkeypatch) -> None:
    """Also where its driver says that it is there."""

    def fail(*shape: int, device: torch.device) -> torch.Tensor:
        raise torch.AcceleratorError(f"CUDA error: uncorrectable ECC error on {device}\nAdvice")

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.ones", fail)
    preflight = Preflight(dataclasses.replace(place, runs=tmp_path / "runs"), {}, device="cuda")
    assert answer_question(preflight.question, "node3").problem == ""
    assert answer_question(preflight.question, "node3", gpus=1).problem == (
        "host node3 has a GPU that cannot multiply two matrices, number 0 (AcceleratorError: CUDA "
        "error: uncorrectable ECC error on cuda:0): see `nvidia-smi` there, or start its node "
        "without that GPU"
    )
    preflight.close()


def test_a_host_with_a_problem_is_asked_again_once_data_are_prepared(place) -> None:
    class Asked(Inline):
        def ask(self, question: Question) -> list[Answer]:
            bad = [] if BAD in self.aside else [Answer(BAD, problem="it lacks all")]
            return [answer_question(question, "good"), *bad]

    workers = Workers(Resources(), 1, lambda what: nullcontext(), {})
    workers.executor = Asked()
    for _ in range(2):
        workers.require(place, {})
        assert workers.executor.aside == {BAD}
    workers.preflight.close()
