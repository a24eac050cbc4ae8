"""The benchmark of the database counts what it stored, and asks sound data. No time is asserted."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from benchmarks.many_trials import made, questions
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
@pytest.mark.parametrize(("side", "commits"), [("lcma", 2), ("lcma-apart", 3)])
def test_a_race_loses_nothing_and_commits_once_a_change(
    site: Site, side: str, commits: int
) -> None:
    url = site.make()
    command = [sys.executable, "-m", "benchmarks.lifecycles", side, url]
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
    assert run["commits"] == commits * run["lifecycles"]


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
def test_a_database_made_at_once_is_as_the_store_would_have_made_it(site: Site) -> None:
    url, _ = made(site, 2000, maps=False)
    assert check_integrity(db.locate(url)).findings == ()
    site.drop(url)


@pytest.mark.integration
def test_every_question_has_an_answer(site: Site) -> None:
    url, _ = made(site, 1000)
    with db.locate(url).reader().connect() as connection:
        for question in questions().values():
            assert connection.execute(sa.text(question)).all()
    site.drop(url)
