from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from meatus.spec import ReferenceCrop, SliceNormalisation
from meatus_phantom import tissue_maps as maps_module
from meatus_phantom.tissue_maps import SubjectSettings
from meatus_training.errors import TrainingError
from meatus_training.prepare.settings import PrepareSettings
from meatus_training.runs.checkpoints import load_checkpoint
from meatus_training.runs.launch import StoppedError
from meatus_training.segmentation import rendered
from meatus_training.segmentation.cli import segment
from meatus_training.segmentation.rendered import RenderedWindows, Subjects, make_subjects
from meatus_training.segmentation.settings import PhantomSource, SegmentSettings
from meatus_training.settings_files import load_settings, save_settings
from tests.meatus_phantom.windows.maps import CALM, toy_map
from tests.meatus_training.segmentation.runs import TINY

SHIPPED = load_settings("segment", "shipped", SegmentSettings)
HOW = SHIPPED.phantoms.prepare
SMALL = replace(HOW, crop=replace(HOW.crop, size=(64, 48)))
SETTINGS = replace(
    TINY,
    micro_batch=2,
    train_on="phantoms",
    full_field_fraction=0.5,
    phantoms=PhantomSource(SubjectSettings(subjects=2), CALM, SMALL),
)


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    monkeypatch.setattr(maps_module, "subject_map", lambda _s, _n, _p: toy_map())


@pytest.fixture
def windows(tmp_path):
    return RenderedWindows(make_subjects(tmp_path, SETTINGS, SMALL, (), 1), SETTINGS)


def test_a_window_depends_on_the_seed_and_its_number_alone(windows):
    first, labels, number = windows[5]

    windows[3]
    again, same, _ = windows[5]

    assert number == 5
    assert torch.equal(first, again)
    assert torch.equal(labels, same)
    assert not torch.equal(first, windows[4][0])
    other = RenderedWindows(windows.subjects, replace(SETTINGS, seed=6))
    assert not torch.equal(first, other[5][0])


def test_windows_of_a_step_share_their_size_and_some_steps_see_the_whole_field(windows):
    shapes = [tuple(windows[number][0].shape) for number in range(24)]

    assert set(shapes) == {(1, 8, 32, 32), (1, 8, 48, 64)}
    assert all(shapes[first] == shapes[first + 1] for first in range(0, 24, SETTINGS.batch))


def test_black_margins_are_left_out_as_inference_does_where_a_pass_has_one_window(tmp_path):
    narrow = replace(CALM, field=replace(CALM.field, narrow_chance=1.0, narrowest_mm=8.0))
    one = replace(
        SETTINGS, batch=1, micro_batch=1, phantoms=replace(SETTINGS.phantoms, render=narrow)
    )
    windows = RenderedWindows(make_subjects(tmp_path, one, SMALL, (), 1), one)

    shown = [windows[number] for number in range(20)]

    assert len({tuple(image.shape) for image, _, _ in shown}) > 4
    for image, labels, _ in shown:
        assert image.shape[1:] == labels.shape
        assert not image.shape[2] % 16
        assert not image.shape[3] % 16


def test_a_share_of_windows_shows_the_subjects_with_the_largest_tumours(tmp_path, monkeypatch):
    def grown(_settings, number, _patients):
        found = toy_map().copy()
        found[-1] = 0
        found[-1].reshape(-1)[: 10 + 7 * (number % 5)] = 1  # of eight, 3 and 4 have most
        return found

    monkeypatch.setattr(maps_module, "subject_map", grown)
    source = replace(SETTINGS.phantoms, subjects=SubjectSettings(subjects=8), large_share=0.5)
    settings = replace(SETTINGS, phantoms=source)
    windows = RenderedWindows(make_subjects(tmp_path, settings, SMALL, (), 1), settings)
    rng = np.random.default_rng(0)

    drawn = [windows._subject(rng, 0) for _ in range(800)]

    large = [number for number in drawn if number % 5 == 4 or number == 3]
    assert sorted(windows.subjects.large_tumours(8)) == [3, 4]
    # Half of the windows, and a quarter of the other half: 500, with a deviation of 14.
    assert 440 < len(large) < 560


def test_a_share_of_windows_shows_subjects_without_a_tumour(tmp_path, monkeypatch):
    def some(_settings, number, _patients):
        found = toy_map().copy()
        found[-1] = 0
        found[-1].reshape(-1)[: 10 * (number % 4)] = 1  # of eight, 0 and 4 have none
        return found

    monkeypatch.setattr(maps_module, "subject_map", some)
    source = replace(
        SETTINGS.phantoms, subjects=SubjectSettings(subjects=8), large_share=0.2, healthy_share=0.3
    )
    settings = replace(SETTINGS, phantoms=source)
    windows = RenderedWindows(make_subjects(tmp_path, settings, SMALL, (), 1), settings)
    rng = np.random.default_rng(0)

    drawn = [windows._subject(rng, 0) for _ in range(800)]

    # Three tenths of the windows, and a quarter of half of them: 340, with a deviation of 14.
    assert 283 < sum(number % 4 == 0 for number in drawn) < 397
    with pytest.raises(ValueError, match="not be more than 1 together"):
        replace(source, large_share=0.8)


def test_without_a_healthy_subject_any_is_shown(tmp_path):
    settings = replace(SETTINGS, phantoms=replace(SETTINGS.phantoms, healthy_share=1.0))
    windows = RenderedWindows(make_subjects(tmp_path, settings, SMALL, (), 1), settings)

    assert windows.subjects.healthy(2) == []
    assert {windows._subject(np.random.default_rng(0), 0)} <= {0, 1}


