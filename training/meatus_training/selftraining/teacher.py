"""A round's networks as the ensemble that labels: the files and engines of ``inference``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from meatus.ensemble import Model, Quality
from meatus.pipeline import load_model
from meatus_training.export.manifest import write_manifest
from meatus_training.export.onnx_export import export_onnx
from meatus_training.runs.checkpoints import load_checkpoint


def publish(networks: Sequence[Path], folder: Path) -> None:
    """Write the checkpoints ``networks`` as weights for ``inference``.

    Each is called as its own folder. Raises ``WeightsError`` where one cannot be read.
    """
    for file in folder.glob("*.onnx"):
        file.unlink()  # of an interrupted start: the manifest must name these networks alone
    for file in networks:
        network, spec, _ = load_checkpoint(file)
        export_onnx(network, spec, folder / f"{file.parent.name}.onnx")
    write_manifest(folder, {})


def load_teacher(folder: Path, quality: Quality) -> Model:
    """The ensemble in ``folder``, on the device that is best here.

    OpenVINO labels a scan several times faster than PyTorch on the same processor.
    """
    return load_model(folder, quality=quality, threads=torch.get_num_threads())
