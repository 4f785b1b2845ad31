"""Which voxels and cases self-training keeps, on probabilities that are known."""

import numpy as np
import pytest

from meatus.structures import Structure
from meatus_training.hard_examples import IGNORE
from meatus_training.selftraining.plausible import Anatomy
from meatus_training.selftraining.select import SelectRules, select
from tests.meatus_training.selftraining.ears import GRID, box, ears, probabilities


def lowered(found, mask, p):
    """``found`` with the probability of structure ``mask``'s own class lowered to ``p``."""
    out = found.copy()
    out[:, mask] = np.where(out[:, mask] > 0.5, p, (1 - p) / 3)
    return out


def test_a_sure_and_plausible_case_is_kept_whole():
    labels = ears()

    found = select("a", probabilities(labels), labels, GRID)

    assert found.verdict.keep
    assert found.verdict.reasons == ()
    assert found.verdict.voxels == (512, 200, 240)
    assert found.verdict.confidence == pytest.approx(0.95)
    assert found.verdict.ignored == 0
    np.testing.assert_array_equal(found.labels, labels)


def test_unsure_voxels_are_to_be_ignored_and_no_others():
    labels = ears()
    unsure = (labels == Structure.EXTRA_MEATAL) & (np.arange(130) == 78)

    found = select("a", lowered(probabilities(labels), unsure, 0.6), labels, GRID)

    assert found.verdict.keep
    assert found.verdict.ignored == 64
    np.testing.assert_array_equal(found.ignore, unsure)
    np.testing.assert_array_equal(found.labels[~unsure], labels[~unsure])
    assert set(found.labels[unsure]) == {IGNORE}


def test_unsure_background_is_ignored_too():
    labels = ears()
    where = np.zeros(labels.shape, dtype=bool)
    where[2, 3, 4:9] = True

    assert (
        select("a", lowered(probabilities(labels), where, 0.5), labels, GRID).verdict.ignored == 5
    )


def test_a_case_with_an_unsure_structure_is_refused_with_the_reason():
    labels = ears()
    cochlea = labels == Structure.COCHLEA

    verdict = select("a", lowered(probabilities(labels), cochlea, 0.6), labels, GRID).verdict

    assert not verdict.keep
    assert verdict.reasons == (
        "cochlea: mean p 0.60, expected 0.75",
        "cochlea: 100% of it unsure, at most 50%",
    )
    assert verdict.mean_p == pytest.approx((0.95, 0.95, 0.6))
    assert verdict.confidence == pytest.approx(0.6)


def test_an_implausible_case_is_refused_however_sure():
    labels = ears()
    box(labels, Structure.COCHLEA, (60, 63), (50, 53), (2, 5))

    verdict = select("a", probabilities(labels), labels, GRID).verdict

    assert not verdict.keep
    assert verdict.reasons == ("cochlea: 3 pieces, expected one per side",)


def test_what_cleaning_took_away_counts_as_unsure():
    seen = ears()
    box(seen, Structure.EXTRA_MEATAL, (2, 4), (2, 4), (2, 4))  # an island that was sure
    island = np.zeros(seen.shape, dtype=bool)
    island[2:4, 2:4, 2:4] = True

    found = select("a", probabilities(seen), ears(), GRID)

    np.testing.assert_array_equal(found.ignore, island)


def test_what_repair_changed_is_kept_whatever_its_probability():
    before, after = ears(), ears()
    box(after, Structure.COCHLEA, (97, 98), (28, 33), (13, 17))  # the image says so

    kept = select("a", probabilities(before), after, GRID, original=before)
    not_told = select("a", probabilities(before), after, GRID)

    assert kept.verdict.ignored == 0
    assert not_told.verdict.ignored == 20


def test_what_was_grown_says_nothing_of_how_sure_the_ensemble_is():
    seen = ears()
    part = np.zeros(seen.shape, dtype=bool)
    part[:, :, 78:82] = seen[:, :, 78:82] == Structure.EXTRA_MEATAL
    doubted = lowered(probabilities(seen), part, 0.2)
    nothing_else = seen == Structure.EXTRA_MEATAL

    assert select("a", doubted, seen, GRID).verdict.mean_p[0] < 0.8
    assert select("a", doubted, seen, GRID, grown=part).verdict.mean_p[0] > 0.8
    assert select("a", doubted, seen, GRID, grown=nothing_else).verdict.mean_p[0] < 0.8


def test_an_absent_structure_has_no_probability_and_anatomy_decides():
    labels = ears()
    labels[(labels == 1) | (labels == 2)] = 0
    rules = SelectRules(anatomy=Anatomy(tumour_needed=False))

    verdict = select("a", probabilities(labels), labels, GRID, rules).verdict

    assert verdict.keep
    assert verdict.mean_p[:2] == (None, None)


def test_nothing_found_is_no_confidence():
    labels = np.zeros(GRID.shape, dtype=np.uint8)

    verdict = select("a", probabilities(labels), labels, GRID).verdict

    assert not verdict.keep
    assert verdict.confidence == 0.0
