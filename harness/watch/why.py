"""The chain of causes behind the state of a job, with the commands to type next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from lcma.db import Attempt, JobFacts, Store
from lcma.harness.results.lookup import job_title
from lcma.harness.text import format_count, format_time, printable, short_id
from lcma.harness.watch.commands import format_command, relaunch_commands, render_commands
from lcma.harness.watch.jobs import (
    describe_progress,
    describe_rerun,
    job_as_dict,
    lease_is_ahead,
    lease_is_over,
    on_host,
)

STYLES = {"done": "green", "failed": "red", "diverged": "yellow"}

MESSAGE_LENGTH = 200
"""Characters of a message's last line that are shown."""


@dataclass(frozen=True)
class Explanation:
    """A job with all that it waits for, one after the other, and the commands to type next.

    Each of ``causes`` is a job with the lines that explain its state.
    """

    causes: tuple[tuple[JobFacts, tuple[str, ...]], ...]
    next: tuple[str, ...]


def explain_job(store: Store, job: JobFacts, db: str | None = None) -> Explanation:
    """Read why a job is in its state, down to what has to happen first.

    ``db`` is the database as it was given, for the commands.
    """
    now = store.now()
    chain = [job, *_read_waits(store, job)]
    attempts: dict[str, list[Attempt]] = {one.job_id: [] for one in chain}
    for attempt in store.attempts(list(attempts)):
        attempts[attempt.job_id].append(attempt)
    reruns = store.reruns()
    causes = []
    for depth, one in enumerate(chain):
        following = chain[depth + 1] if depth + 1 < len(chain) else None
        rerun = reruns.get(one.job_id)
        lines = [] if rerun is None else [describe_rerun(rerun)]
        lines += _explain_state(store, one, attempts[one.job_id], following, now)
        causes.append((one, tuple(map(printable, lines))))
    return Explanation(tuple(causes), tuple(_next_commands(store, job, chain[-1], now, db)))


def render_explanation(found: Explanation) -> RenderableType:
    """Return a line for each fact, indented along the chain, then the commands."""
    lines: list[RenderableType] = []
    for depth, (job, said) in enumerate(found.causes):
        indent = "  " * depth
        head = Text(f"{indent}{job_title(job)} ({short_id(job.subject)}): ")
        head.append(printable(job.state), style=STYLES.get(job.state, "bold"))
        lines += [head, *(Text(f"{indent}  {line}") for line in said)]
    return Group(*lines, *render_commands(found.next))


def explanation_as_dict(found: Explanation) -> dict[str, Any]:
    """Return an explanation as JSON values."""
    causes = [job_as_dict(job) | {"said": said} for job, said in found.causes]
    return {"causes": causes, "next": found.next}


def _read_waits(store: Store, job: JobFacts) -> list[JobFacts]:
    """Return the segments that a pending job waits for, the next first, down to one that waits for
    none."""
    if job.state != "pending" or job.pretraining_id is None or job.budget is None:
        return []
    last = job.budget if job.kind == "trial" else job.budget - 1
    chain: list[JobFacts] = []
    segments = store.job_facts(
        pretraining_ids=[job.pretraining_id], data_digest=job.data_digest, kind="pretraining"
    )
    for segment in reversed(segments):
        if segment.budget is None or segment.budget > last:
            continue
        if segment.state == "done":
            break
        chain.append(segment)
        if segment.state != "pending":
            break
    return chain


def _explain_state(
    store: Store,
    job: JobFacts,
    attempts: Sequence[Attempt],
    following: JobFacts | None,
    now: float,
) -> Iterator[str]:
    own = [attempt for attempt in attempts if attempt.protocol is None]
    # Not the newest: a merge may have brought others' attempts since.
    last = next((attempt for attempt in own if attempt.id == job.attempt_id), None)
    if job.state == "pending" and last is not None and last.outcome == "done":
        last = None  # a rerun that has not begun
    if job.state == "done":
        yield from _explain_done(store, job, last)
    elif job.state == "running":
        yield from _explain_running(job, last, now)
    elif job.state == "pending":
        yield from _explain_pending(job, last, following)
    else:
        yield from _explain_lost(job, last, own)


