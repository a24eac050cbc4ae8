"""The version of the code is recorded with its commit, whoever runs it."""

import subprocess
from pathlib import Path

import pytest

from lcma.harness.version import read_code_version, read_commit

ROOT = Path(__file__).parents[2]


def test_a_checkout_of_another_user_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*arguments: str) -> str:
        own = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            [*own, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init")
    git("commit", "--allow-empty", "-m", "first")
    commit = git("rev-parse", "--short=12", "HEAD")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        git("rev-parse", "HEAD")
    assert "dubious ownership" in refused.value.stderr
    assert read_commit(tmp_path) == commit


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout")
def test_a_commit_that_git_does_not_tell_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "+unknown" not in read_code_version()[0]
    monkeypatch.setenv("PATH", "")
    assert read_code_version()[0].endswith("+unknown")
