"""A database for the site's tests: a sweep with a budget curve, a failure and kept weights."""

from lcma import db
from lcma.sweeps.recipe import LOG_EVERY, TRAIN_CURVE
from tests.db.conftest import COST
from tests.harness.show.conftest import STEPS, Filler
from tests.stores import add_metrics

HOSTILE = (
    "<script>window.hit=1</script>\"'><img src=x onerror=window.hit=1>{{7*7}}\x1b]0;\x07\u202e"
)
"""What somebody may have called a data set, a rule, a host or a sweep, or written in a message."""

BUDGETS = (0, 100, 1000)
SEEDS = range(6)
LOGGED = range(LOG_EVERY, STEPS + 1, LOG_EVERY)
"""Steps at which a finished training has a point."""


def fill(filler: Filler) -> None:
    """Conventional and random with curves, LL at three budgets and HH at one, six seeds each; one
    failure."""
    for name, end, rise in (("checkerboard-even", 4.0, 0.01), ("random", 4.5, 0.02)):
        for seed in SEEDS:
            bits = end + rise * seed
            points = [db.Metric(TRAIN_CURVE, step, bits + 100 / step) for step in LOGGED]
            filler.finish(filler.plan(name, seed, sweep="s1"), bits, metrics=points)
    for seed in SEEDS:
        for budget in BUDGETS:
            filler.maps(seed, budget)
            lower = {0: 0.0, 100: 0.2, 1000: 0.3}[budget]
            job = filler.plan("LL", seed, budget=budget, sweep="s1")
            filler.finish(job, 4.1 - lower + 0.012 * seed)
        filler.finish(filler.plan("HH", seed, budget=1000, sweep="s1"), 4.005 + 0.011 * seed)
    filler.fail(filler.plan("rows", 0, sweep="s1"), "code_error", "it broke\nValueError: no")
    filler.plan("rows", 1, sweep="s1")
    curve(filler, filler.plan("channel", 0, sweep="s1"))


def curve(filler: Filler, job: db.PlannedJob) -> None:
    """A running trial with a curve."""
    mine = filler.claim(job, now=3.0)
    points = [db.Metric(TRAIN_CURVE, step, 8.0 - step / STEPS) for step in range(1, 9)]
    assert add_metrics(filler.store, mine, points)


def fill_hostile(filler: Filler) -> None:
    """Hostile text wherever a database takes text of somebody else's."""
    filler.data("e" * 64, name=HOSTILE)
    filler.results({HOSTILE: {0: 4.0, 1: 4.1}}, digest="e" * 64, dataset=HOSTILE, sweep="s2")
    job = filler.plan(f"{HOSTILE}2", 0, digest="e" * 64, dataset=HOSTILE, sweep="s2")
    mine = filler.claim(job, host=HOSTILE, now=3.0)
    assert add_metrics(filler.store, mine, [db.Metric(HOSTILE, step, 1.0) for step in (1, 2)])
    assert filler.store.finish(
        mine, "code_error", last_step=2, cost=COST, message=HOSTILE, log=HOSTILE, now=4.0
    )
    spec = db.Sweep(id="s3", name=HOSTILE, spec="{}")
    member = db.SweepMember("s3", job.trial_id or "", HOSTILE)
    filler.store.register(db.Registration(sweeps=(spec,), members=(member,)), now=5.0)
