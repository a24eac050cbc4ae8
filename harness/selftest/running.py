"""What `lcma selftest` does, step by step."""

import os
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from lcma.harness.run.spool import VARIABLE
from lcma.harness.selftest.campaign import Campaign, Settings
from lcma.harness.selftest.databases import make_databases
from lcma.harness.selftest.nodes import Nodes
from lcma.harness.selftest.report import outcome_as_dict, render_outcome
from lcma.harness.text import to_json
from lcma.sweeps.errors import UserError


@dataclass(frozen=True)
class Asked:
    """The options."""

    kills: int
    seed: int
    local: bool
    ray: str | None
    db: str | None
    runs: Path | None
    keep: bool
    json: bool


def run_selftest(asked: Asked) -> int:
    """The exit code: 0 where all is equal, 1 where not. Raises UserError for bad input."""
    _check(asked)
    console = Console(stderr=asked.json)
    root = _root(asked.runs)
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="lcma-selftest-", dir=root))
        cleaning = stack.enter_context(ExitStack())
        cleaning.callback(shutil.rmtree, folder, ignore_errors=True)
        places = make_databases(asked.db, folder)
        if asked.ray is None:  # the processes are children of this one
            os.environ[VARIABLE] = str(folder / "spools")
        nodes = None
        if not asked.local and asked.ray is None:
            with console.status("starting a Ray cluster"):
                nodes = Nodes()
            stack.callback(nodes.close)
        settings = Settings(
            kills=asked.kills,
            seed=asked.seed,
            ray=asked.ray if nodes is None else nodes.address,
            folder=folder,
            keep=asked.keep,
        )

        def say(line: str) -> None:
            console.print(escape(line), highlight=False, soft_wrap=True)

        campaign = Campaign(settings, places, nodes, say)
        outcome = campaign.run()
        if asked.keep or not outcome.equal:
            cleaning.pop_all()
            say(f"{folder} has the log of kills (kills/kills.jsonl), launches.log and the runs")
    if asked.json:
        print(to_json(outcome_as_dict(outcome)))
    else:
        console.print(render_outcome(outcome))
    return 0 if outcome.equal else 1


def _check(asked: Asked) -> None:
    if asked.kills < 1:
        raise UserError(f"--kill {asked.kills}: give how often to kill something, such as 20")
    if asked.local and asked.ray:
        raise UserError("--local and --ray exclude each other: leave one out")
    if asked.ray and asked.runs is None:
        raise UserError(f"--ray {asked.ray}: give --runs too, a folder that all its nodes see")


def _root(runs: Path | None) -> Path | None:
    """Where the folder is made; None for the system's temporary one."""
    if runs is None:
        return None
    try:
        root = runs.expanduser().absolute()
        root.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise UserError(f"cannot make {runs} ({error}): give --runs another DIR") from None
    return root
