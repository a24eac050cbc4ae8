"""`lcma diff`, as it is typed."""

import json
from typing import Any

import pytest

from tests.db.conftest import TRIALS, World
from tests.harness.cli.conftest import Typed


def differences(typed: Typed, one: str, other: str) -> dict[str, list[Any]]:
    code, out, err = typed("diff", one, other, "--json")
    assert (code, err) == (0, "")
    return {name: rest for name, *rest in json.loads(out)["rows"]}


@pytest.mark.slow_on("postgresql")
def test_what_differs_is_listed_and_nothing_else(planned: World, typed: Typed) -> None:
    planned.finish_segment(0)
    planned.finish_trial(0, bits_per_dim=3.5)
    planned.finish_trial(2, bits_per_dim=3.25)
    channel, low = TRIALS[0].id, TRIALS[2].id
    found = differences(typed, channel, low)
    assert found["factorization"] == ["channel", "LLL", None]
    assert found["budget"] == [None, "100", None]
    assert found["bits_per_dim"] == [3.5, 3.25, -0.25]
    assert not {"flow", "seed", "python"} & found.keys()
    assert differences(typed, low, channel)["bits_per_dim"] == [3.25, 3.5, 0.25]
    assert differences(typed, low, low) == {}
    shown = typed("diff", channel, low)[1]
    assert shown.startswith("A: realnvp on photos16, channel, seed 0")
    assert "equal" in shown


@pytest.mark.slow_on("postgresql")
def test_settings_are_named_one_by_one_and_a_trial_without_result_has_none(
    planned: World, typed: Typed
) -> None:
    planned.finish_trial(0, bits_per_dim=3.5)
    found = differences(typed, TRIALS[0].id, TRIALS[1].id)
    assert found["seed"] == ["0", "1", None]
    assert found["bits_per_dim"] == [3.5, None, None]
    assert found["code_version"][1] is None, "where it ran is not known"
