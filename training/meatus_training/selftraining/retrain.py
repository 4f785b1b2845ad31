"""One member's training in a round: translated scans and the chosen real ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from meatus_training.errors import TrainingError
from meatus_training.prepare.cases import PreparedCase, Split, prepared_hash, read_table
from meatus_training.runs.checkpoints import load_checkpoint
from meatus_training.runs.provenance import described
from meatus_training.runs.run_context import Part, RunContext
from meatus_training.runs.stage_records import file_key, key_of
from meatus_training.segmentation.member import train_member
from meatus_training.segmentation.samples import SampleScans, TrainingSample
from meatus_training.segmentation.settings import FREE, SegmentSettings
from meatus_training.selftraining.pseudo_labels import labels_file
from meatus_training.selftraining.rounds import RoundPlan
from meatus_training.selftraining.settings import SelftrainSettings
from meatus_training.settings_files import settings_from, settings_hash
from meatus_training.translation.scans import MADE_OF

SEEDS_A_ROUND = 1000  # further on, so that no two rounds, nor two members, see the same windows


@dataclass(frozen=True)
class Round:
    """What all members of a round train on."""

    plan: RoundPlan
    translated: Sequence[TrainingSample]
    cases: Sequence[PreparedCase]
    pseudo: Path  # folder of the pseudo-labels
    key: str  # of all that

    @property
    def samples(self) -> list[TrainingSample]:
        """Translated and chosen real scans, each as often as the plan says."""
        weights = {entry.case: entry.weight for entry in self.plan.entries}
        targets = {case.name: case for case in self.cases if case.split == "target"}
        real = [
            TrainingSample(
                name,
                targets[name].voxels,
                labels_file(targets[name], self.pseudo),
                complete=targets[name].complete,
            )
            for name in self.plan.real
        ]
        return [
            replace(sample, weight=weights[sample.name]) for sample in (*self.translated, *real)
        ]


def retrained(
    first: Path, previous: Path, round_: Round, settings: SelftrainSettings, work: Path
) -> Part:
    """The training of a member for a round.

    ``first`` is the member's checkpoint of the segmentation stage, whose settings stay its own;
    ``previous`` that of the round before.
    """
    own = round_settings(read_segment_settings(first), settings, round_.plan.number)
    start = load_checkpoint(previous)[0] if settings.start == "previous" else None
    prepared = work / "prepared"
    folder = round_.pseudo.parent / first.parent.name
    key = key_of(training_key(own), round_.key, file_key(previous) if start else "scratch")

    def train(context: RunContext) -> None:
        train_member(
            folder,
            SampleScans(round_.samples, own.seed),
            own,
            read_table(prepared).settings,
            context.launched(own.precision),
            described(round_.cases),
            start=start,
            say=context.say,
            should_stop=context.should_stop,
        )

    return Part(folder, key, train)


def round_settings(
    segment: SegmentSettings, settings: SelftrainSettings, number: int
) -> SegmentSettings:
    """The segmentation's own settings for round ``number``: as long as wanted, other windows."""
    return replace(
        segment,
        epochs=_scaled(segment.epochs, settings.length),
        steps=_scaled(segment.steps, settings.length),
        minutes=segment.minutes * settings.length,
        seed=segment.seed + number * SEEDS_A_ROUND,
    )


def training_key(settings: SegmentSettings) -> str:
    """Of what changes a network: not of how fast it comes about, but of how long it may."""
    plain = SegmentSettings()
    free = {name: getattr(plain, name) for name in FREE if name != "minutes"}
    return settings_hash(replace(settings, **free))


def samples_key(
    samples: Sequence[TrainingSample], cases: Sequence[PreparedCase], split: Split = "source"
) -> str:
    """Of what ``samples``, made of the scans of ``split``, hold.

    Prepared scans count by their digest, translated ones by their note.
    """
    notes = [
        (sample.name, note.read_text() if (note := _note(sample)).exists() else "")
        for sample in samples
    ]
    return key_of(notes, prepared_hash([case for case in cases if case.split == split]))


def read_segment_settings(network: Path) -> SegmentSettings:
    """The settings in a checkpoint. Raises ``TrainingError`` where they are not to be had."""
    try:
        found = load_checkpoint(network)[2]["config"]
        return settings_from(found, SegmentSettings)
    except (KeyError, AttributeError, ValidationError) as error:
        raise TrainingError(
            f"{network}: holds no settings of the segment command; train it with that."
        ) from error


def _scaled(count: int, share: float) -> int:
    return max(1, round(count * share)) if count else 0


def _note(sample: TrainingSample) -> Path:
    return sample.voxels.with_name(f"{sample.name}{MADE_OF}")
