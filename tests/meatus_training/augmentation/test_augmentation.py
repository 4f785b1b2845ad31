from dataclasses import replace

import numpy as np
import pytest
import torch

from meatus_training.augmentation import PAPER, PUBLISHED, STEPS, AugmentSettings, augment_window
from meatus_training.augmentation.borders import blank_borders, expand_incomplete, keep_slab
from meatus_training.augmentation.chances import log_uniform
from meatus_training.augmentation.intensity import (
    brain_and_fluid,
    draw_tumour_look,
    vary_image,
    vary_targets,
    vary_unit,
)
from meatus_training.augmentation.quality import add_noise, blur, gaussian, lower_resolution, shade
from meatus_training.augmentation.settings import (
    Borders,
    Intensities,
    Quality,
    Targets,
    TumourLook,
)

ONLY = (1.0, 1.0)


def rng(seed=0):
    return np.random.default_rng(seed)


class Scripted:
    """A generator that says what it is told: here, to expand, and by the largest factor."""

    def __init__(self, *values):
        self.values = iter(values)

    def random(self):
        return next(self.values)


def brighter(factor):
    return Intensities(ONLY, (factor, factor), ONLY, chance=1)


def steady():
    return Intensities(chance=0)


def window():
    """A grey window (12, 48, 48) with a tumour block and a cochlea block, black at the left."""
    image, labels = torch.zeros(12, 48, 48), torch.zeros(12, 48, 48, dtype=torch.uint8)
    image[..., :4] = -1
    labels[2:10, 8:26, 10:22] = 1
    labels[2:10, 8:26, 22:28] = 2
    labels[2:10, 36:46, 34:44] = 3
    return image, labels


EVERYTHING = AugmentSettings(
    image=Intensities(chance=1),
    targets=Targets(Intensities(chance=1), Intensities(chance=1)),
    tumour_look=TumourLook(chance=1, cyst_chance=1),
    borders=Borders(blank_chance=1, expand_chance=1),
    quality=Quality(low_chance=1, repeat_chance=1, blur_chance=1, noise_chance=1, bias_chance=1),
    shape=replace(PAPER.shape, affine_chance=1, elastic_chance=1),
)


def test_contrast_brightness_and_gamma_are_as_computed_on_paper():
    """About 0.5: 0.3 -> 0.5 - 1.5 * 0.2 = 0.2, times 0.8 = 0.16, squared 0.0256."""
    unit = torch.tensor([[[0.3]]])

    assert vary_unit(unit, torch.tensor(0.5), (1.5, 0.8, 2.0)).item() == pytest.approx(0.0256)


def test_each_target_changes_on_its_own_and_the_rest_not_at_all():
    """Grey is 0.5 of the range: the tumour at 1.2 becomes 0.6, the cochlea at 0.6 becomes 0.3."""
    image, labels = window()
    settings = AugmentSettings(targets=Targets(brighter(1.2), brighter(0.6)))

    augmented, same = vary_targets(image, labels, rng(), settings)

    assert augmented[6, 17, 19].item() == pytest.approx(2 * 0.6 - 1, abs=1e-3)
    assert augmented[6, 17, 22].item() == pytest.approx(2 * 0.6 - 1, abs=1e-3), "no edge inside"
    assert augmented[6, 41, 39].item() == pytest.approx(2 * 0.3 - 1, abs=2e-2)
    assert augmented[6, 2, 45].item() == 0
    assert torch.equal(same, labels)


def test_the_change_of_a_target_leaves_no_edge_at_its_label():
    image, labels = window()
    settings = AugmentSettings(targets=Targets(brighter(1.5), steady()))

    line = vary_targets(image, labels, rng(), settings)[0][6, 17, 5:45]

    largest_step = line.diff().abs().max().item()
    assert line.max().item() == pytest.approx(0.5, abs=1e-3)
    assert largest_step < 0.3 * 0.5, "spread over several voxels"


def test_targets_stay_as_they_are_where_nothing_is_drawn():
    image, labels = window()
    settings = AugmentSettings(targets=Targets(steady(), steady()))

    assert torch.equal(vary_targets(image, labels, rng(), settings)[0], image)


def head():
    """Brain at 0.4 of the range, a strip of fluid at 0.9, bone at 0.02, a tumour at 0.9."""
    image, labels = torch.full((12, 48, 48), -0.2), torch.zeros(12, 48, 48, dtype=torch.uint8)
    image[:, :, 44:], image[:, 44:] = 0.8, -0.96
    labels[2:10, 8:28, 10:30] = 1
    image[labels == 1] = 0.8
    return image, labels


