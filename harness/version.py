"""The version of the code: the package's version, the commit, and a digest of uncommitted changes.

A build runs this file (hatch_build.py), so it imports only the standard library. As a program it
prints the value of LCMA_COMMIT for a build that has no git, such as that of an image.
"""

from __future__ import annotations  # a build may run this with an older Python

import hashlib
import importlib.metadata
import os
import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]  # of the checkout or of the installed package
_CODE_FOLDERS = ("harness", "models", "sweeps", "db", "src")
_COMMIT_FILES = ("_commit", "src/lcma/_commit")  # of a package and of a source distribution
# Other GIT_ variables may name another repository: git sets them for a hook or `rebase --exec`.
_KEPT_VARIABLES = {"GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM"}


def read_code_version() -> tuple[str, str | None]:
    """Return the version, such as '0.1.0+498830264bff', and a digest of uncommitted changes.

    The commit is 'unknown' in a checkout that git cannot read. An installed package has the commit
    of its build; without one it is left out. The digest is None if nothing is uncommitted.
    """
    commit, _, digest = read_commit(_ROOT).partition("-")
    if not commit and (_ROOT / ".git").exists():
        commit = "unknown"
    version = importlib.metadata.version("lcma")
    return f"{version}+{commit}" if commit else version, digest or None


def read_commit(root: Path) -> str:
    """Return 'COMMIT', with uncommitted changes 'COMMIT-DIGEST', or '' if it is unknown.

    Args:
        root: A checkout, an unpacked source distribution or the installed package.
    """
    commit = _git(root, "rev-parse", "--short=12", "HEAD") if (root / ".git").exists() else None
    if not commit:
        paths = [root / name for name in _COMMIT_FILES if (root / name).is_file()]
        return paths[0].read_text() if paths else ""
    if _git(root, "status", "--porcelain", "--", *_CODE_FOLDERS) == "":
        return commit
    digest = hashlib.sha256()
    for path in sorted(p for folder in _CODE_FOLDERS for p in (root / folder).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(root)).encode())
            digest.update(path.read_bytes())
    return f"{commit}-{digest.hexdigest()[:16]}"


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            # Git does not read another user's checkout, since its settings may run programs. This
            # checkout's code is run anyway: this file is part of it.
            ["git", "-c", f"safe.directory={root}", "-C", str(root), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            env={k: v for k, v in os.environ.items() if k[:4] != "GIT_" or k in _KEPT_VARIABLES},
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


if __name__ == "__main__":
    print(read_commit(_ROOT))
