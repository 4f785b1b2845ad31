"""Voxels go to the page and come back the same, whatever their file's axis order."""

import itertools

import nibabel as nib
import numpy as np
import pytest

from meatus.errors import UsageError
from meatus.geometry import Geometry
from meatus.viewer.volumes import label_bytes, painted_labels, scan_bytes
from meatus.volumes import Labels, Scan

TURNS = [
    tuple(np.array(rows, dtype=float).ravel())
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
    for rows in [[[signs[r] * (order[r] == c) for c in range(3)] for r in range(3)]]
]
TILTED = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, 1.0)


def labels_on(direction):
    grid = Geometry((4, 3, 2), (0.5, 0.7, 1.5), (10.0, 20.0, 30.0), direction)
    return Labels((np.arange(24) % 4).astype(np.uint8).reshape(grid.shape), grid)


@pytest.mark.parametrize("direction", [*TURNS, TILTED])
def test_labels_that_nobody_painted_come_back_as_they_were(direction):
    made = labels_on(direction)

    back = painted_labels(label_bytes(made.voxels, made.geometry), made)

    np.testing.assert_array_equal(back.voxels, made.voxels)
    assert back.geometry == made.geometry


@pytest.mark.parametrize("direction", [*TURNS, TILTED])
def test_a_voxel_lies_in_the_page_where_it_lies_in_the_patient(direction):
    made = labels_on(direction)
    bright = np.zeros(made.geometry.shape, np.float32)
    bright[1, 2, 3] = 7
    x, y, z = made.geometry.position_mm((3, 2, 1))

    image = nib.Nifti1Image.from_bytes(scan_bytes(Scan(bright, made.geometry)))

    (found,) = np.argwhere(image.get_fdata() > 6.9)
    np.testing.assert_allclose(image.affine @ [*found, 1], [-x, -y, z, 1], atol=1e-4)
    if direction != TILTED:
        assert nib.aff2axcodes(image.affine) == ("R", "A", "S")  # so that NiiVue turns nothing


def test_a_scan_of_one_grey_value_can_be_shown():
    grid = Geometry((2, 2, 2), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))

    image = nib.Nifti1Image.from_bytes(scan_bytes(Scan(np.full(grid.shape, 5, np.float32), grid)))

    np.testing.assert_allclose(image.get_fdata(), 5)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "0 voxels were sent; expected 24"), (b"\x01" * 23, "23"), (b"\x04" * 24, "number 4")],
)
def test_what_is_no_label_map_of_the_case_is_refused(content, reason):
    with pytest.raises(UsageError, match=reason):
        painted_labels(content, labels_on(TURNS[0]))
