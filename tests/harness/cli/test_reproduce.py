"""`lcma reproduce`."""

import json
import platform
import re
from pathlib import Path

import pytest

from lcma import db
from lcma.harness.place import Place
from tests.db.inspecting import execute
from tests.harness.cli.conftest import Lcma, output_of, refused, train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, photos_root: Path) -> db.Database:
    folder = tmp_path_factory.mktemp("trained")
    return train(Place(f"sqlite:///{folder / 'lcma.db'}", folder / "runs", photos_root)).database


@pytest.fixture
def url(
    trained: db.Database, in_tmp: Path, photos_root: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """A copy of that database as the default."""
    url = f"sqlite:///{trained.backup(in_tmp / 'copy.db')}"
    monkeypatch.setenv("LCMA_DB", url)
    monkeypatch.setenv("LCMA_DATA", str(photos_root))
    return url


@pytest.fixture
def trial(url: str) -> str:
    """The id of its trial."""
    return str(db.connect(url).view("results").trial_id[0])


def test_differences_are_compared_with_the_tolerance(
    url: str, trial: str, lcma: Lcma, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is equal to the last bit; then a difference is above and within the tolerance."""
    out = output_of(lcma("reproduce", trial[:8]))
    assert "\nall measures are equal to the last bit\n" in out
    execute(
        url,
        "UPDATE measurements SET value = value + 0.13 WHERE name = 'bits_per_dim'",
        "UPDATE environments SET torch = '1.0', device = 'abacus'",
    )
    code, out, err = lcma("reproduce", trial[:8])
    assert (code, err) == (1, "")
    message = ", difference -0.13; 0 other seeds, too few for a spread\n"
    assert f"{message}outside the tolerance of 0.0001 bits/dim\n" in out
    assert "the largest difference is that of bits_per_dim: 0.13 bits/dim\n" in out
    assert "torch: 1.0 then, 2." in out
    assert f"device: abacus then, {platform.machine()}" in out, "and its maker, where known"
    monkeypatch.setattr("lcma.harness.terminal.LINE_SECONDS", 0.0)
    code, out, err = lcma("reproduce", trial[:8], "--tolerance", "0.5", "--json")
    line = rf"^trial 1 of 1 \({trial[:8]}\), training steps, (\d+) of (\d+)$"
    steps = re.findall(line, err, re.M)
    assert steps[-1][0] == steps[-1][1], "progress without a terminal"
    report = json.loads(out)
    assert (code, report["verified"], report["equal"]) == (0, True, False)
    assert report["largest_difference"] == pytest.approx(0.13)


def test_a_sample_with_a_trial_that_is_not_reproduced_ends_with_code_1(
    place: Place, lcma: Lcma, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = train(place, seeds=(0, 1))
    good, bad = (store.view("results", seed=seed).iloc[0] for seed in (0, 1))
    change = "UPDATE measurements SET value = value + 1e-9 WHERE name = 'bits_per_dim' "
    execute(store.url, f"{change} AND attempt_id = '{bad.attempt_id}'")
    monkeypatch.setenv("LCMA_DB", place.db)
    monkeypatch.setenv("LCMA_DATA", str(place.data))
    code, out, _ = lcma("reproduce", "--sample", "2")
    assert code == 1
    assert out.endswith("1 of 2 were reproduced, 1 of them to the last bit\n")
    code, out, _ = lcma("reproduce", "--sample", "2", "--json")
    assert code == 1
    report = {record["trial"]["trial_id"]: record["verified"] for record in json.loads(out)}
    assert report == {good.trial_id: True, bad.trial_id: False}
    assert output_of(lcma("reproduce", "--seed", "0"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("nope", "no trial starts with 'nope'"),
        ("{trial} --tolerance -1", "'--tolerance': Input should be greater than or equal to 0"),
        ("{trial} --tolerance nan", "'--tolerance': Input should be greater than or equal to 0"),
        ("{trial} --data nowhere", "photos8"),
        ("", "give either one trial, by the first characters of its id, or options that select"),
        ("{trial} --sample 1", "give either one trial"),
        ("--sample 0", "'--sample': Input should be greater than or equal to 1, not '0'"),
        ("--sample 2", "has 1 trial with such a result: give --sample 1 or less"),
        ("--sample 1 --data nowhere", "photos8"),
    ],
)
def test_bad_input_is_one_line(trial: str, lcma: Lcma, arguments: str, message: str) -> None:
    refused(lcma("reproduce", *arguments.format(trial=trial).split()), message)


def test_a_trial_without_a_result_is_one_line(url: str, trial: str, lcma: Lcma) -> None:
    execute(url, "DELETE FROM measurements")
    refused(lcma("reproduce", trial), f"trial {trial} has no result yet")
