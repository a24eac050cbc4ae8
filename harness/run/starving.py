"""Jobs that ran out of memory, and what they get instead, in a launch."""

from collections.abc import Callable, Collection, Mapping

from lcma.db import Starved, Store
from lcma.harness.run import terms
from lcma.harness.run.executor import Executor
from lcma.harness.run.plan import Node
from lcma.harness.run.work import Work


class Starving:
    """Gives the work of jobs that ran out of memory more of it; the database says which these are.

    One for which no node has more is failed there, and ``give_up`` is told its id and why.
    """

    def __init__(
        self,
        store: Store,
        nodes: Mapping[str, Node],
        executor: Executor,
        give_up: Callable[[str, str], None],
    ) -> None:
        self._store, self._nodes, self._executor = store, nodes, executor
        self._give_up = give_up
        self._found: dict[str, Starved] = {}

    def work(self, job_id: str) -> Work:
        """The work of a job as it is to be done now."""
        work, starved = self._nodes[job_id].work, self._found.get(job_id)
        return work if starved is None else terms.grown(work, starved)

    def look(self, job_ids: Collection[str], submitted: Collection[str]) -> None:
        """See which of the jobs, of this launch and still left, are such; those that are submitted
        already are not given up. Raises Unavailable, with nothing changed."""
        found = self._store.memory_failures(list(job_ids)) if job_ids else {}
        for job_id in job_ids:
            self._found.pop(job_id, None)
        self._found |= found
        for job_id in found.keys() - set(submitted):
            self._give_up_if_hopeless(job_id)

    def _give_up_if_hopeless(self, job_id: str) -> None:
        plain, more = self._nodes[job_id].work, self.work(job_id)
        if more == plain or self._executor.lack(plain) is not None:
            return  # where even the plain work lacks a node, one may come
        lack, job = self._executor.lack(more), self._store.job(job_id)
        if lack is None or job is None or job.state != "pending":
            return
        why = f"after it ran out of memory {lack}"
        if self._store.give_up(job_id, token=job.token, why=why):
            self._give_up(job_id, why)
