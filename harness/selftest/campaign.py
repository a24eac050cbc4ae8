"""The self-test itself: an undisturbed run of a sweep, and runs whose processes are killed."""

import math
import random
import subprocess
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from signal import SIGTERM
from threading import Thread

from lcma import db
from lcma.harness import data
from lcma.harness.run.spool import deliver_leftovers
from lcma.harness.selftest.comparison import RunContent, compare_runs, read_run
from lcma.harness.selftest.databases import Databases
from lcma.harness.selftest.driver import LaunchTask
from lcma.harness.selftest.kills import STOP, Kill, KillOrder, KillOrders, now
from lcma.harness.selftest.nodes import Nodes
from lcma.harness.selftest.schedule import (
    AWAY,
    DRIVER_NOW,
    NODE_NOW,
    PlannedKill,
    make_schedule,
    with_occasions,
)
from lcma.harness.selftest.sweep import DATASET, write_sweep
from lcma.sweeps.errors import UserError

LEASE_SECONDS = 3.0
"""Length of leases: short, so that the jobs of a dead launch are soon free."""

STOP_SECONDS = 4 * LEASE_SECONDS
"""Seconds that a worker stands still; another launch has its job when it wakes up."""

OUTAGE_SECONDS = 1.5 * LEASE_SECONDS
"""Seconds that the database is unreachable."""

POLL_SECONDS = 0.1
"""Time between two looks at the launch and at the log of kills."""

AT_ONCE = 2
"""Most fresh orders at a time."""

FRESH_SECONDS = 5.0
"""Age at which an order that no process took stops counting as fresh."""

IDLE_ROUNDS = 3
"""Runs in a row without a kill after which the remaining kills are given up."""

HEADSTART = 0.25
"""Share of a run's kills that may happen before any of its jobs is done."""

A_ROUND = 40
"""Kills in one run of the sweep; the next run has a fresh database."""

STUCK_SECONDS = 900.0
"""Time without a kill or the end of a launch or job, after which something hangs."""


@dataclass(frozen=True)
class CampaignSettings:
    """Settings of a self-test; ``ray`` is the cluster's address, None without Ray."""

    kills: int
    seed: int
    ray: str | None
    folder: Path
    keep: bool = False
    each_round: int = A_ROUND


@dataclass
class CampaignOutcome:
    """Result of a self-test: its kills, and where its runs differ from the undisturbed one.

    ``unmet`` are planned kills for which there was no occasion, ``counts`` the rows compared by
    table, ``seconds`` the time it took.
    """

    kills: list[Kill] = field(default_factory=list)
    rounds: int = 0
    launches: int = 0
    differences: list[str] = field(default_factory=list)
    unmet: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def equal(self) -> bool:
        """True if every run left what the undisturbed one did, to the bit."""
        return not self.differences


