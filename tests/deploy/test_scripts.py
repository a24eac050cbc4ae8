"""The small scripts of deploy/, run for real; a stand-in replaces the program that each starts."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.deploy.conftest import write_program
from tests.processes import ROOT

LAUNCH = ROOT / "deploy" / "kuberay" / "launch.sh"
SUBMIT = ROOT / "deploy" / "submit.sh"
PLACES = {"LCMA_DB": "postgresql://me@db/lcma", "LCMA_RUNS": "s3://runs", "LCMA_DATA": "/data"}


def start(
    script: Path, folder: Path, program: str, body: str, *arguments: str, **variables: str
) -> "subprocess.Popen[str]":
    """Start a script with a stand-in for the program that it starts."""
    write_program(folder, program, body)
    path = os.pathsep.join([str(folder), os.environ["PATH"]])
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("AWS_", "LCMA_"))}
    return subprocess.Popen(
        [script, *arguments],
        cwd=folder,
        env=environment | {"PATH": path} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("code", "status"), [*((code, 0) for code in range(5)), (5, 5), (9, 9)])
def test_a_rayjob_is_retried_only_if_a_new_cluster_may_help(
    tmp_path: Path, code: int, status: int
) -> None:
    """Codes 1 to 4 are those of docs/scripts.md; a diverged trial starts no GPU again."""
    process = start(LAUNCH, tmp_path, "lcma", f'echo "$@"; exit {code}', "table2", "--seeds", "2")
    out, _ = process.communicate(timeout=60)
    arguments = "launch table2 --seeds 2 --ray auto\n"
    assert out == f"{arguments}lcma launch ended with exit code {code}\n"
    assert process.returncode == status


def test_a_rayjob_passes_a_signal_on_and_waits_for_its_launch(tmp_path: Path) -> None:
    body = "trap 'sleep 0.2; touch ended; exit 143' TERM; touch begun; while :; do sleep 0.1; done"
    process = start(LAUNCH, tmp_path, "lcma", body, "table2")
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert (tmp_path / "ended").exists()
    assert (out, process.returncode) == ("lcma launch ended with exit code 143\n", 143)


def test_a_job_gets_the_places_and_the_endpoint_of_s3_without_keys(tmp_path: Path) -> None:
    aws = {"AWS_ENDPOINT_URL": "http://minio:9000", "AWS_REGION": "here"}
    keys = {"AWS_SECRET_ACCESS_KEY": "secret", "AWS_ACCESS_KEY_ID": "id"}
    body = 'printf "%s\\n" "$@"'
    process = start(SUBMIT, tmp_path, "ray", body, "table2", **PLACES, **aws, **keys)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    words = out.splitlines()
    assert words[:2] == ["job", "submit"]
    assert words[-5:] == ["lcma", "launch", "table2", "--ray", "auto"]
    runtime = json.loads(words[words.index("--runtime-env-json") + 1])
    assert runtime == {"env_vars": PLACES | aws}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LCMA_DB", "postgresql://me:secret@host/x"),
        ("LCMA_DB", "postgresql://me:a/secret@host/x"),
        ("LCMA_DB", "postgresql://me:a@secret@host/x"),
        ("LCMA_DB", "postgresql://me@host/x?password=secret"),
        ("LCMA_DB", "postgresql://host/x?user=me&Password=secret"),
        ("LCMA_DB", "postgresql:///x?host=host&sslpassword=secret"),
        ("LCMA_RUNS", "s3://me:secret@host/x"),
        ("LCMA_RUNS", "simplecache::https://secret@host/x"),
        ("LCMA_RUNS", "abfs://x/y?sas=secret"),
        ("AWS_ENDPOINT_URL", "https://me:a/secret@host/x"),
    ],
)
def test_a_password_in_a_place_is_not_sent(tmp_path: Path, name: str, value: str) -> None:
    message = submit_refused(tmp_path, **{name: value})
    assert "has a password, and Ray shows a job's variables to everybody" in message
    assert "secret" not in message


def test_a_password_in_an_argument_is_not_sent(tmp_path: Path) -> None:
    message = submit_refused(tmp_path, "--db=postgresql://me:secret@host/x")
    assert "an argument has a password" in message
    assert "secret" not in message


def test_a_database_that_is_no_server_is_refused(tmp_path: Path) -> None:
    assert "a cluster needs a server" in submit_refused(tmp_path, LCMA_DB="lcma.db")


def submit_refused(folder: Path, *arguments: str, **changed: str) -> str:
    """Submit a job that is refused before Ray is called; return the message."""
    process = start(SUBMIT, folder, "ray", "touch called", "table2", *arguments, **PLACES | changed)
    out, message = process.communicate(timeout=60)
    assert (out, process.returncode) == ("", 2)
    assert not (folder / "called").exists()
    return message
