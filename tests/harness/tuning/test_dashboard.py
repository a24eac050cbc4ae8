"""optuna-dashboard opens a study as it is."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable

import pytest

from lcma.harness.tuning.outcome import dashboard_url
from lcma.harness.tuning.study import DIGEST
from tests.harness.tuning.conftest import Tuning

SERVER = "from optuna_dashboard._cli import main; main()"


def fetched(url: str) -> bytes:
    """A page, once the server is there."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as page:
                return bytes(page.read())
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@pytest.mark.slow
def test_the_dashboard_shows_every_state(on_each: Callable[..., Tuning]) -> None:
    tuned = on_each()
    with tuned.opened() as tuner:
        study = tuner.study
        done, stopped, lost = (study.ask().number for _ in range(3))
        study.complete(done, [1.0], {})
        study.report(stopped, 10, 2.0)
        study.prune(stopped, {})
        study.fail(lost, "diverged: the loss was not finite")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVER, dashboard_url(tuned.store), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        root = f"http://127.0.0.1:{port}"
        assert b"Optuna Dashboard" in fetched(f"{root}/dashboard/")
        (listed,) = json.loads(fetched(f"{root}/api/studies"))["study_summaries"]
        assert listed["study_name"] == "tuned"
        shown = json.loads(fetched(f"{root}/api/studies/{listed['study_id']}"))
    finally:
        server.kill()
        server.wait()
    states = Counter(trial["state"] for trial in shown["trials"])
    assert states == {"Complete": 1, "Pruned": 1, "Fail": 1}
    told = {a["key"]: a["value"] for trial in shown["trials"] for a in trial["user_attrs"]}
    assert "diverged: the loss was not finite" in told["reason"]
    assert DIGEST in {attr["key"] for attr in listed["user_attrs"]}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@host:5433/results", "postgresql+psycopg://me@host:5433/results"),
        (
            "postgresql://me@host/results?password=secret&sslmode=require",
            "postgresql+psycopg://me@host/results?sslmode=require",
        ),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    from lcma.db import Store, locate

    assert dashboard_url(Store(locate(url))) == shown
