"""The prompt of `lcma sql`, with its keys pressed: what it offers, answers and keeps."""

import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from lcma.db.relations import find_relations
from lcma.harness.cli.sql_prompt import SqlCompleter, run_prompt
from lcma.sweeps.errors import UserError

ENTER, CTRL_C, CTRL_D, UP = "\r", "\x03", "\x04", "\x1b[A"
PASTE = "\x1b[200~{}\x1b[201~"
KNOWN = {relation.name: relation for relation in find_relations()}

Press = Callable[..., list[str]]


@pytest.fixture
def press(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Press]:
    """Presses keys at a new prompt, until it has ended; the statements that were to be answered."""
    monkeypatch.setenv("LCMA_CACHE", str(tmp_path / "cache"))
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


def complete(typed: str) -> list[Completion]:
    event = CompleteEvent(text_inserted=True)
    return list(SqlCompleter(find_relations()).get_completions(Document(typed), event))


def texts(typed: str) -> list[str]:
    return [completion.text for completion in complete(typed)]


def columns(*names: str) -> set[str]:
    return {column.name for name in names for column in KNOWN[name].columns}


@pytest.mark.parametrize("typed", ["select 1 from results r join ", ".schema "])
def test_relations_are_offered_with_their_meanings_where_one_comes_next(typed: str) -> None:
    found = {c.text: c.display_meta_text for c in complete(typed)}
    assert found == {relation.name: relation.meaning for relation in KNOWN.values()}


def test_columns_of_the_relations_that_a_query_names_are_offered_behind_a_dot() -> None:
    assert set(texts("SELECT * FROM results r JOIN jobs j ON j.")) == columns("results", "jobs")
    (found,) = (c for c in complete("SELECT holdout_b") if c.text == "holdout_bits_per_dim")
    assert found.display_meta_text.startswith("trial_results: ")


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("SELECT 1 FROM trial_results WHERE BITS", "bits_per_dim holdout_bits_per_dim"),
        ("SELECT 1 FROM trial_results WHERE per_d", "bits_per_dim holdout_bits_per_dim"),
        ("SELECT 1 FROM results WH", "WHERE WHEN"),
        (".S", "schema"),
    ],
)
def test_the_beginning_of_a_name_or_of_one_of_its_words_in_any_case(typed: str, first: str) -> None:
    found = texts(typed)
    assert found[: len(first.split())] == first.split()


@pytest.mark.parametrize("typed", ["SELECT ", "SELECT 'fro"])
def test_nothing_pops_up_in_a_string_and_where_nothing_is_typed(typed: str) -> None:
    assert texts(typed) == []


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        (ENTER + ENTER, []),
        (f"select 1,{ENTER}2;{ENTER}select 3{ENTER}{ENTER}", ["select 1,\n2;", "select 3"]),
        (f"select 1,{ENTER}2{CTRL_C}select 3;{ENTER}", ["select 3;"]),
        (PASTE.format("select 1,\n  2;\n") + ENTER, ["select 1,\n  2;"]),
        (f".QUIT;{ENTER}select 1;{ENTER}", []),
    ],
)
def test_keys_make_statements(press: Press, typed: str, asked: list[str]) -> None:
    assert press(typed) == asked


def test_a_mistake_is_one_line_and_the_prompt_goes_on(press: Press, capsys) -> None:
    def answer(statement: str) -> None:
        if "wrong" in statement:
            raise UserError("there is\n  no \x1b[2J such thing")
        if "long" in statement:
            raise KeyboardInterrupt

    typed = f"wrong;{ENTER}.shcema{ENTER}.schema result{ENTER}long;{ENTER}right;{ENTER}"
    assert press(typed, answer) == ["wrong;", "long;", "right;"]
    heading, mistake, command, relation, stopped = capsys.readouterr().err.splitlines()
    assert (heading, mistake) == ("the heading", r"there is no \x1b[2J such thing")
    assert command == "there is no command '.shcema': there are .help, .quit, .schema"
    assert "did you mean 'results'?" in relation
    assert stopped == "stopped"


def test_the_schema_and_help_are_shown(press: Press, capsys) -> None:
    assert press(f".schema{ENTER}.schema RESULTS;{ENTER}.help{ENTER}") == []
    listed, _, one = capsys.readouterr().out.partition("table results\n")
    assert "trial_results" in listed
    assert "content hash of trial, data and attempt" in " ".join(one.split())
    assert ".schema NAME" in one


def test_the_history_is_kept_for_the_next_prompt_and_from_others(
    press: Press, tmp_path: Path
) -> None:
    press(f"select 1,{ENTER}2;{ENTER}")
    (file,) = (tmp_path / "cache").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    assert press(f"{UP}{ENTER}") == ["select 1,\n2;"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_prompt_without_a_place_for_its_history(
    press: Press, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LCMA_CACHE", str(tmp_path / "file" / "cache"))
    assert press(f"select 1;{ENTER}") == ["select 1;"]
