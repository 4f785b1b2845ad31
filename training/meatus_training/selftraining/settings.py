"""Settings of the self-training stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from meatus.ensemble import Quality
from meatus.postprocess import Rules
from meatus_training.selftraining.repair import RepairRules
from meatus_training.selftraining.rounds import RoundRules
from meatus_training.selftraining.select import SelectRules
from meatus_training.settings_files import later

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class SelftrainSettings:
    """Rounds of predicting the real scans, choosing among them, and training on."""

    rounds: Annotated[int, Field(ge=0)] = 2
    start: Literal["previous", "scratch"] = "scratch"  # each round's networks begin with
    length: Positive = 1.0  # of a round's training, as a share of the segmentation's own

    quality: Quality = "standard"  # flips of the predictions: none, left-right, all eight
    clean: Rules = field(default_factory=Rules)
    # Of the tumour's probability, from which a doubtful voxel beside it joins it; 1: none does.
    tumour_p: Annotated[float, Field(gt=0, le=1)] = later(1.0)
    repairs: bool = True
    drops_fluid: bool = later(False)  # what is as bright as fluid from the tumour, however sure
    # A voxel that the ensemble is this sure of is not repaired: contrast decides the others.
    sure_p: Share = 0.95
    repair: RepairRules = field(default_factory=RepairRules)
    select: SelectRules = field(default_factory=SelectRules)
    joins: RoundRules = field(default_factory=RoundRules)
