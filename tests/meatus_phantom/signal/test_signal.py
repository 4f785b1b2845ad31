"""What each pulse sequence makes of each tissue, and how a tissue map becomes a signal."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from meatus.geometry import Geometry
from meatus_phantom.random_streams import stream
from meatus_phantom.render import TissueMap
from meatus_phantom.signal.appearance import (
    Appearance,
    Texture,
    draw_textures,
    random_appearance,
    render,
    to_signal,
)
from meatus_phantom.signal.physics import appearance_of, physics_appearance
from meatus_phantom.signal.properties import draw_properties, mean_properties
from meatus_phantom.signal.sequences import (
    BalancedSsfp,
    Mprage,
    SpoiledGradient,
    TurboSpinEcho,
    balanced_ssfp,
    fat_phasor,
    magnitudes,
    spoiled_gradient,
    turbo_spin_echo,
)
from meatus_phantom.signal.texture import draw_noise
from meatus_phantom.tissues import Tissue

CPU = torch.device("cpu")
CISS = BalancedSsfp(9.4, 4.23, 60.0)
TSE = TurboSpinEcho(2700, 140, 320)
TSE_DRIVE = TurboSpinEcho(2700, 160, 320, drive=True)
MPRAGE = Mprage(1900, 1100, 2.97, 15, 128, 7.5)
FFE = SpoiledGradient(25, 1.82, 30)
MPRAGE_3T = Mprage(2000, 900, 2.97, 9, 160, 7.0)

# The table "Expected signal" of docs/phantom.md, section 2: T2 contrasts relative to CSF, T1
# contrasts to the pons after gadolinium. Columns: CISS, CISS after gadolinium, TSE 140, TSE 160
# with DRIVE (all 1.5 T), MPRAGE and FFE after gadolinium (1.5 T), MPRAGE after gadolinium (3 T).
EXPECTED = {
    Tissue.CSF: (1, 1, 1, 1, 0.31, 0.31, 0.26),
    Tissue.PERILYMPH: (0.90, 0.90, 1.0, 0.94, 0.35, 0.34, 0.29),  # 1.06 by the equation: capped
    Tissue.PONS: (0.18, 0.19, 0.31, 0.12, 1, 1, 1),
    Tissue.WHITE: (0.17, 0.17, 0.26, 0.10, 1.00, 1.01, 1.05),
    Tissue.GREY: (0.22, 0.22, 0.42, 0.18, 0.92, 0.92, 0.80),
    Tissue.CEREBELLAR_CORTEX: (0.22, 0.22, 0.42, 0.18, 0.92, 0.92, 0.80),
    Tissue.TUMOUR: (0.24, 0.45, 0.46, 0.20, 1.74, 1.78, 2.03),
    Tissue.TUMOUR_CYST: (0.69, 0.77, 1.0, 0.77, 0.62, 0.62, 0.57),  # 1.19: capped
    Tissue.MUSCLE: (0.08, 0.10, 0.06, 0.02, 1.09, 1.09, 1.03),
    Tissue.FAT: (0.76, 0.76, 0.67, 0.29, 2.1, 2.2, 2.4),
    Tissue.MARROW: (0.46, 0.48, 0.46, 0.20, 1.62, 1.67, 1.9),
    Tissue.MUCOSA: (0.23, 0.42, 0.39, 0.16, 1.76, 1.80, 2.07),
    Tissue.DURA: (0.13, 0.22, 0.09, 0.03, 1.40, 1.45, 1.68),
    Tissue.VITREOUS: (0.78, 0.78, 0.96, 0.86, 0.31, 0.31, 0.26),
}
FLUIDS = (Tissue.CSF, Tissue.PERILYMPH, Tissue.TUMOUR_CYST, Tissue.VITREOUS)
HALF_A_DIGIT = 0.005  # the table's rounding, which is 25 % of its smallest entry


def table_properties(field_tesla):
    """The means with the table's own T2*: 48 ms, 600 in fluids, times 0.7 at 3 T."""
    t2_star = np.full(len(Tissue), 48.0)
    t2_star[list(FLUIDS)] = 600.0
    factor = 0.7 if field_tesla == 3 else 1.0
    return replace(mean_properties(field_tesla), t2_star_ms=t2_star * factor)