def _explain_done(store: Store, job: JobFacts, last: Attempt | None) -> Iterator[str]:
    if last is None:
        yield "by an attempt that this database does not have"
        return
    yield f"by attempt {last.token}{on_host(last.host)}{_at_end(last, ', at')}, launch {last.owner}"
    # Notes of an attempt that ended well, such as on a measure that was not taken.
    for line in last.message.strip().splitlines():
        yield line[:MESSAGE_LENGTH]
    if job.trial_id is None:
        return
    sweeps = {one.id: one for one in store.sweeps()}
    for member in store.memberships([job.trial_id]):
        sweep = sweeps[member.sweep_id]
        late = last.ended is not None and (sweep.created or 0.0) > last.ended
        how = "served from what was there already" if late else "run for it"
        yield f"in the sweep {sweep.name} as {member.factorization}: {how}"


def _explain_running(job: JobFacts, last: Attempt | None, now: float) -> Iterator[str]:
    yield describe_progress(job, now)
    since = "" if last is None else f" since {format_time(last.started)}"
    yield f"attempt {job.token}{since}, launch {job.owner}"
    if last is not None and last.message:
        yield last.message
    if lease_is_over(job, now):
        yield "nobody has heard of it since: the next launch that wants it takes it over"


def _explain_pending(
    job: JobFacts, last: Attempt | None, following: JobFacts | None
) -> Iterator[str]:
    if last is not None:
        attempt = f"attempt {last.token}{on_host(last.host)}"
        yield f"{attempt} ended as {last.outcome}{_at_end(last, ' at')}"
        if last.outcome == "node_lost" and last.message:
            yield last.message.strip().splitlines()[-1][:MESSAGE_LENGTH]
        yield from _explain_memory(last)
        if job.decision is not None:
            yield job.decision
        yield f"the next goes on from its last checkpoint, step {job.step} was the last heard of"
    if job.stopped_by is not None:
        yield f"stopped by {job.stopped_by}: a launch that begins later runs it"
    elif following is not None:
        yield f"waits for its pretraining to {following.budget}:"
    elif last is None:
        yield "not started: nothing is in its way, a launch runs it"
    else:
        yield "nothing is in its way: a launch runs it again"


def _explain_memory(last: Attempt) -> Iterator[str]:
    if last.outcome != "oom":
        return
    if last.peak_memory is None:
        yield "it had not reported how much memory it took"
        return
    took = f"at most {last.peak_memory / 2**30:.2f} GiB"
    if last.devices is None:
        yield f"its process took {took} on the CPU"
    else:
        share = "a GPU" if last.share is None else f"{last.share:.2g} of a GPU"
        yield f"its tensors took {took} of {last.devices}, where it held {share}"


def _explain_lost(job: JobFacts, last: Attempt | None, own: Sequence[Attempt]) -> Iterator[str]:
    if last is None:
        yield "by an attempt that this database does not have"
        return
    lines = last.message.strip().splitlines() or ["no message"]
    same = sum(attempt.outcome == last.outcome for attempt in own)
    often = "once" if same == 1 else f"{same} times"
    attempts = format_count(len(own), "attempt")
    yield f"{last.outcome}: {lines[-1].strip()[:MESSAGE_LENGTH]}"
    yield (
        f"at step {last.last_step}/{job.steps}{on_host(last.host)}{_at_end(last, ',')}; "
        f"{often} in {attempts}"
    )
    yield from _explain_memory(last)
    if job.decision is not None:
        yield job.decision


def _next_commands(
    store: Store, job: JobFacts, cause: JobFacts, now: float, db: str | None
) -> Iterator[str]:
    if job.state == "done":
        yield format_command("logs", short_id(job.subject), db=db)
        if job.trial_id is not None and any(
            one.weights for one in store.job_facts(trial_ids=[job.trial_id])
        ):
            yield format_command("samples", short_id(job.trial_id), db=db)
        return
    if cause.state == "running" and not (lease_is_over(cause, now) or lease_is_ahead(cause, now)):
        yield format_command("logs", short_id(cause.subject), "-f", db=db)
        return
    if cause.state in ("failed", "diverged"):
        yield format_command("logs", short_id(cause.subject), db=db)
        yield format_command("rerun", "--failed", short_id(cause.subject), db=db)
        return
    yield from relaunch_commands(store, [job.job_id], db)


def _at_end(attempt: Attempt, before: str) -> str:
    return "" if attempt.ended is None else f"{before} {format_time(attempt.ended)}"
