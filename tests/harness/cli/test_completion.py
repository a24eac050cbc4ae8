"""A shell completes commands, options, sweeps, data sets and flows."""

import pytest

from lcma.harness.cli import main as cli


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("re", {"rerun", "reproduce"}),
        ("db pub", {"publish"}),
        ("launch --max-d", {"--max-device-hours"}),
        ("launch d", {"datasets", "demo"}),
        ("plan demo --dataset photos8,digi", {"photos8,digits"}),
        ("plan demo --profile s", {"small"}),
        ("board --flow re", {"realnvp", "resflow"}),
        ("board --dataset nothing", set()),
    ],
)
def test_what_was_begun_is_completed(
    typed: str,
    expected: set[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = f"lcma {typed}".split()
    monkeypatch.setenv("_LCMA_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", " ".join(words))
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    with pytest.raises(SystemExit) as end:
        cli.main([])
    assert not end.value.code
    assert set(capsys.readouterr().out.split()) == expected
