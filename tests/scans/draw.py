"""Draws the stored scans anew: two procedural phantoms on grids small enough for a repository.

``python -m tests.scans.draw``; the README beside this file says what it leaves, and when to use it.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from meatus_phantom.cohort_files import volume_bytes
from meatus_phantom.sites import SITES, draw_setup

from meatus_phantom.acquisition.sites import Grids
from meatus_phantom.generate import Recipe, render_case
from meatus_phantom.subject import draw_subject

HERE = Path(__file__).resolve().parent
GRIDS = Grids(matrices=((0.7, 256),), slices_mm=(1.5,), slab_mm=(36, 36))  # 256 x 256 x 24
BRIGHT = (
    200  # the grey value of fluid, of which every STEP is kept: noise would only fill the files
)
STEP = 4


@dataclass(frozen=True)
class Stored:
    """A scan by name: the seeds of its subject and of its scanner, and the site."""

    name: str
    subject_seed: int
    scan_seed: int
    site: str


STORED = (Stored("large", 17, 17, "ldn"), Stored("small", 18, 18, "etz"))


def draw(stored: Stored) -> None:
    """Write the scan and its truth."""
    site = SITES[stored.site]
    site = replace(site, hr_t2=replace(site.hr_t2, grids=GRIDS))
    recipe = Recipe(random_share=0.0)
    subject = draw_subject(stored.subject_seed, recipe.mix_of(stored.subject_seed))
    setup = draw_setup(site, "hrT2", stored.scan_seed)
    case = render_case(subject, setup, stored.scan_seed, recipe)
    share = BRIGHT / np.percentile(case.voxels, 99.5)
    voxels = np.rint(case.voxels * share).astype(np.int16) // STEP
    for folder, ending, values in (("hrT2", "T2", voxels), ("truth", "Label", case.labels)):
        file = HERE / folder / f"{stored.name}_{ending}.nii.gz"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(volume_bytes(values, case.geometry))


if __name__ == "__main__":
    for one in STORED:
        draw(one)
