"""How many processors this process may use: its affinity, then the limits of its cgroups.

The runtimes count the machine's processors. In a container or a batch job that is more than
they are given, and threads that wait for each other's turn are slower than fewer threads.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

MEMBERSHIP = Path("/proc/self/cgroup")
CGROUPS = Path("/sys/fs/cgroup")


def usable_threads() -> int:
    """The number of threads that can run at once; at least 1."""
    return threads_within(_processors(), cpu_quota(MEMBERSHIP, CGROUPS))


def threads_within(processors: int, quota: float | None) -> int:
    """Whole threads that fit: one more than the quota would be stopped in every period."""
    return max(1, processors if quota is None else min(processors, int(quota)))


def cpu_quota(membership: Path, cgroups: Path) -> float | None:
    """The tightest quota, in processors, of the process's groups and all groups above them.

    A container may see the groups' paths of its host but its own folder as the root; a folder
    that does not exist is therefore skipped. None where nothing is limited or readable.
    """
    quotas = [
        quota for folder in group_folders(_text(membership)) if (quota := _quota(cgroups / folder))
    ]
    return min(quotas, default=None)


def group_folders(membership: str) -> Iterator[PurePosixPath]:
    """Folders below the cgroup root that may limit a process, from ``/proc/self/cgroup``.

    Lines read "number:controllers:path"; version 2 has number 0 and no controllers.
    """
    for line in membership.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        own = PurePosixPath(path.lstrip("/"))
        for group in (own, *own.parents):
            if number == "0" and not controllers:
                yield group
            elif "cpu" in controllers.split(","):
                yield controllers / group
                yield "cpu" / group  # the usual link where controllers share a mount


def parse_cpu_max(text: str) -> float | None:
    """Processors from version 2's ``cpu.max``: "quota period" in microseconds, or "max period"."""
    match text.split():
        case [quota, period]:
            return parse_cfs(quota, period)
    return None


def parse_cfs(quota: str, period: str) -> float | None:
    """Processors from version 1's two files, in microseconds; a quota of -1 sets no limit."""
    if not quota.strip().isdecimal() or not period.strip().isdecimal():
        return None
    return int(quota) / int(period) if int(quota) and int(period) else None


def _processors() -> int:
    """Those that this process may run on; all where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(folder: Path) -> float | None:
    limit = parse_cpu_max(_text(folder / "cpu.max"))
    if limit is not None:
        return limit
    return parse_cfs(_text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us"))


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError):
        return ""
