"""How far a sweep is: once, or again and again until it has ended."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lcma import db
from lcma.db import CellState, Counts, Rates, RunningJob, Stopping, Store, Sweep, Waiting
from lcma.harness.results.lookup import job_title
from lcma.harness.text import format_duration, printable, short_id, text_cell
from lcma.harness.watch.logs import describe_progress

MOST = 5
"""Lines about what waits, and about leases that are over, on a screen."""


@dataclass(frozen=True)
class Overview:
    """A sweep at one moment, Unix seconds by the database's clock."""

    sweep: Sweep
    now: float
    counts: Counts
    cells: tuple[CellState, ...]
    rates: Rates
    waiting: tuple[Waiting, ...]
    stale: tuple[RunningJob, ...]
    stop: Stopping | None
    """A request that its launches end, which is newer than all of them, and what they hold."""

    @property
    def ended(self) -> bool:
        """Whether nothing runs, and nothing is left that could start without a retry."""
        return not any(one.running or one.pending for one in self.cells)

    @property
    def lost(self) -> int:
        """Trials and segments that failed or diverged."""
        kinds = (self.counts.trial, self.counts.pretraining)
        return sum(kind.failed + kind.diverged for kind in kinds)


def read_overview(store: Store, sweep: Sweep) -> Overview:
    """How far the sweep is now."""
    own, now, request = set(store.job_ids(sweep.id)), store.now(), store.stop_request(sweep.id)
    return Overview(
        sweep=sweep,
        now=now,
        counts=store.job_counts(sweep.id),
        cells=tuple(store.cell_states(sweep.id)),
        rates=store.rates(sweep.id),
        waiting=tuple(store.awaited_segments(sweep.id)),
        stale=tuple(j for j in store.running_jobs() if j.job_id in own and j.lease_until <= now),
        stop=None if request is None else Stopping(request, store.count_held_jobs(sweep.id)),
    )


def watch_sweep(store: Store, sweep: Sweep, console: Console, interval: float) -> None:
    """Show the sweep every ``interval`` seconds until it has ended: in place on a terminal, one
    below the other elsewhere. A database that is away is waited for."""
    live = Live(console=console, auto_refresh=False) if console.is_terminal else None
    with ExitStack() as shown:
        if live is not None:
            shown.enter_context(live)
        last = Group()
        while True:
            ended = False
            try:
                found = read_overview(store, sweep)
                last, ended = (
                    render_overview(found, None if live is None else console.height),
                    found.ended,
                )
                now = last
            except db.Unavailable as error:
                now = Group(*last.renderables, Text(printable(error), style="yellow"))
            if live is not None:
                live.update(now, refresh=True)
            else:
                print_overview(now, console)
            if ended:
                return
            if live is None:
                console.print()
            time.sleep(interval)


def print_overview(shown: Group, console: Console) -> None:
    """Print it, with lines that are not cut."""
    for part in shown.renderables:
        console.print(part, soft_wrap=isinstance(part, Text))


