"""The whole generator on one tiny scan."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from meatus.geometry import Geometry
from meatus.structures import Structure
from meatus_phantom.acquisition.sites import SITES, UNLIKE, draw_setup
from meatus_phantom.anatomy.tumour.lesions import LesionMix
from meatus_phantom.generate import BRAIN_TISSUES, Recipe, brain_mask, render_case
from meatus_phantom.scene import _averaged, subdivided
from meatus_phantom.signal.sequences import TurboSpinEcho
from meatus_phantom.subject import draw_subject
from meatus_phantom.tissues import Tissue

TINY = Geometry((96, 96, 8), (2.0, 2.0, 3.0), (-95.0, -105.0, -10.5))
WITH_TUMOUR = LesionMix(0, 0, 0, 0, 0, 0, 0)


def tiny_case(modality, seed=5, **recipe):
    setup = replace(draw_setup(SITES["etz"], modality, seed), geometry=TINY, deface=None)
    effects = replace(setup.effects, wrap_voxels=0, blank_voxels=(0, 0, 0, 0))
    subject = draw_subject(seed, WITH_TUMOUR)
    setup = replace(setup, effects=effects)
    return render_case(subject, setup, seed, Recipe(random_share=0, **recipe))


@pytest.fixture(scope="module")
def case():
    return tiny_case("hrT2")


def test_a_scan_shows_what_its_truth_says(case):
    assert case.voxels.shape == case.labels.shape == case.tissues.shape == TINY.shape
    assert case.voxels.dtype == np.int16
    assert {1, 3} <= set(np.unique(case.labels))
    assert np.isin(case.tissues[case.labels == 1], list(tumour_tissues())).mean() > 0.9
    fluid = np.median(case.voxels[case.tissues == Tissue.CSF])
    brain = np.median(case.voxels[case.tissues == Tissue.PONS])
    bone = np.median(case.voxels[case.tissues == Tissue.BONE])
    assert fluid > 1.8 * brain > 1.8 * 1.5 * bone


def tumour_tissues():
    return {
        Tissue.TUMOUR, Tissue.TUMOUR_CORE, Tissue.TUMOUR_CYST, Tissue.MICROBLEED,
    }  # fmt: skip


def test_both_cochleae_lie_at_their_sides(case):
    _, _, x = np.nonzero(case.labels == 3)
    at = TINY.origin_mm[0] + TINY.spacing_mm[0] * x

    assert 60 < at[at > 0].mean() - at[at < 0].mean() < 86


def test_the_same_seeds_give_the_same_voxels(case):
    remade = tiny_case("hrT2")

    np.testing.assert_array_equal(remade.voxels, case.voxels)
    np.testing.assert_array_equal(remade.labels, case.labels)
    assert remade.drawn == case.drawn


def test_the_other_contrast_shows_the_same_subject(case):
    other = tiny_case("ceT1")

    np.testing.assert_array_equal(other.labels, case.labels)
    brain = np.median(other.voxels[other.tissues == Tissue.PONS])
    assert np.median(other.voxels[other.labels == 1]) > 1.2 * brain
    assert np.median(other.voxels[other.tissues == Tissue.CSF]) < brain


def test_a_fine_grid_covers_the_same_voxels():
    window = (slice(1, 3), slice(4, 6), slice(7, 9))

    fine = subdivided(TINY, window, (2, 4, 3))

    assert fine.size == (4, 8, 6)
    assert fine.spacing_mm == (1.0, 0.5, 1.0)
    # The first voxel's lower corner is the window's: half a voxel before the centres.
    for axis, start in enumerate((7, 4, 1)):
        corner = TINY.origin_mm[axis] + (start - 0.5) * TINY.spacing_mm[axis]
        assert fine.origin_mm[axis] - fine.spacing_mm[axis] / 2 == pytest.approx(corner)


def test_an_average_keeps_the_mean():
    fine = torch.arange(2 * 4 * 6, dtype=torch.float32).reshape(2, 4, 6)

    coarse = _averaged(fine, (3, 2, 2))

    assert coarse.shape == (1, 2, 2)
    assert coarse[0, 0, 0] == fine[:, :2, :3].mean()


def test_a_head_without_a_skull_keeps_brain_as_it_was_and_nothing_far_from_it(case):
    stripped = tiny_case("hrT2", stripped_share=1.0)

    brain = np.isin(case.tissues, BRAIN_TISSUES)
    far = ndimage.distance_transform_edt(~brain, TINY.spacing_mm[::-1]) > 15
    np.testing.assert_array_equal(stripped.voxels[brain], case.voxels[brain])
    assert far.any()
    assert not stripped.voxels[far].any()
    assert not (stripped.labels == Structure.COCHLEA).any()
    removed = stripped.tissues == Tissue.AIR
    assert not stripped.voxels[removed].any()
    assert not stripped.labels[removed].any()


def test_clefts_in_the_brain_stay_and_a_scan_without_brain_is_emptied():
    tissues = np.full((3, 40, 40), Tissue.BONE, np.uint8)
    tissues[:, 8:32, 8:32] = Tissue.WHITE
    tissues[:, 8:25, 18:22] = Tissue.CSF  # 4 mm wide
    grid = Geometry((40, 40, 3), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))

    mask = brain_mask(tissues, grid, 1.0)

    assert mask[:, 8:32, 8:32].all()
    assert not mask[:, :6].any()
    assert mask[:, 7, 10].all()
    assert not brain_mask(np.full_like(tissues, Tissue.FAT), grid, 1.0).any()


def test_the_unlike_site_shows_what_no_training_site_does():
    unlike = [draw_setup(UNLIKE, "hrT2", seed) for seed in range(40)]
    seen = [draw_setup(site, "hrT2", seed) for site in SITES.values() for seed in range(40)]

    for setups, inside in ((seen, True), (unlike, False)):
        echoes = [s.protocol.echo_ms for s in setups if isinstance(s.protocol, TurboSpinEcho)]
        assert echoes
        assert all((90 <= echo <= 250) == inside for echo in echoes)
    assert {s.geometry.spacing_mm[2] for s in unlike} == {0.4, 2.5, 4.0}
    assert not {s.geometry.spacing_mm[2] for s in seen} & {0.4, 2.5, 4.0}
    assert UNLIKE.name not in SITES, "cohorts and trainings leave it out unless it is asked for"
