"""Workers, clocks and accidents in any order, compared with a model."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from lcma import db
from lcma.db.integrity import check_integrity
from tests.db.conftest import COST, World
from tests.stores import add_metrics, beat, read_curve

PENDING_OUTCOMES = {"pruned", "preempted", "node_lost", "cancelled", "crowded"}
POLICIES = (
    None,
    db.Policy(oom=1, timeout=1, remedy="with more"),
    db.Policy(oom=2, timeout=None, diverged=1),
    db.Policy(oom=1, hopeless="it has all"),
)
LEASE = 10.0


@dataclass
class Model:
    """The expected state of a job."""

    state: str = "pending"
    step: int = 0
    token: int = 0
    owner: str | None = None
    lease_until: float | None = None
    outcomes: list[str | None] = field(default_factory=list)
    since: int = 0
    """Attempts before a person last asked for a retry."""
    results: int = 0

    def stop(self, state: str, outcome: str) -> None:
        self.state, self.owner, self.lease_until = state, None, None
        self.outcomes[-1] = outcome

    def end(self, outcome: str, policy: db.Policy | None) -> None:
        if outcome in PENDING_OUTCOMES:
            self.stop("pending", outcome)
            return
        self.stop(outcome if outcome in ("done", "diverged") else "failed", outcome)
        if policy is None or outcome == "done":
            return
        times, failures = policy.times(outcome), self.outcomes[self.since :].count(outcome)
        hopeless = outcome == "oom" and policy.hopeless
        if not hopeless and (times is None or failures <= times):
            self.state = "pending"


def test_no_order_of_events_breaks_the_state_machine(
    new_store: Callable[[str], db.Store], request: pytest.FixtureRequest
) -> None:
    """A server takes twice the time for the same statements, so it gets fewer orders."""

    class Jobs(RuleBasedStateMachine):
        claims = Bundle("claims")

        def __init__(self) -> None:
            super().__init__()
            self.world = World(new_store("planned"))
            self.ids = (self.world.trials[0], self.world.segments[0])
            self.models = {job_id: Model() for job_id in self.ids}
            self.now = 1000.0

        def valid(self, claim: db.Claim) -> bool:
            model = self.models[claim.job_id]
            return model.state == "running" and model.token == claim.token

        @rule(seconds=st.sampled_from([1.0, LEASE - 1, LEASE, 3 * LEASE]))
        def time_passes(self, seconds: float) -> None:
            self.now += seconds

        @rule(target=claims, which=st.integers(0, 1), owner=st.sampled_from("abc"))
        def claim(self, which: int, owner: str) -> Any:
            job_id = self.ids[which]
            model = self.models[job_id]
            expired = model.lease_until is not None and model.lease_until <= self.now
            answer = self.world.claim(job_id, owner=owner, lease=LEASE, now=self.now)
            if model.state != "pending" and not expired:
                assert isinstance(answer, db.Job)
                assert (answer.state, answer.owner) == (model.state, model.owner)
                return multiple()
            if expired:
                model.stop("pending", "node_lost")
            model.state, model.owner, model.lease_until = "running", owner, self.now + LEASE
            model.token += 1
            model.outcomes.append(None)
            assert (answer.token, answer.step) == (model.token, model.step)
            return answer

        @rule(claim=claims, step=st.integers(0, 99))
        def heartbeat(self, claim: db.Claim, step: int) -> None:
            valid = self.valid(claim)
            assert valid == beat(
                self.world.store, claim, step=step, lease_seconds=LEASE, now=self.now
            )
            if valid:
                model = self.models[claim.job_id]
                model.step, model.lease_until = step, self.now + LEASE

        @rule(claim=claims, value=st.integers(0, 9))
        def metrics(self, claim: db.Claim, value: int) -> None:
            before = read_curve(self.world.store, claim.job_id, "loss")
            point = db.Metric("loss", claim.token, float(value))
            assert self.valid(claim) == add_metrics(self.world.store, claim, [point])
            after = read_curve(self.world.store, claim.job_id, "loss")
            assert (point in after) if self.valid(claim) else (after == before)

        def end(self, claim: db.Claim, outcome: str, policy: db.Policy | None = None) -> None:
            model = self.models[claim.job_id]
            valid = self.valid(claim)
            products: dict[str, Any] = {}
            if outcome == "done" and claim.job_id == self.ids[0]:
                products = {"result": self.world.result("channel-0-None")}
            elif outcome == "done":
                products = {"maps": [self.world.contribution_map(1)]}
            ending = {"last_step": 100, "cost": COST, "policy": policy, "now": self.now}
            stored = self.world.store.finish(claim, outcome, **ending, **products)
            assert stored == (valid or model.outcomes[claim.token - 1] == outcome)
            if valid:
                model.step = 100
                model.results += outcome == "done"
                model.end(outcome, policy)

        @rule(
            claim=claims,
            outcome=st.sampled_from([o for o in db.OUTCOMES if o != "done"]),
            policy=st.sampled_from(POLICIES),
        )
        def fail(self, claim: db.Claim, outcome: str, policy: db.Policy | None) -> None:
            self.end(claim, outcome, policy)

        @rule(
            claim=claims,
            outcome=st.sampled_from(["node_lost", "oom"]),
            policy=st.sampled_from(POLICIES),
        )
        def lose(self, claim: db.Claim, outcome: Any, policy: db.Policy | None) -> None:
            valid = self.valid(claim)
            assert valid == self.world.store.mark_lost(
                claim.job_id,
                owner=claim.owner,
                token=claim.token,
                outcome=outcome,
                policy=policy,
                now=self.now,
            )
            if valid:
                self.models[claim.job_id].end(outcome, policy)

        @rule(which=st.integers(0, 1), behind=st.sampled_from([0, 1]))
        def give_up(self, which: int, behind: int) -> None:
            model = self.models[self.ids[which]]
            given_up = model.state == "pending" and not behind
            assert given_up == self.world.store.give_up(
                self.ids[which], token=model.token - behind, why="no node", now=self.now
            )
            if given_up:
                model.state = "failed"

        @rule(claim=consumes(claims))
        def succeed(self, claim: db.Claim) -> None:
            self.end(claim, "done")

        @rule(owner=st.sampled_from("abc"))
        def release(self, owner: str) -> None:
            held = [m for m in self.models.values() if m.owner == owner]
            assert self.world.store.release(owner, now=self.now) == len(held)
            for model in held:
                model.stop("pending", "cancelled")

        @rule(which=st.integers(0, 1))
        def retry(self, which: int) -> None:
            model = self.models[self.ids[which]]
            waits = model.state in ("failed", "diverged")
            assert self.world.store.retry([self.ids[which]], now=self.now) == waits
            if waits:
                model.state, model.since = "pending", model.token

        @invariant()
        def jobs_are_as_they_should_be(self) -> None:
            for job_id, job in self.world.store.jobs(self.ids).items():
                model = self.models[job_id]
                assert (job.state, job.step, job.token) == (model.state, model.step, model.token)
                assert (job.owner, job.lease_until) == (model.owner, model.lease_until)

        def teardown(self) -> None:
            dump = self.world.dump()
            for job_id, model in self.models.items():
                rows = [row for row in dump["attempts"] if row.job_id == job_id]
                rows.sort(key=lambda row: row.token)
                assert [row.token for row in rows] == list(range(1, model.token + 1))
                assert [row.outcome for row in rows] == model.outcomes
            evaluated = [row for row in dump["attempts"] if row.evaluated_step is not None]
            assert len(evaluated) == self.models[self.ids[0]].results <= 1
            assert len(dump["contribution_maps"]) == self.models[self.ids[1]].results <= 1
            assert check_integrity(self.world.store.database).findings == ()

    run_state_machine_as_test(
        Jobs,
        settings=settings(
            max_examples=5 if "postgresql" in request.node.name else 15,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
