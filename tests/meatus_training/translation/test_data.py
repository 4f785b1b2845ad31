from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from meatus_training.errors import TrainingError
from meatus_training.translation.data import (
    SlicePairs,
    nearest,
    step_batches,
    with_target_contrast,
    zoomed,
)
from meatus_training.translation.stage import MappedArrays
from tests.meatus_training.translation.runs import TINY, scans, toy_data


def batch(settings, step, rank=0, world=1, **changes):
    pairs = SlicePairs(toy_data(**changes), settings)
    return next(step_batches(pairs, range(step, step + 1), rank, world))


def test_a_step_sees_the_same_slices_however_it_was_reached():
    pairs = SlicePairs(toy_data(), TINY)
    from_start = list(step_batches(pairs, range(4)))

    for one, other in zip(from_start[3], batch(TINY, 3), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(from_start[2][0], from_start[3][0])
    assert not torch.equal(batch(replace(TINY, seed=6), 3)[0], from_start[3][0])


def test_two_processes_share_the_pairs_of_one():
    settings = replace(TINY, batch=4)
    alone, first, second = batch(settings, 7), batch(settings, 7, 0, 2), batch(settings, 7, 1, 2)

    for whole, *parts in zip(alone, first, second, strict=True):
        assert torch.equal(whole, torch.cat(parts))


def test_processes_that_read_ahead_change_nothing():
    for one, other in zip(batch(TINY, 3), batch(replace(TINY, workers=1), 3), strict=True):
        assert torch.equal(one, other)


def test_a_slice_is_zoomed_as_the_published_code_zooms():
    plane = np.random.default_rng(0).normal(size=(5, 7))

    ours = zoomed(torch.from_numpy(plane), 12)

    np.testing.assert_allclose(ours, ndimage.zoom(plane, (12 / 5, 12 / 7), order=1), atol=1e-12)


def test_a_part_keeps_the_resolution_and_black_fills_what_is_missing():
    white = [np.ones((1, 20, 50), np.float16)]
    white[0][0, 0, 0] = -0.5  # or the slice would count as empty
    labels = [np.zeros((1, 20, 50), np.uint8)]
    settings = replace(TINY, fit="crop", size=32)

    parts = batch(settings, 0, source=white, labels=labels).source

    assert parts.shape == (2, 1, 32, 32)
    for part in parts:
        assert (part == -1).sum() == 12 * 32
        assert sorted(part.unique().tolist()) in ([-1, 1], [-1, -0.5, 1])


def test_empty_slices_are_never_drawn():
    source = scans(1)
    source[0][:2] = -1
    pairs = SlicePairs(toy_data(source=source, labels=[np.zeros(source[0].shape, np.uint8)]), TINY)

    assert pairs.source.tolist() == [[0, 2]]
    assert len(pairs) == 9  # of the larger side


def test_slices_with_structures_are_drawn_as_often_as_asked():
    data = toy_data()
    data.labels[1][2, 5, 5] = 3
    marked = data.source[1][2].astype(np.float32)
    pairs = SlicePairs(data, replace(TINY, labelled_share=1.0, size=40, fit="crop"))

    for number in range(5):
        assert pairs[number][0].sum() == pytest.approx(marked.sum() - 4 * 40, abs=1e-2)


def test_a_pair_bears_the_site_of_its_target_slice():
    target = [np.full((1, 32, 32), value, np.float16) for value in (0.25, 0.5)]
    for scan in target:
        scan[0, 0, 0] = -1
    pairs = SlicePairs(toy_data(target=target, styles=(1, 0)), TINY)

    seen = {
        (float(pair.target.max()), int(pair.styles))
        for pair in (pairs[number] for number in range(20))
    }

    assert seen == {(0.25, 1), (0.5, 0)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": []}, "2 source and 0 target scans"),
        ({"labels": []}, "labels do not lie on the source scans' grids"),
        ({"styles": (0,)}, "1 sites for 3 target scans"),
    ],
)
def test_data_that_do_not_fit_together_are_refused(changes, message):
    with pytest.raises(TrainingError, match=message):
        toy_data(**changes)


def test_scans_that_show_nothing_are_refused():
    black = [np.full((2, 8, 8), -1, np.float16)]

    with pytest.raises(TrainingError, match="every slice of the target scans is empty"):
        SlicePairs(toy_data(target=black), TINY)


def test_parts_of_both_sides_come_from_the_same_place():
    rows, columns = np.mgrid[:64, :64].astype(np.float16)
    ramps = [(rows / 32 - 1)[None], (columns / 32 - 1)[None]]
    for ramp in ramps:
        data = toy_data(
            source=[ramp], labels=[np.zeros(ramp.shape, np.uint8)], target=[np.repeat(ramp, 2, 0)]
        )
        pairs = SlicePairs(data, replace(TINY, fit="crop", size=32))
        seen = [pairs[number][:2] for number in range(10)]

        assert all(abs(a.mean() - b.mean()) < 1e-3 for a, b in seen)
        assert len({round(float(a.mean()), 3) for a, _ in seen}) > 5


def test_parts_drawn_for_their_structures_show_them():
    scan = np.zeros((1, 90, 70), np.float16)
    labels = np.zeros((1, 90, 70), np.uint8)
    scan[0, 80, 5], labels[0, 80, 5] = 1, 3
    pairs = SlicePairs(
        toy_data(source=[scan], labels=[labels]),
        replace(TINY, fit="crop", size=32, labelled_share=1.0),
    )

    assert all(pairs[number][0].max() == 1 for number in range(20))


