"""The ear beside real contours: how far tumours reach into the canal, and how near the cochlea.

Where a real tumour ends, the canal does not end before; of tumours that reach beyond the
cochlea's middle the farthest tell where the fundus lies.
"""

import numpy as np
import pytest
import torch
from scipy import ndimage

from meatus.geometry import Geometry
from meatus_phantom.anatomy.ear.canal import canal_distance
from meatus_phantom.anatomy.ear.labyrinth import cochlea_marked
from meatus_phantom.anatomy.landmarks import draw_ears
from meatus_phantom.contours import contour_files, read_contours
from meatus_phantom.contours.shape import rasterise
from tests.shared_files import shared

STEP_MM, EXTENT = 0.5, 70
SEEDS = range(40)


def reach_and_gap_mm(patient):
    """How far a tumour reaches beyond the cochlea's middle, and its distance from the cochlea."""
    centre = np.array(patient.cochlea.centre_mm)
    corner = centre - STEP_MM * EXTENT / 2
    x, y, z = (float(v) for v in corner)
    grid = Geometry((EXTENT,) * 3, (STEP_MM,) * 3, (x, y, z))
    tumour, cochlea = (rasterise(c, grid) for c in (patient.tumour, patient.cochlea))
    if not tumour.any() or not cochlea.any():
        return None
    outward = np.sign(centre[0] - patient.tumour.centre_mm[0])
    middle = np.argwhere(cochlea).mean(axis=0)[2]
    reach = (outward * (np.argwhere(tumour)[:, 2] - middle)).max() * STEP_MM
    apart = ndimage.distance_transform_edt(~tumour, STEP_MM)[cochlea].min() - STEP_MM
    return float(reach), float(apart)


@pytest.fixture(scope="module")
def real():
    files = contour_files(shared("data/vs-contours") / "contours")[::2]  # to be quick
    patients = [patient for patient in map(read_contours, files) if patient.cochlea]
    return np.array([found for found in map(reach_and_gap_mm, patients) if found])


def test_the_canal_reaches_as_far_beside_the_cochlea_as_real_tumours_do(real):
    ears = [ear.as_left() for seed in SEEDS for ear in draw_ears(seed)]
    fundus = [ear.fundus[0] - ear.cochlea_centre[0] for ear in ears]

    # Nine tumours in ten end before it: some grow into the facial nerve's own canal.
    assert np.median(fundus) == pytest.approx(np.quantile(real[:, 0], 0.75), abs=0.7)
    assert np.quantile(fundus, 0.9) == pytest.approx(np.quantile(real[:, 0], 0.9), abs=0.7)


def test_the_canal_comes_as_near_the_cochlea_as_real_tumours_do(real):
    gaps = []
    for ear in (ear for seed in SEEDS for ear in draw_ears(seed)):
        steps = torch.arange(-6, 6.01, 0.3)
        around = torch.stack(torch.meshgrid(steps, steps, steps, indexing="ij"))
        points = around + torch.tensor(ear.cochlea_centre)[:, None, None, None]
        inside = cochlea_marked(ear).distance(points) < 0
        gaps.append(float(canal_distance(ear)(points)[inside].min()))

    deep = real[real[:, 0] > -0.5, 1]
    assert len(deep) > 15
    assert np.median(gaps) == pytest.approx(np.median(deep), abs=0.3)
    assert np.quantile(gaps, 0.1) > -0.2
