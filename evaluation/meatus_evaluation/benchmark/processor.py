"""What the processor is, and which of its instructions decide how fast a network runs on it."""

from __future__ import annotations

import platform
from pathlib import Path

from meatus.engines.openvino_cpu import AMX, PROCESSOR, instructions_in

# Instructions that multiply in bfloat16, the fastest first, by the kernel's name of them.
BF16_INSTRUCTIONS = {AMX: "AMX", "avx512_bf16": "AVX-512 bf16, no AMX"}
NEITHER, UNKNOWN = "neither AMX nor AVX-512 bf16", "instructions not known"


def described_processor(cpuinfo: Path = PROCESSOR) -> str:
    """Its name as the system gives it, and its class."""
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    name = _entry(text, "model name") or platform.processor() or platform.machine()
    return f"{name} ({instructions(text)})"


def instructions(cpuinfo: str) -> str:
    """The class of the processor that ``/proc/cpuinfo`` describes."""
    flags = instructions_in(cpuinfo)
    found = (words for flag, words in BF16_INSTRUCTIONS.items() if flag in flags)
    return next(found, NEITHER) if flags else UNKNOWN


def _entry(cpuinfo: str, key: str) -> str:
    """The first entry's text; empty where there is none."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""