def looks(count, **rules):
    """Mean and SD within the tumour of (0 to 1) of ``count`` looks."""
    image, labels = head()
    settings = AugmentSettings(tumour_look=TumourLook(chance=1, **rules))
    inner = np.s_[4:8, 12:24, 14:26]
    seen = [draw_tumour_look(image, labels, rng(seed), settings)[0] for seed in range(count)]
    units = torch.stack([(one[inner] + 1) / 2 for one in seen])
    return units.mean((1, 2, 3)), units.std((1, 2, 3)), seen


def test_brain_and_fluid_are_found_about_a_tumour():
    image, labels = head()

    brain, fluid = brain_and_fluid((image + 1) / 2, labels > 0)

    assert brain == pytest.approx(0.4)
    assert fluid == pytest.approx(0.9)


def test_tumours_come_from_darker_than_brain_to_nearly_fluid_and_smooth_to_mottled():
    means, deviations, _ = looks(60, cyst_chance=0.0)

    assert means.min() < 0.36, "darker than brain, 0.4"
    assert 0.75 < means.max() <= 0.95, "nearly fluid, 0.92 of 0.9, give and take a texture"
    assert ((means > 0.45) & (means < 0.7)).sum() > 5, "and in between"
    assert deviations.min() < 0.02
    assert deviations.max() > 0.08


def test_cysts_fill_their_share_of_a_tumour_at_a_level_of_their_own():
    inside = head()[1] > 0
    rules = {"cyst_share": (0.3, 0.3), "own_share": (0.0, 0.0)}
    plain, cystic = (looks(8, cyst_chance=given, **rules)[2] for given in (0.0, 1.0))

    changed = [(one - other)[inside].abs() > 0.1 for one, other in zip(plain, cystic, strict=True)]
    shares = torch.stack([one.float().mean() for one in changed])

    # Walls are soft, and where the texture has the cysts' own level nothing shows.
    assert 0.1 < shares.median() < 0.6
    assert shares.max() < 0.75, "some of each tumour stays as it is"


def test_a_new_look_stays_within_the_tumour_and_its_edge():
    image, _ = head()
    changed = looks(1)[2][0] != image

    assert changed[5, 18, 20]
    assert not changed[:, :, 36:].any()
    assert not changed[:, 36:].any()


def test_without_a_new_look_the_next_steps_draw_what_they_drew_before():
    image, labels = head()
    one, other = rng(3), rng(3)

    same, _ = draw_tumour_look(image, labels, one, AugmentSettings())

    assert same is image
    assert one.random() == other.random()


def test_the_published_ranges_are_those_of_the_table():
    tumour, cochlea = PUBLISHED.targets.tumour, PUBLISHED.targets.cochlea

    assert (tumour.contrast, tumour.brightness, tumour.gamma) == ((0.8, 1.2),) * 3
    assert (cochlea.contrast, cochlea.brightness, cochlea.gamma) == ((0.5, 1.5), (0.3, 2), (0.5, 2))
    assert PAPER.targets.tumour.gamma == PAPER.targets.cochlea.brightness == (0.6, 1.5)


def test_draws_keep_to_their_range_and_halve_as_often_as_they_double():
    generator = rng()
    values = np.array([log_uniform(generator, (0.5, 2.0)) for _ in range(2000)])

    assert values.min() >= 0.5
    assert values.max() <= 2.0
    assert np.mean(values < 1) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    "step",
    [draw_tumour_look, vary_targets, vary_image, shade, blur, lower_resolution, add_noise],
)
def test_what_is_black_stays_black_and_labels_stay_where_they_are(step):
    image, labels = window()
    image[:, 20:, 4:] += 0.3

    augmented, same = step(image, labels, rng(3), EVERYTHING)

    assert (augmented[..., :4] == -1).all()
    assert not torch.equal(augmented, image)
    assert torch.equal(same, labels)


def test_a_slab_keeps_some_rows_as_they_are_and_no_other():
    image, labels = window()
    rules = Borders(slab_chance=1, slab_share=(0.25, 0.5))
    rows, starts = image.shape[1], set()
    for seed in range(20):
        kept, marked = keep_slab(image, labels, rng(seed), AugmentSettings(borders=rules))
        shown = torch.nonzero((kept > -1).any(2).any(0))[:, 0]
        inside = slice(int(shown[0]), int(shown[-1]) + 1)
        starts.add(inside.start)

        assert rows / 4 - 1 <= len(shown) == inside.stop - inside.start <= rows / 2 + 1
        assert torch.equal(kept[:, inside], image[:, inside])
        assert torch.equal(marked[:, inside], labels[:, inside])
        assert int((marked > 0).sum()) == int((labels[:, inside] > 0).sum())
    assert len(starts) > 5


