"""What all tests share: quiet services, one thread, and no skip that nobody wrote down."""

import os
import tempfile
from pathlib import Path

import pytest

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("LCMA_CACHE", tempfile.mkdtemp(prefix="lcma-cache-"))

ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")
_skipped: set[str] = set()


def pytest_configure(config: pytest.Config) -> None:
    from hypothesis import settings

    settings.register_profile("ci", derandomize=True, deadline=None)
    settings.register_profile("here", deadline=None)
    settings.load_profile("ci" if os.environ.get("CI") else "here")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped:
        _skipped.add(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped:
        _skipped.add(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With CI set, a skipped test that is not on the list fails the run."""
    if not os.environ.get("CI") or hasattr(session.config, "workerinput"):
        return
    lines = ALLOWED_SKIPS.read_text().splitlines()
    allowed = {line.split("#")[0].strip() for line in lines} - {""}
    surprising = {s for s in _skipped if s.split("[")[0].split("@")[0] not in allowed}
    if surprising:
        print(f"\nskipped, and not on {ALLOWED_SKIPS.name}:", *sorted(surprising), sep="\n  ")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh folder as the current one, with none of LCMA's variables set."""
    for name in ("LCMA_DB", "LCMA_RUNS", "LCMA_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path
