"""Jobs that kill the process that does them."""

import os
import signal
from pathlib import Path

from meatus.cluster.work import label_job


def die_by_name(job):
    """``(name, folder)``: ``once`` kills its process the first time, ``always`` every time."""
    name, folder = job
    if name.startswith("once"):
        _die_once(Path(folder) / name)
    if name.startswith("always"):
        _die()
    return name, os.getpid()


def label_or_die(work, folder, job):
    """As ``label_job``, but the case ``b`` kills its process once, and ``c`` every time."""
    name = job[0].name
    if name == "b":
        _die_once(Path(folder) / name)
    if name == "c":
        _die()
    return label_job(work, job)


def _die_once(marker):
    if not marker.exists():
        marker.touch()
        _die()


def _die():
    os.kill(os.getpid(), signal.SIGKILL)
