"""Stacks: attempts that one process trains together, each with its own claim, log, cost and end."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lcma import db
from lcma.harness.data.verification import open_images
from lcma.harness.measure.likelihood import BitsPerDim
from lcma.harness.measure.measure import TrainedFlow, take_measures
from lcma.harness.measure.registry import list_optional_measures, list_required_measures
from lcma.harness.measure.weights import load_flow
from lcma.harness.place import Place
from lcma.harness.train.stack import Stack
from lcma.harness.work import attempt, bodies, worker
from lcma.harness.work.artifacts import run_name
from lcma.harness.work.log import logger
from lcma.harness.work.units import Terms, Work
from lcma.harness.work.worker import run_work, run_works
from lcma.sweeps.errors import UserError
from tests.faults.contents import compare_rows, read_rows
from tests.harness.conftest import merged, register
from tests.harness.launch.conftest import claim_elsewhere, complete, find_facts, place_in, select
from tests.harness.launch.machines import wait_until
from tests.stores import read_curve, read_job

Works = list[Work]
Stacked = Callable[..., tuple[db.Store, Works]]
SHORT = {"training": {"steps": 10}}
"""A recipe with one look at the losses."""


def make_works(place: Place, *, trials: bool = True, **change: Any) -> tuple[db.Store, Works]:
    """Register a stacked sweep; return its store and trials, or segments."""
    base = {
        "matrix": {"factorization": ["checkerboard-even", "channel", "rows"]},
        "recipe": {"optimization": {"stacked": True}, "training": {"ema": 0.9}},
    }
    store, works = register(place, merged(base, change))
    works = select(works, "trial" if trials else "pretraining")
    return store, [replace(work, checkpoint_seconds=0.0) for work in works]


@pytest.fixture
def stacked(place: Place) -> Stacked:
    """Return a function that registers a stacked sweep in a new database."""
    return partial(make_works, place)


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, photos_root: Path
) -> tuple[db.Store, Works]:
    """A stacked sweep that one stack has trained."""
    folder = tmp_path_factory.mktemp("undisturbed")
    store, works = make_works(place_in(folder, photos_root))
    assert endings(run_works(works)) == ["done"] * 3
    return store, works


def outcomes(store: db.Store) -> list[str]:
    return store.view("attempts").outcome.tolist()


def endings(reports: list[worker.Report]) -> list[str]:
    return [report.ending for report in reports]


def before_step(
    monkeypatch: pytest.MonkeyPatch, number: int, action: Callable[[Stack], None]
) -> None:
    """Let each stack that has made so many steps act before its next one."""
    step = Stack.step

    def act_and_step(stack: Stack) -> None:
        if stack.trainers[0].step == number:
            action(stack)
        step(stack)

    monkeypatch.setattr(Stack, "step", act_and_step)


def interrupt(stack: Stack) -> None:
    raise KeyboardInterrupt


def test_pretrainings_make_a_stack_with_their_own_maps_and_snapshots(stacked) -> None:
    store, works = stacked(trials=False, seeds=[0, 1], matrix={"factorization": ["low"]})
    assert endings(run_works(works)) == ["done"] * 2
    digests = {
        item.digest
        for work in works
        for item in store.maps(pretraining_id=work.subject.id, score="cumulative")
    }
    assert len(digests) == 2
    folders = (work.place.runs / run_name(work.job) for work in works)
    assert all(list(folder.glob("*.kept.pt")) for folder in folders)


@pytest.mark.integration
def test_attempts_say_that_a_stack_is_run_in_fours(stacked, monkeypatch) -> None:
    """On some devices, sums depend on the number of rows."""
    monkeypatch.setattr("lcma.harness.train.stack._EQUAL_TO_FOURS", {})
    monkeypatch.setattr(Stack, "is_equal_to_fours", lambda self: False)
    store, works = stacked(
        seeds=[*range(5)], matrix={"factorization": "conventional"}, recipe=SHORT
    )
    assert endings(run_works(works)) == ["done"] * 5
    line = "a stack of 5 has other bits here than stacks of four: fours are run"
    attempts = store.view("attempts")
    assert attempts.message.tolist() == [line] * 5
    assert all(log.count(line) == 1 for log in attempts.log)


@pytest.mark.integration
def test_members_at_different_steps_are_trained_apart(stacked, undisturbed, monkeypatch) -> None:
    store, works = stacked()
    sizes: list[tuple[int, int]] = []
    train = worker.train_stack

    def note_and_train(members: Any, *arguments: Any) -> None:
        sizes.append((members[0].trainer.step, len(members)))
        train(members, *arguments)

    monkeypatch.setattr(worker, "train_stack", note_and_train)
    with monkeypatch.context() as patch:
        before_step(patch, 13, interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_works([works[1]])
    assert endings(run_works(works)) == ["done"] * 3
    assert sizes == [(0, 1), (0, 2), (10, 1)]
    assert sorted(store.view("attempts").first_step) == [0, 0, 0, 10]
    ends = store.view("attempts")[["outcome", "last_step"]].to_numpy().tolist()
    assert sorted(ends) == [["cancelled", 13], *[["done", 20]] * 3]
    assert store.view("attempts").stack_id.nunique() == 1, "one for each stack of several"
    assert compare_rows(read_rows(undisturbed[0]), read_rows(store)) == []
    points = read_curve(store, works[1].job_id, "train_bits_per_dim")
    assert [point.step for point in points] == [10, 20]


@pytest.mark.integration
def test_a_member_whose_job_is_taken_away_leaves_the_others(stacked, monkeypatch) -> None:
    monkeypatch.setattr("lcma.harness.work.lease.BEAT_SECONDS", 0.02)
    store, works = stacked(recipe=SHORT)
    works[2] = replace(works[2], owner="another launch")

    threads: list[worker.HeartbeatThread] = []
    start = worker.HeartbeatThread.__enter__

    def note_and_start(thread: worker.HeartbeatThread) -> worker.HeartbeatThread:
        threads.append(thread)
        return start(thread)

    monkeypatch.setattr(worker.HeartbeatThread, "__enter__", note_and_start)

    def take_away(stack: Stack) -> None:
        store.release("another launch")
        wait_until(lambda: len(threads[0]._leases) == 2)

    before_step(monkeypatch, 5, take_away)
    assert endings(run_works(works)) == ["done", "done", "stopped"]
    assert len(threads) == 1, "one thread extends all leases"
    assert read_job(store, works[2].job_id).state == "pending"


@pytest.mark.integration
def test_a_member_that_another_launch_holds_is_left_out(stacked) -> None:
    store, works = stacked(recipe=SHORT)
    complete(works[0])
    assert isinstance(claim_elsewhere(store, works[1].job_id), db.Claim)
    assert endings(run_works(works)) == ["done", "elsewhere", "done"]
    assert len(store.view("attempts")) == 3


BAD_RULE = """
from lcma.sweeps.plugins import factorization

