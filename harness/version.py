"""The version of the code: that of the package, its commit, and a digest of uncommitted changes.

A build runs this file (hatch_build.py), so it imports the standard library alone. As a program it
prints what LCMA_COMMIT is to be where a build has no git, as that of an image.
"""

import hashlib
import importlib.metadata
import os
import subprocess
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]  # a checkout's; or the installed package
_OURS = ("harness", "models", "sweeps", "db", "src")
_WRITTEN = ("_commit", "src/lcma/_commit")  # by a build: in the package, in a source distribution
# All others may name another repository, as git does for a hook or `rebase --exec`.
_OF_A_USER = {"GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM"}


def read_code_version() -> tuple[str, str | None]:
    """Return the version, as '0.1.0+498830264bff', and a digest of uncommitted changes or None.

    The commit is 'unknown' in a checkout that git cannot read, and left out where there is none. An
    installed package tells what it was built from.
    """
    commit, _, digest = read_commit(_ROOT).partition("-")
    if not commit and (_ROOT / ".git").exists():
        commit = "unknown"
    version = importlib.metadata.version("lcma")
    return f"{version}+{commit}" if commit else version, digest or None


def read_commit(root: Path) -> str:
    """Return 'COMMIT', with uncommitted changes 'COMMIT-DIGEST', or '' where it is not known.

    ``root`` is a checkout, an unpacked source distribution or the installed package.
    """
    commit = _git(root, "rev-parse", "--short=12", "HEAD") if (root / ".git").exists() else None
    if not commit:
        written = [root / name for name in _WRITTEN if (root / name).is_file()]
        return written[0].read_text() if written else ""
    if _git(root, "status", "--porcelain", "--", *_OURS) == "":
        return commit
    digest = hashlib.sha256()
    for path in sorted(p for own in _OURS for p in (root / own).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path.relative_to(root)).encode())
            digest.update(path.read_bytes())
    return f"{commit}-{digest.hexdigest()[:16]}"


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            # Git reads no checkout of another user, since its settings may run programs. Ours is
            # run anyway: this very file is of it.
            ["git", "-c", f"safe.directory={root}", "-C", str(root), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
            env={k: v for k, v in os.environ.items() if k[:4] != "GIT_" or k in _OF_A_USER},
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


if __name__ == "__main__":
    print(read_commit(_ROOT))
