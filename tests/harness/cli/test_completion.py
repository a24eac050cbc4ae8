"""A shell completes commands and options."""

import pytest

from tests.harness.cli.conftest import Lcma, output_of


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("re", {"rerun", "reproduce"}),
        ("db pub", {"publish"}),
        ("launch --max-d", {"--max-device-hours"}),
    ],
)
def test_the_last_word_is_completed(
    lcma: Lcma, monkeypatch: pytest.MonkeyPatch, line: str, completions: set[str]
) -> None:
    words = f"lcma {line}".split()
    monkeypatch.setenv("_LCMA_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    assert set(output_of(lcma()).split()) == completions
