"""Stacks: attempts that one process trains as one, each with its own claim, log, cost and end."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
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
from lcma.harness.train.devices import SharedClock
from lcma.harness.train.stack import Stack
from lcma.harness.work import attempt, bodies, worker
from lcma.harness.work.log import logger
from lcma.harness.work.units import Terms, Work
from lcma.harness.work.worker import run_work, run_works
from lcma.sweeps.errors import UserError
from tests.faults.contents import compare_rows, read_rows
from tests.harness.conftest import merged
from tests.harness.launch.conftest import claim_elsewhere, place_in, register
from tests.harness.launch.machines import until
from tests.stores import list_files, read_curve, read_job

Works = list[Work]
Stacked = Callable[..., tuple[db.Store, Works]]
SHORT = {"training": {"steps": 10}}
"""For what needs no second look at the losses."""


def make_works(place: Place, *, trials: bool = True, **change: Any) -> tuple[db.Store, Works]:
    """Register a stacked sweep; return its store and trials, or segments."""
    base = {
        "matrix": {"factorization": ["checkerboard-even", "channel", "rows"]},
        "recipe": {"optimization": {"stacked": True}, "training": {"ema": 0.9}},
    }
    store, works = register(place, merged(base, change))
    works = [work for work in works if (work.job.kind == "trial") == trials]
    return store, [replace(work, checkpoint_seconds=0.0) for work in works]


@pytest.fixture
def stacked(place: Place) -> Stacked:
    """Registers such a sweep in a new database."""
    return partial(make_works, place)


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, photos_root: Path
) -> tuple[db.Store, Works]:
    """Such a sweep that one stack has trained."""
    folder = tmp_path_factory.mktemp("undisturbed")
    store, works = make_works(place_in(folder, photos_root))
    assert endings(run_works(works)) == ["done"] * 3
    return store, works


def outcomes(store: db.Store) -> list[str]:
    return store.view("attempts").outcome.tolist()


def endings(reports: list[worker.Report]) -> list[str]:
    return [report.ending for report in reports]


def at_step(monkeypatch: pytest.MonkeyPatch, number: int, action: Callable[[Stack], None]) -> None:
    """Do something before each stack's step from ``number`` on to the next."""
    step = Stack.step

    def stepping(stack: Stack) -> None:
        if stack.trainers[0].step == number:
            action(stack)
        step(stack)

    monkeypatch.setattr(Stack, "step", stepping)


def test_pretrainings_make_a_stack_with_their_own_maps_and_snapshots(stacked: Stacked) -> None:
    store, works = stacked(trials=False, seeds=[0, 1], matrix={"factorization": ["low"]})
    assert endings(run_works(works)) == ["done"] * 2
    digests = {
        item.digest
        for work in works
        for item in store.maps(pretraining_id=work.subject.id, score="cumulative")
    }
    assert len(digests) == 2
    assert all(list_files(store, work.job_id) for work in works)


