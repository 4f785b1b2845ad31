from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from meatus.ensemble import Model
from meatus.spec import SliceNormalisation, VolumeNormalisation
from meatus.structures import Structure
from meatus_training.errors import TrainingError
from meatus_training.hard_examples import IGNORE
from meatus_training.networks import ResUNet25d
from meatus_training.prepare.settings import PrepareSettings
from meatus_training.runs.checkpoints import save_checkpoint
from meatus_training.segmentation.member import spec_for
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.selftraining.pseudo_labels import (
    as_measured,
    labels_file,
    pseudo_labels,
    publish,
    read_verdicts,
)
from meatus_training.selftraining.settings import SelftrainSettings
from meatus_training.selftraining.stage import SELFTRAIN, Rounds
from tests.meatus.specs import make_spec
from tests.meatus_training.runs.test_provenance import cases_of
from tests.meatus_training.selftraining.ears import (
    FLUID,
    GRID,
    box,
    doubted,
    ears,
    probabilities,
    scan_of,
)


def test_a_verdict_that_is_missing_says_what_to_delete(tmp_path):
    with pytest.raises(TrainingError, match="cannot be read; delete"):
        read_verdicts(cases_of(tmp_path, target=1), tmp_path)


def test_labels_lie_beside_their_verdicts():
    (case,) = cases_of(Path("data"), target=1)

    assert labels_file(case, Path("pseudo")) == Path(f"pseudo/{case.name}.labels.npy")


def test_each_round_has_a_folder_of_its_own():
    assert SELFTRAIN == "selftrain"
    assert callable(Rounds.folder)


def test_what_is_published_bears_the_names_of_its_folders_alone(tmp_path):
    settings = SegmentSettings(width=2, blocks=1, depth=8)
    spec = spec_for(settings, PrepareSettings(), "a", "no real scan")
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/old.onnx").touch()
    (tmp_path / "member_1").mkdir()
    save_checkpoint(tmp_path / "member_1/network.pt", ResUNet25d(2, 1), spec)

    publish([tmp_path / "member_1/network.pt"], tmp_path / "weights")

    assert [file.name for file in (tmp_path / "weights").glob("*.onnx")] == ["member_1.onnx"]


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
    return model_of(probabilities(labels, p))


def model_of(found):
    """One that gives the probabilities ``found`` (4, Z, Y, X), in one window."""
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


def test_fluid_is_learnt_to_be_no_tumour_however_sure_the_ensemble_was_of_it():
    seen = ears()
    box(seen, Structure.INTRA_MEATAL, (34, 44), (30, 35), (13, 17))  # in the healthy ear
    scan = scan_of(ears())
    scan[(seen > 0) & (ears() == 0)] = FLUID
    scan[5:25, 40:46, 30:96] = FLUID  # the cistern
    scan = (2 * scan - 1).astype(np.float16)
    drops = SelftrainSettings(drops_fluid=True)

    before = pseudo_labels("a", scan, GRID, ensemble(seen, 0.99), SelftrainSettings())
    after = pseudo_labels("a", scan, GRID, ensemble(seen, 0.99), drops)

    assert not before.selection.verdict.keep
    assert after.selection.verdict.keep
    np.testing.assert_array_equal(after.selection.labels, ears())


def test_a_tumour_drawn_too_small_grows_to_what_may_be_of_it():
    """Also where half of it is doubted: how sure the ensemble is of the rest tells of the scan."""
    seen, part = ears(), np.zeros(GRID.shape, dtype=bool)
    part[:, :, 78:82] = seen[:, :, 78:82] == Structure.EXTRA_MEATAL
    apart = np.zeros_like(part)
    apart[2:6, 2:6, 2:6] = True
    box(seen, Structure.EXTRA_MEATAL, (2, 6), (2, 6), (2, 6))  # what touches no tumour stays out
    model = model_of(doubted(probabilities(seen, 0.99), seen, part | apart, 0.3))

    small = pseudo_labels("a", normalised(ears()), GRID, model, SelftrainSettings())
    grown = pseudo_labels("a", normalised(ears()), GRID, model, SelftrainSettings(tumour_p=0.2))
    doubtful = pseudo_labels("a", normalised(ears()), GRID, model, SelftrainSettings(tumour_p=0.4))

    assert set(small.selection.labels[part]) == {IGNORE}
    np.testing.assert_array_equal(grown.repaired, ears())
    np.testing.assert_array_equal(grown.selection.labels[~apart], ears()[~apart])
    assert set(grown.selection.labels[apart]) == {IGNORE}
    assert grown.selection.verdict.mean_p == pytest.approx((0.99, 0.99, 0.99))
    assert grown.selection.verdict.keep
    np.testing.assert_array_equal(doubtful.selection.labels, small.selection.labels)


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
