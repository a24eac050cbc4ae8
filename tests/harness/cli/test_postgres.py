"""A sweep on PostgreSQL from end to end: the same numbers as on SQLite, by the same commands."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from lcma.harness.work.worker import run_work
from tests.harness.cli.conftest import Lcma

RESULTS = """
SELECT trial_id, data_digest, protocol, bits_per_dim, standard_error,
       holdout_bits_per_dim, train_bits_per_dim, log_det, log_prior, bound_bits_per_dim
FROM results ORDER BY trial_id, protocol
"""
MAPS = "SELECT digest, mean_log_det, error_to_gap FROM contribution_maps ORDER BY 1, score, split"
TABLES = "SELECT digest, purity, agreement FROM maps ORDER BY trial_id, split"


def test_a_sweep_is_the_same_on_postgres(
    lcma: Lcma,
    registered: Any,
    small_sweep: dict[str, Any],
    place: Any,
    in_tmp: Path,
    postgres: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, works = registered()
    for work in works:
        assert run_work(work).ending == "done"

    name, password = postgres.make(), "s3cret"
    # A second worker would take longer to start than it has work.
    resources = {"gpus": 0, "cpus": os.cpu_count()}
    (in_tmp / "small.yaml").write_text(yaml.safe_dump(small_sweep | {"resources": resources}))
    url = sa.make_url(postgres.url(name)).set(password=password)
    monkeypatch.setenv("LCMA_DB", url.render_as_string(hide_password=False))

    def run(*arguments: object) -> str:
        code, out, err = lcma(*arguments)
        assert not code, err
        assert password not in out + err
        return out

    runs, data = ["--runs", in_tmp / "runs"], ["--data", place.data]
    run("launch", "small.yaml", "--local", *runs, *data)
    databases = (["--db", place.db], [])
    for query in (RESULTS, MAPS, TABLES):
        sqlite, postgresql = (
            json.loads(run("sql", query, *database, "--json"))["rows"] for database in databases
        )
        assert sqlite == postgresql
        assert len(postgresql) >= 2
    for database in databases:
        report = json.loads(run("db", "check", *database, "--json"))
        assert report["findings"] == []
        assert [table for table, rows in report["read"].items() if not rows] == []

    for command in ("board", "maps", "export"):
        run(command, "--json")
    run("samples", *runs, "--json")
    run("doctor", *runs, *data)
    assert json.loads(run("status", "--json"))["jobs"]["trial"]["done"] == 2
    measured = json.loads(run("measure", "bits_per_dim", *runs, *data, "--json"))
    assert len(measured) == 2
    findings = json.loads(run("doctor", *runs, *data, "--json"))
    texts = {finding["what"]: finding["said"] for finding in findings}
    assert "PostgreSQL" in texts["database"]
    assert "at most" in texts["connections"]
    plan = json.loads(run("plan", "small.yaml", *data, "--json"))
    assert plan["left"] == {"pretrainings": 0, "trainings": 0}
    postgres.drop(name)