def table_column(index):
    low, high = table_properties(1.5), table_properties(3.0)
    # T2* is given for after the agent.
    after, after_high = (replace(p.enhanced(), t2_star_ms=p.t2_star_ms) for p in (low, high))
    protocol, tissues = (
        (CISS, low),
        (CISS, after),
        (TSE, low),
        (TSE_DRIVE, low),
        (MPRAGE, after),
        (FFE, after),
        (MPRAGE_3T, after_high),
    )[index]
    signal = magnitudes(protocol, tissues).copy()
    if index == 2:
        signal = np.minimum(signal, signal[Tissue.CSF])
    if index >= 4:
        signal[Tissue.FAT] *= 0.82  # the table's factor at both fields (0.68 by the peaks at 3 T)
    return signal / signal[Tissue.PONS if index >= 4 else Tissue.CSF]


@pytest.mark.parametrize("tissue", EXPECTED)
@pytest.mark.parametrize("index", range(7))
def test_every_entry_of_the_signal_table_is_met_within_ten_percent(index, tissue):
    assert table_column(index)[tissue] == pytest.approx(
        EXPECTED[tissue][index], rel=0.10, abs=HALF_A_DIGIT
    )


def test_a_tumour_without_agent_is_darker_than_the_pons():
    tissues = table_properties(1.5)
    before, after = (magnitudes(MPRAGE, p) for p in (tissues, tissues.enhanced()))

    assert before[Tissue.TUMOUR] / after[Tissue.PONS] == pytest.approx(0.79, rel=0.1)


def test_fat_turns_against_water_by_the_stated_angles():
    for echo_ms, amplitude, degrees in ((1.82, 0.82, -136), (2.97, 0.81, 128)):
        phasor = fat_phasor(SpoiledGradient(echo_ms=echo_ms), 1.5)

        assert abs(phasor) == pytest.approx(amplitude, abs=0.01)
        assert math.degrees(math.atan2(phasor.imag, phasor.real)) == pytest.approx(degrees, abs=1)


def test_a_spoiled_echo_at_ninety_degrees_is_plain_saturation_recovery():
    one = np.array([1.0])
    signal = spoiled_gradient(SpoiledGradient(100, 10, 90), one, 100 * one, 10 * one)

    assert signal[0] == pytest.approx((1 - math.exp(-1)) * math.exp(-1))


def test_a_spin_echo_without_drive_is_saturation_recovery_and_decay():
    one = np.array([1.0])
    signal = turbo_spin_echo(TurboSpinEcho(1100, 50, 100), one, 1000 * one, 50 * one)

    assert signal[0] == pytest.approx((1 - math.exp(-1)) * math.exp(-1))


def test_single_bssfp_has_its_nulls_half_a_turn_from_resonance():
    single = BalancedSsfp(9.4, 4.23, 60.0, cycled=False)
    null_hz = 1 / (2 * 0.0094)  # 53 Hz
    one = np.array([1.0])
    hertz = np.linspace(-null_hz, null_hz, 201)
    profile = balanced_ssfp(
        single, one, 4300 * one, 2000 * one, 2 * math.pi * hertz * 0.0094 + math.pi
    )

    assert null_hz == pytest.approx(53.2, abs=0.1)
    assert np.argmin(profile) in (0, 200)
    assert profile.min() < 0.02 * profile.max()


def test_ciss_ripples_by_a_few_percent_where_single_bssfp_goes_black():
    tissues = mean_properties(1.5)
    for tissue in (Tissue.CSF, Tissue.PONS):
        single, cycled = (
            appearance_of(BalancedSsfp(cycled=kind), tissues).water[tissue]
            for kind in (False, True)
        )

        assert cycled.std() < 0.08 * cycled.mean()
        assert single.min() < 0.1 * single.max()


