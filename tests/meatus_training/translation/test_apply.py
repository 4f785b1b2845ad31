from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from meatus_training.errors import TrainingError
from meatus_training.translation.apply import flicker, steady, translate_volume
from meatus_training.translation.networks import Generator
from meatus_training.translation.settings import ApplySettings
from meatus_training.translation.state import start_state
from tests.meatus_training.translation.runs import CPU, TINY

PLAIN = ApplySettings(mirrored=False, z_sigma=0)
CROP = replace(TINY, fit="crop")


class Negative(nn.Module):
    """A translator whose result is known."""

    styles = 0

    def forward(self, x, styles=None):
        return -x


class Flickering(Negative):
    """Multiplies every slice by a factor of its own, drawn from what the slice shows."""

    def forward(self, x, styles=None):
        parity = (x.flatten(1).sum(1) * 1000).round().long() % 2
        return (x + 1) * (0.8 + 0.4 * parity)[:, None, None, None] - 1


def smooth_scan(slices=12, extent=48):
    z, y, x = np.mgrid[:slices, :extent, :extent] / extent
    return (0.4 * np.sin(5 * x + 4 * z) * np.cos(4 * y) - 0.4).astype(np.float16)


@pytest.mark.parametrize("how", [PLAIN, ApplySettings(z_sigma=0)], ids=["one view", "four views"])
def test_every_voxel_stays_in_its_place(how):
    scan = np.random.default_rng(0).uniform(-1, 1, (5, 30, 33)).astype(np.float16)

    out = translate_volume(Negative(), scan, CROP, CPU, how=replace(how, slices=2))

    np.testing.assert_array_equal(out, -scan)


def test_a_scan_that_training_saw_zoomed_is_zoomed_and_zoomed_back():
    scan = smooth_scan()[:, :45]

    out = translate_volume(Negative(), scan, replace(TINY, size=96), CPU, how=PLAIN)

    assert out.shape == scan.shape
    np.testing.assert_allclose(out, -scan, atol=0.01)


@pytest.mark.parametrize("neighbours", [0, 2])
def test_empty_slices_become_black(neighbours):
    scan = smooth_scan()
    scan[3] = 0
    settings = replace(CROP, neighbours=neighbours)
    generator = start_state(settings, CPU).generator

    out = translate_volume(generator, scan, settings, CPU)

    assert out.dtype == np.float16
    assert out.shape == scan.shape
    assert (out[3] == -1).all()
    assert (out[4] > -1).any()
    assert (np.abs(out) <= 1).all()


class Deepest(Negative):
    """Of three slices gives the first, the second and three times the third."""

    def forward(self, x, styles=None):
        return x * torch.tensor([1.0, 1.0, 3.0])[None, :, None, None]


def test_a_slice_is_the_mean_of_what_all_its_stacks_make_of_it():
    scan = (smooth_scan() / 8).astype(np.float16)

    out = translate_volume(Deepest(), scan, replace(CROP, neighbours=1), CPU, how=PLAIN)

    # In the middle once the first, once the second, once the third; the ends stand for slices
    # beyond them: the first slice lies in two stacks, thrice, and never as the third.
    np.testing.assert_allclose(out[5], scan[5] * (1 + 1 + 3) / 3, atol=1e-3)
    np.testing.assert_allclose(out[0], scan[0], atol=1e-3)
    np.testing.assert_allclose(out[-1], scan[-1] * (1 + 3 + 3) / 3, atol=1e-3)


def test_shading_that_jumps_from_slice_to_slice_is_smoothed_away():
    scan = smooth_scan()
    how = ApplySettings(mirrored=False, low_sigma=6)
    jumping = translate_volume(Flickering(), scan, CROP, CPU, how=PLAIN)

    calm = translate_volume(Flickering(), scan, CROP, CPU, how=how)

    assert flicker(jumping, 6) > 5 * flicker(scan, 6)
    assert flicker(calm, 6) < 0.35 * flicker(jumping, 6)


def test_a_steady_scan_is_hardly_changed_and_edges_stay():
    scan = smooth_scan().astype(np.float32)
    scan[4:8, 20:24, 20:24] = 0.9  # a small bright structure, as a cochlea is
    scan[:, :8] = -1  # air

    out = steady(scan, np.ones(12, bool), low_sigma=24, z_sigma=1)

    assert np.abs(out - scan).mean() < 0.01
    assert (out[:, :8] == -1).all()
    for z in (4, 5, 6, 7):
        inside, beside = out[z, 20:24, 20:24], out[z, 20:24, 26:30]
        assert inside.min() - beside.max() > 0.9 * (0.9 - scan[z, 20:24, 26:30].max())


def test_slices_that_show_nothing_neither_count_nor_change():
    scan = np.full((3, 16, 16), 0.5, np.float32)
    scan[1] = -1
    shown = np.array([True, False, True])

    np.testing.assert_allclose(steady(scan, shown, 4, 1), scan, atol=1e-6)


def test_flicker_of_a_steady_change_is_nothing_and_of_a_jump_its_size():
    ramp = np.arange(4.0)[:, None, None] * np.ones((4, 8, 8))

    assert flicker(ramp, 1) == pytest.approx(0, abs=1e-12)
    assert flicker(ramp % 2, 1) == pytest.approx(2)  # 0 1 0 1: second differences of 2


def test_a_style_gives_its_own_result_and_an_unknown_one_is_refused():
    generator = Generator(width=4, styles=2).eval()
    nn.init.normal_(generator.film["17"].scale_and_shift.weight)
    scan = smooth_scan(2)

    first, second = (translate_volume(generator, scan, CROP, CPU, style) for style in (0, 1))

    assert not np.allclose(first, second, atol=1e-3)
    for style in (None, 2):
        with pytest.raises(TrainingError, match="trained for a style from 0 to 1"):
            translate_volume(generator, scan, CROP, CPU, style)
    with pytest.raises(TrainingError, match="trained for no style"):
        translate_volume(Negative(), scan, CROP, CPU, 0)


@pytest.mark.parametrize("slices", [1, 5])
def test_the_result_does_not_depend_on_how_many_slices_are_translated_at_a_time(slices):
    generator = start_state(CROP, CPU).generator.eval()
    for parameter in generator.parameters():
        parameter.data *= 3
    whole = translate_volume(generator, smooth_scan(), CROP, CPU, how=ApplySettings(slices=12))

    parts = translate_volume(generator, smooth_scan(), CROP, CPU, how=ApplySettings(slices=slices))

    np.testing.assert_allclose(parts.astype(np.float32), whole.astype(np.float32), atol=2e-3)
    assert torch.is_grad_enabled()
