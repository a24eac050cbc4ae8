"""A Ray cluster of this machine alone, whose nodes may be killed."""

import contextlib
import io
import os
import secrets
from collections.abc import Iterator
from random import Random
from typing import Any

NODES = 3
"""Beside the head, which runs no trial; each has a CPU."""


START_SECONDS = 300.0
"""Within which all of them are there, on a busy machine too."""


class Nodes:
    """A cluster of our own, for the time of a block."""

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
        return str(self._cluster.address)

    def kill_one(self, chance: Random, *, replace: bool = True) -> None:
        """Kill all processes of a node, and start another node in its place."""
        node = chance.choice(sorted(self._cluster.worker_nodes, key=lambda one: one.unique_id))
        with _quiet():
            self._cluster.remove_node(node, allow_graceful=False)
            if replace:
                self._cluster.add_node(num_cpus=1, wait=False)

    def close(self) -> None:
        with _quiet():
            self._cluster.shutdown()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Ray's own prints stay off our output."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
