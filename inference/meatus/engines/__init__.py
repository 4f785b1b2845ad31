"""Runtimes behind one protocol. Each is imported when it is asked for, as images lack some."""

from meatus.engines.devices import (
    DEVICES,
    Device,
    EngineStatus,
    Kind,
    availability,
    choose,
    is_gpu,
    load_engine,
    usable_threads,
)
from meatus.engines.protocol import Engine

__all__ = [
    "DEVICES",
    "Device",
    "Engine",
    "EngineStatus",
    "Kind",
    "availability",
    "choose",
    "is_gpu",
    "load_engine",
    "usable_threads",
]
