"""The executor on Ray: task bodies as Ray tasks. No other module of this folder touches Ray."""

import atexit
import contextlib
import json
import logging
import math
import os
import pickle
import re
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray._private import ray_constants
from ray.exceptions import (
    GetTimeoutError,
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    TaskCancelledError,
    WorkerCrashedError,
)
from ray.experimental import internal_kv
from ray.job_config import JobConfig

from lcma.harness.cpus import count_cpus
from lcma.harness.launch.executor import ClusterLostError, Executor, Finished, Lost, run_body
from lcma.harness.launch.preflight import Answer, Question, answer_question
from lcma.harness.terminal import silencing_libraries
from lcma.harness.text import format_count
from lcma.harness.work.units import Report, Work
from lcma.sweeps.errors import UserError
from lcma.sweeps.spec import Resources

Value = TypeVar("Value")

AUTH_MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
"""Ray's variables for who may use it."""

CHECK_SECONDS, LOST_SECONDS = 2.0, 6.0
"""Interval between checks of the head and of this machine's raylet, and time without an answer
after which they count as dead."""

ASK_SECONDS = 120.0
"""Time that a node gets to start a worker and to answer a `Question`."""

WAIT_NODES_SECONDS = 300.0
"""Time for which a launch waits for the nodes of ``--wait-nodes``."""

LOSSES = 4
"""Losses of its node or process after which Ray gives up a call of `run_each`."""

END_SECONDS = 1.0
"""Time after which a process ends whose device has failed."""

NO_NODE_SECONDS = 120.0
"""Time without an able node after which `run_each` gives up."""

NODE_LABEL = "ray.io/node-id"
"""The label by which Ray names a node."""

FAULTLESS_DEATHS = (1, 3, 4)
"""Reasons (Ray's `NodeDeathInfo`) of a node's death that are no fault: its raylet got SIGTERM, or
an autoscaler drained it because it was preempted or idle."""

MANUAL_TYPE = "node_"
"""Prefix of the types that Ray invents for nodes that were started by hand. An autoscaler's nodes
have the types of its configuration."""

BEGIN_PREFIX = "lcma-begun:"
"""Prefix of a task's key in Ray's store, whose value is the node on which the task has begun."""


class _JobConfig(JobConfig):
    """Ray's configuration without the current folder, from which workers would import first."""

    def _serialize(self) -> str:
        paths = {str(Path(path).absolute()) for path in sys.path}
        self._py_driver_sys_path = [path for path in self._py_driver_sys_path if path in paths]
        serialized: str = super()._serialize()  # bytes, whatever Ray says
        return serialized


