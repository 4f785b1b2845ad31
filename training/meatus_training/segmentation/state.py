"""All that changes while a segmentation trains: made, saved whole, and read again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from lightning.fabric.wrappers import _FabricModule, _FabricOptimizer
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from meatus_training.errors import TrainingError
from meatus_training.networks import Deep as DeepLogits
from meatus_training.networks import ResUNet25d
from meatus_training.runs.checkpoints import (
    check_same_scans,
    check_same_settings,
    read_state,
    write_state,
)
from meatus_training.segmentation.initial_weights import start_network
from meatus_training.segmentation.settings import FREE, SegmentSettings
from meatus_training.settings_files import settings_from


@dataclass(frozen=True)
class State:
    """The network, its average, and what moves it. The contents change; the objects stay."""

    network: ResUNet25d
    average: ResUNet25d  # the network itself where no average is kept
    model: _FabricModule  # ``Deep`` of the network, as all processes share it
    optimiser: _FabricOptimizer
    fabric: Fabric

    @property
    def averages(self) -> bool:
        return self.average is not self.network

    def parts(self) -> dict[str, Any]:
        """Name and object of everything that has a state to keep."""
        kept = {"network": self.network, "optimiser": self.optimiser.optimizer}
        if self.averages:
            kept["average"] = self.average
        return kept | {"scaler": self.fabric.strategy.precision}


class Deep(nn.Module):
    """The network with the outputs of all levels as its ``forward``.

    Fabric lowers the precision of ``forward`` alone; on one device a method that is marked as
    another one runs in float32.
    """

    def __init__(self, network: ResUNet25d) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> DeepLogits:
        return self.network.forward_deep(images)


@dataclass(frozen=True)
class Progress:
    """How far a training is."""

    step: int = 0
    seconds: float = 0.0


def start_state(settings: SegmentSettings, fabric: Fabric, start: ResUNet25d | None) -> State:
    """A fresh network, or one with the weights of ``start``, on the device of ``fabric``."""
    network = start_network(settings)
    if start is not None:
        network.load_state_dict(start.state_dict())
    average = network
    if settings.ema:
        average = start_network(settings)
        average.load_state_dict(network.state_dict())
        average.to(fabric.device)
    optimiser = torch.optim.AdamW(
        network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    model, shared = fabric.setup(Deep(network), optimiser)
    return State(network, average, model, shared, fabric)


def ema_update(state: State, decay: float) -> None:
    """Move the average towards the network, keeping the share ``decay`` of itself.

    torch's own step on a network of ours: ``AveragedModel`` would put a counter and a prefix into
    the states that trainings go on from.
    """
    average, network = list(state.average.parameters()), list(state.network.parameters())
    get_ema_multi_avg_fn(decay)(average, network, 0)  # type: ignore[no-untyped-call]


def save_state(
    file: Path, state: State, settings: SegmentSettings, fingerprint: str, progress: Progress
) -> None:
    """Write everything; the file appears whole or not at all.

    Raises ``TrainingError`` where a weight is no longer finite, so that such a state never takes
    the place of a good one, and where the disk refuses.
    """
    if not all(bool(p.isfinite().all()) for p in state.network.parameters()):
        raise TrainingError(
            f"step {progress.step}: weights are no longer finite; start again from {file} "
            "with a lower rate or fp32."
        )
    content = {name: part.state_dict() for name, part in state.parts().items()}
    content |= {"settings": settings.as_dict(), "scans": fingerprint}
    content |= {"step": progress.step, "seconds": progress.seconds}
    write_state(file, content)


def resume_state(file: Path, state: State, settings: SegmentSettings, fingerprint: str) -> Progress:
    """Fill ``state`` from ``file``, where there is one.

    Raises ``TrainingError`` where it is of other settings or other scans.
    """
    if not file.exists():
        return Progress()
    content, other = read_state(file), "another --member"
    then = settings_from(content["settings"], SegmentSettings)
    check_same_settings(file, then.as_dict(), settings.as_dict(), FREE, other)
    check_same_scans(file, content["scans"], fingerprint, other)
    for name, part in state.parts().items():
        part.load_state_dict(content[name])
    return Progress(int(content["step"]), float(content["seconds"]))
