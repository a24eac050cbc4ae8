"""`lcma forget`."""

import json

import pytest

from tests.db.conftest import World
from tests.harness.cli.conftest import Lcma, output_of, refused

pytestmark = pytest.mark.slow_on("postgresql")


def test_unstarted_trials_are_dropped_and_a_dry_run_only_counts_them(
    planned: World, lcma: Lcma
) -> None:
    planned.win(planned.trials[0])
    planned.store.release("me")
    before = planned.dump()
    out = output_of(lcma("forget", "demo", "--dry-run"))
    counts = "1 trial and 1 pretraining segment of demo; kept 1 trial that had started"
    assert out == f"would drop {counts}\n"
    assert planned.dump() == before
    assert json.loads(lcma("forget", "s", "--json")[1])["trials"] == 1
    assert lcma("forget", "demo")[1] == "dropped 0 trials of demo; kept 1 trial that had started\n"


def test_the_name_goes_with_the_last_trial(planned: World, lcma: Lcma) -> None:
    assert lcma("forget", "demo")[1].endswith(" of demo, and its name\n")
    refused(lcma("forget", "demo"), "the database has no sweep yet")


def test_it_is_refused_while_a_launch_holds_jobs(planned: World, lcma: Lcma) -> None:
    planned.store.begin_launch("me", "s")
    planned.win(planned.trials[0])
    before = planned.dump()
    refused(lcma("forget", "demo"), "has 1 running job: end it first with `lcma stop demo`")
    assert planned.dump() == before
