"""A database for the site's tests: a sweep with a budget curve, a failure and kept weights."""

import base64
import gzip
import json
from html.parser import HTMLParser

from lcma import db
from lcma.sweeps.recipe import LOG_EVERY, TRAIN_CURVE
from tests.db.conftest import COST
from tests.harness.show.conftest import STEPS, Filler
from tests.stores import add_metrics

HOSTILE = (
    "<script>window.hit=1</script>\"'><img src=x onerror=window.hit=1>{{7*7}}\x1b]0;\x07\u202e"
)
"""A possible name of a data set, a rule, a host or a sweep, or text of a message."""

BUDGETS = (0, 100, 1000)
SEEDS = range(6)
LOGGED = range(LOG_EVERY, STEPS + 1, LOG_EVERY)
"""Steps at which a finished training has a point."""


class Elements(HTMLParser):
    """The elements of a page, with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def fill(filler: Filler) -> None:
    """Add six seeds of the conventional rule and of random, both with curves, of LL at three
    budgets and of HH at one; a failure; and a trial that waits and one that runs."""
    for name, end, rise in (("checkerboard-even", 4.0, 0.01), ("random", 4.5, 0.02)):
        for seed in SEEDS:
            bits = end + rise * seed
            points = [db.Metric(TRAIN_CURVE, step, bits + 100 / step) for step in LOGGED]
            filler.finish(filler.plan(name, seed, sweep="s1"), bits, metrics=points)
    for seed in SEEDS:
        for budget in BUDGETS:
            filler.maps(seed, budget)
            bits = {0: 4.1, 100: 3.9, 1000: 3.8}[budget] + 0.012 * seed
            filler.finish(filler.plan("LL", seed, budget=budget, sweep="s1"), bits)
        filler.finish(filler.plan("HH", seed, budget=1000, sweep="s1"), 4.005 + 0.011 * seed)
    filler.fail(filler.plan("rows", 0, sweep="s1"), "code_error", "it broke\nValueError: no")
    filler.plan("rows", 1, sweep="s1")
    start_trial(filler)


def start_trial(filler: Filler) -> None:
    """Add a running trial with a curve."""
    claim = filler.claim(filler.plan("channel", 0, sweep="s1"))
    points = [db.Metric(TRAIN_CURVE, step, 8.0 - step / STEPS) for step in range(1, 9)]
    assert add_metrics(filler.store, claim, points)


def fill_hostile(filler: Filler) -> None:
    """Put hostile text wherever a database takes text from users."""
    filler.data("e" * 64, name=HOSTILE)
    filler.results({HOSTILE: {0: 4.0, 1: 4.1}}, digest="e" * 64, dataset=HOSTILE, sweep="s2")
    job = filler.plan(f"{HOSTILE}2", 0, digest="e" * 64, dataset=HOSTILE, sweep="s2")
    claim = filler.claim(job, host=HOSTILE)
    assert add_metrics(filler.store, claim, [db.Metric(HOSTILE, step, 1.0) for step in (1, 2)])
    assert filler.store.finish(
        claim, "code_error", last_step=2, cost=COST, message=HOSTILE, log=HOSTILE, now=4.0
    )
    spec = db.Sweep(id="s3", name=HOSTILE, spec="{}")
    member = db.SweepMember("s3", job.trial_id or "", HOSTILE)
    filler.store.register(db.Registration(sweeps=(spec,), members=(member,)), now=5.0)


def unpack_database(script: bytes) -> bytes:
    """The SQLite file in the script of a site."""
    packed = script.decode().removeprefix("window.lcmaDatabase = ").removesuffix(";\n")
    return gzip.decompress(base64.b64decode(json.loads(packed)))
