"""Stacks: attempts that one process trains as one, each with its own claim, log, cost and end."""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import torch

from lcma import db
from lcma.harness.data.verified import open_images
from lcma.harness.place import Place
from lcma.harness.run import worker
from lcma.harness.run.evaluation import SharedClock, Stopwatch, measure_flow
from lcma.harness.run.log import Log, logger
from lcma.harness.run.plan import make_nodes, make_plan, register_plan
from lcma.harness.run.sample_quality import measure_swd
from lcma.harness.run.spool import deliver_leftovers
from lcma.harness.run.verification import verify
from lcma.harness.run.weights import load_trained
from lcma.harness.run.work import Terms, Work
from lcma.harness.run.worker import run_work, run_works
from lcma.harness.train.protocol import PLAIN
from lcma.harness.train.stack import Stack
from lcma.sweeps import spec as specs
from lcma.sweeps.errors import UserError
from tests.db.conftest import SqliteTemplates
from tests.harness.conftest import SMALL, merged

Works = list[Work]
Stacked = Callable[..., tuple[db.Store, Works]]
SHORT = {"training": {"steps": 10}}
"""For what needs no second look at the losses."""


def register(place: Place, *, trials: bool = True, **change: Any) -> tuple[db.Store, Works]:
    """Register a stacked sweep; return its store and trials, or segments."""
    base = {
        "matrix": {"factorization": ["checkerboard-even", "channel", "rows"]},
        "recipe": {"optimization": {"stacked": True}, "training": {"ema": 0.9}},
    }
    spec = specs.check(merged(merged(SMALL, base), change), "test", place.runs.parent)
    store = db.connect(place.db)
    plan = make_plan(spec, place, store)
    register_plan(plan, place, store)
    nodes = make_nodes(plan, place, owner="a launch", device="cpu")
    works = [node.work for node in nodes if (node.work.trial is not None) == trials]
    return store, [replace(work, checkpoint_seconds=0.0) for work in works]


@pytest.fixture
def stacked(place: Place, spools: Path, sqlite_templates: SqliteTemplates) -> Stacked:
    """Registers such a sweep in a new database."""

    def make(url: str = "", **change: Any) -> tuple[db.Store, Works]:
        if url.startswith("sqlite"):
            sqlite_templates.copy("empty", place.runs.parent).rename(sa.make_url(url).database)
        return register(replace(place, db=url or place.db), **change)

    return make


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, photos_root: Path
) -> tuple[db.Store, Works]:
    """Such a sweep that one stack has trained."""
    folder = tmp_path_factory.mktemp("undisturbed")
    place = Place(f"sqlite:///{folder / 'lcma.db'}", folder / "runs", photos_root)
    store, works = register(place)
    assert endings(run_works(works)) == ["done"] * 3
    return store, works


def outcomes(store: db.Store) -> list[str]:
    return store.attempts().outcome.tolist()


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


@pytest.mark.slow
def test_members_end_with_the_bits_of_any_other_stack(
    stacked: Stacked, undisturbed: tuple[db.Store, Works]
) -> None:
    """Of all at once, and of one and two in another database; the curves too."""
    store, works = stacked()
    assert endings(run_works(works[1:])) == ["done"] * 2
    assert endings(run_works(works[:1])) == ["done"]
    found = []
    for at, alone in ((undisturbed[0], 0), (store, 1)):
        measures = ["trial_id", "bits_per_dim", "standard_error", "holdout_bits_per_dim"]
        results = at.results()[measures].sort_values("trial_id").to_dict("records")
        curves = [at.metrics(work.job_id, "train_bits_per_dim") for work in works]
        found.append((results, curves))
        stacks = at.attempts().stack_id
        assert stacks.nunique() == 1, "one for each stack of several"
        assert stacks.isna().sum() == alone
    assert found[0] == found[1]
    assert len({row["bits_per_dim"] for row in found[0][0]}) == 3
    assert [[point.step for point in curve] for curve in found[0][1]] == [[10, 20]] * 3


def test_pretrainings_make_a_stack_with_their_own_maps_and_snapshots(stacked: Stacked) -> None:
    store, works = stacked(trials=False, seeds=[0, 1], matrix={"factorization": ["low"]})
    assert endings(run_works(works)) == ["done"] * 2
    digests = {
        item.digest
        for work in works
        for item in store.maps(pretraining_id=work.pretraining.id, score="cumulative")
    }
    assert len(digests) == 2
    assert all(store.artifacts(work.job_id) for work in works)