class RayExecutor(Executor):
    """An executor on a Ray cluster, or on a Ray of its own."""

    def __init__(self, resources: Resources, address: str | None) -> None:
        """Connect to the cluster at an address, or start a Ray on this machine.

        Raises UserError if that fails.
        """
        # CPU tasks must not see GPUs, whatever the default of a Ray that starts here is.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if address is not None:
            _require_reachable(address)
        self.resources, self.address = resources, address
        self.grows = address is not None  # it may have an autoscaler, which counts what waits
        self.need = {"CPU": 1.0, "GPU": 0.0}
        self._works: dict[Any, Sequence[Work]] = {}
        self._before = {name: os.environ.get(name) for name in (AUTH_MODE, TOKEN)}
        if address is None:
            _make_token()
        try:
            with _listening_on_loopback() if address is None else silencing_libraries():
                ray.init(
                    address=address or "local",  # and not what RAY_ADDRESS may name
                    num_cpus=None if address else count_cpus(),
                    include_dashboard=None if address else False,
                    log_to_driver=False,
                    logging_level=logging.ERROR,
                    configure_logging=False,
                    job_config=_JobConfig(),
                )
        except Exception as error:  # noqa: BLE001 - Ray raises a bare one where its start takes long
            if address is not None and (why := _find_token_problem(error)):
                raise UserError(
                    f"Ray at {address} lets nobody in without its token ({why}): set "
                    f"RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to a file with the token "
                    f"that its nodes have"
                ) from None
            where = f"reach Ray at {address}" if address else "start a Ray on this machine"
            first = str(error).strip().splitlines()[0] if str(error).strip() else "no answer"
            remedy = "check the address, or leave --ray out"
            remedy = remedy if address else "try again, or launch with --local"
            raise UserError(f"cannot {where}: {first}; {remedy}") from None
        # Keep Ray from printing about lost nodes: a launch says itself what it lost.
        ray._private.worker.print_to_stdstream = lambda data, ignore_prefix: None
        run = _make_task(notes_node=address is not None)
        self._task: Any = ray.remote(max_retries=0, max_calls=0)(run)
        self._fresh_task: Any = ray.remote(max_retries=0, max_calls=1)(run)
        self._several_gpus = False
        self._known_nodes: list[dict[str, Any]] = []
        self._asking: Future[Any] | None = None
        self._checked = self._answered = time.monotonic()
        self._is_lost_cluster = False
        self._question: Question | None = None
        self._host_of: dict[str, str] = {}
        self._able: set[str] = set()  # hosts that can run a task, also lost ones
        # By task its need and the ids of the nodes that it must avoid.
        self._placed: dict[Any, tuple[Mapping[str, float], Collection[str]]] = {}
        self._nodes()

    def check(self, threads: int) -> None:
        """Raise UserError if neither a node nor one that an autoscaler could add can run a task."""
        self.need, self._able = self._need(threads), set()
        lack = self._lack(self.need)
        if lack is not None and not self._could_add(self.need):
            raise UserError(
                f"{lack}: ask for less, by `resources` in the spec or --gpus, or start a node that "
                "has it"
            )

    def wait_for_nodes(self, count: int) -> None:
        """Wait until ``count`` nodes, including the head, are alive.

        Raises UserError after `WAIT_NODES_SECONDS`.
        """
        until = time.monotonic() + WAIT_NODES_SECONDS
        while (alive := len(self._nodes())) < count:
            if time.monotonic() >= until:
                raise UserError(
                    f"Ray at {self.address} has {format_count(alive, 'node')} after "
                    f"{WAIT_NODES_SECONDS / 60:.0f} minutes, and not the {count} of --wait-nodes: "
                    "see `ray status`, or wait for fewer"
                )
            time.sleep(1)

    def lack(self, work: Work, *, aside: bool = False) -> str | None:
        return self._lack(self._need_of(work), aside=aside)

    def free_slots(self, work: Work, before: Sequence[Work] = ()) -> int:
        need = self._need_of(work)
        nodes = [node["Resources"] for node in self._open_nodes()]
        taken = 0.0
        for other in (*(works[0] for works in self._works.values()), *before):
            takes = self._need_of(other)
            if any(_count_fits(node, takes) for node in nodes):
                taken += max(takes.get(k, 0.0) / v for k, v in need.items() if v)
        slots = sum(_count_fits(node, need) for node in nodes)
        return max(0, math.floor(slots - taken + 1e-9))

    def _need_of(self, work: Work) -> dict[str, float]:
        return self._need(work.threads, work.gpus, work.terms.memory_gb)

    def _need(
        self, threads: int, gpus: float = 0.0, memory_gb: float | None = None
    ) -> dict[str, float]:
        """Return the resources of a task: at least those of the launch."""
        least = self.resources
        need = {"CPU": least.cpus or float(threads), "GPU": max(gpus, least.gpus or 0.0)}
        if memory := max(memory_gb or 0.0, least.memory_gb or 0.0):
            need["memory"] = memory * 1e9
        return need

    def _lack(self, need: Mapping[str, float], *, aside: bool = False) -> str | None:
        open_nodes = self._nodes() if aside else self._open_nodes()
        nodes = [n["Resources"] for n in open_nodes]
        if any(_meets(n, need) for n in open_nodes):
            return None
        needs = ", ".join(_amount(k, v) for k, v in need.items() if v)

        def meets(node: dict[str, float]) -> list[float]:
            shares = [min(node.get(k, 0.0) / v, 1.0) for k, v in need.items() if v]
            return [sum(share == 1 for share in shares), *shares]

        nearest: dict[str, float] = max(nodes, key=meets, default={})
        has = ", ".join(_amount(k, nearest.get(k, 0.0)) for k in need)
        return f"a trial asks for {needs}, and no node has that (the nearest has {has})"

    def _could_add(self, need: Mapping[str, float]) -> bool:
        """Return whether Ray's autoscaler could add a node that meets a need.

        If Ray does not say which nodes it could add, it may be able to.
        """
        if self.address is None:
            return False
        config = ray._private.state.state.get_cluster_config()
        if config is not None and config.node_group_configs:
            groups = [group for group in config.node_group_configs if group.max_count]
            return any(_meets({"Resources": dict(group.resources)}, need) for group in groups)
        return any(not name.startswith(MANUAL_TYPE) for name in _read_node_types())

    def hosts(self) -> list[str]:
        """Return the names and addresses of the machines that may run a task, and of this one."""
        alive = self._nodes()
        here = socket.gethostname()
        here_too = (
            [] if here in {n["NodeManagerHostname"] for n in alive} else [f"{here} (this machine)"]
        )
        return sorted({*map(_name_host, alive), *here_too})

    def total(self, resource: str) -> float:
        """Return the total amount of a resource of all nodes, such as 'CPU'."""
        return sum(float(node["Resources"].get(resource, 0.0)) for node in self._nodes())

    def count_machines(self) -> int:
        return sum(_meets(node, self.need) for node in self._open_nodes())

    def ask(self, question: Question) -> list[Answer]:
        """Return the answer of each node that could run a task, except of nodes that are lost."""
        if self.address is None:
            return super().ask(question)
        self._question = question
        task = self._fresh_task if question.device == "cuda" else self._task
        asked: dict[Any, str] = {}
        for node in self._open_nodes():
            if _meets(node, self.need):
                host, gpus = self._host_of[node["NodeID"]], int(node["Resources"].get("GPU", 0.0))
                selector = {NODE_LABEL: node["NodeID"]}
                check = task.options(num_cpus=0, label_selector=selector, name=f"check {host}")
                ref = check.remote(pickle.dumps((_answer, (question, host, gpus))))
                asked[ref] = node["NodeID"]
        late, until = list(asked), time.monotonic() + ASK_SECONDS
        while late and time.monotonic() < until:
            _, late = ray.wait(late, num_returns=len(late), timeout=CHECK_SECONDS)
            alive = {node["NodeID"] for node in self._nodes()}
            late = [ref for ref in late if asked[ref] in alive]
        answers = (_read_answer(r, self._host_of[node], r in late) for r, node in asked.items())
        return list(filter(None, answers))

    def is_closed(self) -> bool:
        """Return whether every host that could run a task is set aside, lost hosts included."""
        self._nodes()
        return bool(self.aside) and self._able <= self.aside and not self._could_add(self.need)

    def _open_nodes(self) -> list[dict[str, Any]]:
        return [n for n in self._nodes() if self._host_of[n["NodeID"]] not in self.aside]

    def _recall(self) -> None:
        """Cancel tasks that must avoid all able nodes, if one of these gets tasks again.

        The nodes that a task avoids are fixed when it is submitted. Its other nodes may be lost.
        """
        limited = {ref: placed for ref, placed in self._placed.items() if placed[1]}
        nodes, open_nodes = (self._nodes(), self._open_nodes()) if limited else ([], [])
        for ref, (need, avoided) in limited.items():
            able = [node for node in nodes if _meets(node, need)]
            is_stuck = {node["NodeID"] for node in able} <= set(avoided)
            if is_stuck and any(node in open_nodes for node in able):
                ray.cancel(ref)

    def submit(self, works: Sequence[Work]) -> None:
        work, others = works[0], f" and {len(works) - 1} more" if len(works) > 1 else ""
        content = _run_on_node, (self._question, works)
        self._works[self._start_task(self._need_of(work), work.title + others, content)] = works

    def run_each(
        self, body: Callable[..., Value], calls: Sequence[tuple[str, tuple[Any, ...]]]
    ) -> Iterator[Value]:
        """Run a function for calls, each a title and arguments; yield the results in any order.

        Ray repeats a call whose node or process is lost, so that calls must be idempotent.

        Raises:
            UserError: The function raised an error, a call was lost `LOSSES` times, or no node is
                left.
            ClusterLostError: The cluster is gone.
        """
        refs = {}
        for title, arguments in calls:
            refs[self._start_task(self.need, title, (body, arguments), LOSSES - 1)] = title
        had_node = time.monotonic()
        while refs:
            self._require_cluster()
            ready, _ = ray.wait(list(refs), num_returns=1, timeout=CHECK_SECONDS)
            if ready or self.count_machines() or self._could_add(self.need):
                had_node = time.monotonic()
            elif time.monotonic() - had_node > NO_NODE_SECONDS:
                title = next(iter(refs.values()))
                why = f"for {NO_NODE_SECONDS:.0f} s: see `ray status`, and try again"
                raise UserError(f"no node is left that can {title}, {why}")
            for ref in ready:
                title = refs.pop(ref)
                del self._placed[ref]
                try:
                    _, value, why = ray.get(ref)
                except RayError as error:
                    _, why, _ = self._describe_loss(ref, error)
                    raise UserError(
                        f"cannot {title}, its process was lost ({why}): try it without --ray"
                    ) from None
                if value is None:
                    raise UserError(why)
                yield value

    def _start_task(
        self, need: Mapping[str, float], title: str, call: tuple[Any, Any], max_retries: int = 0
    ) -> Any:
        """Start a task with its resources, on a node that is not set aside."""
        gpus, hosts = need["GPU"], self._host_of.items()
        avoided = [node_id for node_id, host in hosts if host in self.aside]
        # A process stays on the first GPU that it computed on, whichever GPU the next task gets, so
        # that on nodes with several GPUs each task needs a fresh process. A node that is still to
        # come may have several.
        fresh = gpus and (self._several_gpus or self._lack(need) is not None)
        task = (self._fresh_task if fresh else self._task).options(
            num_cpus=need["CPU"],
            num_gpus=gpus,
            memory=need.get("memory"),
            name=title,
            max_retries=max_retries,
            label_selector={NODE_LABEL: f"!in({','.join(avoided)})"} if avoided else None,
        )
        ref = task.remote(pickle.dumps(call))
        self._placed[ref] = need, avoided
        return ref

    def wait(self, seconds: float) -> list[Finished]:
        self._require_cluster()
        if not self._works:
            return []
        ready, _ = ray.wait(list(self._works), num_returns=1, timeout=seconds)
        if ready:
            ready, _ = ray.wait(list(self._works), num_returns=len(self._works), timeout=0)
        return [finished for ref in ready for finished in self._collect(ref)]

    def close(self, *, kill: bool) -> None:
        if self._is_lost_cluster:
            _leave_lost_cluster()
        elif kill:
            for ref in self._works:
                with contextlib.suppress(RayError):
                    ray.cancel(ref, force=True)
        if not self._is_lost_cluster:
            ray.shutdown()
        _set_variables(self._before)

    def _require_cluster(self) -> None:
        """Raise ClusterLostError once the head or the raylet here has not answered for a while."""
        # Ray itself would end this process after a minute, or wait for ever.
        now = time.monotonic()
        if now - self._checked < CHECK_SECONDS:
            return
        self._checked = now
        if (dead := self._find_dead()) is None:
            self._answered = now
            self._recall()
        elif now - self._answered > LOST_SECONDS:
            self._is_lost_cluster = True
            where = f"Ray at {self.address}" if self.address else "the Ray of this launch"
            raise ClusterLostError(f"{where} is lost, {dead} does not answer")

    def _find_dead(self) -> str | None:
        """Return which process that a launch needs does not answer; None if all do."""
        if not self._head_answers():
            return "its head"
        node = ray._private.worker._global_node
        try:
            if node is not None:
                with socket.socket(socket.AF_UNIX) as raylet:
                    raylet.connect(node.raylet_socket_name)
        except OSError:
            return "its raylet on this machine"
        return None

    def _head_answers(self) -> bool:
        if self._asking is not None and not self._asking.done():
            return False
        node = ray._private.worker._global_node
        assert node is not None
        host, _, port = node.gcs_address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=CHECK_SECONDS).close()
        except OSError:
            return False
        return True

    def _ask_head(self, ask: Callable[[], Value], otherwise: Value) -> Value:
        """Return what the head says, or ``otherwise`` if it does not answer for a while."""
        # If the head dies during the call, Ray waits for a minute and then ends this process.
        if not self._head_answers():
            return otherwise
        self._asking = answer = _start_thread(ask)
        try:
            return answer.result(LOST_SECONDS)
        except TimeoutError:
            return otherwise

    def _nodes(self) -> list[dict[str, Any]]:
        nodes = self._ask_head(ray.nodes, self._known_nodes)
        alive = self._known_nodes = [n for n in nodes if n["Alive"]]
        self._host_of |= {n["NodeID"]: _name_host(n) for n in alive}
        self._able |= {_name_host(n) for n in alive if _meets(n, self.need)}
        self._several_gpus |= any(n["Resources"].get("GPU", 0.0) > 1 for n in alive)
        return alive

    def _collect(self, ref: Any) -> list[Finished]:
        job_ids = [work.job_id for work in self._works.pop(ref)]
        del self._placed[ref]
        try:
            node, reports, why = ray.get(ref)
        except TaskCancelledError:  # before it began
            return [Finished(job_id, Report(job_id, "stopped")) for job_id in job_ids]
        except RayError as error:
            lost, why, host = self._describe_loss(ref, error)
            return [Finished(job_id, None, why, lost, host) for job_id in job_ids]
        host = "" if self._question is None else self._host_of.get(node, "")
        if reports is None:
            return [Finished(job_id, None, why, host=host) for job_id in job_ids]
        return [Finished(report.job_id, report, host=host) for report in reports]

    def _describe_loss(self, ref: Any, error: RayError) -> tuple[Lost, str, str]:
        """Return what was lost with a task, why, and the host if only a process was lost."""
        lost, why = _classify_loss(error), type(error).__name__
        if isinstance(error, RayTaskError):
            why = str(error).strip().splitlines()[-1]
        if lost == "node" and (match := re.search("node ID: ([0-9a-f]+)", str(error))):
            why = self._host_of.get(match[1], why)
            if notice := self._ask_head(lambda: _find_notice(match[1]), ""):
                return "taken", f"{why}: {notice}", ""
        if lost in ("process", "memory") and self._question is not None:
            return lost, why, self._host_of.get(self._ask_head(lambda: _pop_node(ref), ""), "")
        return lost, why, ""


