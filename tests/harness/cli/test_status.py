"""`lcma status` of a sweep, once and watched, on both engines."""

import fcntl
import json
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import termios
import time
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa

from lcma.db.schema import sweeps
from lcma.harness.results.lookup import find_sweep
from tests.db.conftest import COST, World
from tests.harness.cli.conftest import Lcma, output_of, refused
from tests.stores import beat

COMMAND = """
import sys
from lcma.harness.cli.main import main
from lcma.harness.watch import status
status.POLL_SECONDS = 0.1
main(sys.argv[1:])
"""


def watching(*arguments: str, **streams: Any) -> "subprocess.Popen[str]":
    watch = [sys.executable, "-c", COMMAND, "status", "-w", *arguments]
    return subprocess.Popen(watch, text=True, **streams)


def add_newer_namesake(planned: World) -> None:
    with sa.create_engine(planned.store.url, poolclass=sa.NullPool).begin() as connection:
        row = dict(connection.execute(sa.select(sweeps)).mappings().one())
        row |= {"id": "a-newer-one", "created": row["created"] + 1}
        connection.execute(sa.insert(sweeps).values(row))


def test_a_sweep_has_a_line_for_each_cell_and_running_job(planned: World, lcma: Lcma) -> None:
    planned.finish_trial(0, now=time.time())
    claim = planned.win(planned.segments[0], now=time.time() - 20)
    beat(planned.store, claim, step=40, lease_seconds=60.0, bits_per_dim=4.321)
    out = output_of(lcma("status", "--sweep", "demo"))
    rows = {tuple(line.split()[:6]) for line in out.splitlines()}
    message = r"demo   1/3 jobs  #{5}-{10}  about \d+ \w+ left, [\d.]+ steps/s on node1"
    assert re.fullmatch(message, out.splitlines()[0]), "without the segment to 200"
    assert ("pretrain", "@100", "seed", "0", "40/100", "4.32") in rows
    assert ("channel", "1/1", "-", "-", "-") in rows
    assert ("low", "100", "0/1", "-", "1", "-") in rows
    assert "lease over" not in out
    beat(planned.store, claim, step=40, lease_seconds=60.0, now=1000.0)
    out = lcma("status", "--sweep", "s")[1]
    assert "realnvp photos16 pretraining seed 0 (p) on node1: lease over since " in out
    report = json.loads(lcma("status", "--sweep", "demo", "--json")[1])
    assert (report["ended"], report["progress"][0]["steps_left"] > 0) == (False, True)
    silent = [job["job_id"] for job in report["running"] if job["lease_seconds_left"] < 0]
    assert silent == [planned.segments[0]]
    assert {(c["asked"], c["done"], c["pending"]) for c in report["cells"]} == {
        *(("channel", 1, 0), ("conventional", 1, 0), ("low", 0, 1))
    }


def test_running_jobs_and_trials_of_former_sweeps_are_listed(planned: World, lcma: Lcma) -> None:
    planned.claim(planned.trials[0], now=time.time())
    planned.claim(planned.segments[0], stack="0123456789abcdef", now=time.time())
    add_newer_namesake(planned)
    _, out, _ = lcma("status")
    title, header, _, *rows = out.splitlines()
    assert title == "demo   0/3 jobs  ---------------  on node1"
    assert header.split() == ["runs,", "realnvp", "photos16", "step", "bits/dim", "id"]
    assert [row.split() for row in rows[:2]] == [
        ["channel", "seed", "0", "0/500", "-", "channel-"],
        ["pretrain", "@100", "seed", "0", "0/100", "-", "p"],
    ]
    running = json.loads(lcma("status", "--json")[1])["running"]
    assert {job["stack_id"] for job in running} == {None, "0123456789abcdef"}
    planned.store.release("me")
    _, out, _ = lcma("status")
    assert out.splitlines() == [
        "demo   0/0 jobs  ---------------",
        "older: 1 trial waits of a former demo: `lcma forget s` drops unstarted trials",
    ]


