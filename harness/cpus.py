"""Count the CPUs that this process may use, which may be fewer than its machine has."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath


def count_cpus(system: Path = Path("/")) -> int:
    """Return the number of CPUs that affinity and the quotas of control groups allow, at least 1.

    Args:
        system: Folder that contains `proc` and `sys`.
    """
    has_affinity = hasattr(os, "sched_getaffinity")  # Linux
    cpus = len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1
    return max(1, math.floor(min([cpus, *_read_quotas(system)])))


def _read_quotas(system: Path) -> Iterator[float]:
    """Yield the quotas, in CPUs, of this process's control groups and of their parents."""
    try:
        groups = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounted = system / "sys/fs/cgroup"
    for group in groups:
        _, controllers, path = group.split(":", 2)
        if not controllers:
            for folder in _list_folders(mounted, path):
                with suppress(OSError, ValueError):
                    quota, period = (folder / "cpu.max").read_text().split()
                    yield int(quota) / int(period)
        elif "cpu" in controllers.split(","):
            for folder in _list_folders(mounted / controllers, path):
                with suppress(OSError, ValueError):
                    quota = (folder / "cpu.cfs_quota_us").read_text()
                    if int(quota) > 0:
                        yield int(quota) / int((folder / "cpu.cfs_period_us").read_text())


def _list_folders(mounted: Path, path: str) -> list[Path]:
    # A container may be given the path on the host, of which it sees only the end or nothing, so
    # some of these folders may be missing.
    group = PurePosixPath(path.lstrip("/"))
    return [mounted / parent for parent in (group, *group.parents)]
