"""What this machine lets us use: cores and memory, by affinity and control group."""

import os
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """Cores that this process may keep busy, at least 1: its affinity, cut by a cgroup v2 quota."""
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    for limit in _cgroup_values("cpu.max"):
        quota, period = limit.split()
        if quota != "max":
            cores = min(cores, int(quota) // int(period))
    return max(1, cores)


def usable_memory_bytes() -> int:
    """Memory that this process may fill: the machine's, cut by a cgroup v2 limit."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in _cgroup_values("memory.max"):
        if limit != "max":
            memory = min(memory, int(limit))
    return memory


def _cgroup_values(name: str) -> list[str]:
    """The values of one cgroup v2 file, from this process's group up to the root."""
    try:
        line = Path("/proc/self/cgroup").read_text().strip().splitlines()[-1]
        group = _CGROUP / line.rpartition(":")[2].lstrip("/")
        files = [
            folder / name for folder in (group, *group.parents) if folder.is_relative_to(_CGROUP)
        ]
        return [file.read_text().strip() for file in files if file.is_file()]
    except OSError:
        return []
