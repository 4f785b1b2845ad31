"""What the sites' setups decide."""

from dataclasses import fields

import numpy as np
import pytest

from meatus.geometry import IDENTITY
from meatus_phantom.acquisition.setup import (
    BLANK_PROBABILITY,
    HANN_PROBABILITY,
    MOTION_PROBABILITY,
    Effects,
)
from meatus_phantom.acquisition.sites import SITES, draw_geometry, draw_setup


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