def test_prepared_scans_are_opened_only_while_they_are_read():
    opened = []
    arrays = MappedArrays(tuple(lambda k=k: opened.append(k) or np.full(2, k) for k in range(3)))

    assert len(arrays) == 3
    assert len(arrays[1:]) == 2
    assert opened == []
    assert arrays[2][0] == 2
    assert opened == [2]


def test_the_other_scans_slice_lies_as_high_as_a_labelled_one():
    rows = np.arange(8, dtype=np.float16)[None, :, None]
    source = [np.zeros((40, 8, 8), np.float16) + rows / 8]
    target = [np.zeros((80, 8, 8), np.float16) + rows / 8]
    target[0] += np.arange(80, dtype=np.float16)[:, None, None] / 1000  # each slice its own
    labels = [np.zeros(source[0].shape, np.uint8)]
    labels[0][10, 4, 4] = 1  # a quarter of the way up
    data = toy_data(source=source, labels=labels, target=target)
    pairs = SlicePairs(data, replace(TINY, labelled_share=1.0, size=8, fit="crop"))

    heights = [float(pairs[number][1].min()) * 1000 for number in range(30)]

    assert min(heights) >= 80 * (0.25 - 0.08) - 1
    assert max(heights) <= 80 * (0.25 + 0.08) + 1
    assert len({round(height) for height in heights}) > 3


def test_slices_are_mirrored_from_side_to_side_and_not_turned_over():
    plane = np.add.outer(np.arange(8) / 8, np.arange(8) / 80).astype(np.float16)
    scan = [plane[None]]
    data = toy_data(source=scan, labels=[np.zeros((1, 8, 8), np.uint8)], target=scan)
    pairs = SlicePairs(data, replace(TINY, size=8, fit="crop"))

    drawn = [pairs[number][0][0] for number in range(20)]

    assert all((part[1:] > part[:-1]).all() for part in drawn), "up stays up"
    assert {bool(part[0, 0] < part[0, -1]) for part in drawn} == {True, False}


@pytest.mark.parametrize("fit", ["crop", "zoom"])
def test_labels_go_where_their_slice_goes(fit):
    scan = np.zeros((1, 90, 70), np.float16)
    labels = np.zeros((1, 90, 70), np.uint8)
    scan[0, 60:75, 5:25], labels[0, 60:75, 5:25] = 1, 2
    settings = replace(TINY, fit=fit, size=32, labelled_share=1.0)
    pairs = SlicePairs(toy_data(source=[scan], labels=[labels]), settings)

    for pair in (pairs[number] for number in range(20)):
        assert torch.equal(pair.labels == 2, pair.source[0] > 0.5)
        assert pair.labels.any()


def test_neighbours_come_along_as_channels_and_ends_repeat():
    source = [np.zeros((3, 32, 32), np.float16) for _ in range(2)]
    for scan in source:
        scan += np.arange(3, dtype=np.float16)[:, None, None] / 4
        scan[:, 0, 0] = -1  # or the slices would count as empty
    labels = [np.tile(np.arange(3, dtype=np.uint8)[:, None, None], (1, 32, 32)) for _ in source]
    pairs = SlicePairs(toy_data(source=source, labels=labels), replace(TINY, neighbours=1))

    seen = {
        (*(pair.source.amax((1, 2)) * 4).int().tolist(), int(pair.labels.max()))
        for pair in (pairs[number] for number in range(40))
    }

    assert seen == {(0, 0, 1, 0), (0, 1, 2, 1), (1, 2, 2, 2)}, "the labels are the middle one's"


def test_labels_lie_as_their_slices_do_when_both_are_zoomed():
    ramp = np.arange(7, dtype=np.uint8)[None].repeat(5, 0)

    assert nearest(ramp, (3, 4)).tolist() == [[0, 2, 4, 6]] * 3


def test_labels_of_the_source_move_its_targets_towards_the_other_contrast():
    voxels, labels = np.full((1, 40, 40), -0.5, np.float16), np.zeros((1, 20, 20), np.uint8)
    labels[0, 2:7, 2:7], labels[0, 2:7, 12:17], labels[0, 12:17, 2:7] = 1, 2, 3
    settings = replace(TINY, bright_cochlea=0.5, dark_tumour=0.4)

    changed = with_target_contrast(voxels, labels, settings)

    assert changed[0, 9, 9] == pytest.approx(-0.7, abs=1e-3)  # of 0.5 to -1 two fifths
    assert changed[0, 9, 29] == pytest.approx(-0.7, abs=1e-3)
    assert changed[0, 29, 9] == pytest.approx(0.25, abs=1e-3)  # half of the way to 1
    assert changed[0, 35, 35] == pytest.approx(-0.5)
    assert with_target_contrast(voxels, labels, TINY) is voxels


def test_the_translator_is_shown_the_changed_source():
    scan = [np.full((1, 32, 32), -0.5, np.float16)]
    scan[0][0, 0, 0] = -1
    labels = [np.full((1, 32, 32), 3, np.uint8)]
    pairs = SlicePairs(
        toy_data(source=scan, labels=labels), replace(TINY, bright_cochlea=0.5, fit="crop")
    )

    assert float(pairs[0].source.median()) == pytest.approx(0.25, abs=1e-3)
