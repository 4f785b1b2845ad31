import numpy as np
from scipy import ndimage

from meatus.geometry import Geometry, resample
from meatus.restore import restore
from meatus.volumes import Probabilities, Scan


def certain(labels):
    """Probabilities (4, Z, Y, X) of one where the label is, zero elsewhere."""
    return (labels[None] == np.arange(4)[:, None, None, None]).astype(np.float32)


def test_labels_on_the_scans_own_grid_stay_as_they_are():
    grid = Geometry((6, 5, 20), (0.5, 0.5, 1.5), (0, 0, 0))
    labels = np.random.default_rng(0).integers(0, 4, grid.shape)
    scan = Scan(np.zeros(grid.shape, np.float32), grid)

    result = restore(Probabilities(certain(labels), grid, grid), scan)

    np.testing.assert_array_equal(result.voxels, labels)


def test_a_boundary_lies_where_the_interpolated_probabilities_cross():
    """Half background, half cochlea on a coarse grid: the edge falls midway between centres."""
    coarse = Geometry((4, 4, 3), (2.0, 2.0, 1.0), (0, 0, 0))
    labels = np.zeros(coarse.shape, int)
    labels[:, :, 2:] = 3  # centres at 4 and 6 mm; the edge at 3 mm
    fine = Geometry((14, 7, 3), (0.5, 1.0, 1.0), (0, 0, 0))
    scan = Scan(np.zeros(fine.shape, np.float32), fine)

    row = restore(Probabilities(certain(labels), coarse, fine), scan).voxels[1, 3]

    assert (row[:6] == 0).all()  # up to 2.5 mm
    assert (row[7:] == 3).all()  # from 3.5 mm


def test_what_the_network_did_not_see_is_background():
    grid = Geometry((8, 8, 4), (1, 1, 1), (0, 0, 0))
    seen = grid.crop((2, 3, 1), (4, 4, 2))
    everywhere = certain(np.full(grid.shape, 1))
    scan = Scan(np.zeros(grid.shape, np.float32), grid)

    result = restore(Probabilities(everywhere, grid, seen), scan).voxels

    assert result.sum() == 4 * 4 * 2
    assert (result[1:3, 3:7, 2:6] == 1).all()


def test_a_sagittal_scan_gets_its_labels_in_its_own_axis_order():
    """Axes stored as (posterior, superior, left): columns of the direction matrix."""
    direction = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    sagittal = Geometry((5, 6, 7), (1, 1, 1), (0, 0, 0), direction)
    axial = Geometry((7, 5, 6), (1, 1, 1), (0, 0, 0))
    labels = np.zeros(axial.shape, int)
    labels[4, 3, 2] = 2  # superior 4, posterior 3, left 2

    scan = Scan(np.zeros(sagittal.shape, np.float32), sagittal)
    result = restore(Probabilities(certain(labels), axial, axial), scan).voxels

    assert np.argwhere(result).tolist() == [[2, 4, 3]]  # left, superior, posterior


def test_looking_only_where_something_was_found_changes_no_voxel():
    """Against the plain interpolation of the whole grid, on smooth random probabilities."""
    draw = np.random.default_rng(0)
    raw = ndimage.gaussian_filter(draw.normal(size=(4, 8, 30, 32)), (0, 1, 2, 2)) * 20
    raw[0] += 2.5
    raw[0, 5:] += 50  # nothing in the upper slices
    raw[0, :, :, 13:18] += 50  # nor between two stretches of columns
    grid = Geometry((32, 30, 8), (1.0, 1.0, 1.5), (0, 0, 0))
    fine = Geometry((50, 47, 12), (0.63, 0.6, 1.0), (0.2, 0.3, 0.1))
    values = (np.exp(raw) / np.exp(raw).sum(axis=0)).astype(np.float32)

    result = restore(
        Probabilities(values, grid, fine), Scan(np.zeros(fine.shape, np.float32), fine)
    )

    expected = resample(values, grid, fine).argmax(axis=0)
    assert 0.02 < (expected > 0).mean() < 0.9
    np.testing.assert_array_equal(result.voxels, expected)
