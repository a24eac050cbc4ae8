"""Rules in two sentences and a picture, where they are shown."""

from pathlib import Path

from lcma.harness.show.rules import describe_rule, draw_gallery, list_rules, rules_as_markdown
from lcma.sweeps.factorizations import NAMES

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_of_the_documentation_is_made_of_the_rules() -> None:
    rules = list_rules()
    assert (DOCS / "rules.md").read_text() == rules_as_markdown(rules)
    assert (DOCS / "images" / "rules.svg").read_text() == draw_gallery(rules)
    synonyms = {"conventional", "checkerboard"}
    assert set(NAMES) - synonyms <= {rule.name for rule in rules}


def test_pictures_show_the_tables_of_the_rules() -> None:
    assert describe_rule("keep-ad").picture == describe_rule("checkerboard-even").picture
    assert describe_rule("LL").picture.count("3") == 0
    assert describe_rule("mine").picture == describe_rule("none").picture == ""
