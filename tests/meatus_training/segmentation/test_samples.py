import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from meatus_training.errors import TrainingError
from meatus_training.hard_examples import IGNORE
from meatus_training.segmentation.samples import (
    PLACES,
    SampleScans,
    TrainingSample,
    epoch_order,
    marked_places,
    open_sample,
)
from meatus_training.segmentation.windows import WindowSet
from tests.meatus_training.segmentation.runs import TINY, toy_samples, toy_scan


def test_an_epoch_shows_each_of_equal_scans_once_in_a_new_order():
    even = np.full(7, 1 / 7)
    orders = [epoch_order(even, 0, epoch).tolist() for epoch in range(4)]

    assert all(sorted(order) == list(range(7)) for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def test_scans_are_drawn_as_often_as_their_weights_say():
    """Half of eight is four of every epoch; a sixth of eight is one or two."""
    chances = np.array([1 / 2, 1 / 6, 1 / 6, 1 / 6, 0, 0, 0, 0])

    counts = np.array([np.bincount(epoch_order(chances, 1, e), minlength=8) for e in range(300)])

    assert (counts[:, 0] == 4).all()
    assert set(counts[:, 1:4].ravel().tolist()) == {1, 2}
    assert counts[:, 1].mean() == pytest.approx(8 / 6, abs=0.1)
    assert not counts[:, 4:].any()


def test_the_same_seed_gives_the_same_order():
    even = np.full(9, 1 / 9)

    assert epoch_order(even, 3, 2).tolist() == epoch_order(even, 3, 2).tolist()
    assert epoch_order(even, 3, 2).tolist() != epoch_order(even, 4, 2).tolist()


def test_an_opened_scan_stays_on_the_disk(tmp_path):
    scan = open_sample(toy_samples(tmp_path)[0])

    assert isinstance(scan.voxels, np.memmap)
    assert isinstance(scan.labels, np.memmap)
    assert scan.labels[tuple(scan.places.T)].all()


def test_windows_are_not_centred_on_what_is_to_be_ignored():
    labels = toy_scan()[1]
    labels[labels == 1] = IGNORE

    places = marked_places(labels)

    assert set(labels[tuple(places.T)].tolist()) == {2, 3}


def test_few_places_stand_for_many():
    labels = np.zeros((50, 40, 20), np.uint8)
    labels[10:40] = 3

    places = marked_places(labels)

    assert len(places) == PLACES
    assert places[:, 0].min() == 10
    assert places[:, 0].max() == 39


def test_memory_does_not_grow_with_the_number_of_scans(tmp_path):
    samples = []
    for number in range(24):
        sample = TrainingSample(
            str(number), tmp_path / f"{number}.v.npy", tmp_path / f"{number}.l.npy"
        )
        labels = np.zeros((32, 128, 128), np.uint8)
        labels[6, 30:34, 30:34] = 3
        np.save(sample.labels, labels)
        np.save(sample.voxels, labels.astype(np.float16))
        samples.append(sample)
    windows = WindowSet(SampleScans(samples), TINY, whole=False, augment=False)

    tracemalloc.start()
    for number in range(24):
        windows[number]
        if number == 3:
            few = tracemalloc.get_traced_memory()[0]
    many, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    one_scan = 3 * 32 * 128 * 128  # bytes of voxels and labels
    assert many - few < 0.2 * one_scan, "of twenty more scans"
    assert peak < 6 * one_scan


def test_all_mistakes_are_told_at_once(tmp_path):
    first, second = toy_samples(tmp_path)
    np.save(first.labels, np.zeros((3, 4, 5), np.uint8))
    second.voxels.unlink()

    with pytest.raises(TrainingError, match=r"(?s)uint8 \(3, 4, 5\).*s1\.voxels\.npy is missing"):
        SampleScans([first, second])
    with pytest.raises(TrainingError, match="no scan"):
        SampleScans([])
    third = toy_samples(tmp_path / "again")[0]
    with pytest.raises(TrainingError, match="named twice"):
        SampleScans([third, third])
    with pytest.raises(TrainingError, match="weight 0"):
        SampleScans([replace(third, weight=0)])
