"""How often a worker extends its leases, and what a refused heartbeat costs."""

from typing import Any

import pytest

from lcma import db
from lcma.harness.work.lease import BEAT_SECONDS, HeartbeatThread, Lease, draw_pause
from lcma.harness.work.units import LEASE_SECONDS
from tests.harness.launch.conftest import claim_elsewhere
from tests.harness.launch.machines import wait_until
from tests.stores import read_curve

COST = db.Cost(seconds=1.0, cpu_seconds=1.0, peak_memory=2**20)


def test_a_lease_has_time_for_several_heartbeats_and_workers_spread_theirs() -> None:
    pauses = sorted(draw_pause(BEAT_SECONDS) for _ in range(2000))
    assert 3 * pauses[-1] < LEASE_SECONDS
    assert pauses[-1] - pauses[0] > 0.4 * BEAT_SECONDS
    assert sum(pauses) / len(pauses) == pytest.approx(BEAT_SECONDS, rel=0.05)
    assert max(draw_pause(BEAT_SECONDS, refused=True) for _ in range(500)) < LEASE_SECONDS / 10


def test_a_heartbeat_delivers_what_refused_ones_carried(
    register_trial, monkeypatch, caplog
) -> None:
    """While the lease holds, nothing is logged about refusals."""
    monkeypatch.setattr("lcma.harness.work.lease.BEAT_SECONDS", 0.2)
    store, work = register_trial(lease=30.0)
    claim = claim_elsewhere(store, work.job_id, lease=30.0)
    refusals = [db.Unavailable("cannot open the database: too many clients already")] * 2
    accept = store.heartbeats

    def refuse_at_first(beats: Any) -> set[str]:
        if refusals:
            raise refusals.pop()
        return accept(beats)

    monkeypatch.setattr(store, "heartbeats", refuse_at_first)
    with (
        HeartbeatThread(store, 30.0) as thread,
        Lease(thread, claim, 30.0, lambda: COST, lambda: "") as lease,
    ):
        lease.metric("train_bits_per_dim", 10, 4.5)
        wait_until(lambda: bool(read_curve(store, claim.job_id, "train_bits_per_dim")))
    assert not refusals
    assert not lease.lost
    assert "unreachable" not in caplog.text
