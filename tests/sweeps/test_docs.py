"""docs/sweep-files.md has every key of a sweep file, and its example is one."""

import re
from pathlib import Path

from lcma.sweeps import docs, strict_yaml
from lcma.sweeps.spec import check

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "sweep-files.md"


def test_the_reference_is_up_to_date() -> None:
    _, _, reference = PAGE.read_text().partition(docs.BEGIN)
    assert reference.strip() == docs.render().strip(), (
        "run: python -m lcma.sweeps.docs docs/sweep-files.md"
    )


def test_every_key_has_a_meaning() -> None:
    rows = re.findall(r"^\| `([\w.\[\]]+)` \| [^|]* \| (.*) \|$", docs.render(), re.M)
    assert len(rows) > 80
    nameless = {"model.architecture", "model.flow", "model.channels", "model.preprocess"}
    assert {key for key, meaning in rows if ";" not in meaning and " " not in meaning} <= nameless


def test_the_examples_of_sweep_files_are_sweeps() -> None:
    pages = (PAGE, DOCS / "start.md")
    blocks = [
        block
        for page in pages
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.S)
    ]
    assert [check(strict_yaml.parse(block, "page"), "page").name for block in blocks] == [
        "words",
        "first",
    ]