def render_overview(found: Overview, height: int | None = None) -> Group:
    """Counts, rates, cells, what waits for what, and leases that are over; where a ``height`` is
    given, no more than so many lines, with the cells that are not done first."""
    wraps = height is None
    waiting = _some([_waits(one, found.now) for one in found.waiting], None if wraps else MOST)
    stale = _some([_silent(one, found.now) for one in found.stale], None if wraps else MOST)
    head = Text(f"sweep {printable(found.sweep.name)} ({short_id(found.sweep.id)})", style="bold")
    parts: list[RenderableType] = [
        head,
        describe_counts(found.counts),
        Text(),
        _rates(found.rates),
        Text(),
    ]
    end = _end(found)
    room = None if height is None else height - 13 - len(waiting) - len(stale) - len(end)
    parts += _cells(found.cells, room)
    if waiting or stale or end:
        parts.append(Text())
    for lines, style in ((waiting, ""), (stale, "red"), (end, "bold")):
        for line in lines:
            if wraps:
                parts.append(Text(line, style=style))
            else:
                parts.append(Text(line, style=style, no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def overview_as_dict(found: Overview) -> dict[str, Any]:
    """The same for programs."""
    rates = asdict(found.rates) | {"trials_per_hour": found.rates.trials_per_hour}
    return {
        "sweep": {"id": found.sweep.id, "name": found.sweep.name},
        "ended": found.ended,
        "jobs": asdict(found.counts),
        "cells": [asdict(one) for one in found.cells],
        "rates": rates,
        "waiting": [asdict(one.segment) | {"trials": one.trials} for one in found.waiting],
        "stop": None if found.stop is None else asdict(found.stop.request),
        "stale": [asdict(one) | {"overdue": found.now - one.lease_until} for one in found.stale],
    }


def describe_counts(counts: Counts) -> Table:
    """Jobs by kind and state."""
    table = Table("jobs", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    by_kind = asdict(counts)
    for state in (*by_kind["trial"], "total"):
        table.add_column(state, justify="right")
    for kind, of in by_kind.items():
        table.add_row(kind, *map(str, of.values()), str(sum(of.values())))
    return table


def _cells(cells: Sequence[CellState], room: int | None) -> list[RenderableType]:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    recipes = len({one.recipe_id for one in cells})
    kinds = {(one.flow, one.dataset) for one in cells}
    heading = " ".join(kinds.pop()) if len(kinds) == 1 else ""
    table.add_column(text_cell(heading or "cell"), no_wrap=True, overflow="ellipsis")
    for name in ("done", "runs", "waits", "lost"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why")  # of all columns the one that may be cut
    shown = list(cells)
    if room is not None and len(cells) > room:
        shown = sorted(cells, key=lambda one: one.done == one.planned)[: max(room - 1, 1)]
    for one in shown:
        table.add_row(
            text_cell(" ".join(_label(one, whole=not heading, recipe=recipes > 1))),
            text_cell(
                f"{one.done}/{one.planned}", style="green" if one.done == one.planned else ""
            ),
            *(text_cell(one.running or "-"), text_cell(one.pending + one.blocked or "-")),
            text_cell(
                one.diverged + one.failed or "-", style="red" * (one.diverged + one.failed > 0)
            ),
            Text(printable(one.why or ""), no_wrap=True, overflow="ellipsis"),
        )
    if len(shown) == len(cells):
        return [table]
    return [table, Text(f"and {len(cells) - len(shown)} more cells", style="dim")]


def _label(one: CellState, *, whole: bool, recipe: bool) -> Iterator[str]:
    """What the cell is, in words: as far as it may differ from the others."""
    if whole:
        yield from (one.flow, one.dataset)
    yield one.asked
    if one.budget is not None:
        yield str(one.budget)
    if one.map_options is not None:
        yield one.map_options
    if recipe:
        yield f"({one.recipe_id[:6]})"


def _rates(rates: Rates) -> Text:
    if not rates.seconds:
        return Text("nothing happened in the last hour")
    trials = "trial" if rates.trials == 1 else "trials"
    done = f"{rates.trials} {trials} done in the last {format_duration(rates.seconds)}"
    per_hour = f" ({rates.trials_per_hour:.3g} per hour)" if rates.trials else ""
    return Text(f"{done}{per_hour}; {rates.steps_per_second:.3g} steps/s by what runs now")


def _waits(one: Waiting, now: float) -> str:
    segment = one.segment
    number = f"{one.trials} trial{'s wait' if one.trials != 1 else ' waits'}"
    how = (
        describe_progress(segment, now) if segment.state == "running" else printable(segment.state)
    )
    return f"{number} for {job_title(segment)} ({short_id(segment.job_id)}): {how}"


def _silent(job: RunningJob, now: float) -> str:
    what = f"{job.flow} {job.dataset} {job.factorization or job.kind}"
    late = format_duration(now - job.lease_until)
    return printable(
        f"lease over since {late}: {what} seed {job.seed} ({job.job_id[:8]}) on {job.host}"
    )


def describe_stopping(of: str, one: Stopping, now: float) -> str:
    """That the launches ``of`` something were asked to end, and how far that is."""
    asked = (
        f"{of} was asked to stop {format_duration(now - one.request.time)} ago by {one.request.by}"
    )
    jobs = "1 job still runs" if one.held == 1 else f"{one.held} jobs still run"
    return printable(f"{asked}: {jobs if one.held else 'nothing of it runs'}")


def _end(found: Overview) -> list[str]:
    if not found.ended and found.stop is not None:
        return [describe_stopping("it", found.stop, found.now)]
    if not found.ended:
        return []
    if found.lost:
        name = printable(found.sweep.name)
        lost = "1 job was" if found.lost == 1 else f"{found.lost} jobs were"
        return [f"ended; {lost} lost: lcma retry --sweep {name}"]
    return ["all done: lcma board"]


def _some(lines: list[str], most: int | None) -> list[str]:
    if most is None or len(lines) <= most:
        return lines
    return [*lines[: most - 1], f"and {len(lines) - most + 1} more"]
