"""Pseudo-labels of one scan by an ensemble whose answer is known."""

from dataclasses import dataclass

import numpy as np
import pytest

from meatus.ensemble import Model
from meatus.spec import SliceNormalisation, VolumeNormalisation
from meatus.structures import Structure
from meatus_training.hard_examples import IGNORE
from meatus_training.selftraining.label import as_measured, pseudo_labels
from meatus_training.selftraining.settings import SelftrainSettings
from tests.meatus.specs import make_spec
from tests.meatus_training.selftraining.ears import GRID, box, ears, scan_of

PLAIN = VolumeNormalisation(power=1)


@dataclass
class Oracle:
    """Gives the same probabilities for the one window that a scan is, or for its last columns.

    Black columns before them are margins that no network is shown.
    """

    found: np.ndarray
    name: str = "oracle"

    def __call__(self, window):
        assert window.shape[:2] == self.found.shape[1:3]
        return self.found[..., -window.shape[2] :]

    def release(self):
        pass


def ensemble(labels, p=0.9):
    """A model that is as sure as ``p`` of ``labels`` (Z, Y, X), in one window."""
    found = np.full((4, *labels.shape), (1 - p) / 3, dtype=np.float32)
    np.put_along_axis(found, labels[None].astype(np.intp), p, axis=0)
    return Model((Oracle(found),), make_spec(normalisation=PLAIN, depth=30), "fast")


def normalised(labels):
    return (2 * scan_of(labels) - 1).astype(np.float16)


def test_a_good_prediction_becomes_its_own_pseudo_labels():
    labels = ears()

    found = pseudo_labels("a", normalised(labels), GRID, ensemble(labels), SelftrainSettings())

    assert found.selection.verdict.keep
    np.testing.assert_array_equal(found.selection.labels, labels)


def test_islands_are_cleaned_away_and_then_ignored():
    seen = ears()
    box(seen, Structure.EXTRA_MEATAL, (2, 6), (2, 6), (2, 6))

    found = pseudo_labels("a", normalised(ears()), GRID, ensemble(seen), SelftrainSettings())

    np.testing.assert_array_equal(found.cleaned, ears())
    assert set(found.selection.labels[2:6, 2:6, 2:6].ravel()) == {IGNORE}


def test_contrast_mends_where_the_ensemble_is_not_sure_and_only_there():
    fat = ears()
    box(fat, Structure.COCHLEA, (97, 105), (28, 33), (13, 17))  # a millimetre of bone either side
    scan = normalised(ears())

    unsure = pseudo_labels("a", scan, GRID, ensemble(fat, 0.9), SelftrainSettings())
    sure = pseudo_labels("a", scan, GRID, ensemble(fat, 0.99), SelftrainSettings())

    np.testing.assert_array_equal(unsure.cleaned, fat)
    np.testing.assert_array_equal(unsure.repaired, ears())
    np.testing.assert_array_equal(sure.repaired, fat)


def test_an_ear_in_the_padding_is_not_missed_but_one_that_the_scan_shows_is():
    left = ears()
    left[..., :64] = 0
    whole = normalised(left)
    half = whole.copy()
    half[..., :64] = -1

    missed = pseudo_labels("a", whole, GRID, ensemble(left), SelftrainSettings())
    outside = pseudo_labels("a", half, GRID, ensemble(left), SelftrainSettings())

    assert "the scan shows the other side" in missed.selection.verdict.reasons[0]
    assert outside.selection.verdict.keep
    np.testing.assert_array_equal(outside.selection.labels, left)


def test_repair_can_be_left_out():
    fat = ears()
    box(fat, Structure.COCHLEA, (97, 105), (28, 33), (13, 17))

    plain = SelftrainSettings(repairs=False)
    found = pseudo_labels("a", normalised(ears()), GRID, ensemble(fat), plain)

    np.testing.assert_array_equal(found.repaired, fat)
    assert found.changes == ()


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_half_of_each_of_two_tissues_lies_midway_whatever_the_power(power):
    bone, fluid = 0.1, 0.9
    unit = np.array([bone, (bone + fluid) / 2, fluid], dtype=np.float32)

    found = as_measured(2 * unit**power - 1, VolumeNormalisation(power=power))

    assert found[1] == pytest.approx((found[0] + found[2]) / 2, abs=1e-6)


def test_slices_scaled_on_their_own_are_taken_as_they_are():
    image = np.array([-1.0, 0.2, 1.0], dtype=np.float32)

    assert as_measured(image, SliceNormalisation()) is image