JOINING = replace(
    SETTINGS,
    steps=0,  # as long as it is let
    minutes=1,
    phantoms=replace(
        SETTINGS.phantoms, subjects=SubjectSettings(subjects=5), first_subjects=2, subject_every=10
    ),
)


@pytest.fixture
def started(monkeypatch):
    """Which subjects a process beside the training is started for; none is."""
    calls = []
    monkeypatch.setattr(rendered, "start_maker", lambda *asked: calls.append(asked))
    return calls


def test_subjects_join_as_the_training_goes_on(tmp_path, started):
    subjects = make_subjects(tmp_path, JOINING, SMALL, (), 1)
    windows = RenderedWindows(subjects, JOINING)
    rng = np.random.default_rng(0)

    seen = {step: {windows._subject(rng, step) for _ in range(60)} for step in (0, 9, 10, 29, 99)}

    assert started == [(subjects, 5)]
    assert [len(seen[step]) for step in (0, 9, 10, 29, 99)] == [2, 2, 3, 4, 5]
    assert len(list(subjects.maps.folder.glob("*.npy"))) == 2


def test_a_map_that_is_not_there_yet_is_made_where_it_is_needed(tmp_path, started):
    late, there = (
        RenderedWindows(make_subjects(tmp_path / name, JOINING, SMALL, (), 1), JOINING)
        for name in ("late", "there")
    )
    maps_module.make_tissue_maps(there.subjects.maps, (), 1)

    for number in range(2 * 40, 2 * 44):  # of steps by which all have joined
        assert torch.equal(late[number][0], there[number][0])


def test_all_maps_are_made_first_where_none_join(tmp_path, started):
    subjects = make_subjects(tmp_path, SETTINGS, SMALL, (), 1)

    assert not started
    assert len(list(subjects.maps.folder.glob("*.npy"))) == 2


def test_no_more_maps_are_made_than_the_training_will_show(tmp_path, started):
    subjects = make_subjects(tmp_path, replace(JOINING, steps=20), SMALL, (), 1)

    assert started == [(subjects, 4)]


def test_told_to_stop_while_maps_are_made_it_keeps_those_that_are_whole(tmp_path, started):
    with pytest.raises(StoppedError, match="stop and saved 1 of 2; run the same command again"):
        make_subjects(tmp_path, JOINING, SMALL, (), 1, lambda: True)

    assert len(list(tmp_path.rglob("*.npy"))) == 1
    assert not started
    assert len(list(make_subjects(tmp_path, JOINING, SMALL, (), 1).maps.folder.iterdir())) == 2


@pytest.mark.parametrize("changes", [{"first_subjects": 3}, {"subject_every": 3}])
def test_subjects_that_join_need_both_numbers(changes):
    with pytest.raises(ValueError, match="are both 0, or neither is"):
        replace(SETTINGS.phantoms, **changes)


def test_a_subject_has_as_many_looks_as_asked(tmp_path):
    look = replace(CALM.look, per_subject=2)
    fixed = replace(SETTINGS, phantoms=replace(SETTINGS.phantoms, render=replace(CALM, look=look)))
    windows = RenderedWindows(make_subjects(tmp_path, fixed, SMALL, (), 1), fixed)

    looks = {
        windows._look_of(subject, np.random.default_rng(n)).level.tobytes()
        for subject in (0, 1)
        for n in range(20)
    }

    assert len(looks) == 4
    assert RenderedWindows(windows.subjects, SETTINGS)._look_of(0, np.random.default_rng(0)) is None


def test_a_training_on_phantoms_is_one_command_and_says_what_it_saw(tmp_path):
    preset = tmp_path / "mine.yaml"
    preset.write_text(save_settings(replace(SETTINGS, steps=2)))
    arguments = [tmp_path / "work", "--preset", preset, "--member", "a", "--workers", 1]

    result = CliRunner().invoke(segment, [str(a) for a in arguments])

    assert result.exit_code == 0, result.output
    _, spec, extra = load_checkpoint(tmp_path / "work/segment/a/network.pt")
    assert spec.trained_on.startswith("windows of synthetic hrT2 phantoms, no real scan")
    assert extra["config"]["phantoms"]["subjects"]["subjects"] == 2
    assert len(list((tmp_path / "work/tissue_maps").glob("*/*.npy"))) == 2


def test_a_training_by_epochs_is_refused_for_windows_without_end(tmp_path):
    preset = tmp_path / "mine.yaml"
    preset.write_text(save_settings(replace(SETTINGS, steps=0, epochs=2)))
    arguments = [tmp_path, "--preset", preset, "--member", "a", "--workers", 1]

    result = CliRunner().invoke(segment, [str(a) for a in arguments])

    assert result.exit_code == 2
    assert "phantoms have no end and so no epochs; set steps or --minutes" in result.output


@pytest.mark.parametrize(
    "changes",
    [{"crop": ReferenceCrop()}, {"normalisation": SliceNormalisation()}],
)
def test_another_preparation_is_refused_in_one_line(tmp_path, changes):
    maps = maps_module.tissue_maps(tmp_path, SubjectSettings(), ())

    with pytest.raises(TrainingError, match="rendered for a physical crop of") as raised:
        Subjects(maps, replace(HOW, **changes))
    assert "\n" not in str(raised.value)


def test_the_shipped_preset_renders_what_the_phantom_preset_prepares():
    assert SHIPPED.train_on == "phantoms"
    assert load_settings("prepare", "phantom", PrepareSettings) == HOW
