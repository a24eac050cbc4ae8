"""Run `lcma selftest` from its options."""

import os
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape

from lcma.harness.run.spool import VARIABLE
from lcma.harness.selftest.campaign import Campaign, CampaignSettings
from lcma.harness.selftest.databases import make_databases
from lcma.harness.selftest.nodes import Nodes
from lcma.harness.selftest.report import outcome_as_dict, render_outcome
from lcma.harness.terminal import Console
from lcma.harness.text import to_json
from lcma.sweeps.errors import UserError


@dataclass(frozen=True)
class SelftestOptions:
    """Options of `lcma selftest`."""

    kills: int
    seed: int
    local: bool
    ray: str | None
    db: str | None
    runs: Path | None
    keep: bool
    json: bool


def run_selftest(options: SelftestOptions) -> int:
    """Run a self-test and print its report; return the exit code, 0 where all is equal and 1 where
    not. Raises UserError for bad options."""
    _check(options)
    console = Console(stderr=options.json)
    root = _root(options.runs)
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="lcma-selftest-", dir=root))
        cleaning = stack.enter_context(ExitStack())
        cleaning.callback(shutil.rmtree, folder, ignore_errors=True)
        databases = make_databases(options.db, folder)
        if options.ray is None:  # the processes are children of this one
            os.environ[VARIABLE] = str(folder / "spools")
        nodes = None
        if not options.local and options.ray is None:
            with console.status("starting a Ray cluster"):
                nodes = Nodes()
            stack.callback(nodes.close)
        settings = CampaignSettings(
            kills=options.kills,
            seed=options.seed,
            ray=options.ray if nodes is None else nodes.address,
            folder=folder,
            keep=options.keep,
        )

        def say(line: str) -> None:
            console.print(escape(line), highlight=False, soft_wrap=True)

        campaign = Campaign(settings, databases, nodes, say)
        outcome = campaign.run()
        if options.keep or not outcome.equal:
            cleaning.pop_all()
            say(f"{folder} has the log of kills (kills/kills.jsonl), launches.log and the runs")
    if options.json:
        print(to_json(outcome_as_dict(outcome)))
    else:
        console.print(render_outcome(outcome))
    return 0 if outcome.equal else 1


def _check(options: SelftestOptions) -> None:
    if options.kills < 1:
        raise UserError(f"--kill {options.kills}: give how often to kill something, such as 20")
    if options.local and options.ray:
        raise UserError("--local and --ray exclude each other: leave one out")
    if options.ray and options.runs is None:
        raise UserError(f"--ray {options.ray}: give --runs too, a folder that all its nodes see")


def _root(runs: Path | None) -> Path | None:
    if runs is None:
        return None  # the system's folder for temporary files
    try:
        root = runs.expanduser().absolute()
        root.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise UserError(f"cannot make {runs} ({error}): give --runs another DIR") from None
    return root
