from dataclasses import replace

import numpy as np
import torch

from meatus_training.augmentation import PAPER
from meatus_training.augmentation.settings import Borders
from meatus_training.runs.launch import make_fabric
from meatus_training.segmentation.samples import Labelled
from meatus_training.segmentation.windows import Loader, WindowSet, batches, cut, place
from tests.meatus_training.segmentation.runs import TINY, toy_scans


def window_set(folder, settings=TINY, **how):
    return WindowSet(toy_scans(folder), settings, **{"whole": False, "augment": True} | how)


def numbers_of(windows, *shares, **how):
    return [batch[2].tolist() for batch in batches(windows, *shares, **how)]


def test_a_window_depends_on_the_seed_and_its_number_alone(tmp_path):
    windows = window_set(tmp_path, replace(TINY, augmentation=PAPER))
    other = window_set(tmp_path, replace(TINY, augmentation=PAPER, seed=6))

    image, labels, _ = windows[3]

    windows[4], other[3]
    assert torch.equal(image, window_set(tmp_path, windows.settings)[3][0])
    assert torch.equal(labels, windows[3][1])
    assert not torch.equal(image, windows[4][0])
    assert not torch.equal(image, other[3][0])


def test_a_resumed_run_sees_the_windows_that_an_unbroken_one_would(tmp_path):
    windows = window_set(tmp_path)
    whole = list(batches(windows, range(4)))

    rest = list(batches(windows, range(2, 4)))

    assert len(whole) == 2 * len(rest) == 8
    for there, here in zip(whole[4:], rest, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(there, here, strict=True))


def test_processes_share_each_step_and_see_nothing_twice(tmp_path):
    windows = window_set(tmp_path, replace(TINY, batch=4))

    alone = numbers_of(windows, range(2))
    first, second = (numbers_of(windows, range(2), rank, 2) for rank in (0, 1))

    assert alone == [[n] for n in range(8)]
    assert first == [[0], [1], [4], [5]]
    assert second == [[2], [3], [6], [7]]


def test_several_windows_go_through_at_once_where_asked(tmp_path):
    windows = window_set(tmp_path, replace(TINY, batch=4, micro_batch=2))

    images, labels, _ = next(batches(windows, range(1)))

    assert images.shape == (2, 1, 8, 32, 32)
    assert labels.shape == (2, 8, 32, 32)
    assert numbers_of(windows, range(1)) == [[0, 1], [2, 3]]


def test_readers_ahead_hand_over_the_same_windows_in_the_same_order(tmp_path):
    here = window_set(tmp_path)
    # Readers begin at once: the files that they read must not be written a second time.
    ahead = WindowSet(here.scans, replace(TINY, workers=2), whole=False, augment=True)

    for one, other in zip(batches(ahead, range(2)), batches(here, range(2)), strict=True):
        assert torch.equal(one[2], other[2])
        assert torch.equal(one[0], other[0])


def test_whole_windows_show_all_rows_and_columns(tmp_path):
    image, labels, _ = window_set(tmp_path, whole=True)[0]

    assert image.shape == (1, 8, 32, 48)
    assert labels.shape == (8, 32, 48)


def scan(shape, marked=()):
    labels = np.zeros(shape, np.uint8)
    for place_ in marked:
        labels[place_] = 3
    places = np.array(marked or np.empty((0, 3)), np.int16)
    return Labelled(np.ones(shape, np.float16), labels, places)


def test_windows_near_structures_hold_them():
    one, rng = scan((20, 60, 60), [(3, 50, 7)]), np.random.default_rng(0)

    held = [cut(one, (8, 32, 32), place(one, (8, 32, 32), 1.0, rng))[1].any() for _ in range(30)]

    assert all(held)


def test_other_windows_lie_anywhere_inside():
    one, rng = scan((20, 60, 60)), np.random.default_rng(0)
    starts = np.array([place(one, (8, 32, 32), 1.0, rng) for _ in range(200)])

    assert starts.min(0).tolist() == [0, 0, 0]
    assert starts.max(0).tolist() == [12, 28, 28]


