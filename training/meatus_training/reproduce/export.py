"""The last stage: checkpoints to the weights that are shipped, each checked on a real window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from meatus.geometry import Array
from meatus.spec import Window
from meatus.windows import cut, plan
from meatus_training.export.agreement import export_checked
from meatus_training.export.manifest import write_manifest
from meatus_training.prepare.cases import PreparedCase
from meatus_training.reproduce.settings import ExportSettings
from meatus_training.runs.checkpoints import load_checkpoint
from meatus_training.runs.provenance import described


def export_all(
    networks: Sequence[Path],
    settings: ExportSettings,
    cases: Sequence[PreparedCase],
    folder: Path,
    scores: dict[str, Any],
    say: Callable[[str], None],
) -> None:
    """Write ``networks``, trained on ``cases``, to ``folder`` with their manifest.

    Raises ``TrainingError`` where a runtime computes something else than PyTorch.
    """
    for file in folder.glob("*.onnx"):
        file.unlink()  # of an interrupted start: the manifest must name these networks alone
    seen = next((case for case in cases if case.split == "target"), cases[0])
    for number, file in enumerate(networks, start=1):
        network, spec, _ = load_checkpoint(file)
        name = f"{settings.name}-{number}"
        told = replace(spec, name=name, trained_on=described(cases), licence=settings.licence)
        out = folder / f"{name}.onnx"
        window = middle_window(seen, spec.window)
        agreement = export_checked(network, told, window, out, fp16=settings.fp16)
        for line in agreement.lines():
            say(f"{name}: {line}")
    write_manifest(folder, {"ensemble": scores} if scores else {})


def middle_window(case: PreparedCase, window: Window) -> Array:
    """(Z, Y, X): what the network sees of the middle of a prepared scan."""
    voxels = case.load_voxels()
    parts = plan(len(voxels), window)
    return cut(np.asarray(voxels, dtype=np.float32), parts[len(parts) // 2], window.depth)
