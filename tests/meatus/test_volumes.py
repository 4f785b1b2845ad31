"""The box of what is labelled."""

import numpy as np

from meatus.geometry import Geometry
from meatus.volumes import Labels

GRID = Geometry((9, 8, 7), (0.5, 0.6, 1.5), (-3.0, 2.0, 1.0))


def test_the_box_of_labels_holds_all_of_them_and_no_plane_more():
    voxels = np.zeros(GRID.shape, np.uint8)
    voxels[2, 3, 7] = 1
    voxels[4, 1, 5] = 3

    boxed = Labels(voxels, GRID).boxed

    assert Labels(voxels, GRID).box == (slice(2, 5), slice(1, 4), slice(5, 8))
    assert boxed.geometry.size == (3, 3, 3)
    assert boxed.geometry.position_mm((2, 2, 0)) == GRID.position_mm((7, 3, 2))
    assert (boxed.voxels[0, 2, 2], boxed.voxels[2, 0, 0]) == (1, 3)
    assert np.count_nonzero(boxed.voxels) == 2


def test_the_box_of_nothing_has_no_voxel():
    boxed = Labels(np.zeros(GRID.shape, np.uint8), GRID).boxed

    assert boxed.voxels.shape == (0, 0, 0)
    assert boxed.geometry.size == (0, 0, 0)
