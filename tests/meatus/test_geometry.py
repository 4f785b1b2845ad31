import itertools

import numpy as np
import pytest

from meatus.geometry import Geometry, axial, reorient, resample

SCAN = Geometry((8, 8, 4), (0.5, 0.5, 1.5), (0, 0, 0))


def signed_permutations():
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            axes = np.zeros((3, 3))
            for column, (row, sign) in enumerate(zip(order, signs, strict=True)):
                axes[row, column] = sign
            yield tuple(axes.ravel().tolist())


def tilted(direction, degrees=12):
    turn = np.deg2rad(degrees)
    about_x = np.array(
        [[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]
    )
    return tuple((about_x @ np.array(direction).reshape(3, 3)).ravel().tolist())


def test_a_voxel_returns_to_its_place_after_a_crop_and_back():
    crop = SCAN.crop((2, 2, 0), (4, 4, 4))
    dot = np.zeros((4, 8, 8), dtype=np.float32)
    dot[1, 4, 3] = 1

    there_and_back = resample(resample(dot, SCAN, crop), crop, SCAN)

    np.testing.assert_array_equal(there_and_back, dot)


def test_a_ramp_is_sampled_at_true_positions_on_any_axis():
    z, y, x = np.meshgrid(np.arange(4), np.arange(8), np.arange(8), indexing="ij")
    ramp = (100 * z + 10 * y + x).astype(np.float32)
    finer = SCAN.regrid((1, 2, 0.5), (0.5, 0.25, 0.5), (5, 9, 4))

    sampled = resample(ramp, SCAN, finer)

    assert sampled[0, 0, 0] == pytest.approx(71)  # z 0.5, y 2, x 1
    assert sampled[1, 4, 2] == pytest.approx(132)  # z 1, y 3, x 2


def test_beyond_the_border_the_last_value_is_carried_on():
    wide = SCAN.crop((-2, 0, 0), (12, 8, 4))
    ramp = np.broadcast_to(np.arange(8, dtype=np.float32), (4, 8, 8))

    assert resample(ramp, SCAN, wide)[0, 0].tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 7, 7]


def test_coarser_sampling_averages_what_it_would_skip():
    checks = np.tile(np.array([0, 2], dtype=np.float32), 4) * np.ones((4, 8, 1), np.float32)
    half = SCAN.regrid((1.5, 0, 0), (2, 1, 1), (3, 8, 4))

    np.testing.assert_allclose(resample(checks, SCAN, half, antialias=True), 1, atol=1e-6)


@pytest.mark.parametrize("tilt", [0, 12])
@pytest.mark.parametrize("direction", list(signed_permutations()))
def test_every_axis_order_and_flip_becomes_axial_and_returns(direction, tilt):
    source = Geometry((5, 6, 7), (0.4, 0.6, 1.5), (3, -4, 9), tilted(direction, tilt))
    voxels = np.arange(5 * 6 * 7, dtype=np.float32).reshape(7, 6, 5)

    target = axial(source)
    turned = reorient(voxels, source, target)

    assert turned.shape == target.shape
    assert np.diag(target.axes).min() > np.cos(np.deg2rad(tilt)) - 1e-9
    for k, j, i in [(0, 0, 0), (2, 1, 3), (target.shape[0] - 1, 2, 1)]:
        place = target.position_mm((i, j, k))
        offset = np.array(place) - np.array(source.origin_mm)
        x, y, z = np.rint(source.axes.T @ offset / source.spacing_mm).astype(int)
        assert turned[k, j, i] == voxels[z, y, x]
    np.testing.assert_array_equal(reorient(turned, target, source), voxels)
