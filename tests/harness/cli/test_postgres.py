"""A sweep on PostgreSQL from end to end: the same numbers as on SQLite, and the same verbs."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from lcma.harness.cli import main as cli
from lcma.harness.work.worker import run_work

ONE_WORKER = {"gpus": 0, "cpus": os.cpu_count()}
"""A second one would take longer to start than it has work."""

FOUND = """
SELECT trial_id, data_digest, protocol, bits_per_dim, standard_error,
       holdout_bits_per_dim, train_bits_per_dim, log_det, log_prior, bound_bits_per_dim
FROM results ORDER BY trial_id, protocol
"""
MAPS = "SELECT digest, mean_log_det, error_to_gap FROM contribution_maps ORDER BY 1, score, split"
TABLES = "SELECT digest, purity, agreement FROM maps ORDER BY trial_id, split"


@pytest.fixture
def lcma(capsys: Any) -> Any:
    """Runs a command in this process, and gives its output."""

    def run(*arguments: object) -> str:
        try:
            cli.main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = end.code
        else:
            code = 0
        printed = capsys.readouterr()
        assert not code, printed.err
        assert "s3cret" not in printed.err
        return str(printed.out)

    return run


def test_a_sweep_is_the_same_on_postgres(
    lcma: Any,
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
    (in_tmp / "small.yaml").write_text(yaml.safe_dump(small_sweep | {"resources": ONE_WORKER}))
    url = sa.make_url(postgres.url(name)).set(password=password)
    monkeypatch.setenv("LCMA_DB", url.render_as_string(hide_password=False))
    where = ["--runs", in_tmp / "runs", "--data", place.data]
    with monkeypatch.context() as patch:
        patch.setenv("LCMA_RUNS", str(in_tmp / "runs"))
        printed = [lcma("launch", "small.yaml", "--local", "--data", place.data)]

    def both(query: str) -> list[Any]:
        answers = [lcma("sql", query, *at, "--json") for at in (("--db", place.db), ())]
        return [json.loads(answer)["rows"] for answer in answers]

    for query in (FOUND, MAPS, TABLES):
        on_sqlite, on_postgres = both(query)
        assert on_sqlite == on_postgres
        assert len(on_postgres) >= 2

    for at in (("--db", place.db), ()):
        checked = json.loads(lcma("db", "check", *at, "--json"))
        assert checked["findings"] == []
        assert [table for table, rows in checked["read"].items() if not rows] == []

    needs = {"": (), "runs": where[:2], "data": where}
    answers = {
        command: lcma(*command.split(), *needs[need], "--json")
        for command, need in (
            *(("status", ""), ("board", ""), ("maps", ""), ("export", ""), ("samples", "runs")),
            *(("measure bits_per_dim", "data"), ("doctor", "data")),
        )
    }
    printed += [*answers.values(), lcma("doctor", *where)]
    assert json.loads(answers["status"])["jobs"]["trial"]["done"] == 2
    assert len(json.loads(answers["measure bits_per_dim"])) == 2
    said = {finding["what"]: finding["said"] for finding in json.loads(answers["doctor"])}
    assert "PostgreSQL" in said["database"]
    assert "at most" in said["connections"]
    plan = json.loads(lcma("plan", "small.yaml", *where[2:], "--json"))
    assert plan["left"] == {"pretrainings": 0, "trainings": 0}
    assert all(password not in text for text in printed)
    postgres.drop(name)
