"""Why a job is as it is: the chain of causes, each in a line."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from lcma.db import Attempt, JobFacts, Store
from lcma.harness.results.lookup import job_title
from lcma.harness.text import format_time, printable, short_id
from lcma.harness.watch.commands import relaunch_commands
from lcma.harness.watch.logs import describe_progress

STYLE = {"done": "green", "failed": "red", "diverged": "yellow"}
MESSAGE = 200
"""Characters of a message's last line that are shown."""


@dataclass(frozen=True)
class Cause:
    """A job with what is to be said of it. ``depth`` counts what waits for it in the chain."""

    job: JobFacts
    depth: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """Why a job is as it is, the chain down to what it waits for, and what to type next."""

    causes: tuple[Cause, ...]
    next: tuple[str, ...]


def explain_job(store: Store, job: JobFacts) -> Explanation:
    """The causes of one job's state."""
    now = store.now()
    chain = [job, *_waits_for(store, job)]
    attempts: dict[str, list[Attempt]] = {one.job_id: [] for one in chain}
    for attempt in store.job_attempts(list(attempts)):
        attempts[attempt.job_id].append(attempt)
    decided = store.decisions(list(attempts))
    causes = [
        Cause(
            one,
            depth,
            tuple(map(printable, _lines(store, one, attempts[one.job_id], chain, decided, now))),
        )
        for depth, one in enumerate(chain)
    ]
    return Explanation(tuple(causes), tuple(_next(store, job, chain[-1], now)))


def render_explanation(found: Explanation) -> RenderableType:
    """A line for each thing to be said, indented along the chain."""
    lines: list[RenderableType] = []
    for cause in found.causes:
        indent = "  " * cause.depth
        head = Text(f"{indent}{job_title(cause.job)} ({short_id(cause.job.job_id)}): ")
        head.append(printable(cause.job.state), style=STYLE.get(cause.job.state, "bold"))
        lines += [head, *(Text(f"{indent}  {line}") for line in cause.lines)]
    for number, command in enumerate(found.next):
        lines.append(Text("Next: " if number == 0 else "      ").append(command, style="bold"))
    return Group(*lines)


def explanation_as_dict(found: Explanation) -> dict[str, Any]:
    """The same for programs."""
    causes = [asdict(cause.job) | {"said": cause.lines} for cause in found.causes]
    return {"causes": causes, "next": found.next}


def _waits_for(store: Store, job: JobFacts) -> list[JobFacts]:
    """The segments that a pending job waits for, the next first, down to one that does not."""
    if job.state != "pending" or job.pretraining_id is None or job.budget is None:
        return []
    last = job.budget if job.kind == "trial" else job.budget - 1
    chain: list[JobFacts] = []
    for one in reversed(store.segments(job.pretraining_id, job.data_digest)):
        if one.budget is None or one.budget > last:
            continue
        if one.state == "done":
            break
        chain.append(one)
        if one.state != "pending":
            break
    return chain


def _lines(
    store: Store,
    job: JobFacts,
    attempts: Sequence[Attempt],
    chain: Sequence[JobFacts],
    decided: Mapping[str, str],
    now: float,
) -> Iterator[str]:
    own = [one for one in attempts if one.protocol is None]
    # Not the newest: a merge may have brought others' attempts since.
    last = next((one for one in own if one.id == job.attempt_id), None)
    if job.state == "done":
        yield from _done(store, job, last)
    elif job.state == "running":
        yield from _running(job, last, now)
    elif job.state == "pending":
        yield from _pending(job, last, chain, decided.get(job.job_id))
    else:
        yield from _lost(job, last, own, decided.get(job.job_id))


def _done(store: Store, job: JobFacts, last: Attempt | None) -> Iterator[str]:
    if last is None:
        yield "by an attempt that this database does not have"
        return
    yield f"by attempt {last.token} on {last.host}, at {_ended(last)}, launch {last.owner}"
    if job.trial_id is None:
        return
    for member in store.memberships([job.trial_id]):
        created = member.sweep.created or 0.0
        late = last.ended is not None and created > last.ended
        how = "served from what was there already" if late else "run for it"
        yield f"in the sweep {member.sweep.name} as {member.asked}: {how}"


def _running(job: JobFacts, last: Attempt | None, now: float) -> Iterator[str]:
    yield describe_progress(job, now)
    since = "" if last is None else f" since {format_time(last.started)}"
    yield f"attempt {job.token}{since}, launch {job.owner}"
    if job.lease_until is not None and job.lease_until <= now:
        yield "nobody has heard of it since: the next launch that wants it takes it over"


def _pending(
    job: JobFacts, last: Attempt | None, chain: Sequence[JobFacts], decided: str | None
) -> Iterator[str]:
    if last is not None:
        yield f"attempt {last.token} on {last.host} ended as {last.outcome} at {_ended(last)}"
        yield from _memory(last)
        if decided is not None:
            yield decided
        yield f"the next goes on from its last checkpoint, step {job.step} was the last heard of"
    place = [one.job_id for one in chain].index(job.job_id)
    if place + 1 < len(chain):
        yield f"waits for its pretraining to {chain[place + 1].budget}:"
    elif last is None:
        yield "not started: nothing is in its way, a launch runs it"
    else:
        yield "nothing is in its way: a launch runs it again"


def _memory(last: Attempt) -> Iterator[str]:
    """What an attempt that ran out of memory had, and took."""
    if last.outcome != "oom":
        return
    if last.peak_memory is None:
        yield "it had not told how much memory it took"
        return
    took = f"at most {last.peak_memory / 2**30:.2f} GiB"
    if last.devices is None:
        yield f"its process took {took} on the CPU"
    else:
        share = "a GPU" if last.share is None else f"{last.share:.2g} of a GPU"
        yield f"its tensors took {took} of {last.devices}, where it held {share}"


def _lost(
    job: JobFacts, last: Attempt | None, own: Sequence[Attempt], decided: str | None
) -> Iterator[str]:
    if last is None:
        yield "by an attempt that this database does not have"
        return
    lines = last.message.strip().splitlines() or ["no message"]
    same = sum(one.outcome == last.outcome for one in own)
    often = "once" if same == 1 else f"{same} times"
    yield f"{last.outcome}: {lines[-1].strip()[:MESSAGE]}"
    yield (
        f"at step {last.last_step}/{job.steps} on {last.host}, {_ended(last)}; "
        f"{often} in {len(own)} attempt{'s' * (len(own) != 1)}"
    )
    yield from _memory(last)
    if decided is not None:
        yield decided


def _next(store: Store, job: JobFacts, cause: JobFacts, now: float) -> Iterator[str]:
    given = short_id(job.job_id)
    if job.state == "done":
        yield f"lcma logs {given}"
        if job.trial_id is not None:
            yield f"lcma samples {printable(job.trial_id)[:12]}"
        return
    if cause.state == "running" and cause.lease_until is not None and cause.lease_until > now:
        yield f"lcma logs {short_id(cause.job_id)} -f"
        return
    if cause.state in ("failed", "diverged"):
        yield f"lcma logs {short_id(cause.job_id)}"
        yield f"lcma retry {short_id(cause.job_id)}"
        return
    yield from relaunch_commands(store, [job.job_id])


def _ended(attempt: Attempt) -> str:
    return "no known time" if attempt.ended is None else format_time(attempt.ended)
