"""Runtimes behind one protocol. Each is imported when it is asked for, as images lack some."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

from meatus.engines.devices import (
    Device,
    EngineStatus,
    Kind,
    availability,
    check,
    choose,
)
from meatus.engines.protocol import Engine
from meatus.engines.threads import usable_threads
from meatus.spec import Spec

__all__ = [
    "Device",
    "Engine",
    "EngineStatus",
    "Kind",
    "availability",
    "choose",
    "load_engine",
    "usable_threads",
]


def load_engine(
    path: Path,
    spec: Spec,
    kind: Kind,
    *,
    threads: int,
    cache: Path | None,
    say: Callable[[str], None],
) -> Engine:
    """The network of ``path`` on the runtime ``kind``; compiled parts are kept below ``cache``.

    Nothing is written where ``cache`` is None. Raises ``DeviceError`` where the runtime or its
    device is missing and ``WeightsError`` where it cannot read the file.
    """
    check(kind)
    if kind == "openvino":
        from meatus.engines.openvino_cpu import OpenVinoEngine

        folder = cache_folder(cache, "openvino", path, say)
        return OpenVinoEngine(path, spec, threads=threads, cache=folder)
    from meatus.engines.onnx_runtime import OnnxRuntimeEngine

    # Only TensorRT compiles anything that is worth keeping.
    folder = cache_folder(cache, "tensorrt", path, say) if kind == "tensorrt" else None
    return OnnxRuntimeEngine(path, spec, kind, threads=threads, cache=folder, say=say)


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
