"""Before a launch writes anything, every machine says whether it can use the place and the data."""

import dataclasses
import socket
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from lcma.harness import storage
from lcma.harness.launch.preflight import Answer, Preflight, Question, answer_question
from lcma.harness.launch.workers import Workers
from lcma.sweeps.errors import UserError
from lcma.sweeps.spec import Resources
from tests.harness.launch.conftest import InlineExecutor

HOST = socket.gethostname()
BAD = "bad (10.0.0.1)"


def check_place(place, runs, sets=None, change=None) -> list[Question]:
    """Check a place with one machine, whose question may be changed; return its questions."""
    questions = []

    def ask(question: Question) -> list[Answer]:
        questions.append(question)
        return [answer_question(change(question) if change else question)]

    with closing(Preflight(dataclasses.replace(place, runs=runs), sets or {})) as preflight:
        preflight.require_machines(ask)
    return questions


def test_a_check_leaves_a_usable_place_as_it_was(files, place) -> None:
    before = sorted(files.behind.parent.rglob("*"))
    for _ in range(2):
        assert len(check_place(place, files.runs)) == 1
    assert sorted(files.behind.parent.rglob("*")) == before
    if isinstance(files.runs, Path):
        files.runs.mkdir()
        check_place(place, files.runs)
        assert list(files.runs.iterdir()) == []


def test_a_host_that_cannot_write_is_named(bucket, place, monkeypatch) -> None:
    def refuse(self: Any, write: Any, name: Any, **options: Any) -> None:
        raise storage.StorageError(f"cannot write {self.name} (Access Denied): check the keys")

    def ask(question: Question) -> list[Answer]:
        with monkeypatch.context() as patch:
            patch.setattr("lcma.harness.storage.remote.RemoteFolder.put", refuse)
            return [answer_question(question), Answer("other", problem="another")]

    preflight = Preflight(dataclasses.replace(place, runs=bucket.runs), {})
    with pytest.raises(UserError, match=rf"on host {HOST}: cannot write .*or give --runs .*1 more"):
        preflight.require_machines(ask)
    preflight.close()
    assert not any(path.is_file() for path in bucket.root.rglob("*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"code": ("0.0.1+abc", None)}, "other code, .*, than the launch, 0.0.1.abc: .*--any-code"),
        ({"device": "cuda"}, "offers GPUs, and its PyTorch .* (is built for CPUs|finds no device)"),
        ({"db": "missing/lcma.db"}, "on host .*there is no database"),
        (
            {"runs": Path("other")},
            f"host {HOST} does not see .* wrote in .*other, .* not shared: give --runs \\(",
        ),
        ({}, f"photos8 on host {HOST} holds other images"),
        ({"data": Path("other")}, f"photos8 is missing on host {HOST} .*--to other"),
    ],
)
def test_what_a_host_lacks_is_named(place, in_tmp, monkeypatch, change, message) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    def change_question(question: Question) -> Question:
        if change.keys() <= {"db", "runs", "data"}:
            return dataclasses.replace(question, place=dataclasses.replace(place, **change))
        return dataclasses.replace(question, **change)

    with pytest.raises(UserError, match=message):
        check_place(place, in_tmp / "runs", {"photos8": "0" * 64}, change_question)
    assert [path.name for path in in_tmp.iterdir()] == ["lcma.db"]


def test_a_gpu_that_cannot_compute_is_named_with_the_remedy(place, tmp_path, monkeypatch) -> None:
    """The driver says that it is there."""

    def fail(*shape: int, device: torch.device) -> torch.Tensor:
        raise torch.AcceleratorError(f"CUDA error: uncorrectable ECC error on {device}\nAdvice")

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.ones", fail)
    preflight = Preflight(dataclasses.replace(place, runs=tmp_path / "runs"), {}, device="cuda")
    assert answer_question(preflight.question, "node3").problem == ""
    problem = answer_question(preflight.question, "node3", gpus=1).problem
    assert "host node3 has a GPU that cannot multiply two matrices, number 0" in problem
    assert "(AcceleratorError: CUDA error: uncorrectable ECC error on cuda:0): see `nv" in problem
    assert problem.endswith("or start its node without that GPU")
    preflight.close()


def test_a_host_with_a_problem_is_asked_again_before_each_launch(place) -> None:
    class WithBadHost(InlineExecutor):
        def ask(self, question: Question) -> list[Answer]:
            bad = [] if BAD in self.aside else [Answer(BAD, problem="it lacks all")]
            return [answer_question(question, "good"), *bad]

    workers = Workers(Resources(), 1, nullcontext, {})
    workers.executor = WithBadHost()
    for _ in range(2):
        workers.require(place, {})
        assert workers.executor.aside == {BAD}
    workers.preflight.close()
