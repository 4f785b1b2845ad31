from dataclasses import replace

import numpy as np
import pytest
import torch

from meatus_phantom.tissues import Tissue
from meatus_phantom.windows.look import draw_look
from meatus_phantom.windows.render import render_window
from meatus_phantom.windows.scanner import blurred, draw_field, repeated_slices, scanned, toned
from meatus_phantom.windows.settings import (
    LookSettings,
    RenderSettings,
    ScannerSettings,
    smooth_noise,
)
from tests.meatus_phantom.windows.maps import (
    CALM,
    LINEAR,
    OPEN,
    PERFECT,
    STILL,
    places_of,
    toy_look,
    toy_map,
)

MAP = toy_map()
WIDE = (12, 128, 128)  # holds all of the map, wherever it lies


def rendered(settings=CALM, seed=0, size=(12, 64, 64), *, whole=False, look=None, near=0.0):
    rng = np.random.default_rng(seed)
    return render_window(
        MAP, places_of(MAP), size, rng, settings, LINEAR, near=near, whole=whole,
        look=look or toy_look(),
    )  # fmt: skip


def test_each_tissue_has_its_level_and_its_label():
    for label, level in ((1, 0.5), (2, 0.5), (3, 1.0)):
        seen = [
            w.image[w.labels == label]
            for w in (rendered(seed=s, size=WIDE, near=1.0) for s in range(6))
        ]
        assert float(torch.cat(seen).median()) == pytest.approx(2 * level - 1, abs=0.05)


def test_labels_keep_their_volume():
    """No scale, no turn, no warp: a voxel of the map is one of the window, wherever that lies."""
    windows = [rendered(seed=seed, near=1.0) for seed in range(10)]

    for label, volume in ((1, 6 * 10 * 5), (3, 4 * 5 * 5)):
        assert max(int((w.labels == label).sum()) for w in windows) == volume


def test_a_coarse_window_shows_the_mean_of_what_its_voxels_cover():
    rng = np.random.default_rng(3)
    coarse = render_window(
        MAP, places_of(MAP), (12, 64, 64), rng, CALM, LINEAR, near=1.0, whole=False,
        look=toy_look(), spacing_mm=1.0,
    )  # fmt: skip
    fine = rendered(seed=3, size=WIDE, near=1.0)

    for label in (1, 3):
        ratio = int((fine.labels == label).sum()) / max(int((coarse.labels == label).sum()), 1)
        assert 2.5 < ratio < 6.5, "a quarter of the voxels, each four times as large"
    ear = coarse.image[coarse.labels == 3]
    assert float(ear.min()) < 0.9, "its rim is mixed with bone"


def test_a_window_depends_on_its_seed_alone():
    first, remade, other = (rendered(RenderSettings(), seed) for seed in (7, 7, 8))

    assert torch.equal(first.image, remade.image)
    assert torch.equal(first.labels, remade.labels)
    assert not torch.equal(first.image, other.image)


def test_the_network_gets_numbers_from_minus_one_to_one_whatever_is_drawn():
    for seed in range(20):
        window = rendered(RenderSettings(), seed, look=draw_look(np.random.default_rng(seed), CALM))

        assert window.image.isfinite().all()
        assert window.image.min() >= -1
        assert window.image.max() <= 1
        assert window.image.shape == window.labels.shape
        assert set(window.labels.unique().tolist()) <= {0, 1, 2, 3}


def test_windows_near_structures_show_one():
    for seed in range(10):
        assert rendered(seed=seed, size=(6, 32, 32), near=1.0).labels.any()


def test_the_part_in_the_canal_may_have_a_level_of_its_own():
    windows = [rendered(seed=s, size=WIDE, near=1.0, look=toy_look(plug=0.5)) for s in range(6)]

    for label, shown in ((1, 0.0), (2, -0.5)):
        seen = torch.cat([w.image[w.labels == label] for w in windows])
        assert float(seen.median()) == pytest.approx(shown, abs=0.05)


