"""The scanner's effects one by one, their chain, and what the sites' setups decide."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from meatus.geometry import IDENTITY, Geometry
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
    Sampled,
    coarse,
    inner_air,
    off_resonance,
    receive_field,
    signal_kept,
    world,
)
from meatus_phantom.acquisition.frame import add_frame, frame_parts
from meatus_phantom.acquisition.kspace import (
    k_window,
    rigidly_moved,
    through_k_space,
    with_ghosts,
    with_noise,
)
from meatus_phantom.acquisition.setup import (
    BLANK_PROBABILITY,
    HANN_PROBABILITY,
    MOTION_PROBABILITY,
    Deface,
    Effects,
    Setup,
)
from meatus_phantom.acquisition.sites import SITES, draw_geometry, draw_setup
from meatus_phantom.random_streams import stream
from meatus_phantom.render import TissueMap
from meatus_phantom.scene import fade_flow
from meatus_phantom.signal.appearance import Appearance, Signal
from meatus_phantom.signal.sequences import SpoiledGradient
from meatus_phantom.tissues import Tissue

CPU = torch.device("cpu")
PIXEL = (1.0, 1.0)


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def grid(size=(64, 64, 4), spacing=(1.0, 1.0, 1.0)):
    return Geometry(
        size, spacing, tuple(-(n - 1) * s / 2 for n, s in zip(size, spacing, strict=True))
    )


def dot(size=64):
    image = torch.zeros(1, size, size, dtype=torch.complex64)
    image[0, size // 2, size // 2] = 1
    return image


def test_a_perfect_scanner_leaves_the_picture_as_it_is():
    image = torch.rand(2, 48, 64).to(torch.complex64)

    torch.testing.assert_close(
        through_k_space(image, Effects(), PIXEL, 0.0, generator()), image.real
    )


def test_noise_in_air_is_rayleigh():
    air = torch.zeros(4, 256, 256, dtype=torch.complex64)

    magnitude = with_noise(air, 2.0, generator()).abs()

    # Rayleigh: mean sigma sqrt(pi/2), SD sigma sqrt(2 - pi/2); their ratio is 1.913.
    assert float(magnitude.mean()) == pytest.approx(2 * math.sqrt(math.pi / 2), rel=0.01)
    assert float(magnitude.mean() / magnitude.std()) == pytest.approx(1.913, rel=0.01)


@pytest.mark.parametrize("effects", [Effects(), Effects(kept_phase=0.6, kept_read=0.7, hann=1.0)])
def test_noise_in_csf_has_the_sd_that_was_asked_for_whatever_the_filter(effects):
    csf = torch.full((4, 256, 256), 100.0, dtype=torch.complex64)

    noisy = through_k_space(csf, effects, PIXEL, 2.0, generator())

    assert float(noisy.std()) == pytest.approx(2.0, rel=0.02)
    assert float(noisy.mean()) == pytest.approx(100.0, rel=0.001)


def test_zero_filling_keeps_the_mean_and_blurs_an_edge_to_one_or_two_acquired_voxels():
    image = torch.zeros(1, 128, 128, dtype=torch.complex64)
    image[:, :, 32:96] = 1
    for hann, least, most in ((0.0, 0.8, 1.5), (1.0, 1.0, 2.0)):
        effects = Effects(kept_phase=0.5, kept_read=0.5, hann=hann)  # acquired: 2 mm

        picture = through_k_space(image, effects, PIXEL, 0.0, generator())

        spectrum_mean = torch.fft.ifft2(torch.fft.fft2(image) * k_window(image.shape, effects, CPU))
        assert float(spectrum_mean.real.mean()) == pytest.approx(0.5, abs=1e-4)
        line = np.interp(np.arange(20, 44, 0.01), np.arange(128), picture[0, 64].numpy())
        width = (
            0.01
            * ((line > 0.1) & (line < 0.9))[
                np.argmax(line > 0.5) - 300 : np.argmax(line > 0.5) + 100
            ].sum()
        )
        assert least * 2 <= width <= most * 2


def test_truncation_rings_by_nine_percent_and_hann_does_not():
    image = torch.zeros(1, 256, 256, dtype=torch.complex64)
    image[:, :, 64:192] = 1
    sharp, filtered = (
        through_k_space(image, Effects(kept_read=0.2, hann=hann), PIXEL, 0.0, generator())
        for hann in (0.0, 1.0)
    )

    assert float(sharp.max()) == pytest.approx(1.09, abs=0.02)  # Gibbs
    assert float(filtered.max()) < 1.01


def test_a_head_that_does_not_move_is_not_blurred_and_a_shift_arrives_where_stated():
    image = torch.rand(1, 64, 64).to(torch.complex64)
    looked_up = Effects(motion_share=0.4)

    torch.testing.assert_close(
        through_k_space(image, looked_up, PIXEL, 0.0, generator()), image.real
    )
    moved = rigidly_moved(dot(), 0.0, (3.0, -2.0), PIXEL).real
    assert np.unravel_index(int(moved.argmax()), moved.shape) == (0, 30, 35)  # from (32, 32)


def test_a_turn_of_ninety_degrees_carries_right_to_up_about_the_centre():
    image = torch.zeros(1, 65, 65, dtype=torch.complex64)
    image[0, 32, 42] = 1  # 10 to the right of the centre

    turned = rigidly_moved(image, 90.0, (0.0, 0.0), PIXEL).real

    assert np.unravel_index(int(turned.argmax()), turned.shape) == (0, 22, 32)


def test_motion_during_part_of_k_space_changes_the_picture_a_little():
    image = torch.zeros(1, 64, 64, dtype=torch.complex64)
    image[:, 20:44, 20:44] = 1
    moving = Effects(motion_deg=1.0, motion_mm=(1.0, 1.0), motion_share=0.3)

    change = through_k_space(image, moving, PIXEL, 0.0, generator()) - image.real

    assert 0.01 < float(change.abs().max()) < 0.7
    assert abs(float(change.mean())) < 0.02


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


def test_ghosts_appear_at_the_stated_distance_along_the_phase_axis_only():
    image = dot(100) * 10
    effects = Effects(ghost=0.02, ghost_step=0.2, read_along_x=True)

    ghosts = with_ghosts(image, effects, level=2.0).abs()[0]

    assert float(ghosts[70, 50]) == pytest.approx(0.02 * 8)  # what is above the level
    assert float(ghosts[10, 50]) == pytest.approx(0.01 * 8)
    assert float(ghosts[50].sum()) == 10


def test_the_coil_is_as_much_brighter_at_the_surface_as_stated():
    field = receive_field(
        grid((160, 200, 3), (1.0, 1.0, 1.0)), Effects(coil_gain=2.0), stream(1), CPU
    )
    flat = field.onto(Geometry((1, 1, 1), (1, 1, 1), (75.0, -10.0, 0.0)))  # the head's left side

    assert float(flat.flatten()[0]) == pytest.approx(2.0, abs=0.03)


def test_bias_alone_has_the_stated_spread_and_no_direction():
    logs = [
        float(
            receive_field(grid((64, 64, 8), (3.0, 3.0, 3.0)), Effects(bias_sd=0.2), stream(s), CPU)
            .values.log()
            .square()
            .mean()
        )
        for s in range(40)
    ]

    assert math.sqrt(np.mean(logs)) == pytest.approx(0.2, rel=0.15)


def test_positions_are_left_anterior_and_up_whatever_the_grids_order():
    coronal = Geometry((4, 3, 2), (1.0, 2.0, 3.0), (5.0, -7.0, 9.0), (1, 0, 0, 0, 0, 1, 0, -1, 0))

    assert world(coronal, 0, CPU).expand(2, 3, 4)[1, 2, 3] == 5 + 3
    assert world(coronal, 1, CPU).expand(2, 3, 4)[1, 2, 3] == 7 - 3  # one slice backwards
    assert world(coronal, 2, CPU).expand(2, 3, 4)[1, 2, 3] == 9 - 2 * 2  # two rows down


def test_a_coarse_field_is_exact_for_a_ramp():
    fine = grid((33, 20, 7), (0.5, 0.5, 1.5))
    few = coarse(fine, 4.0)

    ramp = Sampled(world(few, 0, CPU).expand(few.shape), few).onto(fine)

    assert few.size[0] < 8
    torch.testing.assert_close(ramp, world(fine, 0, CPU).expand(fine.shape), atol=1e-4, rtol=0)


def head_with_sinus(size=(60, 60, 12)):
    """Brain everywhere, a ball of air of 10 mm at (0, +35, 0)."""
    where = grid(size, (3.0, 3.0, 3.0))
    x, y, z = (world(where, axis, CPU) for axis in range(3))
    air = (x**2 + (y - 35) ** 2 + z**2) < 100
    kind = torch.where(air, int(Tissue.AIR), int(Tissue.PONS)).to(torch.uint8)
    return TissueMap(kind, kind, torch.ones(where.shape)), where


def test_the_field_error_is_largest_beside_air_and_as_large_as_stated():
    tissues, where = head_with_sinus()

    field = off_resonance(inner_air(tissues, where), Effects(air_field_hz=100.0), stream(1))

    outside = field.onto(where)[tissues.first == int(Tissue.PONS)]
    assert float(outside.abs().max()) == pytest.approx(100, rel=0.1)
    far = field.onto(where)[:, 50:, :]  # 80 mm behind the sinus
    assert float(far.abs().max()) < 15


def test_gradient_echoes_fade_beside_air_and_nowhere_else():
    tissues, where = head_with_sinus()
    kept = signal_kept(inner_air(tissues, where), Effects(air_t2_star_ms=10.0), echo_ms=5.0)

    values = kept.onto(where)

    inside = tissues.first == int(Tissue.AIR)
    assert float(values[inside].min()) == pytest.approx(math.exp(-0.5), abs=0.01)
    assert float(values[:, 50:].min()) == pytest.approx(1.0, abs=1e-4)
    assert (signal_kept(inner_air(tissues, where), Effects(), 5.0).values == 1).all()


def test_flow_takes_the_stated_share_of_csf_and_leaves_brain():
    points = torch.zeros(3, 1, 1, 3)
    points[:, 0, 0, 0] = points[:, 0, 0, 1] = torch.tensor([0.0, 15.0, -4.0])  # before the pons
    points[:, 0, 0, 2] = torch.tensor([60.0, 0.0, 0.0])
    kinds = torch.tensor([[[int(Tissue.CSF), int(Tissue.PONS), int(Tissue.CSF)]]]).to(torch.uint8)
    table = np.zeros((len(Tissue), 1))
    table[Tissue.CSF], table[Tissue.PONS] = 10.0, 2.0
    water = torch.tensor([[[10.0, 2.0, 10.0]]])
    signal = Signal(water, torch.zeros_like(water), 0.0, 2.0)

    fade_flow(
        signal,
        TissueMap(kinds, kinds, torch.ones(1, 1, 3)),
        points,
        Appearance(table, table * 0, 0.0, 1000.0, ()),
        Effects(flow_prepontine=0.4),
    )

    assert signal.water.flatten().tolist() == pytest.approx([6.0, 2.0, 10.0])


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


@pytest.mark.parametrize("name", SITES)
def test_each_site_scans_its_own_grids_about_the_canals(name):
    for seed in range(40):
        for modality in ("ceT1", "hrT2"):
            setup = draw_setup(SITES[name], modality, seed)
            size, spacing = setup.geometry.size, setup.geometry.spacing_mm

            assert 0.3 <= spacing[0] == spacing[1] <= 0.86 + 0.05
            assert 0.5 <= spacing[2] <= 3.5
            assert 200 <= size[0] <= 512
            # The canals of both sides, |x| 25-36 at the origin's height, lie inside.
            for x in (-36.0, 36.0):
                index = np.linalg.solve(
                    setup.geometry.axes * np.array(spacing),
                    np.array([x, 0.0, 0.0]) - np.array(setup.geometry.origin_mm),
                )
                assert (index > 0).all()
                assert (index < np.array(size) - 1).all()


def test_london_and_tilburg_scan_as_published():
    london = [draw_setup(SITES["ldn"], "hrT2", seed) for seed in range(60)]
    tilburg = [draw_setup(SITES["etz"], "ceT1", seed) for seed in range(60)]

    assert {s.geometry.size[0] for s in london} == {384, 448}
    assert {s.geometry.spacing_mm[0] for s in london} == {0.5}
    assert {s.geometry.spacing_mm[2] for s in london} == {1.0, 1.5}
    assert {s.protocol.echo_ms for s in tilburg} == {1.82}
    assert {s.geometry.size[0] for s in tilburg} == {256}
    assert {s.deface.kind for s in tilburg} == {"cut"}
    assert np.mean([s.frame for s in london + tilburg]) == pytest.approx(0.8, abs=0.12)


def test_british_scans_are_of_every_kind():
    setups = [draw_setup(SITES["ukm"], "hrT2", seed) for seed in range(200)]

    directions = [s.geometry.axes[:, 2] for s in setups]
    coronal = np.mean([abs(d[1]) > 0.8 for d in directions])
    assert coronal == pytest.approx(0.1, abs=0.07)
    assert {s.field_tesla for s in setups} == {1.0, 1.5, 3.0}
    assert any(s.effects.wrap_voxels for s in setups)
    assert not any(s.frame for s in setups)
    assert any(s.geometry.direction != IDENTITY for s in setups)
    slab_mm = [s.geometry.size[2] * s.geometry.spacing_mm[2] for s in setups]
    assert min(slab_mm) < 32
    assert max(slab_mm) > 52


def test_a_setup_describes_every_decision_in_plain_values():
    setup = draw_setup(SITES["ldn"], "ceT1", 1)

    described = setup.describe()

    assert all(isinstance(value, str | float | int) for value in described.values())
    assert {f"effect_{field.name}" for field in fields(Effects)} <= set(described)
    assert described["site"] == "ldn"
    assert described["geometry_size"] == " ".join(map(str, setup.geometry.size))
    assert described == draw_setup(SITES["ldn"], "ceT1", 1).describe()


@pytest.mark.parametrize("site", SITES)
def test_a_setup_follows_from_its_seed(site):
    one, same, other = (draw_setup(SITES[site], "hrT2", seed) for seed in (1, 1, 2))

    assert one == same
    assert one != other
    assert isinstance(one.effects, Effects)
    assert one.geometry.size[2] > 1


def test_the_probabilities_are_shares():
    shares = (MOTION_PROBABILITY, HANN_PROBABILITY, BLANK_PROBABILITY)

    assert all(0 <= share <= 1 for share in shares)
    assert callable(draw_geometry)
