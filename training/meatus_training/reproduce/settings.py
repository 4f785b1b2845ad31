"""Settings of all stages together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from meatus_training.errors import TrainingError
from meatus_training.prepare.settings import PrepareSettings
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.selftraining.settings import SelftrainSettings
from meatus_training.settings_files import load_settings
from meatus_training.translation.settings import TranslateSettings


@dataclass(frozen=True)
class ExportSettings:
    """The ensemble that a reproduction ends with."""

    name: Annotated[str, Field(pattern=r"^[\w.-]+$")] = "meatus"  # members: <name>-1, <name>-2...
    members: Annotated[int, Field(ge=1)] = 2  # networks from seeds that follow on one another
    fp16: bool = True  # half the size
    licence: str = "Apache-2.0"


@dataclass(frozen=True)
class ReproduceSettings:
    """What each stage is told."""

    prepare: PrepareSettings
    translate: TranslateSettings
    segment: SegmentSettings
    selftrain: SelftrainSettings
    export: ExportSettings


def load_all(preset: str) -> ReproduceSettings:
    """The settings of every stage of a preset, or of a folder of one's own.

    Raises ``SettingsError`` for what is wrong with a file, and ``TrainingError`` where the
    segmentation is to learn from scans that a reproduction has not.
    """
    settings = ReproduceSettings(
        prepare=load_settings("prepare", preset, PrepareSettings),
        translate=load_settings("translate", preset, TranslateSettings),
        segment=load_settings("segment", preset, SegmentSettings),
        selftrain=load_settings("selftrain", preset, SelftrainSettings),
        export=load_settings("export", preset, ExportSettings),
    )
    if settings.segment.train_on not in ("translated", "source"):
        raise TrainingError(
            f"{preset}: segment trains on '{settings.segment.train_on}'; a reproduction trains on "
            "translated scans (or, to compare, on source): set train_on in segment.yaml."
        )
    return settings
