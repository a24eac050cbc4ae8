"""A launch uses only the CPUs that it was given."""

import os
from pathlib import Path

import pytest

from lcma.harness.cpus import count_cpus
from tests.processes import read_output

ALL = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux has affinities")
def test_slots_are_counted_by_affinity() -> None:
    code = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from lcma.harness.launch.plan import count_slots
from lcma.sweeps.spec import Resources
print(count_slots(Resources(), 1), count_slots(Resources(cpus=0.5), 1))
"""
    assert read_output("-c", code).split() == ["1", "2"]


V2 = {"proc/self/cgroup": "0::/slurm/job_7/step_batch\n"}
CPU, PERIOD = "sys/fs/cgroup/cpu,cpuacct", ("period", "100000\n")
V1 = {"proc/self/cgroup": "9:name=systemd:/\n4:cpuset:/\n3:cpu,cpuacct:/docker/7\n0::/\n"}


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, ALL),
        (V2 | {"sys/fs/cgroup/slurm/job_7/step_batch/cpu.max": "max 100000\n"}, ALL),
        (V2 | {"sys/fs/cgroup/slurm/job_7/step_batch/cpu.max": "150000 100000\n"}, 1),
        (V2 | {"sys/fs/cgroup/slurm/job_7/cpu.max": "100000 100000\n"}, 1),  # a parent's
        (V2 | {"sys/fs/cgroup/cpu.max": "20000 100000\n"}, 1),  # the host's path, in a container
        (V2 | {"sys/fs/cgroup/cpu.max": "99900000 100000\n"}, ALL),
        (V1 | {f"{CPU}/docker/7/cpu.cfs_{k}_us": v for k, v in (("quota", "-1"), PERIOD)}, ALL),
        (V1 | {f"{CPU}/cpu.cfs_{k}_us": v for k, v in (("quota", "100000"), PERIOD)}, 1),
    ],
)
def test_quotas_of_control_groups_are_kept(
    tmp_path: Path, files: dict[str, str], cpus: int
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert count_cpus(tmp_path) == cpus
