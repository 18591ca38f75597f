"""Count the cores that this process may use."""

import math
import os
from pathlib import Path
from typing import Final

CGROUPS: Final = Path("/sys/fs/cgroup")
OWN_CGROUP: Final = Path("/proc/self/cgroup")


def usable_cores(groups: Path = CGROUPS, own: Path = OWN_CGROUP) -> int:
    """Return the number of cores that this process may run on, limited by its control group's quota; at least one.

    ``groups`` is the directory of the control groups. ``own`` is the file that names this process's group.
    """
    # os.process_cpu_count() of Python 3.13 does not consider quotas.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, _quota(groups, own)))


def _quota(groups: Path, own: Path) -> int:
    """Return the smallest quota from the process's own control group up to the root, in cores, rounded up."""
    # https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
    try:
        group = own.read_text().rpartition("::")[2].strip().lstrip("/")
    except OSError:
        return 2**16
    directory = groups / group
    return min(_cores(place / "cpu.max") for place in (directory, *directory.parents))


def _cores(cpu_max: Path) -> int:
    try:
        quota, period = cpu_max.read_text().split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no file, or "max"
        return 2**16