def test_all_starts_along_z_are_as_likely():
    # 50 slices have eleven starts; clipping once gave the first 44 % and the last 38 % of windows.
    one, rng = scan((50, 32, 32)), np.random.default_rng(0)
    starts = [int(place(one, (40, 32, 32), 0.0, rng)[0]) for _ in range(2200)]
    counts = np.bincount(starts, minlength=11)

    # Each of eleven: 200 on average, with a standard deviation of 13.5.
    assert len(counts) == 11
    assert counts.min() > 140
    assert counts.max() < 260


def test_so_are_all_starts_along_z_that_show_a_structure():
    # About an ear in the middle of 50 slices all eleven do; clipped, a third each were the first
    # and the last one. About one near the bottom those do that reach down to it.
    rng, counts = np.random.default_rng(0), {}
    for z in (25, 3):
        one = scan((50, 32, 32), [(z, 16, 16)])
        starts = [int(place(one, (40, 32, 32), 1.0, rng)[0]) for _ in range(2200)]
        counts[z] = np.bincount(starts, minlength=11)

    assert counts[25].min() > 140
    assert counts[25].max() < 260
    assert (counts[3] > 0).tolist() == [True] * 4 + [False] * 7


def test_only_incomplete_scans_are_enlarged(tmp_path):
    # Both have black sides, as the air about a whole head is; only one is a part of a head.
    always = replace(TINY, augmentation=replace(PAPER, borders=Borders(expand_chance=1.0)))
    scans = toy_scans(tmp_path, 2)
    for sample in scans.samples:
        voxels = np.load(sample.voxels)
        voxels[:, :, :14] = voxels[:, :, 34:] = voxels[:, :8] = voxels[:, 24:] = -1
        np.save(sample.voxels, voxels)
    part = replace(scans, samples=[replace(one, complete=False) for one in scans.samples])
    shown = [
        [int((WindowSet(of, always, whole=True, augment=False)[n][0] > -1).sum()) for n in range(4)]
        for of in (scans, part)
    ]

    assert all(more > less for less, more in zip(*shown, strict=True))


def test_a_scan_smaller_than_the_window_lies_in_the_middle_of_black():
    small = scan((4, 30, 30), [(1, 1, 1)])

    voxels, labels = cut(
        small, (8, 32, 32), place(small, (8, 32, 32), 0.0, np.random.default_rng(0))
    )

    assert (voxels[:2] == -1).all()
    assert (voxels[2:6, 1:31, 1:31] == 1).all()
    assert labels[3, 2, 2] == 3
    assert labels.sum() == 3


def test_the_loader_turns_from_parts_to_whole_fields_once(tmp_path):
    loader = Loader(toy_scans(tmp_path), TINY, make_fabric(accelerator="cpu"), 6)

    loader.turn(0, whole=False)
    reader = loader.reader
    loader.turn(1, whole=False)
    assert loader.reader is reader
    part = next(loader)[0]
    loader.turn(1, whole=True)
    whole = next(loader)[0]

    assert tuple(part.shape[2:]) == TINY.patch
    assert tuple(whole.shape[3:]) == (32, 48)
    assert loader.waited() > 0
    assert loader.waited() == 0


def test_whole_fields_come_in_between_where_asked_for_and_never_within_a_step(tmp_path):
    mixed = replace(TINY, full_field_order="mixed", full_field_fraction=0.3, full_field_depth=7)
    windows = window_set(tmp_path, mixed, augment=False)
    shapes = [tuple(windows[number][0].shape[1:]) for number in range(120)]

    steps = [set(shapes[first : first + 2]) for first in range(0, 120, 2)]
    assert all(len(step) == 1 for step in steps)
    whole = [step == {(7, 32, 48)} for step in steps]
    assert set(shapes) == {TINY.patch, (7, 32, 48)}
    # A share of 0.3 of 60 steps, standard deviation 3.5; not all at the end.
    assert 8 <= sum(whole) <= 28
    assert any(whole[:20])
    assert not all(whole[50:])


def test_the_loader_leaves_the_order_to_the_windows_where_they_are_mixed(tmp_path):
    mixed = replace(TINY, full_field_order="mixed", full_field_fraction=0.5)
    loader = Loader(toy_scans(tmp_path), mixed, make_fabric(accelerator="cpu"), 12)
    loader.turn(0, whole=False)
    reader = loader.reader
    loader.turn(6, whole=True)

    assert loader.reader is reader
    assert len({tuple(next(loader)[0].shape[2:]) for _ in range(24)}) == 2