class Campaign:
    """One self-test. ``say`` is called with lines about its progress."""

    def __init__(
        self,
        settings: CampaignSettings,
        databases: Databases,
        nodes: Nodes | None,
        say: Callable[[str], None],
    ) -> None:
        self.settings, self.databases, self.nodes, self.say = settings, databases, nodes, say
        self.folder = settings.folder
        self.orders = KillOrders(self.folder / "kills")
        self.outcome = CampaignOutcome()
        self._number = 0
        self._spec = write_sweep(self.folder)
        self._wanted = make_schedule(settings.kills, settings.seed, nodes=nodes is not None)
        self._log = self.folder / "launches.log"

    def run(self) -> CampaignOutcome:
        """Kill until all planned kills have happened and every run has ended.

        Raises UserError where the undisturbed run fails.
        """
        began = time.monotonic()
        data.prepare(DATASET, self.folder / "data")
        self.orders.make()
        expected, idle = self._run_undisturbed(), 0
        self.outcome.counts = expected.counts
        while self._wanted and self.outcome.equal:
            self.outcome.rounds += 1
            before = len(self.outcome.kills)
            name = f"round{self.outcome.rounds}"
            try:
                lines = compare_runs(expected, Round(self, name).run())
            except StuckError as error:
                lines = [str(error)]
            self.outcome.differences += [f"{name}: {line}" for line in lines]
            self.outcome.kills = self.orders.carried_out()
            self.say(
                f"{name}: {len(self.outcome.kills)} kills so far, "
                f"{self.outcome.launches} launches, {len(lines)} differences"
            )
            if self.outcome.equal and not self.settings.keep:
                self.databases.drop(name)
            idle = idle + 1 if len(self.outcome.kills) == before else 0
            if idle == IDLE_ROUNDS:
                break  # for what is left there is no occasion
        self.outcome.unmet = [one.target for one in self._wanted]
        self.outcome.seconds = time.monotonic() - began
        return self.outcome

    def take(self, many: int) -> deque[PlannedKill]:
        """Return the next kills of the schedule."""
        return deque(self._wanted.popleft() for _ in range(min(many, len(self._wanted))))

    def give_back(self, wanted: list[PlannedKill]) -> None:
        """Put kills for which there was no occasion back into the schedule."""
        self._wanted.extendleft(reversed(wanted))

    def task(self, name: str, url: str, *, armed: bool) -> LaunchTask:
        """Return the launch of a run; ``armed`` if its processes are to be killed."""
        return LaunchTask(
            spec=str(self._spec),
            db=url,
            runs=str(self.folder / "runs" / name),
            data=str(self.folder / "data"),
            ray=self.settings.ray,
            local=self.settings.ray is None,
            lease_seconds=LEASE_SECONDS,
            checkpoint_seconds=0.0,
            kills=str(self.orders.folder) if armed else None,
        )

    def start(self, task: LaunchTask) -> subprocess.Popen[str]:
        """Start a launch in a process of its own, which does not depend on this one."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - ourselves
                task.command(), stdin=subprocess.PIPE, stdout=log, stderr=log, text=True
            )
        assert process.stdin is not None
        with suppress(BrokenPipeError):
            process.stdin.write(task.text())
            process.stdin.close()
        return process

    def next_number(self) -> int:
        """Return the number of the next kill, from 1."""
        self._number += 1
        return self._number

    def _run_undisturbed(self) -> RunContent:
        self.say("a run that is left alone")
        url = self.databases.make("reference")
        process = self.start(self.task("reference", url, armed=False))
        try:
            code = process.wait()
        finally:
            process.kill()
        if code != 0:
            last = self._log.read_text(encoding="utf-8").strip().splitlines()[-1:]
            raise UserError(
                f"the run that is left alone ended with exit code {code}: "
                f"{' '.join(last).removeprefix('lcma: ')} (all of it is in {self._log})"
            )
        found = read_run(db.connect(url, create=False))
        if found.faults:
            raise UserError(f"the run that is left alone is not sound: {found.faults[0]}")
        if not self.settings.keep:
            self.databases.drop("reference")
        return found


class StuckError(Exception):
    """Raised where nothing happens any more, or a launch fails though nothing was killed."""


class Round:
    """One run of the sweep in a fresh database: launched until it is done, and killed meanwhile."""

    def __init__(self, campaign: Campaign, name: str) -> None:
        self.campaign, self.name, self.orders = campaign, name, campaign.orders
        self.url = campaign.databases.make(name)
        self.chance = random.Random(f"{campaign.settings.seed} {name}")  # noqa: S311
        wanted = with_occasions(campaign.take(campaign.settings.each_round))
        # A kill that needs a missing database comes first.
        self.wanted = sorted(wanted, key=lambda one: one.moment != "create")
        self.open: dict[str, tuple[PlannedKill, float]] = {}
        self.process: subprocess.Popen[str] | None = None
        self.terminated = False
        self.outage: Thread | None = None
        self.next_loose = 0.0
        self._store: db.Store | None = None
        self._begun, self._of = 0, len(wanted)

    def run(self) -> RunContent:
        """Launch and kill until the sweep is done; return what it left."""
        last, seen, failures = time.monotonic(), 0, 0
        try:
            while True:
                if self.process is None:
                    task = self.campaign.task(self.name, self.url, armed=True)
                    self.process = self.campaign.start(task)
                    self.campaign.outcome.launches += 1
                    self.terminated = False
                self._give_orders()
                time.sleep(POLL_SECONDS)
                kills = len(self.orders.carried_out())
                code = self.process.poll()
                if kills > seen or code is not None:
                    failed = code not in (None, 0) and kills == seen and not self.terminated
                    failures = failures + 1 if failed else 0
                    last, seen = time.monotonic(), kills
                if failures > 2 or time.monotonic() - last > STUCK_SECONDS:
                    raise StuckError(
                        f"a launch ended with exit code {code} three times though nothing was "
                        f"killed, see {self.campaign.folder / 'launches.log'}"
                        if failures > 2
                        else f"nothing has happened for {STUCK_SECONDS:.0f} s"
                    )
                if code is not None:
                    self.process = None
                    if code == 0:
                        return self._finish()
        finally:
            if self.process is not None:
                self.process.kill()
                self.process.wait()
            if self.outage is not None:
                self.outage.join()

    def _finish(self) -> RunContent:
        # Orders that no process took are withdrawn, and are for the next round.
        left = [wanted for target, (wanted, _) in self.open.items() if self.orders.take(target)]
        self.campaign.give_back([one for one in (*left, *self.wanted) if not one.helps])
        if self.outage is not None:
            self.outage.join()
        store = db.connect(self.url, create=False)
        deliver_leftovers(store, lambda line: None)
        return read_run(store)

    def _give_orders(self) -> None:
        clock = time.monotonic()
        for target in [t for t in self.open if not self.orders.is_open(t)]:
            del self.open[target]
            if target == STOP:  # a launch that ends now leaves a job to another one
                self.next_loose = clock
                self.wanted.sort(key=lambda one: one.moment != DRIVER_NOW)
        fresh = sum(clock - since < FRESH_SECONDS for _, since in self.open.values())
        allowed = self._allowed()
        while self._begun < allowed and fresh < AT_ONCE:
            wanted = self._next()
            if wanted is None:
                break
            self._begun += 1
            if wanted.moment in (DRIVER_NOW, NODE_NOW, AWAY):
                self._strike(wanted)
            else:
                self._order(wanted)
                self.open[wanted.target] = wanted, clock
            fresh += 1
        if any(wanted.moment == "release" for wanted, _ in self.open.values()):
            self._terminate()

    def _allowed(self) -> int:
        """Return how many kills may have begun, so that they are spread over the sweep."""
        jobs = self._jobs() or {}
        done, whole = jobs.get("done", 0), sum(jobs.values()) or 1
        return math.ceil(self._of * (done + HEADSTART * whole) / whole)

    def _next(self) -> PlannedKill | None:
        """Take the next kill that may be ordered now; no two orders alike are open at a time."""
        for wanted in self.wanted:
            if wanted.target in self.open:
                continue
            loose = not wanted.when
            if loose and time.monotonic() < self.next_loose:
                continue
            if wanted.moment in (DRIVER_NOW, NODE_NOW, AWAY) and not self._is_busy():
                continue
            self.wanted.remove(wanted)
            if loose:
                self.next_loose = time.monotonic() + self.chance.uniform(0.5, 4.0)
            return wanted
        return None

    def _order(self, wanted: PlannedKill) -> None:
        order = KillOrder(
            number=self.campaign.next_number(),
            moment=wanted.moment,
            when=wanted.when,
            seconds=STOP_SECONDS if wanted.moment == STOP else 0.0,
            round=self.campaign.outcome.rounds,
        )
        self.orders.give(order)

    def _strike(self, wanted: PlannedKill) -> None:
        """Kill the launch or a node, or make the database unreachable, from this process."""
        assert self.process is not None
        kill = self._kill(wanted)
        if wanted.moment == DRIVER_NOW:
            self.orders.log(replace(kill, who="driver", pid=self.process.pid))
            self.process.kill()
            self.process.wait()
        elif wanted.moment == NODE_NOW:
            assert self.campaign.nodes is not None
            self.orders.log(replace(kill, who="node"))
            self.campaign.nodes.kill_one(self.chance)
        else:
            if self.outage is not None:
                self.outage.join()
            self.orders.log(replace(kill, who="connection", how="taken away"))
            self.outage = Thread(
                target=self.campaign.databases.take_away,
                args=(self.name, OUTAGE_SECONDS),
                daemon=True,
            )
            self.outage.start()

    def _terminate(self) -> None:
        """Stop the launch with SIGTERM, so that it puts its jobs back."""
        if not self.terminated and self.process is not None and self._is_busy():
            self.process.send_signal(SIGTERM)
            self.terminated = True

    def _is_busy(self) -> bool:
        """Return whether the present launch has running jobs."""
        assert self.process is not None
        mine = f":{self.process.pid}:"
        with suppress(UserError):
            return any(mine in (job.owner or "") for job in self._reader().running_jobs())
        return False

    def _jobs(self) -> dict[str, int] | None:
        """Count the jobs in each state; None while the database is unreachable."""
        with suppress(UserError):
            return self._reader().job_counts().by_state
        return None

    def _reader(self) -> db.Store:
        """Return the store. Raises UserError while it is not created, or unreachable."""
        if self._store is None:
            self._store = db.connect(self.url, create=False)
        return self._store

    def _kill(self, wanted: PlannedKill) -> Kill:
        return Kill(
            number=self.campaign.next_number(),
            round=self.campaign.outcome.rounds,
            who="driver",
            how="killed",
            moment=wanted.moment,
            when="",
            host="",
            pid=0,
            time=now(),
            jobs=self._jobs(),
        )
