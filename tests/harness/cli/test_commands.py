"""Suggested next commands name the given places, and can be pasted."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from lcma import db
from lcma.harness.cli import main as cli
from lcma.harness.cli.launching import LaunchCommand
from lcma.harness.cli.tuning import TuneCommand
from lcma.harness.launch.workers import LaunchInterrupted
from lcma.harness.terminal import read_user_name
from lcma.harness.watch.commands import format_command
from lcma.sweeps.options import LaunchOptions, Overrides
from tests.db.conftest import TRIALS, Stage, World
from tests.harness.cli.conftest import Lcma, output_of

pytestmark = pytest.mark.slow_on("postgresql")

SECRET = "postgresql://me:canary@host/x?options=-csearch_path%3Da"
SHOWN = "postgresql://me@host/x?options=-csearch_path%3Da"


def read_commands(out: str) -> list[list[str]]:
    """Return the words of the suggested commands, which follow a colon or "Next"."""
    lines = out.replace("\nNext    ", "\nNext: ").splitlines()
    first = max(n for n, line in enumerate(lines) if ": lcma " in line)
    lines[first] = lines[first].split(": ", 1)[1]
    commands = [command for line in lines[first:] for command in line.split(" && ")]
    return [shlex.split(command, comments=True) for command in commands]


def require_valid(words: list[str]) -> None:
    """Fail if the command line does not accept these words."""
    command, rest = typer.main.get_command(cli.app), words[1:]
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context("lcma", list(rest))


@pytest.mark.parametrize(
    "typed",
    [
        ["why", TRIALS[0].id],
        ["why", TRIALS[1].id],
        ["why", TRIALS[2].id],
        ["rerun", "--failed"],
        ["rerun", TRIALS[0].id],
        ["stop"],
        ["plan", "demo", "--data", "my data"],
        ["plan", "table3", "--data", "my data"],
    ],
    ids=" ".join,
)
def test_a_command_to_go_on_with_names_the_places_that_were_given(
    lcma: Lcma, new_url: Callable[[Stage], str], typed: list[str], in_tmp: Path
) -> None:
    url = new_url("filled")
    out = output_of(lcma(*typed, "--db", url))
    commands = read_commands(out)
    for words in commands:
        require_valid(words)
        if "prepare" not in words:
            assert words[words.index("--db") + 1] == db.locate(url).shown_url
        if "--data" in typed:
            assert words[words.index("--data") + 1] == str(in_tmp / "my data")


TYPED = "lcma launch 'my sweep.yaml' --set training.steps=5 --local"


@pytest.mark.parametrize(
    ("typed", "by", "repeated"),
    [
        (TYPED, ("{user}", "{host}"), True),
        ("rm -rf ~", ("{user}", "{host}"), False),
        (TYPED, ("ann", "{host}"), False),
        (TYPED, ("{user}", "elsewhere"), False),
    ],
    ids=["ours", "no launch", "another user", "another host"],
)
def test_a_launch_that_this_user_typed_here_is_typed_again_with_all_of_it(
    planned: World, lcma: Lcma, typed: str, by: tuple[str, str], repeated: bool
) -> None:
    user, _, host = read_user_name().rpartition("@")
    by_user, on_host = (word.format(user=user, host=host) for word in by)
    planned.store.begin_launch("me", "s", launched_by=by_user, host=on_host, arguments=typed)
    (words,) = read_commands(lcma("why", TRIALS[0].id)[1])
    assert words == (shlex.split(typed) if repeated else ["lcma", "launch", "demo"])


def test_a_launch_and_a_tuning_say_how_to_go_on(in_tmp: Path) -> None:
    overrides: Overrides = {"seeds": "0,1", "recipe": ["maps.score=total"]}
    places = {"db": SECRET, "runs": "s3://key:canary@bucket/a", "data": Path("my data")}
    options: LaunchOptions = {
        **overrides,
        "local": True,
        "gpus": 0.5,
        "parallel": 2,
        "skip_invalid": True,
        "retry": True,
    }
    launch = LaunchCommand("my sweep.yaml", options, None, **places)
    again, retry = launch.format(), launch.format("--retry")
    assert ("--retry" in again, "--retry" in retry) == (False, True)
    tune = TuneCommand(
        "my sweep.yaml",
        {**overrides, "gpus": 0.5, "parallel": 2, "trials": 5},
        False,
        **places,
    )
    for command in (again, retry, tune.again):
        words = shlex.split(command)
        require_valid(words)
        assert "canary" not in command
        assert words[-6:] == [
            *("--db", SHOWN),
            *("--runs", "s3://key@bucket/a"),
            *("--data", str(in_tmp / "my data")),
        ]
        assert words[2:7] == ["my sweep.yaml", "--seeds", "0,1", "--set", "maps.score=total"]


def test_a_stopped_launch_goes_on_with_the_pictures_that_were_asked_for(
    monkeypatch: pytest.MonkeyPatch, lcma: Lcma
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise LaunchInterrupted(15, 0)

    monkeypatch.setattr("lcma.harness.cli.launching.launch_sweep", stopped)
    for options in ([], ["--no-pictures"], ["--pictures", "my pictures"]):
        code, out, _ = lcma("launch", "demo", "--local", *options)
        assert code == 143
        assert read_commands(out) == [["lcma", "launch", "demo", "--local", *options]]


def test_a_command_names_the_plugins_that_its_shell_does_not(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [str(in_tmp / "one.py"), str(in_tmp / "my two.py")]
    named = shlex.split(format_command("samples", plugins=files))
    assert named == [f"LCMA_PLUGINS={files[0]}:{files[1]}", "lcma", "samples"]
    monkeypatch.setenv("LCMA_PLUGINS", "one.py")
    assert shlex.split(format_command("samples", plugins=files)) == named
    assert format_command("samples", plugins=files[:1]) == "lcma samples"
