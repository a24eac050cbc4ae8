"""A Ray cluster of this machine alone, whose nodes may be killed."""

import contextlib
import io
import os
from collections.abc import Iterator
from random import Random
from typing import Any

NODES = 3
"""Beside the head, which runs no trial; each has a CPU."""


class Nodes:
    """A cluster of our own, for the time of a block."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        with _quiet():
            self._cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
            for _ in range(NODES):
                self._cluster.add_node(num_cpus=1)

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def kill_one(self, chance: Random, *, replace: bool = True) -> None:
        """Kill all processes of a node, and start another node in its place."""
        node = chance.choice(sorted(self._cluster.worker_nodes, key=lambda one: one.unique_id))
        with _quiet():
            self._cluster.remove_node(node, allow_graceful=False)
            if replace:
                self._cluster.add_node(num_cpus=1)

    def close(self) -> None:
        with _quiet():
            self._cluster.shutdown()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Ray's own prints stay off our output."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
