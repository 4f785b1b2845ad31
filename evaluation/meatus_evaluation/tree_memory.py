"""The most resident memory that a process and its children had together."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

MIB = 2**20


@dataclass
class TreeMeter:
    """Peak over the samples; pages that processes share count once for each of them."""

    peak_bytes: int = 0

    @property
    def peak_mib(self) -> float | None:
        """None where no sample saw a process."""
        return self.peak_bytes / MIB or None

    def sample(self, root: int) -> list[int]:
        """Look once at process ``root`` and all below; returns their numbers.

        A single process's peak between two samples is not missed: the kernel keeps it.
        """
        tree: list[psutil.Process] = []
        with suppress(psutil.Error):
            process = psutil.Process(root)
            tree = [process, *process.children(recursive=True)]
        together = 0
        for process in tree:
            with suppress(psutil.Error):
                together += process.memory_info().rss
            self.peak_bytes = max(self.peak_bytes, _own_peak(process.pid))
        self.peak_bytes = max(self.peak_bytes, together)
        return [process.pid for process in tree]


def _own_peak(process: int) -> int:
    """Linux's high-water mark of one process in bytes; 0 where there is none to read."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0
