"""The network at its start and at its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import nn

from meatus.spec import ReferenceCrop, Spec, Window
from meatus_training.networks import MEMORY_FORMAT, ResUNet25d, call_background
from meatus_training.prepare.settings import PrepareSettings
from meatus_training.runs.checkpoints import save_checkpoint
from meatus_training.segmentation.settings import SegmentSettings

OVERLAP_PART = 3  # of a window's depth that it shares with the next one
PUBLISHED_OVERLAP = 8  # slices; of 40


def start_network(settings: SegmentSettings) -> ResUNet25d:
    """A fresh network, drawn from the seed alone, on the processor.

    With a background bias its heads first call everything background: without it the first
    hundreds of steps of a small training go into unlearning false structures.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = ResUNet25d(settings.width, settings.blocks)
    if settings.background_bias:
        heads = (m for m in network.head.modules() if isinstance(m, nn.Conv3d))
        call_background(heads, settings.background_bias)
    network.to(memory_format=MEMORY_FORMAT)  # type: ignore[call-overload]
    # A 1x1x1 kernel is both layouts at once; DDP warns where strides are not its gradient's.
    for parameter in network.parameters():
        if parameter.ndim > 1 and parameter[0, 0].numel() == 1:
            parameter.data = parameter.data.flatten().view(parameter.shape)
    return network


def spec_for(
    settings: SegmentSettings, prepared: PrepareSettings, name: str, trained_on: str
) -> Spec:
    """What the pipeline must know about weights trained on scans ``prepared`` that way."""
    published = isinstance(prepared.crop, ReferenceCrop) and settings.depth > PUBLISHED_OVERLAP
    overlap = PUBLISHED_OVERLAP if published else settings.depth // OVERLAP_PART
    return replace(
        prepared.spec(),
        name=name,
        window=Window(settings.depth, overlap),
        trained_on=trained_on,
        licence="Apache-2.0",
        date=datetime.now(UTC).date().isoformat(),
        width=settings.width,
        blocks=settings.blocks,
    )


def write_network(file: Path, network: ResUNet25d, spec: Spec, settings: SegmentSettings) -> None:
    """The checkpoint that ``export`` reads."""
    file.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(file, network, spec, config=settings.as_dict())
