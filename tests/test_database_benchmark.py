"""The benchmark of the database counts what it stored, and asks sound data. No time is asserted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.many_trials import make_database
from benchmarks.places import Files, Server, Site
from lcma import db
from lcma.db.integrity import check_integrity

ROOT = Path(__file__).parents[1]


@pytest.fixture(params=["sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    if request.param == "sqlite":
        return Files(tmp_path)
    return Server(request.getfixturevalue("postgres").url("postgres"))


@pytest.mark.slow
def test_a_race_loses_nothing_and_commits_once_a_change(site: Site) -> None:
    url = site.make()
    command = [sys.executable, "-m", "benchmarks.lifecycles", "lcma", url]
    command += ["--processes", "3", "--seconds", "0.2", "--trials", "2000"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
    )
    site.drop(url)
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout.splitlines()[-1])
    assert run["lifecycles"] > 0
    assert (run["lost"], run["wrong"]) == (0, 0)
    assert run["commits"] == 2 * run["lifecycles"]


@pytest.mark.integration
def test_a_database_made_at_once_is_as_the_store_would_have_made_it(tmp_path: Path) -> None:
    url = make_database(tmp_path, 2000, maps=False)
    assert check_integrity(db.locate(url)).findings == ()
