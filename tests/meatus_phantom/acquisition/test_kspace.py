"""What k-space does to a picture: noise, filters, motion and ghosts."""

import math

import numpy as np
import pytest
import torch

from meatus_phantom.acquisition.kspace import (
    k_window,
    rigidly_moved,
    through_k_space,
    with_ghosts,
    with_noise,
)
from meatus_phantom.acquisition.setup import (
    Effects,
)
from tests.meatus_phantom.acquisition.scans import CPU, PIXEL, dot, generator


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


def test_ghosts_appear_at_the_stated_distance_along_the_phase_axis_only():
    image = dot(100) * 10
    effects = Effects(ghost=0.02, ghost_step=0.2, read_along_x=True)

    ghosts = with_ghosts(image, effects, level=2.0).abs()[0]

    assert float(ghosts[70, 50]) == pytest.approx(0.02 * 8)  # what is above the level
    assert float(ghosts[10, 50]) == pytest.approx(0.01 * 8)
    assert float(ghosts[50].sum()) == 10
