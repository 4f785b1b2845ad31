"""What works on this machine, runtimes and processors, and loading a network on it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from meatus.engines import onnx_runtime, openvino_cpu
from meatus.engines.protocol import Engine, Resources, Runtime
from meatus.errors import DeviceError
from meatus.spec import Spec

# By the name that an engine has in the program. Of two for one device the first that works runs.
RUNTIMES: dict[str, Runtime] = {
    "openvino": openvino_cpu.RUNTIME,  # before ONNX Runtime, as it is the faster one
    "onnxruntime": onnx_runtime.CPU,
    "cuda": onnx_runtime.CUDA,
    "tensorrt": onnx_runtime.TENSORRT,
}
Kind: TypeAlias = str  # what runs: one of RUNTIMES

Device: TypeAlias = str  # what a user asks for: one of DEVICES
DEVICES = ("auto", *dict.fromkeys(runtime.device for runtime in RUNTIMES.values()))

MEMBERSHIP = Path("/proc/self/cgroup")
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class EngineStatus:
    """One runtime on one device, for ``info``."""

    name: str
    usable: bool
    detail: str  # versions and devices, or what is missing


def choose(device: Device, say: Callable[[str], None]) -> Kind:
    """The runtime for ``device``; "auto" tells in one line what it came to.

    Raises ``DeviceError`` with the reason where a device that was asked for is not usable.
    """
    if device not in DEVICES:
        raise DeviceError(f"device '{device}' is not known; expected {', '.join(DEVICES)}")
    if device == "auto":
        return _auto(say)
    reasons = []
    for kind, runtime in RUNTIMES.items():
        if runtime.device == device:
            try:
                check(kind)
            except DeviceError as error:
                reasons.append(str(error))
            else:
                return kind
    elsewhere = "" if device == "cpu" else "; or run with device 'cpu'"
    raise DeviceError(f"device '{device}' cannot be used: {'; or: '.join(reasons)}{elsewhere}")


def is_gpu(kind: Kind) -> bool:
    return RUNTIMES[kind].device != "cpu"


def availability() -> list[EngineStatus]:
    """Every runtime, whether it can be used here, and what it is or lacks."""
    return [_status(kind) for kind in RUNTIMES]


def check(kind: Kind) -> str:
    """What ``kind`` runs on, in words. Raises ``DeviceError`` with the reason if it does not."""
    return RUNTIMES[kind].check()


def load_engine(
    path: Path,
    spec: Spec,
    kind: Kind,
    *,
    threads: int,
    cache: Path | None,
    say: Callable[[str], None],
    gpu: int = 0,
    first_window: tuple[int, int, int] | None = None,
) -> Engine:
    """The network of ``path`` on the runtime ``kind``; compiled parts are kept below ``cache``.

    ``first_window`` is the shape (Z, Y, X) that the first one is expected to have: a runtime may
    get ready for it meanwhile. Nothing is written where ``cache`` is None. Raises ``DeviceError``
    where the runtime or its device is missing and ``WeightsError`` where it cannot read the file.
    """
    check(kind)
    runtime = RUNTIMES[kind]
    folder = cache_folder(cache, kind, path, say) if runtime.compiles else None
    return runtime.load(path, spec, Resources(threads, folder, say, gpu, first_window))


def cache_folder(
    cache: Path | None, runtime: str, weights: Path, say: Callable[[str], None]
) -> Path | None:
    """A folder below ``cache`` for these very weights, or None where it cannot be written.

    TensorRT names its engines after the graph, not after the numbers in it: two members of an
    ensemble that shared a folder would run with the same weights.
    """
    if cache is None:
        return None
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    folder = cache / runtime / digest[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        say(f"{cache} cannot be written ({error.strerror}); going on without a cache")
        return None
    return folder


def _auto(say: Callable[[str], None]) -> Kind:
    """CUDA where it works, else the processor."""
    try:
        detail = check("cuda")
    except DeviceError as error:
        kind = choose("cpu", say)
        say(f"device: {RUNTIMES[kind].name}, as CUDA cannot be used ({error})")
        return kind
    say(f"device: {RUNTIMES['cuda'].name} ({detail})")
    return "cuda"


def _status(kind: Kind) -> EngineStatus:
    try:
        return EngineStatus(RUNTIMES[kind].name, True, check(kind))
    except DeviceError as error:
        return EngineStatus(RUNTIMES[kind].name, False, str(error))


def usable_threads() -> int:
    """The number of threads that can run at once, at least 1: of the affinity, then the cgroups.

    The runtimes count the machine's processors. In a container or a batch job that is more than
    they are given, and threads that wait for each other's turn are slower than fewer threads.
    """
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
