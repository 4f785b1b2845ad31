"""Where one cochlea is found, the mirrored place is looked at before the other is given up."""

import numpy as np
import pytest

from meatus.geometry import Geometry
from meatus.laterality import with_faint_cochlea
from meatus.structures import Structure
from meatus.volumes import Labels, Probabilities

COCHLEA = Structure.COCHLEA
GRID = Geometry((140, 60, 20), (1, 1, 2), (-60.0, -30.0, -20.0))
ONE_EAR_MM = 40.0
RIGHT, LEFT = (-30, 0, 0), (40, 4, -4)  # about x = 5, the head's middle


def ball(place, radius=4):
    z, y, x = np.indices(GRID.shape)
    where = (x - 60, y - 30, 2 * z - 20)
    return sum((at - wanted) ** 2 for at, wanted in zip(where, place, strict=True)) <= radius**2


def probabilities(*balls):
    """Background, but for a cochlea of probability p at each (place, p)."""
    voxels = np.zeros((4, *GRID.shape), np.float32)
    for place, p in balls:
        voxels[COCHLEA, ball(place)] = p
    voxels[0] = 1 - voxels[COCHLEA]
    return Probabilities(voxels, GRID, GRID)


def labels(*places):
    voxels = np.zeros(GRID.shape, np.uint8)
    for place in places:
        voxels[ball(place)] = COCHLEA
    return Labels(voxels, GRID)


def look(given, found, middle_x=5.0):
    return with_faint_cochlea(given, found, middle_x, ONE_EAR_MM)


def test_a_faint_cochlea_at_the_mirrored_place_becomes_certain():
    given = probabilities((RIGHT, 0.9), (LEFT, 0.3))

    made = look(given, labels(RIGHT))

    np.testing.assert_array_equal(made.voxels[COCHLEA] == 1, ball(LEFT))
    np.testing.assert_allclose(made.voxels.sum(axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(made.voxels[COCHLEA][ball(RIGHT)], 0.9)
    np.testing.assert_allclose(given.voxels[COCHLEA][ball(LEFT)], 0.3)  # what was given stays


def test_the_likeliest_of_several_is_taken():
    beside = (LEFT[0] - 10, LEFT[1], LEFT[2])
    given = probabilities((RIGHT, 0.9), (beside, 0.25), (LEFT, 0.4))

    np.testing.assert_array_equal(look(given, labels(RIGHT)).voxels[COCHLEA] == 1, ball(LEFT))


def test_without_a_heads_outline_the_fields_middle_is_the_mirror():
    """That of ``GRID`` is x = 9.5: 9 mm further left than the ear is."""
    assert look(probabilities((RIGHT, 0.9), (LEFT, 0.3)), labels(RIGHT), None) is not None


NOTHING = {
    "too faint": ([(RIGHT, 0.9), (LEFT, 0.15)], [RIGHT]),
    "elsewhere": ([(RIGHT, 0.9), ((40, 25, 0), 0.4)], [RIGHT]),
    "too near": ([(RIGHT, 0.9), ((20, 0, 0), 0.4)], [RIGHT]),
    "both are found": ([(RIGHT, 0.9), (LEFT, 0.9)], [RIGHT, LEFT]),
    "none is found": ([(LEFT, 0.3)], []),
}


@pytest.mark.parametrize("kind", NOTHING)
def test_nothing_is_made_of(kind):
    balls, found = NOTHING[kind]

    assert look(probabilities(*balls), labels(*found)) is None


def test_a_speck_is_no_cochlea():
    given = probabilities((RIGHT, 0.9))
    given.voxels[COCHLEA, 8, 34, 100:103] = 0.4  # 3 voxels of 2 mm3

    assert look(given, labels(RIGHT)) is None
