"""Surfaces and their distances: by hand, and as MedPy finds them in the whole volume."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from medpy.metric import binary as medpy

from meatus_evaluation.scoring.structure_score import compare
from meatus_evaluation.scoring.surface import boundary_points, bounding_box, surface, surface_points
from meatus_phantom.contours import contour_files, label_map, read_contours
from tests.shared_files import shared

EXACT = {"rel": 0, "abs": 1e-9}


def assert_as_medpy(found, truth, spacing_mm):
    steps = spacing_mm[::-1]
    score = compare(found, truth, spacing_mm)
    assert score["dice"] == pytest.approx(medpy.dc(found, truth), **EXACT)
    assert score["assd_mm"] == pytest.approx(medpy.assd(found, truth, voxelspacing=steps), **EXACT)
    assert score["hd95_mm"] == pytest.approx(medpy.hd95(found, truth, voxelspacing=steps), **EXACT)
    means = [medpy.asd(*pair, voxelspacing=steps) for pair in ((found, truth), (truth, found))]
    assert score["assd_means_mm"] == pytest.approx(np.mean(means), **EXACT)


def boxes(*corners, shape=(12, 20, 24)):
    mask = np.zeros(shape, dtype=bool)
    for corner in corners:
        mask[corner] = True
    return mask


def test_a_box_touching_the_border_has_its_surface_there():
    cube = np.ones((3, 3, 3), dtype=bool)

    assert surface(cube).sum() == 26  # all but the middle
    assert surface_points(cube, (1.0, 2.0, 3.0)).max(axis=0).tolist() == [2, 4, 6]


def test_only_face_neighbours_make_a_surface():
    """A hole in the middle of 5 x 5 x 5 adds its six face neighbours to the outer 98."""
    cube = np.ones((5, 5, 5), dtype=bool)
    cube[2, 2, 2] = False

    assert surface(cube).sum() == 98 + 6


def test_points_are_in_millimetres_from_the_first_voxel_in_the_order_x_y_z():
    mask = boxes((2, 3, 4))

    assert bounding_box(mask) == (slice(2, 3), slice(3, 4), slice(4, 5))
    assert surface_points(mask, (0.5, 1.0, 2.0)).tolist() == [[2.0, 3.0, 4.0]]


def test_the_boundary_lies_half_way_between_the_two_voxels():
    one, other = boxes((2, 3, 4)), boxes((2, 3, 5), (3, 4, 4))

    assert boundary_points(one, other, (0.5, 1.0, 2.0)).tolist() == [[2.25, 3.0, 4.0]]


CASES = {
    "apart": (boxes(np.s_[1:4, 2:6, 2:8]), boxes(np.s_[6:10, 9:15, 12:20])),
    "touching": (boxes(np.s_[2:6, 3:9, 3:9]), boxes(np.s_[2:6, 3:9, 9:15])),
    "nested": (boxes(np.s_[1:11, 2:18, 2:20]), boxes(np.s_[4:7, 8:11, 9:12])),
    "one voxel each": (boxes((0, 0, 0)), boxes((11, 19, 23))),
    "one voxel in many": (boxes((5, 5, 5)), boxes(np.s_[4:8, 4:8, 4:8])),
    "tiny": (boxes(np.s_[5:7, 5:6, 5:7]), boxes(np.s_[5:6, 5:7, 5:7])),
    "at the border": (boxes(np.s_[0:4, 0:8, 0:9]), boxes(np.s_[8:12, 10:20, 15:24])),
    "the whole volume": (boxes(np.s_[:]), boxes(np.s_[3:5, 3:5, 3:5])),
    "two sides": (boxes(np.s_[5, 5, 2:4], np.s_[5, 5, 20:22]), boxes(np.s_[5:7, 5:7, 2:4])),
}


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0, 1.0), (0.35, 0.41, 3.5), (0.78, 0.35, 0.5)])
@pytest.mark.parametrize("name", CASES)
def test_drawn_masks_score_as_medpy_scores_them(name, spacing_mm):
    assert_as_medpy(*CASES[name], spacing_mm)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    density=st.sampled_from([0.02, 0.2, 0.5, 0.9, 1.0]),
    spacing_mm=st.tuples(*[st.floats(0.3, 3.5)] * 3),
)
def test_random_masks_score_as_medpy_scores_them(seed, shape, density, spacing_mm):
    rng = np.random.default_rng(seed)
    found, truth = rng.random((2, *shape)) < density
    found.flat[rng.integers(found.size)] = truth.flat[rng.integers(truth.size)] = True

    assert_as_medpy(found, truth, spacing_mm)


@pytest.mark.parametrize("number", [0, 60, 130])
def test_real_tumours_and_cochleae_score_as_medpy_scores_them(number):
    file = contour_files(shared("data/vs-contours") / "contours")[number]
    labels = label_map(read_contours(file))
    moved = np.roll(labels.voxels, (1, -2, 1), axis=(0, 1, 2))

    for label in np.unique(labels.voxels)[1:]:
        assert_as_medpy(moved == label, labels.voxels == label, labels.geometry.spacing_mm)
