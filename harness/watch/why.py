"""The chain of causes behind the state of a job, with the commands to type next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from lcma.db import Attempt, JobFacts, Store
from lcma.harness.place import is_published_database, name_database
from lcma.harness.results.lookup import job_title
from lcma.harness.text import format_count, format_time, printable, short_id
from lcma.harness.watch.commands import format_command, relaunch_commands, render_commands
from lcma.harness.watch.jobs import (
    describe_progress,
    describe_rerun,
    format_host,
    job_as_dict,
    lease_is_ahead,
    lease_is_over,
)

STYLES = {"done": "green", "failed": "red", "diverged": "yellow"}

MESSAGE_LENGTH = 200
"""Characters of a message's last line that are shown."""


@dataclass(frozen=True)
class Explanation:
    """The causes of a job's state, and the commands to type next."""

    # The job, then the segments that it waits for, each with the lines that explain its state.
    causes: tuple[tuple[JobFacts, tuple[str, ...]], ...]
    next: tuple[str, ...]


def explain_job(store: Store, job: JobFacts, db: str | None = None) -> Explanation:
    """Read why a job is in its state, down to what has to happen first.

    Args:
        store: The database.
        job: The job.
        db: Value of --db of the commands.
    """
    now = store.now()
    chain = [job, *_read_segments_waited_for(store, job)]
    attempts: dict[str, list[Attempt]] = {cause.job_id: [] for cause in chain}
    for attempt in store.attempts(list(attempts)):
        attempts[attempt.job_id].append(attempt)
    reruns = store.reruns()
    causes = []
    for cause, following in zip(chain, [*chain[1:], None], strict=True):
        rerun = reruns.get(cause.job_id)
        lines = [] if rerun is None else [describe_rerun(rerun)]
        lines += _explain_state(store, cause, attempts[cause.job_id], following, now)
        causes.append((cause, tuple(map(printable, lines))))
    return Explanation(tuple(causes), tuple(_list_next_commands(store, job, chain[-1], now, db)))


def render_explanation(explanation: Explanation, *, data: bool = False) -> RenderableType:
    """Return a line for each fact, indented along the chain of causes, then the commands.

    With ``data``, a heading names the exact data set too.
    """
    parts: list[RenderableType] = []
    for depth, (job, lines) in enumerate(explanation.causes):
        indent = "  " * depth
        of_data = f", data {short_id(job.data_digest)}" if data else ""
        head = Text(f"{indent}{job_title(job)} ({short_id(job.subject)}{of_data}): ")
        head.append(printable(job.state), style=STYLES.get(job.state, "bold"))
        parts += [head, *(Text(f"{indent}  {line}") for line in lines)]
    return Group(*parts, *render_commands(explanation.next))


