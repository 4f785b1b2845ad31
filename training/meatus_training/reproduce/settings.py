"""Settings of all stages, of one preset; and what cannot be with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field

from meatus_training.errors import TrainingError
from meatus_training.prepare.settings import PrepareSettings
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.selftraining.settings import SelftrainSettings
from meatus_training.settings_files import Settings, load_settings
from meatus_training.translation.settings import TranslateSettings

StageName = Literal["prepare", "translate", "segment", "selftrain", "export"]


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


def load_all(
    preset: str, changes: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
) -> ReproduceSettings:
    """The settings of every stage of a preset, or of a folder of one's own, with ``changes``.

    Raises ``SettingsError`` for what is wrong with a file, and ``TrainingError`` where the
    segmentation is to learn from scans that a reproduction has not.
    """

    def load(stage: StageName, model: type[Settings]) -> Settings:
        return load_settings(stage, preset, model, changes.get(stage, {}))

    settings = ReproduceSettings(
        prepare=load("prepare", PrepareSettings),
        translate=load("translate", TranslateSettings),
        segment=load("segment", SegmentSettings),
        selftrain=load("selftrain", SelftrainSettings),
        export=load("export", ExportSettings),
    )
    if settings.segment.train_on == "phantoms":
        raise TrainingError(
            f"{preset}: segment trains on 'phantoms'; a reproduction trains on translated scans "
            "(or, to compare, on source, or on target with the phantoms' truth): set train_on in "
            "segment.yaml."
        )
    return settings


def check_batches(settings: ReproduceSettings, processes: int) -> None:
    """Raise ``TrainingError`` where the processes cannot share a batch, before hours are spent."""
    for stage, batch in (
        ("translate", settings.translate.training.batch),
        ("segment", settings.segment.batch),
    ):
        if batch % processes:
            even = ", ".join(str(n) for n in range(1, batch + 1) if batch % n == 0)
            raise TrainingError(
                f"{stage}: a batch of {batch} cannot be shared by {processes} processes; run "
                f"{even} of them, or change the batch in {stage}.yaml."
            )
    share, at_once = settings.segment.batch // processes, settings.segment.micro_batch
    if at_once and share % at_once:
        raise TrainingError(
            f"segment: each of {processes} processes has {share} windows a step, which passes of "
            f"{at_once} do not share evenly; set micro_batch in segment.yaml to 0 or a divisor."
        )
