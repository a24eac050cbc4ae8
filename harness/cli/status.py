"""`lcma status`: what is planned, running, done and lost."""

from typing import TYPE_CHECKING, Annotated

import typer

from lcma.harness.cli.options import Db, Json
from lcma.sweeps.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from lcma.db import DataWait, Failure, RunningJob

MESSAGE = 100
"""Characters of a failure's message that are shown; --json shows all."""


def status(
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="A sweep, again and again until it has ended")
    ] = False,
    sweep: Annotated[
        str | None, typer.Option("--sweep", help="Only this sweep, cell by cell [-w: the newest]")
    ] = None,
    interval: Annotated[
        float, typer.Option(min=0.1, max=86_400, help="Seconds between two looks, with --watch")
    ] = 5.0,
    db: Db = None,
    limit: Annotated[int, typer.Option(min=0, help="Most failures to print")] = 20,
    json: Json = False,
) -> None:
    """Show how far everything is: jobs by state, what runs where, and why some were lost."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.results.lookup import find_sweep
    from lcma.harness.text import to_json
    from lcma.harness.watch.status import (
        describe_counts,
        describe_stopping,
        overview_as_dict,
        print_overview,
        read_overview,
        render_overview,
        watch_sweep,
    )

    if watch and json:
        raise UserError("--watch and --json exclude each other: --sweep NAME --json tells it once")
    store = connect(find_place(db, None, None).db, create=False)
    if watch or sweep is not None:
        found = find_sweep(store, sweep)
        if watch:
            watch_sweep(store, found, Console(), interval)
        elif json:
            print(to_json(overview_as_dict(read_overview(store, found))))
        else:
            print_overview(render_overview(read_overview(store, found)), Console())
        return
    counts, running, lost = store.job_counts(), store.running_jobs(), store.failures()
    waits, stopping = store.data_waits(), store.open_stop_requests()
    now = store.now()
    if json:
        jobs = [asdict(job) | {"lease_seconds_left": job.lease_until - now} for job in running]
        content: dict[str, object] = {
            "jobs": asdict(counts),
            "running": jobs,
            "failures": [asdict(failure) for failure in lost],
            "data_waits": [asdict(wait) for wait in waits],
            "stopping": [asdict(one.request) | {"held": one.held} for one in stopping],
        }
        print(to_json(content))
        return
    console = Console()
    console.print(describe_counts(counts))
    names = {known.id: known.name for known in store.sweeps()} if stopping else {}
    for one in stopping:
        asked_of = one.request.sweep_id
        of = "all sweeps" if asked_of is None else f"the sweep {names[asked_of]}"
        console.print(Text(describe_stopping(of, one, now), style="bold"), soft_wrap=True)
    _print_running(console, running, now)
    _print_failures(console, lost, limit)
    _print_waits(console, waits)


def _print_running(console: "Console", running: "list[RunningJob]", now: float) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from lcma.harness.text import short_id, text_cell

    if not running:
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in ("running", "id", "budget", "seed", "step", "by", "lease"):
        right = heading in ("budget", "seed", "step")
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for job in running:
        what = f"{job.flow} {job.dataset} {job.factorization or job.kind}"
        left = job.lease_until - now
        lease = f"{left:.0f} s left" if left > 0 else f"over since {-left:.0f} s"
        table.add_row(
            *(
                text_cell(what),
                text_cell(short_id(job.job_id)),
                text_cell(job.budget),
                text_cell(job.seed),
                text_cell(f"{job.step}/{job.steps}"),
            ),
            *(
                text_cell(f"{job.owner} on {job.host}"),
                Text(lease, style="" if left > 0 else "red"),
            ),
        )
    console.print()
    console.print(table)


def _print_failures(console: "Console", lost: "list[Failure]", limit: int) -> None:
    from rich.text import Text

    from lcma.harness.text import printable, short_id

    if not lost:
        return
    console.print()
    for failure in lost[:limit]:
        what = f"{failure.flow} {failure.dataset} {failure.factorization or failure.kind}"
        at = "" if failure.budget is None else f" budget {failure.budget}"
        lines = (failure.message or "").strip().splitlines() or ["no message"]
        message = lines[-1].strip()  # of a traceback, the line that says what it was
        if len(message) > MESSAGE:
            message = message[: MESSAGE - 3] + "..."
        line = (
            f"{short_id(failure.job_id)} {failure.state} "
            f"({failure.outcome or 'no attempt'}) at step "
            f"{failure.step}/{failure.steps}: {what}{at} seed {failure.seed}: {message}"
        )
        if failure.decision is not None:
            line += f" ({failure.decision})"
        console.print(Text(printable(line)), soft_wrap=True)
    if len(lost) > limit:
        console.print(Text(f"and {len(lost) - limit} more: --limit N shows them"))


def _print_waits(console: "Console", waits: "list[DataWait]") -> None:
    from rich.text import Text

    from lcma.harness.results.board import LONG_WAIT
    from lcma.harness.text import printable

    if not waits:
        return
    console.print()
    for wait in waits:
        line = (
            f"waiting for images, {wait.dataset} ({wait.variant}) on {wait.device}: "
            f"{wait.mean:.2%} of a step, at most {wait.largest:.2%} ({wait.attempts} attempts)"
        )
        style = "yellow" if wait.largest > LONG_WAIT else ""
        console.print(Text(printable(line), style=style), soft_wrap=True)