def _start_thread(ask: Callable[[], Value]) -> Future[Value]:
    """Call a function in a thread that, even if it hangs, lets the process end."""
    answer = Future[Value]()

    def wait() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is read
            answer.set_exception(error)

    threading.Thread(target=wait, daemon=True).start()
    return answer


def _find_notice(node_id: str) -> str:
    """Return why Ray says that a dead node was told to end; '' if it was not."""
    for node in ray.nodes():  # type: ignore[no-untyped-call]  # Ray has no types for it
        if node["NodeID"] == node_id and node.get("DeathReason") in FAULTLESS_DEATHS:
            return str(node.get("DeathReasonMessage") or "it was told to end").rstrip(".")
    draining = ray._private.state.state.get_draining_nodes()
    return "it was being drained" if node_id in draining else ""


def _read_node_types() -> Iterator[str]:
    """Yield the types of this cluster's nodes, by Ray's old and new autoscaler."""
    from ray.autoscaler.v2.sdk import get_cluster_status  # slow to import, and seldom needed

    status = internal_kv._internal_kv_get(ray_constants.DEBUG_AUTOSCALING_STATUS)
    report = (json.loads(status) if status else {}).get("autoscaler_report") or {}
    yield from (report.get("node_type_mapping") or {}).values()
    cluster = get_cluster_status(ray.get_runtime_context().gcs_address)
    for node in (*cluster.active_nodes, *cluster.idle_nodes):
        yield node.ray_node_type_name or MANUAL_TYPE


