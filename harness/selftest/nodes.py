"""A Ray cluster on this machine whose nodes can be killed."""

import contextlib
import io
import os
import secrets
from collections.abc import Iterator
from random import Random
from typing import Any

NODES = 3
"""Nodes beside the head, which runs no trial; each has one CPU."""

START_SECONDS = 300.0
"""Longest time for all nodes to start, on a busy machine too."""


class Nodes:
    """A Ray cluster of `NODES` nodes, until it is closed."""

    def __init__(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        if os.environ.setdefault("RAY_AUTH_MODE", "token") == "token":
            os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # for our children alone
        from ray.cluster_utils import Cluster

        with _quiet():
            self._cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
            for _ in range(NODES):
                self._cluster.add_node(num_cpus=1, wait=False)
            self._cluster.wait_for_nodes(timeout=START_SECONDS)

    @property
    def address(self) -> str:
        """HOST:PORT of its head."""
        return str(self._cluster.address)

    def kill_one(self, chance: Random, *, replace: bool = True) -> None:
        """Kill all processes of a node, and start another in its place if ``replace``."""
        node = chance.choice(sorted(self._cluster.worker_nodes, key=lambda one: one.unique_id))
        with _quiet():
            self._cluster.remove_node(node, allow_graceful=False)
            if replace:
                self._cluster.add_node(num_cpus=1, wait=False)

    def close(self) -> None:
        """Stop the cluster."""
        with _quiet():
            self._cluster.shutdown()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # Ray prints what it starts.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
