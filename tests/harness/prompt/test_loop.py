"""The prompt, with its keys pressed: what reaches the database, what is kept, what ends it."""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from lcma.harness.prompt.loop import open_history, run_prompt
from lcma.sweeps.errors import UserError

ENTER, CTRL_C, CTRL_D = "\r", "\x03", "\x04"
PASTE = "\x1b[200~{}\x1b[201~"

Press = Callable[..., list[str]]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the history lies."""
    monkeypatch.setenv("LCMA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def press(cache: Path) -> Iterator[Press]:
    """Presses keys at a new prompt, until it has ended; the statements that were to be answered."""
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):

        def run(typed: str, answer: Callable[[str], None] | None = None) -> list[str]:
            asked: list[str] = []

            def record(statement: str) -> None:
                asked.append(statement)
                if answer is not None:
                    answer(statement)

            keys.send_text(typed + CTRL_D)
            run_prompt(record, "the heading")
            return asked

        yield run


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("", []),
        (ENTER + ENTER, []),
        (f"select 1;{ENTER}", ["select 1;"]),
        (f"select 1{ENTER}{ENTER}", ["select 1"]),
        (f"select 1,{ENTER}2;{ENTER}select 3;{ENTER}", ["select 1,\n2;", "select 3;"]),
        (f"select ';{ENTER}';{ENTER}", ["select ';\n';"]),
        (f"select 1,{ENTER}2{CTRL_C}select 3;{ENTER}", ["select 3;"]),
        (PASTE.format("select 1,\n  2;\n") + ENTER, ["select 1,\n  2;"]),
    ],
)
def test_keys_make_statements(press: Press, typed: str, asked: list[str]) -> None:
    assert press(typed) == asked


@pytest.mark.parametrize("word", [".quit", ".QUIT;", ".exit", "quit", "exit;", "\\q"])
def test_words_that_end_it(press: Press, word: str) -> None:
    assert press(f"{word}{ENTER}select 1;{ENTER}") == []


def test_a_mistake_is_one_line_and_the_prompt_goes_on(press: Press, capsys) -> None:
    def answer(statement: str) -> None:
        if "wrong" in statement:
            raise UserError("there is\n  no \x1b[2J such thing")

    assert press(f"wrong;{ENTER}right;{ENTER}", answer) == ["wrong;", "right;"]
    heading, mistake = capsys.readouterr().err.splitlines()
    assert (heading, mistake) == ("the heading", r"there is no \x1b[2J such thing")


def test_an_interrupt_stops_the_query_and_not_the_prompt(press: Press, capsys) -> None:
    def answer(statement: str) -> None:
        if "long" in statement:
            raise KeyboardInterrupt

    assert press(f"long;{ENTER}short;{ENTER}", answer) == ["long;", "short;"]
    assert capsys.readouterr().err.splitlines()[1:] == ["stopped"]


def test_the_schema_and_help_are_shown(press: Press, capsys) -> None:
    assert press(f".schema{ENTER}.schema RESULTS;{ENTER}.help{ENTER}") == []
    out, err = capsys.readouterr()
    listed, _, one = out.partition("table results\n")
    assert "trial_results" in listed
    assert "Evaluated trials" in listed
    assert "bits per dimension on the test part" in " ".join(one.split())
    assert ".schema NAME" in one
    assert err == "the heading\n"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (".schema result", "did you mean results"),
        (".schema a b", "no command '.schema a b'"),
        (".shcema", "did you mean .schema?"),
        ("\\d", "there are .help, .quit, .schema"),
    ],
)
def test_a_wrong_command_is_one_line(press: Press, capsys, typed: str, said: str) -> None:
    assert press(f"{typed}{ENTER}right;{ENTER}") == ["right;"]
    (line,) = capsys.readouterr().err.splitlines()[1:]
    assert said in line


def test_the_history_is_kept_for_the_next_prompt_and_from_others(press: Press, cache: Path) -> None:
    press(f"select 1,{ENTER}2;{ENTER}select 3{ENTER}{ENTER}")
    (file,) = cache.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    press(f"{PASTE.format('select 4;')}{ENTER}select 4;{ENTER}")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = [text.strip() for text in open_history().load_history_strings()]
    assert kept == ["select 4;", "select 3", "select 1,\n2;"]


def test_a_prompt_without_a_place_for_its_history(
    press: Press, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "here" / "sql-history").mkdir(parents=True)
    for folder in ("file/cache", "here"):
        monkeypatch.setenv("LCMA_CACHE", str(tmp_path / folder))
        assert press(f"select 1;{ENTER}") == ["select 1;"]
