"""Rows are chosen by the same options in every command that reads results."""

import json
from pathlib import Path

import pytest

from tests.harness.cli.conftest import Lcma, refused


@pytest.mark.parametrize(
    "command",
    [
        "board --picture board.png",
        "budgets --out pictures",
        "curves --out pictures",
        "export --out board.csv",
        "maps --out pictures",
        "measure swd",
        "reproduce",
        "rerun",
        "samples --out pictures",
        "samples --between 0 1 --out pictures",
        "verdicts",
    ],
)
def test_a_choice_of_nothing_is_one_line_and_leaves_no_file(
    filled_folder: Path, lcma: Lcma, command: str
) -> None:
    where = lcma(*command.split(), "--where", "flow=glow")
    refused(where, "with --flow glow: there are realnvp")
    assert {path.name for path in filled_folder.iterdir()} <= {
        "lcma.db",
        "lcma.db-shm",
        "lcma.db-wal",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--dataset nowhere", "with --dataset nowhere: there are "),
        ("--seed 77", "with --seed 77: there are 0"),
        ("--where recipe_id=0000", "with --where recipe_id=0000: there are "),
        ("--against columns", "for a rule of a plug-in, name its file in LCMA_PLUGINS"),
        ("--against chekerboard-evn", "did you mean 'checkerb"),
        ("--against variance-low", "no results of variance-low here; there are "),
    ],
)
@pytest.mark.usefixtures("filled_folder")
def test_a_wrong_choice_is_answered_with_the_choices(
    lcma: Lcma, options: str, message: str
) -> None:
    refused(lcma("board", *options.split()), message)


@pytest.mark.parametrize(
    ("options", "factorizations"),
    [
        ("", ["HHH", "LLL", "channel"]),
        ("--factorization low", ["LLL"]),
        ("--where factorization=LLL", ["LLL"]),
        ("--factorization low --factorization channel", ["LLL", "channel"]),
        ("--where trial_id=chan", ["channel"]),
    ],
)
@pytest.mark.usefixtures("filled_folder")
def test_an_option_is_its_column(lcma: Lcma, options: str, factorizations: list[str]) -> None:
    table = json.loads(lcma("export", "results", "--json", *options.split())[1])
    column = table["columns"].index("factorization")
    assert sorted(row[column] for row in table["rows"]) == factorizations