def _pop_node(ref: Any) -> str:
    """Return the node on which a lost task had begun; '' if it had not begun or is not known."""
    key = BEGIN_PREFIX + ref.task_id().hex()
    node = internal_kv._internal_kv_get(key)
    internal_kv._internal_kv_del(key)
    return "" if node is None else node.decode()


def _make_token() -> None:
    """Let the Ray that is started here require a token that only its processes have.

    By itself Ray writes a token into a file that everyone can read. Modes and tokens that the user
    has set stay.
    """
    mode = os.environ.get(AUTH_MODE, "token")
    needs_token = mode == "token" and not {TOKEN, TOKEN_PATH} & os.environ.keys()
    token = secrets.token_hex(32) if needs_token else os.environ.get(TOKEN)
    _set_variables({AUTH_MODE: mode, TOKEN: token})


def _set_variables(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    raylet: Any = ray._raylet  # it has remembered the values of before
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextlib.contextmanager
def _listening_on_loopback() -> Iterator[None]:
    """Let a Ray that is started listen only on the loopback address, as it does on macOS."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _make_task(*, notes_node: bool) -> Callable[..., tuple[str, Any, str]]:
    """Return the function that Ray runs.

    It travels by value, so that it can report from a node with no lcma or another version. With
    ``notes_node`` it first stores on which node it runs: Ray does not say where a process died.
    """

    def run(content: bytes) -> tuple[str, Any, str]:
        """Return the node, the body's result or None, and then the reason."""
        import contextlib
        import pickle
        import traceback

        import ray
        from ray.experimental import internal_kv

        context = ray.get_runtime_context()
        node, key = context.get_node_id(), f"{BEGIN_PREFIX}{context.get_task_id()}"
        with contextlib.ExitStack() as at_end:
            if notes_node:
                internal_kv._internal_kv_put(key, node)
                at_end.callback(internal_kv._internal_kv_del, key)
            try:
                body, arguments = pickle.loads(content)  # noqa: S301 - the driver's own bytes
                return node, body(*arguments), ""
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the node is reported
                plain = type(error).__name__ == "UserError"
                why = str(error) if plain else traceback.format_exception_only(error)[-1]
                return node, None, why.strip().splitlines()[-1]

    return run


_checked_folders: set[str] = set()
"""The folders of the questions that this process has answered without a problem: one for each
launch."""


def _run_on_node(question: Question | None, works: Sequence[Work]) -> list[Report]:
    """Check this machine, which may have joined since the launch began, and run a task's works.

    The works themselves wait for what is only unreachable. Raises UserError, with nothing begun, if
    the machine cannot do them.
    """
    raylet = os.getppid()

    def is_ending() -> bool:
        return os.getppid() != raylet or _is_draining()

    if _is_ending_process:  # an earlier task's device failed, which Ray does not know
        return [Report(work.job_id, "elsewhere") for work in works]
    if question is not None and question.folder not in _checked_folders:
        try:
            answer = _start_thread(lambda: answer_question(question)).result(ASK_SECONDS)
        except TimeoutError:
            raise UserError(_describe_silence(socket.gethostname())) from None
        if answer.problem and not answer.passing:
            raise UserError(answer.problem)
        if not answer.problem:
            _checked_folders.add(question.folder)
    reports = run_body(works, is_ending)
    if os.getppid() != raylet:
        os._exit(1)  # nobody is left to report to, or to end this process
    from lcma.harness.train import devices  # imports torch, as the work does

    if devices.has_failed():
        _end_process_soon()
    return reports


_is_ending_process = False


def _end_process_soon() -> None:
    """End this process once Ray has its result."""
    global _is_ending_process
    _is_ending_process = True
    timer = threading.Timer(END_SECONDS, os._exit, (0,))
    timer.daemon = True
    timer.start()


def _is_draining() -> bool:
    """Return whether Ray is draining this process's node, such as a preempted spot machine."""
    try:
        return (
            ray.get_runtime_context().get_node_id() in ray._private.state.state.get_draining_nodes()
        )
    except Exception:  # noqa: BLE001 - the head may be lost, and the work goes on
        return False


def _answer(question: Question, host: str, gpus: int) -> Answer:
    # Ray hides the GPUs from a task that holds none; its process gets no other task.
    if question.device == "cuda" and not os.environ.get("CUDA_VISIBLE_DEVICES"):
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        if devices := _read_first_environment().get("CUDA_VISIBLE_DEVICES"):
            os.environ["CUDA_VISIBLE_DEVICES"] = devices
    import lcma.harness.work.worker  # noqa: F401 - tasks need it, so that a failure is reported now

    return answer_question(question, host, gpus)


def _read_first_environment() -> dict[str, str]:
    """Return the environment with which the raylet started this process."""
    try:
        pairs = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:  # not on Linux
        return {}
    return dict(os.fsdecode(pair).split("=", 1) for pair in pairs if b"=" in pair)


def _leave_lost_cluster() -> None:
    """End the rest of a Ray that was started here, and keep Ray from waiting for it."""
    node = ray._private.worker._global_node
    if node is not None and node.head:
        node.kill_all_processes(check_alive=False, allow_graceful=False)
    atexit.unregister(ray._private.worker.shutdown)


def _read_answer(ref: Any, host: str, late: bool) -> Answer | None:
    """Return a node's answer, which is a problem if the node is late; None if the node is lost."""
    if late:
        return Answer(host, problem=_describe_silence(host))
    try:
        _, answer, why = ray.get(ref, timeout=0)
    except (NodeDiedError, GetTimeoutError):
        return None
    except RayError as error:
        answer, why = None, str(error).strip().splitlines()[-1]
    if answer is None:
        text = f"host {host} cannot run lcma ({why}): install the same version on every node"
        return Answer(host, problem=text)
    typed: Answer = answer
    return typed


def _describe_silence(host: str) -> str:
    return (
        f"host {host} did not report within {ASK_SECONDS:.0f} s whether it can use the place of "
        "the checkpoints: if it is busy, launch again later; else see whether --runs (LCMA_RUNS) "
        "hangs there"
    )


def _name_host(node: Mapping[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def _meets(node: Mapping[str, Any], need: Mapping[str, float]) -> bool:
    return all(node["Resources"].get(k, 0.0) >= v for k, v in need.items())


def _classify_loss(error: RayError) -> Lost:
    if isinstance(error, OutOfMemoryError):
        return "memory"
    if isinstance(error, WorkerCrashedError):
        return "process"  # reported by its node, which is alive
    if isinstance(error, (NodeDiedError, LocalRayletDiedError, ObjectLostError)):
        return "node"
    return "error"


def _count_fits(node: Mapping[str, float], need: Mapping[str, float]) -> int:
    """Return how many tasks of a need fit on a node; no share of a GPU spans two GPUs."""
    counts = [math.floor(node.get(k, 0.0) / v + 1e-9) for k, v in need.items() if v and k != "GPU"]
    if share := need.get("GPU", 0.0):
        counts.append(math.floor(node.get("GPU", 0.0)) * math.floor(1 / share + 1e-9))
    return min(counts)


def _amount(resource: str, value: float) -> str:
    return f"{value / 1e9:.4g} GB of memory" if resource == "memory" else f"{value:g} {resource}"


def _require_reachable(address: str) -> None:
    """Raise UserError if nothing listens at the address, where Ray itself would try for minutes."""
    if address == "auto":  # as Ray reads it
        address = os.environ.get("RAY_ADDRESS") or address
    if "://" in address:
        raise UserError(
            f"{address} asks for a client of a cluster, which lcma cannot be: run it on one of the "
            "cluster's machines, with --ray HOST:6379"
        )
    host, _, port = address.rpartition(":")
    if not host and port in ("auto", "local"):
        return
    if not host or not port.isdecimal():
        raise UserError(f"--ray {address}: give HOST:PORT of the cluster's head, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"cannot reach Ray at {address}: {error}; check the address, or leave --ray out"
        ) from None


def _find_token_problem(error: BaseException | None) -> str | None:
    """Return the problem with the cluster's token, by an error or its causes; None if there is
    none."""
    while error is not None:
        text = f"{type(error).__name__}: {error}"
        _, match, why = text.rpartition("AuthenticationError: ")
        if match:
            return why.split(". ")[0].removeprefix("RPC error: InvalidAuthToken: ")
        error = error.__cause__ or error.__context__
    return None