def test_banding_follows_the_field_error_through_the_bins():
    appearance = appearance_of(BalancedSsfp(10.0, 5.0, 60.0, cycled=False), mean_properties(1.5))
    csf = TissueMap(
        *(torch.full((1, 1, 3), int(Tissue.CSF), dtype=torch.uint8),) * 2, torch.ones(1, 1, 3)
    )

    on, null, next_band = to_signal(
        csf, appearance, off_resonance_hz=torch.tensor([[[0.0, 50.0, -100.0]]])
    ).water.flatten()

    assert null < 0.03 * on
    assert next_band == pytest.approx(float(on))


def test_bone_and_air_are_black_and_arteries_void_on_spin_echoes():
    appearance = physics_appearance(stream(1), TSE, 1.5, False)

    assert appearance.level(Tissue.AIR) == appearance.level(Tissue.BONE) == 0
    assert appearance.level(Tissue.ARTERY) <= 0.05 * appearance.level(Tissue.CSF)


def test_after_gadolinium_arteries_fat_and_sinuses_outshine_brain_and_brain_csf():
    for seed in range(20):
        appearance = physics_appearance(stream(seed), FFE, 1.5, True)
        brain = appearance.level(Tissue.PONS)

        assert 1.8 <= appearance.level(Tissue.VEIN) / brain <= 2.3
        assert 2.0 <= appearance.level(Tissue.ARTERY) / brain <= 3.0
        assert 1.5 <= appearance.level(Tissue.FAT) / brain <= 2.9
        assert 1.2 <= appearance.level(Tissue.TUMOUR) / brain <= 2.4
        assert appearance.level(Tissue.CSF) < 0.5 * brain


def test_a_third_of_affected_ears_is_darker_than_the_healthy_one():
    ratios = []
    for seed in range(300):
        appearance = physics_appearance(stream(seed), CISS, 1.5, False)
        healthy = appearance.level(Tissue.PERILYMPH)
        ratios.append(appearance.level(Tissue.PERILYMPH_AFFECTED) / healthy)

    assert np.mean(np.array(ratios) < 0.85) == pytest.approx(0.33, abs=0.09)


def test_tumours_on_hrt2_reach_from_brain_to_nearly_fluid():
    ratios = []
    for seed in range(300):
        appearance = physics_appearance(stream(seed), CISS, 1.5, False)
        csf = appearance.level(Tissue.CSF)
        ratios.append(appearance.level(Tissue.TUMOUR) / csf)

    assert 0.15 < np.quantile(ratios, 0.05) < 0.25
    assert 0.2 < np.median(ratios) < 0.3
    assert 0.5 < max(ratios) <= 0.9


def test_marrow_keeps_its_signal_though_part_of_it_is_fat():
    tissues = mean_properties(1.5).enhanced()
    whole = magnitudes(TSE, tissues)[Tissue.MARROW]

    appearance = appearance_of(TSE, tissues)

    assert appearance.fat[Tissue.MARROW, 0] == pytest.approx(0.4 * whole)
    assert appearance.level(Tissue.MARROW) == pytest.approx(whole)


def test_drawn_properties_stay_within_the_published_ranges():
    for seed in range(100):
        low, high = draw_properties(stream(seed), 1.5), draw_properties(stream(seed), 3.0)

        assert 950 <= low.t1_ms[Tissue.GREY] <= 1250
        assert 1300 <= high.t1_ms[Tissue.GREY] <= 1820
        assert 600 <= low.t1_ms[Tissue.WHITE] <= 900
        assert 1050 <= low.t1_ms[Tissue.TUMOUR] <= 1700
        assert 300 <= low.t1_gadolinium_ms[Tissue.TUMOUR] <= 800
        assert low.t1_gadolinium_ms[Tissue.TUMOUR] < low.t1_gadolinium_ms[Tissue.TUMOUR_CORE]


def two_voxels(first, second, share):
    shape = (1, 1, 2)
    return TissueMap(
        torch.full(shape, int(first), dtype=torch.uint8),
        torch.full(shape, int(second), dtype=torch.uint8),
        torch.tensor([[share]]),
    )


