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


def test_a_repository_of_the_environment_does_not_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git names its own to a hook and to what a rebase executes."""
    commits = {}
    for name in ("ours", "other"):
        own = ["git", "-C", name, "-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "init", name], cwd=tmp_path, check=True, capture_output=True)
        for words in (["commit", "--allow-empty", "-m", name], ["rev-parse", "HEAD"]):
            done = subprocess.run([*own, *words], cwd=tmp_path, check=True, capture_output=True)
        commits[name] = done.stdout.decode()[:12]
    assert read_commit(tmp_path / "ours") == commits["ours"] != commits["other"]
    words = ["git", "rev-parse", "--local-env-vars"]
    named = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    assert "GIT_INDEX_FILE" in named
    for name in named:
        monkeypatch.setenv(name, str(tmp_path / "other" / ".git"))
        assert read_commit(tmp_path / "ours") == commits["ours"], name


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout")
def test_a_commit_that_git_does_not_tell_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "+unknown" not in read_code_version()[0]
    monkeypatch.setenv("PATH", "")
    assert read_code_version()[0].endswith("+unknown")
