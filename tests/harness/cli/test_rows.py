"""Rows are chosen by the same options in every command that reads results."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from lcma.harness.cli import main as cli
from tests.harness.cli.conftest import Lcma, refused

CHOOSING = (
    "board",
    "budgets",
    "curves",
    "export",
    "maps",
    "measure",
    "reproduce",
    "samples",
)
ROWS = {"--sweep", "--flow", "--dataset", "--factorization", "--seed", "--where"}


@pytest.mark.parametrize("name", CHOOSING)
def test_every_command_has_all_of_them(name: str) -> None:
    group: Any = typer.main.get_command(cli.app)
    assert {option for param in group.commands[name].params for option in param.opts} >= ROWS


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
    ("chosen", "message"),
    [
        ("--dataset nowhere", "with --dataset nowhere: there are "),
        ("--seed 77", "with --seed 77: there are 0"),
        ("--where recipe_id=0000", "with --where recipe_id=0000: there are "),
    ],
)
def test_what_there_is_in_place_of_a_wrong_choice_is_said(
    filled_folder: Path, lcma: Lcma, chosen: str, message: str
) -> None:
    refused(lcma("board", *chosen.split()), message)


def test_an_option_is_its_column(filled_folder: Path, lcma: Lcma) -> None:
    def seen(*options: str) -> list[Any]:
        rows = json.loads(lcma("export", "results", "--json", *options)[1])
        at = rows["columns"].index("factorization"), rows["columns"].index("seed")
        return sorted((row[at[0]], row[at[1]]) for row in rows["rows"])

    low, channel = ("LLL", 0), ("channel", 0)
    assert seen("--seed", "0") == seen("--where", "seed=0") == seen() == [("HHH", 0), low, channel]
    assert seen("--factorization", "low") == seen("--where", "factorization=LLL") == [low]
    assert seen("--factorization", "low", "--factorization", "channel") == [low, channel]
    assert seen("--where", "trial_id=chan") == seen("--where", "trial_id=channel-0") == [channel]
