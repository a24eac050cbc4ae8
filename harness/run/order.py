"""In which order a launch hands out its jobs: what unblocks most comes first."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from lcma.harness.run.plan import Node


class Order:
    """The jobs of a launch that have not ended, by value.

    Segments come first, those with most trials behind them at the top; then trials whose map is
    there; then the others. Equals stay in the order of the plan.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        behind = _trials_behind(nodes)
        segments = [n for n in nodes if n.work.pretraining is not None]
        segments.sort(key=lambda n: -behind[n.work.job_id])
        self._segments = {n.work.job_id: n for n in segments}
        self._trials = {n.work.job_id: n for n in nodes if n.work.pretraining is None}

    def remove(self, job_id: str) -> None:
        """The job has ended."""
        self._segments.pop(job_id, None)
        self._trials.pop(job_id, None)

    def __call__(self, done: Collection[str]) -> Iterator[Node]:
        """All of them in order, where these jobs are done. None may be removed meanwhile."""
        yield from self._segments.values()
        for node in self._trials.values():
            if node.after is not None and node.after in done:
                yield node
        for node in self._trials.values():
            if node.after is None or node.after not in done:
                yield node


def _trials_behind(nodes: Sequence[Node]) -> Counter[str]:
    """How many trials wait for a segment, or for one that goes on from it."""
    after = {n.work.job_id: n.after for n in nodes}
    behind: Counter[str] = Counter()
    for node in nodes:
        upstream = node.after if node.work.pretraining is None else None
        while upstream is not None:
            behind[upstream] += 1
            upstream = after.get(upstream)
    return behind
