"""The scanner's other effects one by one, and their chain."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from meatus.geometry import Geometry
from meatus_phantom.acquisition.acquire import (
    acquire,
    blank,
    deface,
    fold,
    shift_fat,
    slice_profile,
    to_int16,
)
from meatus_phantom.acquisition.fields import (
    world,
)
from meatus_phantom.acquisition.frame import add_frame, frame_parts
from meatus_phantom.acquisition.setup import (
    Deface,
    Effects,
    Setup,
)
from meatus_phantom.acquisition.sites import SITES, draw_setup
from meatus_phantom.random_streams import stream
from meatus_phantom.signal.appearance import Signal
from meatus_phantom.signal.sequences import SpoiledGradient
from tests.meatus_phantom.acquisition.scans import CPU, grid


@pytest.mark.parametrize(("along_x", "dim"), [(True, 2), (False, 1)])
def test_chemical_shift_moves_fat_by_the_stated_pixels_along_the_readout(along_x, dim):
    fat = torch.zeros(1, 16, 16)
    fat[0, 8, 8] = 1
    effects = Effects(fat_shift_mm=1.25, read_along_x=along_x)  # 2.5 pixels of 0.5 mm

    moved = shift_fat(fat, grid((16, 16, 1), (0.5, 0.5, 1.0)), effects)

    line = moved.sum(3 - dim).flatten()
    assert line[10] == line[11] == 0.5


def test_fat_shifts_the_other_way_for_a_negative_shift():
    fat = torch.zeros(1, 8, 8)
    fat[0, 4, 4] = 1

    moved = shift_fat(fat, grid((8, 8, 1)), Effects(fat_shift_mm=-2.0))

    assert moved[0, 4, 2] == 1


def test_the_slice_profile_keeps_the_mean_and_has_the_stated_width():
    point = torch.zeros(9, 1, 1)
    point[4] = 1

    blurred = slice_profile(point, 1.0).flatten()

    # The integral of a Gaussian of SD 1 / 2.355 over half a slice either side: erf(0.8326).
    assert float(blurred.sum()) == pytest.approx(1.0, abs=1e-6)
    assert float(blurred[4]) == pytest.approx(math.erf(0.5 * 2.3548 / math.sqrt(2)), abs=0.001)
    assert blurred[3] == blurred[5]
    torch.testing.assert_close(slice_profile(torch.ones(5, 2, 2), 1.2), torch.ones(5, 2, 2))


def test_a_single_slice_has_no_neighbours_to_blur_with():
    one = torch.rand(1, 4, 4)

    assert slice_profile(one, 1.0) is one


def test_what_lies_beyond_the_field_of_view_folds_onto_its_other_end():
    image = torch.zeros(1, 8, 1)
    image[0, :, 0] = torch.arange(8.0)  # two voxels beyond either end of a view of four

    folded = fold(image, Effects(wrap_voxels=2, read_along_x=True))

    # 2..5 stay; 0, 1 fall on the last two, 6, 7 on the first two.
    assert folded[0, :, 0].tolist() == [2 + 6, 3 + 7, 4 + 0, 5 + 1]


def test_a_cut_face_is_zero_exactly_where_stated():
    where = grid((201, 201, 1))  # x and y from -100 to 100
    image = torch.ones(1, 201, 201)

    cut = deface(image, where, Deface("cut", 78.0, 45.0), 1.0)[0]

    x, y = world(where, 0, CPU)[0, 0], world(where, 1, CPU)[0, :, 0]
    hidden = (y[:, None] > 78) & (x.abs() < 45)
    assert (cut == 0).eq(hidden).all()
    assert int((cut == 0).sum()) == 22 * 89  # y 79..100, x -44..44


def test_a_tilted_cut_has_stairs_and_slanting_sides():
    where = grid((201, 201, 1))
    how = Deface("cut", 78.0, 45.0, slant=0.25, tilt_deg=3.0)

    cut = deface(torch.ones(1, 201, 201), where, how, 1.0)[0] == 0

    border = cut.int().sum(0)[60:140]  # depth of the cut along x
    steps = border.diff()
    assert 0 < int((steps != 0).sum()) < 10
    assert int(cut[0].sum()) > int(cut[18].sum())  # wider at the front


def test_a_blurred_face_is_grey_and_fades_and_leaves_the_rest():
    where = grid((201, 201, 1))
    image = torch.rand(1, 201, 201)

    blurred = deface(image, where, Deface("blur", 60.0, 50.0, grey=1.5), 10.0)[0]

    assert float(blurred[100 - 70, 100]) == 15.0  # 10 mm in: plain grey
    assert float(blurred[0, 100]) < 1.0  # 40 mm in: faded
    assert torch.equal(blurred[41:], image[0, 41:])
    assert torch.equal(blurred[:, :50], image[0, :, :50])


def test_blanked_borders_are_as_wide_as_stated():
    picture = blank(torch.ones(1, 10, 12), (1, 2, 3, 4))

    assert int(picture.sum()) == (12 - 3) * (10 - 7)
    assert picture[0, 3:6, 1:10].all()


def test_stored_intensities_stay_in_int16():
    stored = to_int16(torch.tensor([[[-1.0, 0.4, 2.0, 1e6]]]), 3.0)

    assert stored.dtype == np.int16
    assert stored.flatten().tolist() == [0, 1, 6, 32767]


def test_the_frame_shows_three_dots_a_side_and_the_diagonal_wanders_with_height():
    where = grid((220, 220, 3), (1.0, 1.0, 10.0))
    water = torch.zeros(where.shape)
    signal = Signal(water, torch.zeros_like(water), 0.0, 1.0)

    add_frame(signal, where, frame_parts(stream(1)), level=5.0)

    assert float(water.max()) == 5.0
    rows = [sorted(set((plane[:, 110:] > 2).nonzero()[:, 0].tolist())) for plane in water]
    middles = [[r for r in row if r - 1 not in row] for row in rows]
    assert [len(m) for m in middles] == [3, 3, 3]
    assert middles[0][0] == middles[2][0]
    assert middles[0][2] == middles[2][2]
    assert middles[0][1] - middles[2][1] == pytest.approx(20, abs=1)  # 1 mm per mm of height


def plain_setup(effects, where):
    return Setup("ldn", "ceT1", 1.5, SpoiledGradient(), True, where, effects)


def test_water_and_fat_cancel_where_they_share_a_voxel_out_of_phase():
    where = grid((16, 16, 2))
    water, fat = torch.full(where.shape, 3.0), torch.full(where.shape, 2.0)
    setup = plain_setup(Effects(brain_value=100.0), where)

    opposed = acquire(Signal(water, fat, math.pi, 1.0), setup, 1)
    aligned = acquire(Signal(water, fat, 0.0, 1.0), setup, 1)

    assert (opposed == 100).all()  # |3 - 2|
    assert (aligned == 500).all()


def test_the_same_seed_gives_the_same_scan_and_another_seed_another():
    setup = draw_setup(SITES["ukm"], "hrT2", 3)
    small = Geometry((48, 40, 6), (2.0, 2.0, 2.0), (-47.0, -39.0, -5.0))
    setup = replace(setup, geometry=small, effects=replace(setup.effects, wrap_voxels=4))
    water = torch.rand(setup.rendered.shape)
    signal = Signal(water, torch.zeros_like(water), 0.0, 0.5)

    first, remade, other = (acquire(signal, setup, seed) for seed in (1, 1, 2))

    assert first.shape == (6, 40, 48)
    np.testing.assert_array_equal(first, remade)
    assert (first != other).any()


def test_chunks_of_slices_change_nothing_but_the_noise(monkeypatch):
    where = grid((40, 40, 7), (4.0, 4.0, 2.0))
    setup = plain_setup(Effects(0.2, 50, 1.5, slice_fwhm=1.0, kept_phase=0.7, hann=0.5), where)
    water = torch.rand(where.shape)
    signal = Signal(water, torch.zeros_like(water), 0.0, 0.5)
    whole = acquire(signal, setup, 1)

    monkeypatch.setattr("meatus_phantom.acquisition.acquire.CHUNK_VOXELS", 3200)

    assert np.abs(acquire(signal, setup, 1).astype(int) - whole).max() <= 1


def test_the_brightest_tissue_is_stored_within_the_scanners_range():
    where = grid((16, 16, 2))
    water = torch.ones(where.shape)
    water[:, 8:] = 50.0
    setup = plain_setup(Effects(brain_value=800.0, largest_value=2000.0), where)

    scan = acquire(Signal(water, water * 0, 0.0, 1.0), setup, 1)

    assert scan.max() == 2000
    assert scan.min() == 40
