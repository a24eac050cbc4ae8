"""How often a worker extends its leases, and what a refused heartbeat changes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lcma import db
from lcma.harness.work.lease import BEAT_SECONDS, HeartbeatThread, Lease, draw_pause
from lcma.harness.work.units import LEASE_SECONDS
from tests.harness.launch.conftest import claim_elsewhere
from tests.harness.launch.machines import until
from tests.stores import read_curve

COST = db.Cost(seconds=1.0, cpu_seconds=1.0, peak_memory=2**20)

FULL = "cannot open the database: too many clients already"


@contextmanager
def beating(store: db.Store, claim: db.Claim, seconds: float) -> Iterator[Lease]:
    with (
        HeartbeatThread(store, seconds) as thread,
        Lease(thread, claim, seconds, lambda: COST, lambda: "") as lease,
    ):
        yield lease


def test_workers_spread_and_have_a_few_heartbeats_within_a_lease_refused_ones_too() -> None:
    pauses = sorted(draw_pause(BEAT_SECONDS) for _ in range(2000))
    assert 3 * pauses[-1] < LEASE_SECONDS
    assert pauses[-1] - pauses[0] > 0.4 * BEAT_SECONDS
    assert sum(pauses) / len(pauses) == pytest.approx(BEAT_SECONDS, rel=0.05)
    assert max(draw_pause(BEAT_SECONDS, refused=True) for _ in range(500)) < LEASE_SECONDS / 10


def test_refused_heartbeats_are_no_news_while_the_lease_holds(
    one_trial: Any, tmp_path: Any, monkeypatch: Any, caplog: Any
) -> None:
    """And what they would have delivered comes with the next one."""
    monkeypatch.setattr("lcma.harness.work.lease.BEAT_SECONDS", 0.2)
    store, work = one_trial(f"sqlite:///{tmp_path / 'full.db'}", lease=30.0)
    claim = claim_elsewhere(store, work.job_id, lease=30.0)
    accept, refusals = store.heartbeats, [db.Unavailable(FULL), db.Unavailable(FULL)]

    def refuse_at_first(beats: Any) -> set[str]:
        if refusals:
            raise refusals.pop()
        return accept(beats)

    monkeypatch.setattr(store, "heartbeats", refuse_at_first)
    with beating(store, claim, 30.0) as lease:
        lease.metric("train_bits_per_dim", 10, 4.5)
        until(lambda: bool(read_curve(store, claim.job_id, "train_bits_per_dim")))
    assert not refusals
    assert not lease.lost
    assert "unreachable" not in caplog.text