def explanation_as_dict(explanation: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON values."""
    causes = [job_as_dict(job) | {"said": lines} for job, lines in explanation.causes]
    return {"causes": causes, "next": explanation.next}


def _read_segments_waited_for(store: Store, job: JobFacts) -> list[JobFacts]:
    """Return the segments that a pending job waits for, from the last to the first to run."""
    if job.state != "pending" or job.pretraining_id is None or job.budget is None:
        return []
    last = job.budget if job.kind == "trial" else job.budget - 1
    chain: list[JobFacts] = []
    segments = store.job_facts(
        pretraining_ids=[job.pretraining_id], data_digest=job.data_digest, kind="pretraining"
    )
    planned = {segment.job_id for segment in segments}
    if job.trial_id is not None:  # a segment that only other sweeps read is not waited for
        sweeps = {member.sweep_id for member in store.memberships([job.trial_id])}
        planned &= {job_id for sweep in sweeps for job_id in store.job_ids(sweep)}
    for segment in reversed(segments):
        if segment.budget is None or segment.budget > last:
            continue
        if segment.job_id not in planned and segment.state != "running":
            continue
        if segment.state == "done":
            break
        chain.append(segment)
        if segment.state != "pending":  # it waits for no other
            break
    return chain


def _explain_state(
    store: Store,
    job: JobFacts,
    attempts: Sequence[Attempt],
    following: JobFacts | None,
    now: float,
) -> Iterator[str]:
    trainings = [attempt for attempt in attempts if attempt.protocol is None]
    # The job's own last attempt, or that of its result: the newest one may have come with a merge.
    own = job.done_attempt_id if job.state == "done" else job.attempt_id
    last = next((attempt for attempt in trainings if attempt.id == own), None)
    if job.state == "pending" and last is not None and last.outcome == "done":
        last = None  # a rerun that has not started
    if job.state == "done":
        yield from _explain_done(store, job, last)
    elif job.state == "running":
        yield from _explain_running(job, last, now)
    elif job.state == "pending":
        yield from _explain_pending(job, last, following)
    else:
        yield from _explain_lost(job, last, trainings)


def _explain_done(store: Store, job: JobFacts, last: Attempt | None) -> Iterator[str]:
    if last is None:
        yield "by an attempt that this database does not have"
        return
    attempt = f"attempt {last.token}{format_host(last.host)}"
    yield f"by {attempt}{_format_end(last, ', at')}, launch {last.owner}"
    # The message of an attempt that ended well has notes, such as on a measure not taken.
    for line in last.message.strip().splitlines():
        yield line[:MESSAGE_LENGTH]
    if job.trial_id is None:
        return
    sweeps = {sweep.id: sweep for sweep in store.sweeps()}
    for member in store.memberships([job.trial_id]):
        sweep = sweeps[member.sweep_id]
        late = last.ended is not None and (sweep.created or 0.0) > last.ended
        origin = "taken from an earlier sweep" if late else "run for it"
        yield f"in the sweep {sweep.name} as {member.factorization}: {origin}"


def _explain_running(job: JobFacts, last: Attempt | None, now: float) -> Iterator[str]:
    yield describe_progress(job, now)
    since = "" if last is None else f" since {format_time(last.started)}"
    yield f"attempt {job.token}{since}, launch {job.owner}"
    if last is not None and last.message:
        yield last.message
    if lease_is_over(job, now):
        yield "its worker no longer answers: the next launch of the job takes it over"


def _explain_pending(
    job: JobFacts, last: Attempt | None, following: JobFacts | None
) -> Iterator[str]:
    if last is not None:
        attempt = f"attempt {last.token}{format_host(last.host)}"
        yield f"{attempt} ended as {last.outcome}{_format_end(last, ' at')}"
        if last.outcome == "node_lost" and last.message:
            yield last.message.strip().splitlines()[-1][:MESSAGE_LENGTH]
        yield from _explain_memory(last)
        if job.decision is not None:
            yield job.decision
        yield f"the next attempt goes on from the last checkpoint; last step reported: {job.step}"
    if job.stopped_by is not None:
        yield f"stopped by {job.stopped_by}: a later launch runs it"
    elif following is not None:
        yield f"waits for its pretraining to {following.budget}:"
    elif last is None:
        yield "not started: it waits only for a launch"
    else:
        yield "it waits only for a launch, which runs it again"


def _explain_memory(last: Attempt) -> Iterator[str]:
    if last.outcome != "oom":
        return
    if last.peak_memory is None:
        yield "its use of memory was not reported"
        return
    peak = f"at most {last.peak_memory / 2**30:.2f} GiB"
    if last.devices is None:
        yield f"its process took {peak} on the CPU"
    else:
        share = "a GPU" if last.share is None else f"{last.share:.2g} of a GPU"
        yield f"its tensors took {peak} of {last.devices}, where it held {share}"


def _explain_lost(
    job: JobFacts, last: Attempt | None, attempts: Sequence[Attempt]
) -> Iterator[str]:
    if last is None:
        yield "by an attempt that this database does not have"
        return
    lines = last.message.strip().splitlines() or ["no message"]
    same = sum(attempt.outcome == last.outcome for attempt in attempts)
    times = "once" if same == 1 else f"{same} times"
    yield f"{last.outcome}: {lines[-1].strip()[:MESSAGE_LENGTH]}"
    yield (
        f"at step {last.last_step}/{job.steps}{format_host(last.host)}{_format_end(last, ',')}; "
        f"{times} in {format_count(len(attempts), 'attempt')}"
    )
    yield from _explain_memory(last)
    if job.decision is not None:
        yield job.decision


def _list_next_commands(
    store: Store, job: JobFacts, cause: JobFacts, now: float, db: str | None
) -> Iterator[str]:
    if job.state == "done":
        yield format_command("logs", short_id(job.subject), db=db)
        if job.trial_id is not None and any(
            trial.weights for trial in store.job_facts(trial_ids=[job.trial_id])
        ):
            yield format_command("samples", short_id(job.trial_id), db=db)
        return
    if cause.state == "running" and not (lease_is_over(cause, now) or lease_is_ahead(cause, now)):
        yield format_command("logs", short_id(cause.subject), "-f", db=db)
        return
    if cause.state in ("failed", "diverged"):
        yield format_command("logs", short_id(cause.subject), db=db)
        if not is_published_database(name_database(db)):  # it is never written
            yield format_command("rerun", "--failed", short_id(cause.subject), db=db)
        return
    yield from relaunch_commands(store, [job.job_id], db)


def _format_end(attempt: Attempt, before: str) -> str:
    return "" if attempt.ended is None else f"{before} {format_time(attempt.ended)}"
