"""Other programs' ways to move a network over a scan: nnU-Net's and MONAI's, as they come.

Both get the same network, so that what differs is how often it runs and what is done around it.
Their packages are no part of this one: a program that is not installed is named and left out.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from meatus.structures import CLASS_NAMES

Window = tuple[int, int, int]


@dataclass(frozen=True)
class Program:
    """A way to label a scan (Z, Y, X) with a network and a window."""

    name: str
    settings: str
    module: str
    package: str
    prepare: Callable[[nn.Module, Window], Callable[[Tensor], Tensor]]

    def missing(self) -> str:
        """What to install, in words; empty where nothing is missing."""
        if importlib.util.find_spec(self.module) is not None:
            return ""
        return f"{self.name} is not installed, its row is left out: pip install {self.package}"

    def told(self) -> str:
        return f"{self.name} {version(self.package)}, {self.settings}, width 32, PyTorch fp32"


class Counted(nn.Module):
    """Stands in for a network: four equal scores at no cost, and a count of its windows."""

    def __init__(self) -> None:
        super().__init__()
        self.windows = 0

    def forward(self, window: Tensor) -> Tensor:
        self.windows += len(window)
        return window.new_zeros((len(window), len(CLASS_NAMES), *window.shape[2:]))


def time_program(
    program: Program, scan: Tensor, window: Window, seconds_a_window: float
) -> tuple[float, int]:
    """Seconds for one ``scan`` (Z, Y, X), and how many windows of it the network is shown.

    They are what the program does around a network that costs nothing, after one window's worth
    as a warm-up, and ``seconds_a_window`` for each window: as the published work is reckoned.
    """
    network = Counted()
    label = program.prepare(network, window)
    with torch.inference_mode():
        label(scan[tuple(slice(size) for size in window)])
        network.windows = 0
        started = time.perf_counter()
        label(scan)
        around = time.perf_counter() - started
    return around + network.windows * seconds_a_window, network.windows


def _monai(network: nn.Module, window: Window) -> Callable[[Tensor], Tensor]:
    from monai.inferers import (  # type: ignore[import-not-found]  # not everyone has it
        sliding_window_inference,
    )

    def label(scan: Tensor) -> Tensor:
        found: Tensor = sliding_window_inference(
            scan[None, None], window, 1, network, overlap=0.25, mode="gaussian"
        )
        return found[0]

    return label


def _nnunet(network: nn.Module, window: Window) -> Callable[[Tensor], Tensor]:
    """Its predictor with what a trained model's plans would set."""
    from nnunetv2.inference.predict_from_raw_data import (  # type: ignore[import-not-found]
        nnUNetPredictor,
    )

    predictor: Any = nnUNetPredictor(
        tile_step_size=0.5,
        use_gaussian=True,
        use_mirroring=True,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    predictor.network = network
    predictor.configuration_manager = SimpleNamespace(patch_size=list(window))
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=len(CLASS_NAMES))
    predictor.allowed_mirroring_axes = (0, 1, 2)

    def label(scan: Tensor) -> Tensor:
        found: Tensor = predictor.predict_sliding_window_return_logits(scan[None])
        return found

    return label


OTHERS = (
    Program("MONAI", "windows overlapping by a quarter", "monai", "monai", _monai),
    Program("nnU-Net", "half overlap, eight mirrors", "nnunetv2", "nnunetv2", _nnunet),
)
