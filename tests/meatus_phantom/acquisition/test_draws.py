"""Draws of a scan's grid and effects follow from their stream alone."""

import pytest

from meatus_phantom.acquisition import effects, grids
from meatus_phantom.acquisition.sites import SITES, draw_setup


@pytest.mark.parametrize("site", SITES)
def test_a_setup_follows_from_its_seed(site):
    one, same, other = (draw_setup(SITES[site], "hrT2", seed) for seed in (1, 1, 2))

    assert one == same
    assert one != other
    assert isinstance(one.effects, effects.Effects)
    assert one.geometry.size[2] > 1


def test_the_probabilities_are_shares():
    shares = (effects.MOTION_PROBABILITY, effects.HANN_PROBABILITY, effects.BLANK_PROBABILITY)

    assert all(0 <= share <= 1 for share in shares)
    assert callable(grids.draw_geometry)
