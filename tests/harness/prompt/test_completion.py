"""What the prompt offers at a place in a statement, and when it takes a statement as finished."""

import pytest
from prompt_toolkit.completion import CompleteEvent, Completion
from prompt_toolkit.document import Document

from lcma.db.relations import find_relations
from lcma.harness.prompt.completion import FUNCTIONS, KEYWORDS, SqlCompleter, is_finished

KNOWN = {relation.name: relation for relation in find_relations()}


def completions(typed: str, *, asked: bool = False) -> list[Completion]:
    """What is offered at the bar in the text, in order."""
    before, _, behind = typed.partition("|")
    document = Document(before + behind, len(before))
    event = CompleteEvent(text_inserted=not asked, completion_requested=asked)
    return list(SqlCompleter(find_relations()).get_completions(document, event))


def offered(typed: str, *, asked: bool = False) -> list[str]:
    return [completion.text for completion in completions(typed, asked=asked)]


def columns(name: str) -> list[str]:
    return [column.name for column in KNOWN[name].columns]


@pytest.mark.parametrize(
    "typed",
    [
        "SELECT * FROM |",
        "select * from |",
        "SELECT * FROM results JOIN |",
        "SELECT * FROM results r, |",
        "SELECT * FROM results AS r LEFT JOIN jobs ON r.job_id = jobs.id, |",
        "SELECT * FROM (SELECT * FROM |",
        "SELECT (SELECT count(*) FROM results), x FROM |",
        "SELECT ';' FROM |",
        "SELECT 1; SELECT * FROM |",
        "SELECT 1 -- from here\nFROM |",
        "SELECT count(*) FROM | WHERE seed = 0",
    ],
)
def test_relations_come_first_where_one_is_expected(typed: str) -> None:
    assert offered(typed)[: len(KNOWN)] == list(KNOWN)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("SELECT results.| FROM results", "results"),
        ("SELECT r.| FROM results r", "results"),
        ("SELECT R.| FROM Results AS r JOIN jobs j ON true", "results"),
        ("SELECT * FROM results r JOIN jobs AS j ON j.|", "jobs"),
        ("SELECT * FROM results r, jobs j WHERE j.|", "jobs"),
        ("SELECT * FROM main.results AS r WHERE r.|", "results"),
        ('SELECT "low".| FROM "trial_results" AS "low"', "trial_results"),
        ("SELECT jobs.|", "jobs"),
        ("SELECT 1 FROM results j; SELECT j.| FROM jobs j; SELECT 1 FROM metrics j", "jobs"),
    ],
)
def test_a_dot_is_followed_by_the_columns_of_that_relation_alone(typed: str, name: str) -> None:
    assert [text.strip('"') for text in offered(typed)] == columns(name)


def test_elsewhere_columns_of_the_named_relations_come_first_then_words() -> None:
    found = offered("SELECT | FROM results r JOIN jobs USING (x)", asked=True)
    own = list(dict.fromkeys(columns("results") + columns("jobs")))
    assert found[: len(own)] == own
    assert found[len(own) : len(own) + 2] == ["r", "jobs"]
    assert set(KEYWORDS + FUNCTIONS) <= {text.lower() for text in found}
    assert "flow" not in found


def test_columns_of_all_are_offered_before_a_relation_is_named() -> None:
    (found,) = (c for c in completions("SELECT holdout_b|") if c.text == "holdout_bits_per_dim")
    assert found.display_meta_text.startswith("trial_results: ")


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("SELECT bits| FROM trial_results", "bits_per_dim holdout_bits_per_dim train_bits_per_dim"),
        ("SELECT BITS| FROM trial_results", "bits_per_dim holdout_bits_per_dim train_bits_per_dim"),
        ("SELECT per_d| FROM trial_results", "bits_per_dim holdout_bits_per_dim"),
        ("SELECT * FROM Trial|", "trial_results flow_trials sweep_trials"),
        ("SELECT * FROM results wh|", "where when"),
        ("SELECT * FROM results WH|", "WHERE WHEN"),
        ("SELECT coal|", "coalesce"),
        ("SELECT val| FROM contribution_maps", '"values"'),
        ("WITH best AS (SELECT 1) SELECT * FROM b|", "best budget_curve bars by"),
        ("WITH num(i) AS (SELECT 1), m AS (SELECT 2) SELECT * FROM n|", "num natural"),
    ],
)
def test_the_beginning_of_a_name_or_of_one_of_its_words_in_any_case(
    typed: str, expected: str
) -> None:
    found = offered(typed)
    assert found[: len(expected.split())] == expected.split()


def test_every_offer_of_the_schema_shows_its_meaning() -> None:
    shown = {c.text: c.display_meta_text for c in completions("SELECT * FROM |")}
    assert all(shown[name] == relation.meaning for name, relation in KNOWN.items())
    for name, relation in KNOWN.items():
        found = completions(f"SELECT {name}.|")
        assert [c.display_meta_text for c in found] == [c.meaning for c in relation.columns]


@pytest.mark.parametrize(
    "typed",
    ["SELECT 'from |", "SELECT 1 -- from |", "/* from |", 'SELECT "from |', "SELECT |", "|"],
)
def test_nothing_pops_up_in_text_and_comments_and_where_nothing_is_typed(typed: str) -> None:
    assert offered(typed) == []


def test_commands_and_their_relation() -> None:
    assert offered(".|") == [".help", ".quit", ".schema"]
    assert offered(".S|") == [".schema"]
    assert offered(".schema |") == list(KNOWN)
    assert offered(".schema res|") == ["results", "trial_results", "reference_results"]
    assert offered(".help |") == []


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("", True),
        ("  \n", True),
        ("SELECT 1", False),
        ("SELECT 1;", True),
        ("SELECT 1 ; ", True),
        ("SELECT 1; -- done", True),
        ("SELECT 1 -- done;", False),
        ("SELECT 'a;", False),
        ("SELECT 'it''s;", False),
        ('SELECT "a;', False),
        ("SELECT 1 /* ;", False),
        ("SELECT 1,\n2", False),
        ("SELECT 1\n", True),
        ("SELECT 'a\n  ", True),
        (".schema", True),
        ("quit", True),
        ("\\d", True),
    ],
)
def test_a_statement_ends_with_a_semicolon_or_an_empty_line(text: str, finished: bool) -> None:
    assert is_finished(text) is finished
