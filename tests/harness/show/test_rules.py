"""Rules in two sentences and a picture, where they are shown."""

from pathlib import Path

import pytest

from lcma.harness.show.rules import describe_rule, draw_gallery, list_rules, rules_as_markdown
from lcma.sweeps.factorizations import NAMES

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_of_the_documentation_is_made_of_the_rules() -> None:
    rules = list_rules()
    assert (DOCS / "rules.md").read_text() == rules_as_markdown(rules)
    assert (DOCS / "images" / "rules.svg").read_text() == draw_gallery(rules)
    synonyms = {"conventional", "checkerboard"}
    assert set(NAMES) - synonyms <= {rule.name for rule in rules}


@pytest.mark.parametrize("name", [rule.name for rule in list_rules() if rule.picture])
def test_half_of_every_picture_leaves_at_each_split(name: str) -> None:
    picture = describe_rule(name).picture
    assert [picture.count(mark) / len(picture) for mark in "1230"] == [0.5, 0.25, 0.125, 0.125]


def test_pictures_show_the_tables_of_the_rules() -> None:
    assert describe_rule("checkerboard-even").picture[:4] == "0121"
    assert describe_rule("rows").picture[:16] == "1111111122222222"
    assert describe_rule("keep-ad").picture == describe_rule("checkerboard-even").picture
    low, high = (describe_rule(name).picture for name in ("low", "high"))
    assert {a == "1" for a, b in zip(low, high, strict=True) if b == "1"} == {False}
    assert describe_rule("LL").picture.count("3") == 0
    assert describe_rule("mine").picture == describe_rule("none").picture == ""