@pytest.mark.integration
def test_attempts_say_that_fours_are_run(stacked: Stacked, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device whose sums depend on how many rows there are."""
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
def test_members_that_stand_at_different_steps_are_trained_apart(
    stacked: Stacked, undisturbed: tuple[db.Store, Works], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, works = stacked()
    sizes: list[tuple[int, int]] = []
    train = worker.train_stack

    def noting(members: Any, *args: Any) -> None:
        sizes.append((members[0].trainer.step, len(members)))
        train(members, *args)

    monkeypatch.setattr(worker, "train_stack", noting)

    def interrupt(stack: Stack) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as once:
        at_step(once, 13, interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_works([works[1]])
    assert endings(run_works(works)) == ["done"] * 3
    assert sizes == [(0, 1), (0, 2), (10, 1)]
    assert sorted(store.view("attempts").first_step) == [0, 0, 0, 10]
    assert store.view("attempts").stack_id.nunique() == 1, "one for each stack of several"
    assert compare_rows(read_rows(undisturbed[0]), read_rows(store)) == []
    points = read_curve(store, works[1].job_id, "train_bits_per_dim")
    assert [point.step for point in points] == [10, 20]


@pytest.mark.integration
def test_a_member_that_diverges_leaves_the_others(
    stacked: Stacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, works = stacked(recipe=SHORT)

    def spoil(stack: Stack) -> None:
        with torch.no_grad():
            next(p for p in stack.trainers[1].flow.parameters() if p.numel()).fill_(torch.nan)

    at_step(monkeypatch, 4, spoil)
    reports = run_works(works)
    assert endings(reports) == ["done", "diverged", "done"]
    assert "not finite at step 5" in reports[1].message


@pytest.mark.integration
def test_a_member_whose_job_is_taken_away_leaves_the_others(
    stacked: Stacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lcma.harness.work.lease.BEAT_SECONDS", 0.02)
    store, works = stacked(recipe=SHORT)
    works[2] = replace(works[2], owner="another launch")

    threads: list[worker.HeartbeatThread] = []
    start = worker.HeartbeatThread.__enter__

    def noting(self: worker.HeartbeatThread) -> worker.HeartbeatThread:
        threads.append(self)
        return start(self)

    monkeypatch.setattr(worker.HeartbeatThread, "__enter__", noting)

    def take_away(stack: Stack) -> None:
        store.release("another launch")
        until(lambda: len(threads[0]._leases) == 2)

    at_step(monkeypatch, 5, take_away)
    assert endings(run_works(works)) == ["done", "done", "stopped"]
    assert len(threads) == 1, "one thread extends all leases"
    assert read_job(store, works[2].job_id).state == "pending"


@pytest.mark.integration
def test_a_claim_that_fails_leaves_that_member_out(stacked: Stacked) -> None:
    store, works = stacked(recipe=SHORT)
    assert run_work(works[0]).ending == "done"
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
def test_what_fails_before_the_training_ends_alone(stacked: Stacked, tmp_path: Path) -> None:
    """A rule of a plug-in, which may even exit, and data that are not there."""
    (tmp_path / "bad.py").write_text(BAD_RULE)
    rules = ["bad", "channel", "checkerboard-even", "rows"]
    plugin = str(tmp_path / "bad.py")
    store, works = stacked(matrix={"factorization": rules}, plugins=plugin, recipe=SHORT)
    where = {work.subject.factorization: at for at, work in enumerate(works)}
    nowhere = replace(works[0].place, data=tmp_path / "nowhere")
    works[where["rows"]] = replace(works[where["rows"]], place=nowhere)
    reports = run_works(works)
    assert [reports[where[rule]].ending for rule in rules] == ["failed", "done", "done", "failed"]
    assert "it gives nothing" in reports[where["bad"]].message
    assert "photos8 is missing" in reports[where["rows"]].message
    assert sorted(outcomes(store)) == ["code_error", "code_error", "done", "done"]


@pytest.mark.integration
def test_each_has_the_log_of_its_own_doings(
    stacked: Stacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, works = stacked(recipe=SHORT)
    library = logging.getLogger("somebody")
    at_step(monkeypatch, 3, lambda stack: library.warning("while they train"))
    build = bodies.models.build

    def building(model: Any, factorization: str, **more: Any) -> Any:
        library.warning("builds %s", factorization)
        return build(model, factorization, **more)

    monkeypatch.setattr(bodies.models, "build", building)
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
    ("error", "ending", "outcome", "said"),
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
def test_what_ends_a_stack_counts_alone_only(
    stacked: Stacked, monkeypatch: pytest.MonkeyPatch, error: Exception, ending: str, outcome, said
) -> None:
    store, works = stacked(recipe=SHORT)

    def fail(stack: Stack) -> None:
        raise error

    at_step(monkeypatch, 3, fail)
    reports = run_works(works)
    assert endings(reports) == [ending] * 3
    assert said in reports[0].message.splitlines()[-1]
    assert outcomes(store) == [outcome] * 3
    assert [read_job(store, work.job_id).state for work in works] == ["pending"] * 3
    if ending == "crowded":
        assert (
            f"crowded: {store.view('attempts').message[0].splitlines()[0]}"
            in store.view("attempts").log[0]
        )
        assert run_work(works[0]).ending == "failed"
        alone = "oom" if isinstance(error, torch.OutOfMemoryError) else "code_error"
        assert outcomes(store)[3:] == [alone]


def test_memory_that_runs_out_in_company_counts_against_nobody(
    stacked: Stacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an evaluation, where only the last one is alone."""
    store, works = stacked(recipe=SHORT)

    def starve(*args: Any) -> None:
        raise torch.OutOfMemoryError("no memory left")

    monkeypatch.setattr(BitsPerDim, "take", starve)
    assert endings(run_works(works)) == ["crowded", "crowded", "failed"]
    assert outcomes(store) == ["crowded", "crowded", "oom"]


@pytest.mark.integration
def test_an_interrupt_cancels_all(stacked: Stacked, monkeypatch: pytest.MonkeyPatch) -> None:
    store, works = stacked(seeds=2, matrix={"factorization": "rows"})

    def interrupt(stack: Stack) -> None:
        raise KeyboardInterrupt

    at_step(monkeypatch, 13, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_works(works)
    assert outcomes(store) == ["cancelled"] * 2
    assert store.view("attempts").last_step.tolist() == [13] * 2
    monkeypatch.undo()
    assert endings(run_works(works)) == ["done"] * 2
    assert store.view("attempts").first_step.tolist()[2:] == [10] * 2


def test_an_interrupt_without_the_database_waits_for_it_a_few_seconds_in_all(
    stacked: Stacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All members together no longer than one alone."""
    store, works = stacked(seeds=2, matrix={"factorization": "rows"})
    tried: list[float] = []

    def interrupt(stack: Stack) -> None:
        monkeypatch.setattr(attempt, "wait_out", refuse)
        raise KeyboardInterrupt

    def refuse(action: Callable[[], object], *, seconds: float) -> None:
        tried.append(seconds)
        raise db.Unavailable("it is away")

    at_step(monkeypatch, 13, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_works(works)
    first, second = tried
    assert 0 < second < first <= attempt.LAST_SECONDS
    assert store.view("attempts").outcome.isna().all()


@pytest.mark.integration
def test_the_costs_of_members_add_up_to_their_process(
    stacked: Stacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes in their steps, of 6 seconds, and evaluations, of 5."""
    now = [0.0]
    monkeypatch.setattr(SharedClock.__init__, "__defaults__", (lambda: now[0], lambda: now[0]))
    store, works = stacked()
    step, take = Stack.step, BitsPerDim.take

    def stepping(stack: Stack) -> None:
        step(stack)
        now[0] += 6.0

    def measuring(*args: Any) -> Any:
        now[0] += 5.0
        return take(*args)

    monkeypatch.setattr(Stack, "step", stepping)
    monkeypatch.setattr(BitsPerDim, "take", measuring)
    works[0] = replace(works[0], terms=Terms(hours=1e-9))  # until the first look at the losses
    assert endings(run_works(works)) == ["failed", "done", "done"]
    attempts = store.view("attempts")
    assert attempts[["outcome", "last_step"]].values.tolist()[0] == ["timeout", 10]
    assert attempts.seconds.tolist() == attempts.cpu_seconds.tolist() == [20.0, 55.0, 55.0]
    assert attempts.seconds.sum() == now[0]
    assert attempts.images_per_second.tolist() == [8 * 10 / 20.0, *[8 * 20 / 50.0] * 2]


def test_evaluating_again_gives_the_bits_of_a_member(undisturbed: tuple[db.Store, Works]) -> None:
    store, works = undisturbed
    trial_id = works[1].subject.id
    (one,) = store.job_facts(trial_ids=[trial_id])
    flow, recipe = load_flow(store, works[1].place, one)
    prepared = open_images(works[1].set_name, works[1].place.data, works[1].job.data_digest)
    trained = TrainedFlow(flow, recipe.model, prepared, one.seed, torch.device("cpu"))
    found = take_measures(
        [*list_required_measures(flow), *list_optional_measures(prepared)], trained
    )
    result = store.result(trial_id, one.data_digest, "plain")
    assert [result.measure(m.name) for m in found] == found != []


def test_one_database_gone_is_raised_after_all_have_ended(
    stacked: Stacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, works = stacked(recipe=SHORT)
    claim, calls = db.Store.claim, []

    def claiming(self: db.Store, job_id: str, **more: Any) -> Any:
        calls.append(job_id)
        if len(calls) == 2:
            raise UserError("login refused")
        return claim(self, job_id, **more)

    monkeypatch.setattr(db.Store, "claim", claiming)
    with pytest.raises(UserError, match="login refused"):
        run_works(works)
    assert outcomes(store) == ["done"] * 2