def test_scale_makes_a_tumour_larger_or_smaller():
    half = replace(CALM, geometry=replace(STILL, scale=(0.5, 0.5)))
    counts = [
        max(int((rendered(s, seed, near=1.0).labels == 1).sum()) for seed in range(6))
        for s in (CALM, half)
    ]

    assert counts[1] == pytest.approx(4 * counts[0], rel=0.2)


def test_slices_that_repeat_are_all_alike():
    always = replace(CALM, field=replace(OPEN, repeat_chance=1.0))
    alike = 0
    for seed in range(12):
        window = rendered(always, seed)
        same = [bool((window.labels == s).all()) for s in window.labels]
        pairs = torch.equal(window.labels[0::2], window.labels[1::2])
        alike += all(same) or pairs or torch.equal(window.image[0], window.image[1])
    assert alike == 12


def test_repeats_come_as_one_slice_or_as_thick_ones():
    labels = torch.zeros((12, 4, 4))
    labels[5] = 1
    rules = replace(OPEN, repeat_chance=1.0)
    drawn = [repeated_slices(labels, np.random.default_rng(s), rules) for s in range(60)]

    ones = [shown for shown in drawn if len(shown.unique()) == 1]
    thick = [shown for shown in drawn if len(shown.unique()) > 1]
    assert ones
    assert thick
    assert sum(int(shown[0]) == 5 for shown in ones) > len(ones) / 2, "where something is marked"
    assert all(torch.equal(shown, shown.sort().values) for shown in thick)
    assert repeated_slices(labels, np.random.default_rng(0), OPEN) is None


def test_what_is_not_seen_is_black_and_not_labelled():
    narrow = replace(CALM, field=replace(OPEN, narrow_chance=1.0, narrowest_mm=10.0))

    for seed in range(8):
        window = rendered(narrow, seed, whole=True)
        black = (window.image == -1).all(0)
        assert not window.labels[:, black].any()


def test_a_narrow_field_lies_in_the_middle_and_a_slab_is_as_wide_as_asked():
    labels = torch.zeros((8, 80, 90), dtype=torch.uint8)
    labels[:, 30:34, 40:44] = 1
    rules = replace(OPEN, narrow_chance=1.0, narrowest_mm=15.0)
    for seed in range(10):
        seen = draw_field(labels, np.random.default_rng(seed), rules, 0.5, whole=True)[0]
        for axis, extent in ((1, 80), (0, 90)):
            shown = torch.nonzero(seen.any(axis)).flatten()
            assert abs(int(shown[0]) - (extent - 1 - int(shown[-1]))) <= 1
            assert len(shown) >= 30
    slab = replace(OPEN, slab_chance=1.0, slab_mm=(10.0, 10.0))
    seen = draw_field(labels, np.random.default_rng(1), slab, 0.5, whole=True)
    assert int(seen[0, :, 0].sum()) == 20
    assert (
        not draw_field(labels, np.random.default_rng(1), OPEN, 0.5, whole=True).logical_not().any()
    )


def test_a_hole_never_covers_a_structure():
    labels = torch.zeros((4, 40, 40), dtype=torch.uint8)
    labels[:, 10:30, 10:30] = 2
    rules = replace(OPEN, hole_chance=1.0)

    holes = [
        draw_field(labels, np.random.default_rng(s), rules, 0.5, whole=True) for s in range(30)
    ]

    assert any(not seen.all() for seen in holes)
    assert all(seen[labels > 0].all() for seen in holes)


def test_tumours_go_from_darker_than_brain_to_nearly_fluid():
    looks = [draw_look(np.random.default_rng(s), RenderSettings()) for s in range(200)]
    brain = np.array([look.level[Tissue.PONS] for look in looks])
    tumour = np.array([look.level[Tissue.TUMOUR] for look in looks])

    assert (tumour < brain).mean() > 0.05
    assert (tumour > 2 * brain).mean() > 0.1
    assert (tumour > 0.75).mean() > 0.03
    assert tumour.max() <= 1.2
    rough = np.array([look.coarse[Tissue.TUMOUR] for look in looks]) / tumour
    assert (rough < 0.05).mean() > 0.2, "flat ones"
    assert (rough > 0.15).mean() > 0.15, "mottled ones"


