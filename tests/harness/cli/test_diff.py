"""`lcma diff`."""

import json
from typing import Any

import pytest

from tests.db.conftest import TRIALS, World
from tests.harness.cli.conftest import Lcma, output_of


@pytest.mark.slow_on("postgresql")
def test_only_differences_are_listed(planned: World, lcma: Lcma) -> None:
    def read_differences(first: str, second: str) -> dict[str, list[Any]]:
        out = output_of(lcma("diff", first, second, "--json"))
        return {name: values for name, *values in json.loads(out)["rows"]}

    planned.finish_segment(0)
    planned.finish_trial(0, bits_per_dim=3.5)
    planned.finish_trial(2, bits_per_dim=3.25)
    channel, low = TRIALS[0].id, TRIALS[2].id
    rows = read_differences(channel, low)
    assert rows["factorization"] == ["channel", "LLL", None]
    assert rows["budget"] == [None, "100", None]
    assert rows["bits_per_dim"] == [3.5, 3.25, -0.25]
    assert not {"flow", "seed", "python"} & rows.keys()
    assert read_differences(low, channel)["bits_per_dim"] == [3.25, 3.5, 0.25]
    assert read_differences(low, low) == {}
    out = lcma("diff", channel, low)[1]
    assert out.startswith("A: realnvp on photos16, channel, seed 0")
    assert "equal" in out
