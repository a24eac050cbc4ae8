"""Suggested next commands name the given places, and can be pasted."""

import shlex
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
from tests.db.conftest import TRIALS, World
from tests.harness.cli.conftest import Lcma, output_of

pytestmark = pytest.mark.slow_on("postgresql")

SECRET = "postgresql://me:canary@host/x?options=-csearch_path%3Da"
SHOWN = "postgresql://me@host/x?options=-csearch_path%3Da"
USER, _, HOST = read_user_name().rpartition("@")


def read_commands(out: str) -> list[list[str]]:
    """Return the words of the suggested commands, which follow a colon or "Next"."""
    lines = out.replace("\nNext    ", "\nNext: ").splitlines()
    start = max(n for n, line in enumerate(lines) if ": lcma " in line)
    lines[start] = lines[start].split(": ", 1)[1]
    commands = [command for line in lines[start:] for command in line.split(" && ")]
    return [shlex.split(command, comments=True) for command in commands]


def require_valid(words: list[str]) -> None:
    """Fail if the command line does not accept these words."""
    command, rest = typer.main.get_command(cli.app), words[1:]
    while hasattr(command, "commands"):
        command, rest = command.commands[rest[0]], rest[1:]
    command.make_context("lcma", list(rest))


@pytest.mark.parametrize(
    "command",
    [
        *(f"why {trial.id}" for trial in TRIALS[:3]),
        *("rerun --failed", f"rerun {TRIALS[0].id}", "stop"),
        *("plan demo --data 'my data'", "plan table3 --data 'my data'"),
    ],
)
def test_suggested_commands_name_the_given_places(
    lcma: Lcma, filled_url: str, command: str, in_tmp: Path
) -> None:
    out = output_of(lcma(*shlex.split(command), "--db", filled_url))
    for words in read_commands(out):
        require_valid(words)
        if "prepare" not in words:
            assert words[words.index("--db") + 1] == db.locate(filled_url).shown_url
        if "--data" in command:
            assert words[words.index("--data") + 1] == str(in_tmp / "my data")


LAUNCH = "lcma launch 'my sweep.yaml' --set training.steps=5 --local"


@pytest.mark.parametrize(
    ("command", "user", "host", "repeated"),
    [
        (LAUNCH, USER, HOST, True),
        ("rm -rf ~", USER, HOST, False),
        (LAUNCH, "ann", HOST, False),
        (LAUNCH, USER, "elsewhere", False),
    ],
    ids=["ours", "no launch", "another user", "another host"],
)
def test_a_launch_of_this_user_on_this_host_is_suggested_with_all_its_options(
    planned: World, lcma: Lcma, command: str, user: str, host: str, repeated: bool
) -> None:
    planned.store.begin_launch("me", "s", launched_by=user, host=host, arguments=command)
    (words,) = read_commands(lcma("why", TRIALS[0].id)[1])
    assert words == (shlex.split(command) if repeated else ["lcma", "launch", "demo"])


def test_a_launch_and_a_tuning_say_how_to_go_on(in_tmp: Path) -> None:
    overrides: Overrides = {"seeds": "0,1", "recipe": ["maps.score=total"]}
    places = {"db": SECRET, "runs": "s3://key:canary@bucket/a", "data": Path("my data")}
    workers = {"gpus": 0.5, "parallel": 2}
    options: LaunchOptions = {**overrides, **workers, "local": True, "skip_invalid": True}
    launch = LaunchCommand("my sweep.yaml", options | {"retry": True}, **places)
    resume, retry = launch.format(), launch.format("--retry")
    assert ("--retry" in resume, "--retry" in retry) == (False, True)
    study = {**overrides, **workers, "trials": 5}
    tune = TuneCommand("my sweep.yaml", study, False, **places)
    for command in (resume, retry, tune.next_command):
        words = shlex.split(command)
        require_valid(words)
        assert "canary" not in command
        assert words[-6:] == [
            *("--db", SHOWN),
            *("--runs", "s3://key@bucket/a"),
            *("--data", str(in_tmp / "my data")),
        ]
        assert words[2:7] == ["my sweep.yaml", "--seeds", "0,1", "--set", "maps.score=total"]


def test_a_launch_stores_a_command_that_goes_on_with_it_in_any_folder(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch, lcma: Lcma
) -> None:
    stored = list[str]()

    def stop(*_: object, arguments: str, **__: object) -> None:
        stored.append(arguments)
        raise LaunchInterrupted(15, 0)

    monkeypatch.setattr("lcma.harness.cli.launching.launch_sweep", stop)
    (in_tmp / "mine.yaml").touch()
    lcma("launch", "mine.yaml", "--local", "--db", "own.db")
    monkeypatch.setenv("LCMA_RUNS", "s3://key:canary@bucket/a")
    lcma("launch", "demo", "--data", "images")
    runs, data = in_tmp / "lcma-runs", in_tmp / "lcma-data"
    assert stored == [
        f"lcma launch {in_tmp / 'mine.yaml'} --local --runs {runs} --data {data}",
        f"lcma launch demo --data {in_tmp / 'images'}",
    ]


def test_a_launch_stopped_before_a_job_ran_says_so(
    monkeypatch: pytest.MonkeyPatch, lcma: Lcma
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise LaunchInterrupted(2, 0)

    monkeypatch.setattr("lcma.harness.cli.launching.launch_sweep", stop)
    code, out, _ = lcma("launch", "demo")
    assert code == 130
    assert out.startswith("Stopped; no job is running.\nGo on with: lcma launch demo")


def test_a_command_names_the_plugins_that_its_shell_does_not(
    in_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [str(in_tmp / "one.py"), str(in_tmp / "my two.py")]
    words = [f"LCMA_PLUGINS={files[0]}:{files[1]}", "lcma", "samples"]
    assert shlex.split(format_command("samples", plugins=files)) == words
    monkeypatch.setenv("LCMA_PLUGINS", "one.py")
    assert shlex.split(format_command("samples", plugins=files)) == words
    assert format_command("samples", plugins=files[:1]) == "lcma samples"