def test_pockets_fill_their_share_of_the_tumour_and_nothing_else():
    look = replace(toy_look(), pockets=0.5, pocket_level=0.9)
    for seed in range(4):
        plain = rendered(seed=seed, size=WIDE, near=1.0)
        holed = rendered(seed=seed, size=WIDE, near=1.0, look=look)
        tumour = (plain.labels == 1) | (plain.labels == 2)
        level = (holed.image[tumour] + 1) / 2

        assert torch.equal(plain.labels, holed.labels)
        assert 0.25 < float((level > 0.7).float().mean()) < 0.75
        away = torch.nn.functional.max_pool3d(tumour[None].float(), 3, 1, 1)[0] == 0
        assert torch.allclose(plain.image[away], holed.image[away], atol=0.05)


def test_ears_are_dim_as_often_as_asked_and_never_invisible():
    dim = LookSettings(random_share=0, dim_ear_chance=0.5, dim_ear=(0.25, 0.5))
    looks = [draw_look(np.random.default_rng(s), RenderSettings(look=dim)) for s in range(80)]
    ears = np.array([look.level[Tissue.PERILYMPH] for look in looks])

    assert 0.35 < (ears < 0.6).mean() < 0.65
    assert ears.min() >= 0.2


def test_physics_alone_is_what_the_sequence_gives_but_for_wander():
    physics = replace(RenderSettings(), look=LookSettings(random_share=0, tumour_chance=0))
    looks = [draw_look(np.random.default_rng(s), physics) for s in range(60)]

    assert all(look.level[Tissue.CSF] == 1 for look in looks)
    dark = [look.level[Tissue.BONE] < look.level[Tissue.PONS] for look in looks]
    assert all(dark)
    bright = np.mean([look.level[Tissue.PONS] for look in looks])
    assert 0.15 < bright < 0.5, "docs/phantom.md: CISS 0.18, TSE 0.12 to 0.31 of fluid, pons"


def test_a_perfect_scanner_changes_nothing_and_a_real_one_something():
    image = torch.rand(4, 20, 20)
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)

    assert torch.equal(scanned(image, rng, generator, PERFECT), image)
    assert torch.equal(toned(image, rng, PERFECT, 0.5), image)
    assert not torch.equal(scanned(image, rng, generator, ScannerSettings(noise_chance=1)), image)


def test_a_tone_keeps_tumour_and_brain_apart_from_what_is_brighter():
    rules = replace(PERFECT, tone_chance=1.0)
    ramp = torch.linspace(0, 1, 101).reshape(1, 1, 101)

    for seed in range(50):
        out = toned(ramp, np.random.default_rng(seed), rules, 0.6)[0, 0]
        assert (out.diff() >= 0).all()
        assert out[72:].min() > out[60], "what is a fifth brighter than a tumour stays so"


def test_blurring_keeps_the_mean_and_lowers_the_edges():
    image = torch.zeros(2, 21, 21)
    image[:, 10, 10] = 1

    out = blurred(image, 1.0, 2.0)

    assert float(out.sum()) == pytest.approx(2.0, rel=1e-4)
    assert float(out[0, 10, 10]) == pytest.approx(1 / (2 * np.pi * 1.0 * 2.0), rel=0.08)
    assert float(out[0, 10, 13]) > float(out[0, 13, 10])


def test_smooth_noise_has_unit_sd_and_its_knots_width():
    generator = torch.Generator().manual_seed(1)
    fine, coarse = (smooth_noise(generator, (8, 128, 128), (4, k, k)) for k in (1, 16))

    assert float(fine.std()) == pytest.approx(1, abs=0.1)
    assert float(coarse.std()) == pytest.approx(1, abs=0.1)
    assert float(coarse.diff(dim=2).std()) < 0.3 * float(fine.diff(dim=2).std())