def test_blanked_sides_are_black_and_hold_no_label():
    image, labels = torch.zeros(8, 16, 16), torch.ones(8, 16, 16, dtype=torch.uint8)
    settings = AugmentSettings(borders=Borders(blank_chance=1, blank_sides=1))

    for seed in range(20):
        blanked, marked = blank_borders(image, labels, rng(seed), settings)
        black = blanked == -1
        assert torch.equal(black, marked == 0)
        assert 0 < black.float().mean() <= 0.25
        extents = [int(black.any(2).any(1).sum()), int(black.any(2).any(0).sum())]
        extents.append(int(black.any(1).any(0).sum()))
        assert sum(a < b for a, b in zip(extents, black.shape, strict=True)) == 1, "one side"


def test_published_blanks_take_both_ends_of_y_and_up_to_a_third_of_it_each():
    image, labels = torch.zeros(8, 18, 16), torch.ones(8, 18, 16, dtype=torch.uint8)
    settings = AugmentSettings(borders=Borders(blank="rows", blank_chance=1, blank_share=0.3333))
    widths = set()

    for seed in range(60):
        blanked, marked = blank_borders(image, labels, rng(seed), settings)
        black = blanked == -1
        assert torch.equal(black, marked == 0)
        rows = black.all(2).all(0)
        assert torch.equal(black, rows[None, :, None].expand_as(black)), "whole rows alone"
        first, last = int(rows[:9].sum()), int(rows[9:].sum())
        assert torch.equal(
            rows.nonzero()[:, 0], torch.tensor([*range(first), *range(18 - last, 18)])
        )
        widths |= {first, last}

    assert widths == set(range(1, 6))


def test_an_incomplete_scan_grows_about_its_middle_by_the_same_factor_on_both_axes():
    """A field of 16 x 8 columns in 16 x 16 may double: a square of 2 x 2 voxels becomes 4 x 4."""
    image = torch.full((1, 16, 16), -1.0)
    image[..., 4:12] = 0
    labels = torch.zeros(1, 16, 16, dtype=torch.uint8)
    labels[:, 7:9, 7:9] = 3
    settings = AugmentSettings(borders=Borders(expand_chance=1))

    larger, marked = expand_incomplete(image, labels, Scripted(0.0, 1.0), settings)

    assert torch.equal(marked[0, 6:10, 6:10], torch.full((4, 4), 3, dtype=torch.uint8))
    assert int((marked > 0).sum()) == 16
    assert (larger[..., 1:15] > -1).all()


def test_a_scan_that_fills_its_window_is_not_expanded():
    image, labels = torch.zeros(2, 8, 8), torch.zeros(2, 8, 8, dtype=torch.uint8)

    larger, _ = expand_incomplete(image, labels, rng(), EVERYTHING)

    assert larger is image


def test_a_gaussian_keeps_a_constant_and_spreads_a_dot_by_its_sigma():
    dot = torch.zeros(1, 1, 41, dtype=torch.float64)
    dot[..., 20] = 1

    spread = gaussian(dot, (0.0, 0.0, 2.0))[0, 0]

    offsets = torch.arange(-20, 21)
    assert float((spread * offsets**2).sum()) == pytest.approx(4, rel=0.03)
    assert torch.allclose(gaussian(torch.ones(4, 5, 6), (0.5, 1.0, 2.0)), torch.ones(4, 5, 6))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_the_same_seed_gives_the_same_window_and_its_input_is_left_alone(step):
    image, labels = window()
    image_before, labels_before = image.clone(), labels.clone()

    once, again = (step(image, labels, rng(7), EVERYTHING) for _ in range(2))

    assert torch.equal(once[0], again[0])
    assert torch.equal(once[1], again[1])
    assert torch.equal(image, image_before)
    assert torch.equal(labels, labels_before)


@pytest.mark.parametrize("settings", [PAPER, PUBLISHED, EVERYTHING])
def test_a_window_stays_a_window(settings):
    image, labels = window()

    for seed in range(5):
        augmented, marked = augment_window(image, labels, rng(seed), settings)
        assert augmented.shape == marked.shape == image.shape
        assert (augmented.dtype, marked.dtype) == (torch.float32, torch.uint8)
        assert augmented.min() >= -1
        assert augmented.max() <= 1
        assert set(marked.unique().tolist()) <= {0, 1, 2, 3}


def test_different_seeds_give_different_windows():
    image, labels = window()

    first, second = (augment_window(image, labels, rng(seed), EVERYTHING)[0] for seed in (1, 2))

    assert not torch.equal(first, second)
