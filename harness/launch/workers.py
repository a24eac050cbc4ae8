"""The workers of a launch or a study, and the checks before anything is changed."""

import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import lcma.harness.data
from lcma import db
from lcma.harness.extras import require_extra
from lcma.harness.files import find_existing
from lcma.harness.launch.driver import LaunchStoppedError, new_owner
from lcma.harness.launch.executor import ClusterLostError, Executor
from lcma.harness.launch.plan import Plan, count_slots, plan_expansion, set_names
from lcma.harness.launch.preflight import Preflight, require_here
from lcma.harness.place import Place
from lcma.harness.text import format_count
from lcma.sweeps.errors import UserError
from lcma.sweeps.spec import Resources, Spec

Stage = Callable[[str], AbstractContextManager[object]]
"""A context manager that shows during a block what is being done."""


class LaunchInterrupted(KeyboardInterrupt):
    """Raised when SIGINT or SIGTERM ends a launch; ``released`` of its jobs keep their last
    checkpoint."""

    def __init__(self, number: int, released: int = 0) -> None:
        super().__init__(f"interrupted by signal {number}")
        self.number, self.released = number, released


def resolve_resources(
    spec: Spec, *, gpus: float | None, parallel: int | None, ray: str | None
) -> Resources:
    """Return the resources of one trial: those of the spec, replaced by options that are given.

    Raises UserError if a GPU is needed, this machine has none, and no cluster is named.
    """
    gpus = spec.gpus if gpus is None else gpus
    parallel = spec.resources.parallel if parallel is None else parallel
    if gpus and ray is None:
        import torch

        if not torch.cuda.is_available():
            raise UserError(
                f"a trial asks for {gpus:g} GPU, and this machine has none that "
                f"PyTorch can use: give --gpus 0, or a cluster with --ray ADDRESS"
            )
    return spec.resources.model_copy(update={"gpus": gpus, "parallel": parallel})


def missing_data(plan: Plan, place: Place) -> list[str]:
    """Return the data sets to prepare. Raises UserError for a set that needs the user's files."""
    missing, needed = [], set_names(plan.expansion)
    data_sets = lcma.harness.data.list_sets(place.data)
    for name in set(needed) - {data_set.name for data_set in data_sets}:  # of another folder
        lcma.harness.data.load(name, place.data)
    for data_set in data_sets:
        if data_set.name not in needed:
            continue
        if data_set.needs_path or (place.data / data_set.name).exists():
            lcma.harness.data.load(data_set.name, place.data)
        else:
            if data_set.extra is not None:
                require_extra(data_set.extra)
            missing.append(data_set.name)
    return missing


def check_writable(place: Place, *, prepares: bool, **others: Path | None) -> None:
    """Raise UserError if a folder cannot be made or written. No folder is made.

    The folder of data need not be writable unless the launch ``prepares`` a data set.
    """
    folders = {"data": place.data} if prepares else {}
    if isinstance(place.runs, Path):
        folders["runs"] = place.runs
    else:
        require_here(place.runs)
    for option, folder in others.items():
        if folder is not None:
            folders[option] = folder.absolute()
    for option, folder in folders.items():
        existing = find_existing(folder)
        try:
            with tempfile.TemporaryFile(dir=existing):
                pass
        except OSError as error:
            raise UserError(
                f"cannot write in {folder} ({error.strerror}): give --{option} DIR"
            ) from None


def check_shared(place: Place, hosts: list[str]) -> None:
    """Raise UserError if the workers' machines cannot all write the database."""
    database = db.locate(place.db)
    if database.one_host and len(hosts) > 1:
        shown = ", ".join(hosts[:3]) + (", ..." if len(hosts) > 3 else "")
        raise UserError(
            f"the cluster has {len(hosts)} hosts ({shown}), and a SQLite file such as "
            f"{database.name} is for one: give --db postgresql://USER@HOST/DATABASE"
        )