def flat_appearance(**water):
    table = np.zeros((len(Tissue), 1))
    for name, level in water.items():
        table[Tissue[name.upper()]] = level
    return Appearance(table, np.zeros_like(table), 0.0, 1000.0, ())


def test_a_shared_voxel_has_its_tissues_signal_by_their_share():
    signal = to_signal(
        two_voxels(Tissue.CSF, Tissue.PONS, [0.25, 1.0]), flat_appearance(csf=100.0, pons=20.0)
    )

    assert signal.water.flatten().tolist() == pytest.approx([40.0, 100.0])  # .25 * 100 + .75 * 20
    assert signal.fat.abs().max() == 0
    assert signal.brain == 20.0


def test_texture_changes_the_dominant_tissue_by_its_own_strength():
    strength = np.zeros(len(Tissue))
    strength[Tissue.TUMOUR] = 0.2
    appearance = replace(
        flat_appearance(tumour=10.0, pons=10.0), textures=(Texture((1, 1, 1), strength),)
    )
    tissues = two_voxels(Tissue.TUMOUR, Tissue.PONS, [1.0, 0.0])

    signal = to_signal(tissues, appearance, [torch.full((1, 1, 2), 0.5)])

    assert signal.water.flatten().tolist() == pytest.approx([11.0, 10.0])  # 10 (1 + .2 * .5)


def test_noise_has_unit_variance_and_falls_off_over_its_kernel():
    grid = Geometry((96, 96, 48), (0.5, 0.5, 1.0), (0, 0, 0))
    field = draw_noise(stream(1), grid, (2.0, 2.0, 2.0), CPU).onto(grid)

    assert float(field.std()) == pytest.approx(1.0, abs=0.06)
    assert float((field[:, :, 4:] * field[:, :, :-4]).mean()) == pytest.approx(
        math.exp(-0.25), abs=0.08
    )  # 2 mm apart


def test_a_texture_is_the_same_where_a_region_is_painted_finer():
    grid = Geometry((16, 16, 8), (1.0, 1.0, 1.0), (0, 0, 0))
    fine = grid.regrid(
        (4, 4, 2), (0.25, 0.25, 0.5), (9, 9, 5)
    )  # every fourth voxel is a coarse one
    noise = draw_noise(stream(2), grid, (2.0, 2.0, 2.0), CPU)

    coarse_part = noise.onto(grid)[2:5, 4:7, 4:7]

    torch.testing.assert_close(noise.onto(fine)[::2, ::4, ::4], coarse_part)


def test_rendering_in_slabs_changes_nothing(monkeypatch):
    grid = Geometry((12, 10, 6), (1.0, 1.0, 1.0), (0, 0, 0))
    rng = stream(3)
    kinds = torch.from_numpy(rng.integers(0, len(Tissue), grid.shape, dtype=np.uint8))
    tissues = TissueMap(kinds, kinds.flip(0), torch.rand(grid.shape))
    appearance = physics_appearance(rng, CISS, 1.5, True)
    textures = draw_textures(rng, appearance, grid, CPU)
    whole = render(tissues, grid, appearance, textures)

    monkeypatch.setattr("meatus_phantom.signal.appearance.SLAB_VOXELS", 240)
    slabs = render(tissues, grid, appearance, textures)

    torch.testing.assert_close(slabs.water, whole.water)
    torch.testing.assert_close(slabs.fat, whole.fat)


def test_random_classes_span_synthsegs_range_without_fat_of_their_own():
    levels = np.array([random_appearance(stream(seed)).water[:, 0] for seed in range(200)])

    assert levels[:, Tissue.AIR].max() <= 10
    tumours = levels[:, Tissue.TUMOUR]
    assert tumours.min() < 40
    assert tumours.max() > 200
    # The ordering is free: tumour above CSF about as often as below.
    assert 0.35 < np.mean(tumours > levels[:, Tissue.CSF]) < 0.65


def test_the_same_stream_gives_the_same_appearance():
    first, second = (physics_appearance(stream(4), CISS, 3.0, True) for _ in range(2))

    np.testing.assert_array_equal(first.water, second.water)
    assert first.describe() == second.describe()
