"""What the benchmark of sharing counts as useful, and what as lost, on both engines."""

from benchmarks.sharing import Costs, costs
from lcma import db
from tests.db.conftest import World


def test_lost_work_and_repeated_steps_are_beside_what_was_done_once(world: World) -> None:
    store = world.store
    lost = world.win(world.segments[0])
    cost = db.Cost(seconds=30.0, cpu_seconds=20.0)
    assert store.finish(lost, "preempted", last_step=60, cost=cost, now=1040.0)
    claim = world.win(world.segments[0], now=1040.0)
    store.heartbeat(claim, step=40, first_step=40, lease_seconds=60.0, now=1041.0)
    cost = db.Cost(seconds=50.0, cpu_seconds=40.0)
    maps = [world.contribution_map(1)]
    assert store.finish(claim, "done", last_step=100, cost=cost, maps=maps, now=1100.0)
    world.finish_trial(0)  # 60 s, 50 s of CPU, claimed for 10 s
    world.finish_trial(2)
    world.evaluate(2)
    assert costs(store, "s") == Costs(
        pretrainings=1,
        trainings=2,
        once=170.0,
        once_cpu=140.0,
        attempts=200.0,
        held=120.0,
        alone=170.0,
        repeated=20,
    )