@factorization("bad")
def bad(shape, split, seed, values):
    raise SystemExit("it gives nothing")
"""


@pytest.mark.integration
def test_a_member_that_fails_before_the_training_leaves_the_others(stacked, tmp_path) -> None:
    """One has a rule that exits, another one has no data."""
    (tmp_path / "bad.py").write_text(BAD_RULE)
    rules = ["bad", "channel", "checkerboard-even", "rows"]
    plugin = str(tmp_path / "bad.py")
    store, works = stacked(matrix={"factorization": rules}, plugins=plugin, recipe=SHORT)
    nowhere = replace(works[0].place, data=tmp_path / "nowhere")
    by_rule = {work.subject.factorization: work for work in works}
    by_rule["rows"] = replace(by_rule["rows"], place=nowhere)
    reports = dict(zip(by_rule, run_works([*by_rule.values()]), strict=True))
    assert [reports[rule].ending for rule in rules] == ["failed", "done", "done", "failed"]
    assert "it gives nothing" in reports["bad"].message
    assert "photos8 is missing" in reports["rows"].message
    assert sorted(outcomes(store)) == ["code_error", "code_error", "done", "done"]


@pytest.mark.integration
def test_each_member_has_its_own_log(stacked, monkeypatch) -> None:
    store, works = stacked(recipe=SHORT)
    library = logging.getLogger("somebody")
    before_step(monkeypatch, 3, lambda stack: library.warning("while they train"))
    build = bodies.models.build

    def log_and_build(model: Any, factorization: str, **options: Any) -> Any:
        library.warning("builds %s", factorization)
        return build(model, factorization, **options)

    monkeypatch.setattr(bodies.models, "build", log_and_build)
    run_works(works)
    logs = store.view("attempts").set_index("job_id").log
    for work in works:
        log = logs[work.job_id]
        assert log.count("attempt 1 at ") == log.count("builds ") == 1
        assert f"builds {work.subject.factorization}" in log
        assert log.count("while they train") == 1
        assert log.endswith("done")
    assert logger.propagate, "as before the first log"


@pytest.mark.parametrize(
    ("error", "ending", "outcome", "message"),
    [
        (torch.OutOfMemoryError("none left"), "crowded", "crowded", "ran out in a stack of 3: "),
        (IndexError("a bug"), "crowded", "crowded", "IndexError: a bug"),
        (
            torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered\nHelp"),
            "device_failed",
            "node_lost",
            "its device failed: AcceleratorError: CUDA error: uncorrectable ECC error encountered",
        ),
    ],
    ids=["memory", "crash", "device"],
)
def test_an_error_that_ends_a_stack_counts_only_for_a_member_alone(
    stacked, monkeypatch, error, ending, outcome, message
) -> None:
    store, works = stacked(recipe=SHORT)

    def fail(stack: Stack) -> None:
        raise error

    before_step(monkeypatch, 3, fail)
    reports = run_works(works)
    assert endings(reports) == [ending] * 3
    assert message in reports[0].message.splitlines()[-1]
    assert outcomes(store) == [outcome] * 3
    assert [read_job(store, work.job_id).state for work in works] == ["pending"] * 3
    if ending == "crowded":
        attempt = store.view("attempts").iloc[0]
        assert f"crowded: {attempt.message.splitlines()[0]}" in attempt.log
        assert run_work(works[0]).ending == "failed"
        outcome_alone = "oom" if isinstance(error, torch.OutOfMemoryError) else "code_error"
        assert outcomes(store)[3:] == [outcome_alone]


def test_an_oom_of_an_evaluation_counts_only_for_the_last_member(stacked, monkeypatch) -> None:
    """The others were not alone."""
    store, works = stacked(recipe=SHORT)

    def starve(*arguments: Any) -> None:
        raise torch.OutOfMemoryError("no memory left")

    monkeypatch.setattr(BitsPerDim, "take", starve)
    assert endings(run_works(works)) == ["crowded", "crowded", "failed"]
    assert outcomes(store) == ["crowded", "crowded", "oom"]


def test_interrupted_members_share_one_wait_for_the_database(stacked, monkeypatch) -> None:
    store, works = stacked(seeds=2, matrix={"factorization": "rows"})
    waits: list[float] = []

    def refuse(action: Callable[[], object], *, seconds: float) -> None:
        waits.append(seconds)
        raise db.Unavailable("it is away")

    def interrupt_without_database(stack: Stack) -> None:
        monkeypatch.setattr(attempt, "wait_out", refuse)
        raise KeyboardInterrupt

    before_step(monkeypatch, 13, interrupt_without_database)
    with pytest.raises(KeyboardInterrupt):
        run_works(works)
    first, second = waits
    assert 0 < second < first <= attempt.LAST_SECONDS
    assert store.view("attempts").outcome.isna().all()


@pytest.mark.integration
def test_the_costs_of_members_add_up_to_their_process(stacked, monkeypatch) -> None:
    """The clock of this test goes 6 seconds in each step and 5 in each evaluation."""
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], process_time=lambda: now[0])
    monkeypatch.setattr("lcma.harness.train.devices.time", clock)
    store, works = stacked()
    step, take = Stack.step, BitsPerDim.take

    def step_slowly(stack: Stack) -> None:
        step(stack)
        now[0] += 6.0

    def take_slowly(*arguments: Any) -> Any:
        now[0] += 5.0
        return take(*arguments)

    monkeypatch.setattr(Stack, "step", step_slowly)
    monkeypatch.setattr(BitsPerDim, "take", take_slowly)
    works[0] = replace(works[0], terms=Terms(hours=1e-9))  # until the first look at the losses
    assert endings(run_works(works)) == ["failed", "done", "done"]
    attempts = store.view("attempts")
    assert attempts[["outcome", "last_step"]].values.tolist()[0] == ["timeout", 10]
    assert attempts.seconds.tolist() == attempts.cpu_seconds.tolist() == [20.0, 55.0, 55.0]
    assert attempts.seconds.sum() == now[0]
    assert attempts.images_per_second.tolist() == [8 * 10 / 20.0, *[8 * 20 / 50.0] * 2]


def test_evaluating_again_gives_the_bits_of_a_member(undisturbed) -> None:
    store, (_, work, _) = undisturbed
    facts = find_facts(store, work)
    flow, recipe = load_flow(store, work.place, facts)
    prepared = open_images(work.set_name, work.place.data, work.job.data_digest)
    trained = TrainedFlow(flow, recipe.model, prepared, facts.seed, torch.device("cpu"))
    measures = [*list_required_measures(flow), *list_optional_measures(prepared)]
    values = take_measures(measures, trained)
    result = store.result(work.subject.id, facts.data_digest, "plain")
    assert [result.measure(value.name) for value in values] == values != []


def test_a_lost_database_is_raised_after_all_members_have_ended(stacked, monkeypatch) -> None:
    store, works = stacked(recipe=SHORT)
    claim, calls = db.Store.claim, []

    def claim_or_fail(self: db.Store, job_id: str, **options: Any) -> Any:
        calls.append(job_id)
        if len(calls) == 2:
            raise UserError("login refused")
        return claim(self, job_id, **options)

    monkeypatch.setattr(db.Store, "claim", claim_or_fail)
    with pytest.raises(UserError, match="login refused"):
        run_works(works)
    assert outcomes(store) == ["done"] * 2
