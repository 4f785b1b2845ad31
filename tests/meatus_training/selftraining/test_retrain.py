"""What a round's training learns from, and from which settings."""

from dataclasses import replace
from pathlib import Path

import pytest

from meatus_training.errors import TrainingError
from meatus_training.networks import ResUNet25d
from meatus_training.prepare.settings import PrepareSettings
from meatus_training.runs.checkpoints import save_checkpoint
from meatus_training.segmentation.member import spec_for, write_network
from meatus_training.segmentation.samples import TrainingSample
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.selftraining.retrain import (
    Round,
    read_segment_settings,
    round_settings,
    samples_key,
    training_key,
)
from meatus_training.selftraining.rounds import compose
from meatus_training.selftraining.select import Verdict
from meatus_training.selftraining.settings import SelftrainSettings
from tests.meatus_training.runs.test_provenance import cases_of

SMALL = SegmentSettings(width=1, blocks=1, seed=3)


def verdict(case):
    return Verdict(case, True, (), 0.9, (0.9, 0.9, 0.9), (1, 1, 1), 0)


def test_translated_scans_keep_their_labels_and_real_ones_get_the_ensembles():
    cases = cases_of(Path("data"), source=1, target=2)
    translated = [TrainingSample("source_0--ldn", Path("t.npy"), Path("truth.npy"))]
    plan = compose(2, [sample.name for sample in translated], [verdict("target_1")])

    first, second = Round(plan, translated, cases, Path("pseudo"), "key").samples

    assert first == TrainingSample("source_0--ldn", Path("t.npy"), Path("truth.npy"), weight=0.5)
    assert second == TrainingSample(
        "target_1", cases[2].voxels, Path("pseudo/target_1.labels.npy"), weight=0.5
    )


def test_a_round_has_the_members_settings_but_for_its_length_and_windows():
    segment = SegmentSettings(steps=100, epochs=0, minutes=30, seed=7)

    own = round_settings(segment, SelftrainSettings(length=0.5), 2)

    assert own == replace(segment, steps=50, minutes=15, seed=2007)


def test_a_round_is_never_without_a_step():
    segment = SegmentSettings(steps=0, epochs=1)

    assert round_settings(segment, SelftrainSettings(length=0.1), 1).epochs == 1


def test_settings_are_those_in_the_members_checkpoint(tmp_path):
    spec = spec_for(SMALL, PrepareSettings(), "a", "nothing")
    write_network(tmp_path / "network.pt", ResUNet25d(1, 1), spec, SMALL)

    assert read_segment_settings(tmp_path / "network.pt") == SMALL


def test_settings_by_their_names_of_before_are_read(tmp_path):
    spec = spec_for(SMALL, PrepareSettings(), "a", "nothing")
    config = {"width": 1, "blocks": 1, "seed": 3, "at_once": 2, "whole_share": 0.5}
    save_checkpoint(tmp_path / "network.pt", ResUNet25d(1, 1), spec, config=config)

    assert read_segment_settings(tmp_path / "network.pt") == replace(
        SMALL, micro_batch=2, full_field_fraction=0.5
    )


def test_a_checkpoint_without_settings_is_refused(tmp_path):
    spec = spec_for(SMALL, PrepareSettings(), "a", "nothing")
    save_checkpoint(tmp_path / "network.pt", ResUNet25d(1, 1), spec)

    with pytest.raises(TrainingError, match="holds no settings of the segment command"):
        read_segment_settings(tmp_path / "network.pt")


def test_how_fast_a_network_comes_about_does_not_change_what_it_is():
    assert training_key(SMALL) == training_key(replace(SMALL, workers=8, save_every=7))
    assert training_key(SMALL) != training_key(replace(SMALL, minutes=5))
    assert training_key(SMALL) != training_key(replace(SMALL, seed=4))


def test_translated_scans_are_told_apart_by_their_notes(tmp_path):
    sample = TrainingSample("a--b", tmp_path / "a--b.voxels.npy", tmp_path / "l.npy")
    cases = cases_of(tmp_path, source=1)
    note = tmp_path / "a--b.made_of.json"

    note.write_text("one")
    first = samples_key([sample], cases)
    note.write_text("two")

    assert samples_key([sample], cases) != first
    assert samples_key([sample], [replace(cases[0], digest="1")]) != samples_key([sample], cases)