@pytest.mark.integration
@pytest.mark.slow_on("sqlite")
def test_a_watch_ends_when_all_jobs_are_done(planned: World) -> None:
    with watching(stdout=subprocess.PIPE) as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline() == "demo   0/3 jobs  ---------------  nothing runs\n"
        planned.finish_trial(0)
        planned.finish_segment(0)
        planned.finish_trial(2)
        out = watch.communicate()[0]
    assert watch.returncode == 0
    assert out.splitlines()[-1] == "all done: lcma board"


@pytest.mark.slow_on("postgresql")
def test_a_watch_ends_when_only_a_retry_could_go_on(planned: World, lcma: Lcma) -> None:
    planned.finish_trial(0)
    claim = planned.win(planned.segments[0])
    planned.store.finish(claim, "oom", last_step=9, cost=COST, message="no room", now=1010.0)
    out = output_of(lcma("status", "-w"))
    assert out.splitlines()[-1] == "ended; 1 job was lost: lcma rerun --failed --sweep demo"
    url = planned.store.url
    end = lcma("status", "--sweep", "demo", "--db", url)[1].splitlines()[-1]
    assert end.startswith("ended; 1 job was lost: lcma rerun --failed --sweep demo --db ")
    assert shlex.split(end)[-1] in (url, planned.store.database.shown_url)
    add_newer_namesake(planned)
    out = lcma("status", "--sweep", "s")[1]
    assert out.splitlines()[-1].endswith("lcma rerun --failed --sweep s")
    assert "its pretraining failed" in out


@pytest.mark.integration
@pytest.mark.slow_on("postgresql")
def test_on_a_terminal_the_screen_is_refreshed_in_place(planned: World) -> None:
    outer, inner = pty.openpty()
    fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 6, 80, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    with watching(stdout=inner, stderr=inner, env=environment | {"TERM": "xterm"}) as watch:
        os.close(inner)
        screen = b""
        while screen.count(b"jobs  ") < 3:
            screen += os.read(outer, 4096)
        assert b"low 100" not in screen
        for finish in (planned.finish_trial, planned.finish_segment):
            finish(0)
        planned.finish_trial(2)
        with suppress(OSError):  # how Linux says that the other side is closed
            while part := os.read(outer, 4096):
                screen += part
    os.close(outer)
    assert watch.returncode == 0
    assert b"\x1b[1A" in screen
    assert screen.rstrip().endswith((b"lcma board", b"\x1b[?25h"))
    assert screen.split(b"\x1b[1A")[0].count(b"\n") < 6


def test_the_sweep_launched_last_is_taken_of_several_of_a_name(planned: World, lcma: Lcma) -> None:
    """A change of the file, or a merge, leaves several."""
    planned.finish_trial(0)
    add_newer_namesake(planned)
    code, out, err = lcma("status", "--sweep", "demo", "--json")
    assert (code, json.loads(out)["sweep"]["id"]) == (0, "a-newer-one")
    assert err == (
        "lcma: 2 sweeps are named demo: this is the one launched last; choose another by its id: "
        "--sweep s\n"
    )
    for command in (["board"], ["verdicts"], ["clean", "--dry-run"]):
        note = lcma(*command, "--sweep", "demo")[2]
        assert "sweeps are named demo: this is the one launched last" in note
        assert lcma(*command, "--sweep", "s")[::2] == (0, "")
    assert "sweeps are named demo: this" in lcma("curves", "demo")[2]
    refused(lcma("clean", "--sweep", "nothing"), "no sweep 'nothing' in the database")
    planned.store.begin_launch("me", "s", now=time.time() + 60)
    out = lcma("status", "--sweep", "demo", "--json")[1]
    assert json.loads(out)["sweep"]["id"] == find_sweep(planned.store, None).id == "s"