@pytest.mark.integration
def test_attempts_say_that_fours_are_run(stacked: Stacked, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a device whose sums depend on how many rows there are."""
    monkeypatch.setattr("lcma.harness.train.stack._EQUAL_TO_FOURS", {})
    monkeypatch.setattr(Stack, "is_equal_to_fours", lambda self: False)
    store, works = stacked(
        seeds=[*range(5)], matrix={"factorization": "conventional"}, recipe=SHORT
    )
    assert endings(run_works(works)) == ["done"] * 5
    line = "a stack of 5 has other bits here than one of four: fours are run"
    attempts = store.attempts()
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
    assert endings(run_works([replace(works[1], rung=10)])) == ["pruned"]
    assert endings(run_works(works)) == ["done"] * 3
    assert sizes == [(0, 1), (0, 2), (10, 1)]
    assert store.attempts().first_step.tolist() == [0, 0, 10, 0]
    keys = ["trial_id", "bits_per_dim"]
    ordered = [s.results()[keys].sort_values("trial_id") for s in (store, undisturbed[0])]
    assert ordered[0].values.tolist() == ordered[1].values.tolist()


@pytest.mark.integration
def test_rungs_end_members_and_others_go_on(stacked: Stacked) -> None:
    store, works = stacked()
    assert endings(run_works([replace(works[0], rung=10), *works[1:]])) == [
        "pruned",
        "done",
        "done",
    ]
    assert store.job(works[0].job_id).step == 10
    assert endings(run_works([replace(works[0], rung=10)])) == ["pruned"]


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
    monkeypatch.setattr("lcma.harness.run.lease.BEAT_SECONDS", 0.02)
    store, works = stacked(recipe=SHORT)
    works[2] = replace(works[2], owner="another launch")

    def take_away(stack: Stack) -> None:
        store.release("another launch")
        deadline = threading.Event()
        while len(worker_leases()) > 2:
            deadline.wait(0.01)

    def worker_leases() -> list[Any]:
        (thread,) = heartbeats
        return thread._leases

    heartbeats: list[Any] = []
    started = worker.HeartbeatThread.__enter__
    monkeypatch.setattr(
        worker.HeartbeatThread,
        "__enter__",
        lambda self: heartbeats.append(self) or started(self),
    )
    at_step(monkeypatch, 5, take_away)
    assert endings(run_works(works)) == ["done", "done", "stopped"]
    assert len(heartbeats) == 1, "one thread extends all leases"
    assert store.job(works[2].job_id).state == "pending"


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
def test_a_stack_trains_on_while_its_database_is_unreachable(
    stacked: Stacked, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lcma.harness.run.lease.BEAT_SECONDS", 0.02)
    store, works = stacked(url=database.url)
    gone, back = threading.Event(), threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: (gone if "unreachable" in record.msg else back).set()

    def take_away(stack: Stack) -> None:
        logger.addHandler(handler)  # before it can be reported
        database.off()
        assert gone.wait(30)

    def bring_back(stack: Stack) -> None:
        database.on()
        assert back.wait(30)
        logger.removeHandler(handler)

    at_step(monkeypatch, 5, take_away)
    at_step(monkeypatch, 15, bring_back)
    assert endings(run_works(works)) == ["done"] * 3
    for work in works:
        points = store.metrics(work.job_id, "train_bits_per_dim")
        assert [point.step for point in points] == [10, 20]
    for log in store.attempts().log:  # on a busy machine a heartbeat may be late once more
        assert 1 <= log.count("the database is unreachable") == log.count("the database is back")


@pytest.mark.integration
def test_a_claim_that_fails_leaves_that_member_out(stacked: Stacked) -> None:
    store, works = stacked(recipe=SHORT)
    assert run_work(works[0]).ending == "done"
    environment = store.attempts().environment_id[0]
    claim = store.claim(
        works[1].job_id,
        owner="another",
        host="elsewhere",
        pid=1,
        environment_id=environment,
        device="cpu",
        threads=1,
        lease_seconds=600.0,
    )
    assert isinstance(claim, db.Claim)
    assert endings(run_works(works)) == ["done", "elsewhere", "done"]
    assert len(store.attempts()) == 3


@pytest.mark.integration
def test_a_cap_counts_a_stack_once(stacked: Stacked) -> None:
    store, works = stacked(recipe=SHORT)
    cap = db.Cap(store.sweeps()[0].id, 1)
    capped = [replace(work, terms=replace(work.terms, cap=cap)) for work in works]
    assert endings(run_works(capped)) == ["done"] * 3
    assert store.attempts().stack_id.nunique() == 1


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
    where = {work.trial.factorization: at for at, work in enumerate(works)}
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
    build = worker.models.build

    def building(model: Any, factorization: str, **more: Any) -> Any:
        library.warning("builds %s", factorization)
        return build(model, factorization, **more)

    monkeypatch.setattr(worker.models, "build", building)
    run_works(works)
    logs = store.attempts().set_index("job_id").log
    for work in works:
        log = logs[work.job_id]
        assert log.count("attempt 1 at ") == log.count("builds ") == 1
        assert f"builds {work.trial.factorization}" in log
        assert log.count("while they train") == 1
        assert log.endswith("done")
    assert logger.propagate, "as before the first log"


def test_logs_that_overlap_end_in_any_order() -> None:
    first, second = Log(), Log()
    with first.only():
        first.__enter__()
        second.__enter__()
        logger.info("the first one's")
    first.__exit__(None, None, None)
    logger.info("still open")
    second.__exit__(None, None, None)
    assert first.text.endswith("the first one's")
    assert second.text.endswith("still open")
    assert "first" not in second.text


def test_out_of_memory_in_a_stack_counts_against_nobody(
    stacked: Stacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, works = stacked(recipe=SHORT)

    def starve(stack: Stack) -> None:
        raise torch.OutOfMemoryError("no memory left")

    at_step(monkeypatch, 3, starve)
    reports = run_works(works)
    assert endings(reports) == ["crowded"] * 3
    assert "memory ran out in a stack of 3: " in reports[0].message
    assert outcomes(store) == ["crowded"] * 3
    assert [store.job(work.job_id).state for work in works] == ["pending"] * 3
    assert "crowded: memory ran out" in store.attempts().log[0]
    assert run_work(works[0]).ending == "failed"
    assert outcomes(store)[3:] == ["oom"], "alone it is the trial's"


def test_a_crash_of_a_stack_counts_alone_only(
    stacked: Stacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, works = stacked(recipe=SHORT)

    def crash(stack: Stack) -> None:
        raise IndexError("a bug")

    at_step(monkeypatch, 3, crash)
    assert endings(run_works(works[:2])) == ["crowded"] * 2
    assert "IndexError: a bug" in store.attempts().message[0]
    assert run_work(works[2]).ending == "failed"
    assert outcomes(store) == ["crowded", "crowded", "code_error"]


def test_a_device_that_fails_in_a_stack_counts_against_nobody(
    stacked: Stacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A smaller stack would not do there."""
    store, works = stacked(recipe=SHORT)

    def fail(stack: Stack) -> None:
        raise torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered\nHelp")

    at_step(monkeypatch, 3, fail)
    reports = run_works(works)
    assert endings(reports) == ["device_failed"] * 3
    said = "its device failed: AcceleratorError: CUDA error: uncorrectable ECC error encountered"
    assert reports[0].message.splitlines()[-1] == said
    assert outcomes(store) == ["node_lost"] * 3
    assert [store.job(work.job_id).state for work in works] == ["pending"] * 3


def test_memory_that_runs_out_in_company_counts_against_nobody(
    stacked: Stacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an evaluation, where only the last one is alone."""
    store, works = stacked(recipe=SHORT)

    def starve(*args: Any) -> None:
        raise torch.OutOfMemoryError("no memory left")

    monkeypatch.setattr(worker, "measure_flow", starve)
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
    assert store.attempts().last_step.tolist() == [13] * 2
    monkeypatch.undo()
    assert endings(run_works(works)) == ["done"] * 2
    assert store.attempts().first_step.tolist()[2:] == [10] * 2


def test_an_interrupt_without_the_database_leaves_all_endings_in_the_spool(
    stacked: Stacked, spools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And all members together wait no longer for the database than one alone."""
    store, works = stacked(seeds=2, matrix={"factorization": "rows"})
    tried: list[float] = []

    def interrupt(stack: Stack) -> None:
        monkeypatch.setattr(worker, "wait_out", refuse)
        raise KeyboardInterrupt

    def refuse(action: Callable[[], object], *, seconds: float) -> None:
        tried.append(seconds)
        raise db.Unavailable("it is away")

    at_step(monkeypatch, 13, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_works(works)
    first, second = tried
    assert 0 < second < first <= worker.LAST_SECONDS
    assert store.attempts().outcome.isna().all()
    monkeypatch.undo()
    monkeypatch.setenv("LCMA_SPOOL", str(spools))
    deliver_leftovers(store, [].append)
    assert outcomes(store) == ["cancelled"] * 2


@pytest.mark.slow
def test_a_limit_of_hours_ends_members_with_a_checkpoint(
    stacked: Stacked,
) -> None:
    store, works = stacked()
    over = replace(works[0], terms=Terms(hours=1e-9))
    assert endings(run_works([over, *works[1:]])) == ["failed", "done", "done"]
    attempt = store.attempts().set_index("job_id").loc[over.job_id]
    assert (attempt.outcome, attempt.last_step) == ("timeout", 10)


def test_time_is_shared_by_those_at_work() -> None:
    wall, cpu = [100.0], [10.0]

    def pass_time(seconds: float) -> None:
        wall[0] += seconds
        cpu[0] += 2 * seconds

    clock = SharedClock(lambda: wall[0], lambda: cpu[0])
    first, second = (Stopwatch("cpu", clock=clock) for _ in range(2))
    pass_time(1.0)  # of nobody
    clock.run(first)
    pass_time(2.0)
    clock.run(first, second)
    pass_time(3.0)
    assert (first.seconds, second.seconds) == (3.5, 1.5)
    pass_time(1.0)
    clock.run(second)
    pass_time(4.0)
    clock.run()
    pass_time(5.0)
    costs = first.cost(), second.cost()
    assert [cost.seconds for cost in costs] == [4.0, 6.0]
    assert [cost.cpu_seconds for cost in costs] == [8.0, 12.0]


@pytest.mark.slow
def test_the_costs_of_members_add_up_to_their_process(
    stacked: Stacked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes in their steps, of 6 seconds, and evaluations, of 5."""
    now = [0.0]
    monkeypatch.setattr(SharedClock.__init__, "__defaults__", (lambda: now[0], lambda: now[0]))
    store, works = stacked()
    step = Stack.step

    def stepping(stack: Stack) -> None:
        step(stack)
        now[0] += 6.0

    def measuring(*args: Any) -> Any:
        now[0] += 5.0
        return measure_flow(*args)

    monkeypatch.setattr(Stack, "step", stepping)
    monkeypatch.setattr(worker, "measure_flow", measuring)
    works[0] = replace(works[0], terms=Terms(hours=1e-9))  # until the first look at the losses
    assert endings(run_works(works)) == ["failed", "done", "done"]
    attempts = store.attempts()
    assert attempts.seconds.tolist() == attempts.cpu_seconds.tolist() == [20.0, 55.0, 55.0]
    assert attempts.seconds.sum() == now[0]
    assert attempts.images_per_second.tolist() == [8 * 10 / 20.0, *[8 * 20 / 50.0] * 2]


def test_evaluating_again_gives_the_bits_of_a_member(undisturbed: tuple[db.Store, Works]) -> None:
    store, works = undisturbed
    trial_id = works[1].trial.id
    (one,) = store.trained_trials([trial_id])
    flow, _ = load_trained(store, works[1].place, one)
    prepared = open_images(works[1].set_name, works[1].place.data, works[1].job.data_digest)
    measured = measure_flow(flow, prepared, PLAIN, torch.device("cpu"))
    result = store.result(trial_id, one.data_digest, "plain")
    assert measured.test.bits_per_dim.value == result.value("bits_per_dim")
    of_samples = measure_swd(flow, prepared, seed=one.seed, device=torch.device("cpu"))
    assert [result.measure(m.name) for m in of_samples] == [*of_samples] != []


@pytest.mark.slow
def test_training_again_gives_the_bits_of_a_member(undisturbed: tuple[db.Store, Works]) -> None:
    """In a stack of its own, of another process."""
    store, works = undisturbed
    place, trial_id = works[1].place, works[1].trial.id
    verified = verify(store, place, trial_id, tolerance=0.0, user="ann")
    assert verified.verification.equal


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
