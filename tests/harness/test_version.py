"""The version of the code has its commit, whoever runs it."""

import subprocess
from pathlib import Path

import pytest

from lcma.harness.version import read_code_version, read_commit
from tests.processes import ROOT


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.run(
        [*command, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(folder: Path) -> str:
    """Make a repository with a commit; return the commit."""
    folder.mkdir(exist_ok=True)
    git(folder, "init")
    git(folder, "commit", "--allow-empty", "-m", folder.name)
    return git(folder, "rev-parse", "--short=12", "HEAD")


def test_a_checkout_of_another_user_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = commit(tmp_path)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(subprocess.CalledProcessError) as error:
        git(tmp_path, "rev-parse", "HEAD")
    assert "dubious ownership" in error.value.stderr
    assert read_commit(tmp_path) == expected


def test_variables_that_name_another_repository_are_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git sets these variables for hooks and for commands of a rebase."""
    ours, other = commit(tmp_path / "ours"), commit(tmp_path / "other")
    assert read_commit(tmp_path / "ours") == ours != other
    names = git(tmp_path, "rev-parse", "--local-env-vars").split()
    assert "GIT_INDEX_FILE" in names
    for name in names:
        monkeypatch.setenv(name, str(tmp_path / "other" / ".git"))
        assert read_commit(tmp_path / "ours") == ours, name


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no checkout")
def test_without_git_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "+unknown" not in read_code_version()[0]
    monkeypatch.setenv("PATH", "")
    assert read_code_version()[0].endswith("+unknown")