class Workers:
    """An executor that runs during a block, by the options of a launch or a study.

    In the main thread SIGINT and SIGTERM end the block with LaunchInterrupted, at once or as
    `deferred_signals` says. If the block ends with an error and ``store`` is set, the jobs of
    ``owner`` are released.
    """

    def __init__(
        self, resources: Resources, threads: int, stage: Stage, options: Mapping[str, Any]
    ) -> None:
        self.resources, self.threads, self.stage, self.options = resources, threads, stage, options
        self.ray = options.get("ray")
        self.owner = new_owner()
        self.store: db.Store | None = None
        self.executor: Executor | None = None
        self.preflight: Preflight | None = None
        self._handlers: dict[int, Any] = {}
        self._defers, self._signal = False, 0

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other can handle signals
            self._handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
        self._handle(self._interrupt)
        try:
            count = self.options.get("wait_nodes")
            waiting = f", waiting for {format_count(count, 'node')}" if count else ""
            with self.stage(f"starting workers{waiting}"):
                self.executor = _make_executor(self.resources, self.threads, self.options)
        except BaseException as error:
            if isinstance(error, SystemExit):  # Ray's handler of SIGTERM while Ray starts
                error = LaunchInterrupted(signal.SIGTERM)
            self.__exit__(type(error), error, None)
            raise error from None
        self._handle(self._interrupt)  # again: Ray has installed its own handlers
        return self

    def prepare(self, plan: Plan, place: Place, missing: list[str]) -> tuple[db.Store, Plan]:
        """Prepare the missing data sets and the database; return the store and the plan with them.

        Raises UserError, with nothing changed, if no machine can run the plan's trials.
        """
        self.require(place, plan.digests)
        store = db.connect(place.db)
        store.require_writable()
        for name in missing:
            with self.stage(f"preparing {name}"):
                lcma.harness.data.prepare(name, place.data)
        if missing:
            plan = plan_expansion(plan.expansion, place, store)
            self.require(place, plan.digests)
        return store, plan

    def require(self, place: Place, sets: Mapping[str, str]) -> None:
        """Ask all machines whether they have what work needs, and the data sets with these hashes.

        Raises UserError if no machine has all of it.
        """
        assert self.executor is not None
        check_shared(place, self.executor.hosts())
        self.executor.set_aside(())  # all machines are asked again once data are prepared
        nodes = format_count(self.executor.count_machines(), "node")
        with self.stage(f"asking {nodes} for code, database, checkpoints and data"):
            self._end_preflight()
            self.preflight = Preflight(
                place,
                sets,
                device="cuda" if self.ray and self.resources.gpus else "cpu",
                any_code=self.options.get("any_code", False) or self.ray is None,
            )
            self.preflight.require_machines(self.executor.ask)
            self.executor.set_aside(self.preflight.problems)

    def _end_preflight(self) -> None:
        if self.preflight is not None:
            with suppress(UserError):  # an empty probe may stay in an unreachable place
                self.preflight.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._handle(signal.SIG_IGN)
        cause = error
        if isinstance(error, SystemError) and error.__cause__ is not None:
            cause = error.__cause__  # Ray's compiled part wraps what a signal handler raises
        elif type(error) is KeyboardInterrupt and self._signal:
            cause = LaunchInterrupted(self._signal)  # or replaces it
        released, failed = 0, error is not None
        if self.executor is not None:
            self.executor.close(kill=failed)
        self._end_preflight()
        if failed and self.store is not None:
            with suppress(UserError):
                released = self.store.release(self.owner)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if isinstance(cause, (LaunchStoppedError, ClusterLostError, LaunchInterrupted)):
            cause.released = released
        if cause is not None and cause is not error:
            raise cause

    @contextmanager
    def deferred_signals(self) -> Iterator[None]:
        """Let signals in a block wait for `require_uninterrupted`, except a second SIGINT."""
        # Python may swallow what a handler raises that happens to run in a callback.
        self._defers = True
        try:
            yield
            self.require_uninterrupted()
        finally:
            self._defers = False

    def require_uninterrupted(self) -> None:
        """Raise LaunchInterrupted if a signal has come."""
        if self._signal:
            raise LaunchInterrupted(self._signal)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        # SIGTERM may come twice, from Slurm and from its step; a second Ctrl-C is meant.
        again = bool(self._signal)
        self._signal = self._signal or number
        if not self._defers or (again and number == signal.SIGINT):
            raise LaunchInterrupted(number)

    def _handle(self, handler: Any) -> None:
        for number in self._handlers:
            signal.signal(number, handler)


def _make_executor(resources: Resources, threads: int, options: Mapping[str, Any]) -> Executor:
    if options.get("local"):
        from lcma.harness.launch.local import LocalExecutor

        slots, gpus = count_slots(resources, threads), 0
        if resources.gpus:
            import torch

            gpus = torch.cuda.device_count()
            slots = min(slots, max(1, int(1 / resources.gpus)) * gpus)
        return LocalExecutor(slots, gpus)
    from lcma.harness.launch.cluster import RayExecutor

    executor = RayExecutor(resources, options.get("ray"))
    try:
        executor.wait_for_nodes(options.get("wait_nodes") or 0)
        executor.check(threads)
    except BaseException:  # also that of a signal
        executor.close(kill=True)
        raise
    return executor
