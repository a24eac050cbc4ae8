"""A shell completes commands and options."""

import pytest

from tests.harness.cli.conftest import Lcma, output_of


def test_the_last_word_is_completed(lcma: Lcma, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_LCMA_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "lcma launch --max-d")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert output_of(lcma()).split() == ["--max-device-hours"]
