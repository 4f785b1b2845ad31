"""Each region of the head by itself: its parts lie in their boxes and follow from the seed."""

from functools import cache

import numpy as np
import pytest
import torch

from meatus_phantom.anatomy.brain import fold_parts, sella_parts, sinus_parts
from meatus_phantom.anatomy.cavity import draw_cavity
from meatus_phantom.anatomy.cerebrum import cerebrum_parts
from meatus_phantom.anatomy.ear.temporal_bone import temporal_parts
from meatus_phantom.anatomy.face import face_parts, nose_parts
from meatus_phantom.anatomy.grids import as_distance, looked_up, tabulate
from meatus_phantom.anatomy.head import draw_outer, pinna_parts, skull_parts
from meatus_phantom.anatomy.jaw_and_neck import jaw_parts, neck_parts
from meatus_phantom.anatomy.landmarks import draw_ears
from meatus_phantom.anatomy.orbit import orbit_parts
from meatus_phantom.anatomy.outlines import loft
from meatus_phantom.anatomy.posterior_fossa import cerebellum_parts, fourth_parts, stem_parts
from meatus_phantom.anatomy.waves import draw_waves
from meatus_phantom.parts import Box
from meatus_phantom.random_streams import stream
from meatus_phantom.shapes import ball
from meatus_phantom.tissues import Tissue

SEED, ATROPHY = 4, 0.5
CUBE = Box((-10.0, -10.0, -10.0), (10.0, 10.0, 10.0))


@cache
def cavity():
    return draw_cavity(SEED)


@cache
def outer():
    return draw_outer(SEED)


REGIONS = {
    "brainstem": (lambda s: stem_parts(s, ATROPHY), Tissue.PONS),
    "fourth ventricle": (lambda s: fourth_parts(s, ATROPHY), Tissue.CSF),
    "cerebellum": (lambda s: cerebellum_parts(s, ATROPHY, cavity()), Tissue.CEREBELLAR_CORTEX),
    "cerebrum": (lambda s: cerebrum_parts(s, ATROPHY, cavity()), Tissue.GREY),
    "sella": (sella_parts, Tissue.MUCOSA),
    "folds": (lambda s: fold_parts(s, cavity()), None),
    "sinuses": (lambda s: sinus_parts(s, cavity()), None),
    "temporal": (lambda s: temporal_parts(draw_ears(s)[0], s, 1), Tissue.AIR),
    "face": (lambda s: face_parts(s, outer()), Tissue.AIR),
    "jaw": (lambda s: jaw_parts(s, outer()), Tissue.MUSCLE),
    "neck": (lambda s: neck_parts(s, outer(), outer()), Tissue.MUSCLE),
    "nose": (lambda s: nose_parts(s, outer()), Tissue.AIR),
    "orbit": (lambda s: orbit_parts(s, outer()), Tissue.VITREOUS),
    "pinna": (pinna_parts, None),
    "skull": (lambda s: skull_parts(s, outer(), outer(), cavity()), Tissue.BONE),
}


@pytest.mark.parametrize("name", REGIONS)
def test_a_region_has_its_tissue_and_follows_from_the_seed(name):
    make, tissue = REGIONS[name]
    points = torch.tensor(np.random.default_rng(0).uniform(-60, 60, (3, 200)), dtype=torch.float32)

    parts, same = make(SEED), make(SEED)

    assert tissue is None or tissue in {part.tissue for part in parts}
    assert [part.tissue for part in parts] == [part.tissue for part in same]
    for part, twin in zip(parts, same, strict=True):
        found = part.distance(points)
        assert found.shape == (200,)
        assert torch.isfinite(found).all()
        assert torch.equal(found, twin.distance(points))


def test_a_lookup_grid_is_exact_for_a_linear_field():
    grid = tabulate(lambda p: torch.stack((p[0] + 2 * p[1], p[2])), CUBE, 5.0)
    points = torch.tensor([[1.0, -7.3], [2.5, 0.1], [-3.0, 9.9]])

    assert as_distance(grid, 0)(points).tolist() == pytest.approx([6.0, -7.1], abs=1e-4)
    assert as_distance(grid, 1)(points).tolist() == pytest.approx([-3.0, 9.9], abs=1e-4)


def test_a_shape_looked_up_ends_at_its_box():
    found = looked_up(lambda p: ball(p, (0.0, 0.0, 0.0), 50.0), CUBE, 1.0)

    assert found(torch.zeros(3, 1)).item() == pytest.approx(-50, abs=0.5)
    assert found(torch.tensor([[30.0], [0.0], [0.0]])).item() == pytest.approx(2.0)


def test_waves_have_no_mean_and_unit_spread():
    waves = draw_waves(stream(0, "waves"), 10.0, count=8)
    points = torch.tensor(np.random.default_rng(1).uniform(-500, 500, (3, 20000)))

    assert waves(points).mean().item() == pytest.approx(0, abs=0.05)
    assert waves(points).std().item() == pytest.approx(1, abs=0.05)


def test_a_loft_of_circles_is_a_cylinder():
    angles = np.linspace(0.01, np.pi - 0.01, 60)
    circle = tuple((20 * float(np.sin(a)), 20 * float(np.cos(a))) for a in angles)
    tube = loft([(z, circle) for z in (-30.0, 0.0, 30.0)], (0.0, 0.0, 0.0), stream(0, "loft"), 0.0)

    at = torch.tensor([[25.0, 0.0], [0.0, -15.0], [5.0, 5.0]])
    assert tube(at).tolist() == pytest.approx([5.0, -5.0], abs=0.1)
