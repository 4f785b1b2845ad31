"""What a scan shows, whatever is found in it: slices without anything, and which contrast."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy

from meatus.components import Mask, mask_of
from meatus.crop import TISSUE_SHARE
from meatus.geometry import Array, Geometry, axial, filled_box
from meatus.structures import TUMOUR, Structure
from meatus.volumes import Appearance, Labels, Scan

# Of what planes of the scan usually span, the median: a plane that spans less shows nothing. Even
# the noise of air spans 2 to 4 % of the bright end.
NOTHING = 0.01

# A scanner stores at least 8 bits; a label map of many structures has fewer values.
FEWEST_VALUES = 16
SAMPLED = 500_000  # voxels, about

# Of the brightness of fluid. Brain has 0.2 to 0.35 at the long echo times of hrT2 and in CISS, 0.5
# at the shortest (80 ms, T2 of 90 ms against 2 s); T1-weighted, or with suppressed fluid, more.
BRIGHTEST_TISSUE = 0.55
HEAVILY_WEIGHTED = 1 / 3

# Where values have run over and begun again at the other end, steps over most of the range are
# many, and values climb on towards them and beyond: at two in three of such steps, in 18 phantoms
# with a hundredth of the voxels run over. At a true edge they level out: climb at one in eight.
FAR = 0.75  # of the range
MOST_FAR_STEPS = 0.001  # of all; 0.0003 in phantoms that are cut off instead, 0.0026 and more here
MOST_CLIMBING = 0.4

# A tumour that has taken up contrast agent outshines nearly all that is about it. In hrT2 it lies
# in fluid, or beside it, and is darker, unless it is a cyst.
MOST_AROUND = 0.95
AROUND_MM = (1.0, 4.0)  # off its outline, where voxels are of one tissue

Shown = tuple[Mask, Mask, Mask]


def shown_planes(voxels: Array) -> Shown:
    """(Z,), (Y,), (X,): whether each plane of ``voxels`` across that axis shows anything.

    Padding, lost slices and painted-out halves hold one value, or next to it.
    """
    over_x = voxels.max(axis=2), voxels.min(axis=2)  # (Z, Y)
    spread = (
        over_x[0].max(axis=1) - over_x[1].min(axis=1),
        over_x[0].max(axis=0) - over_x[1].min(axis=0),
        voxels.max(axis=(0, 1)) - voxels.min(axis=(0, 1)),
    )
    z, y, x = (one > NOTHING * _usual(one) for one in spread)
    return z, y, x


def _usual(spread: Array) -> float:
    return float(np.median(spread[spread > 0])) if spread.any() else 0.0


def appearance_of(scan: Scan, labels: Labels, shown: Shown) -> Appearance:
    """What ``scan`` shows and where, and whether it looks like hrT2, given what was found in it."""
    stack = stack_axis(scan.geometry)
    empty = np.flatnonzero(~shown[stack]) + 1
    box = tuple(_extent(one) for one in shown)
    return Appearance(
        slices=int(shown[stack].size),
        empty_slices=tuple(int(number) for number in empty),
        shown=(box[0], box[1], box[2]),
        doubts=doubts(scan, labels),
    )


def stack_axis(geometry: Geometry) -> int:
    """The array axis (of Z, Y, X) along which slices were taken: that of the widest step.

    Where all steps are alike, that which runs most nearly from feet to head.
    """
    steps = np.array(geometry.spacing_mm[::-1])
    if np.ptp(steps) > 0.01 * steps.max():
        return int(np.argmax(steps))
    upwards = axial(geometry).axes[:, 2]
    return 2 - int(np.argmax(np.abs(geometry.axes.T @ upwards)))


def without_empty_planes(labels: Labels, shown: Shown) -> Labels:
    """``labels`` in the planes that are ``shown`` alone: where nothing is to be seen is nothing."""
    if all(one.all() for one in shown):
        return labels
    z, y, x = (one.astype(np.uint8) for one in shown)
    return replace(labels, voxels=labels.voxels * z[:, None, None] * y[:, None] * x)


def doubts(scan: Scan, labels: Labels) -> tuple[str, ...]:
    """Why ``scan`` does not look like hrT2: a sentence for each reason, none where it does.

    Fluid is what hrT2 is taken for. It is two to five times as bright as brain, and as or more so
    than fat: its T2 is twenty times as long. Where T1 weighs, where fluid is suppressed, or grey
    values are turned round, tissue lies nearer to the bright end.
    """
    sample = _sampled(scan.voxels)
    if (values := np.unique(sample).size) < FEWEST_VALUES:
        return (f"{values} grey values in all, as a label map has",)
    if share := _run_over(scan):
        return (f"{share:.1%} of steps between voxels span all greys, as after an overflow",)
    low, bright = (float(value) for value in np.percentile(sample, [1, 99]))
    cochlea = scan.voxels[labels.box][labels.voxels[labels.box] == Structure.COCHLEA]
    if cochlea.size:  # fluid too, and all there is of it in a narrow field
        bright = max(bright, float(np.median(cochlea)))
    tissue = sample[sample > low + TISSUE_SHARE * (bright - low)]
    if not tissue.size or bright <= low:
        return ()  # nothing to be seen; whoever looks for a head says so
    level = (float(np.median(tissue)) - low) / (bright - low)
    if level > BRIGHTEST_TISSUE:
        return (f"tissue has {level:.0%} of the brightness of fluid, usual is a half at most",)
    darker = _darker_around_tumour(scan, labels)
    if level > HEAVILY_WEIGHTED and darker is not None and darker > MOST_AROUND:
        return (f"the tumour is brighter than {darker:.0%} of what is around it, fluid too",)
    return ()


def _sampled(voxels: Array) -> Array:
    """A share of ``voxels`` that is enough for percentiles."""
    step = max(1, round((voxels.size / SAMPLED) ** (1 / 3)))
    return voxels[::step, ::step, ::step]


def _run_over(scan: Scan) -> float:
    """The share of steps in the slice that are far, where values ran over; else 0."""
    full_range = float(np.ptp(scan.voxels))
    far = climbing = steps = 0
    for plane in np.moveaxis(scan.voxels, stack_axis(scan.geometry), 0):
        for lines in (plane, plane.T):
            step = np.diff(lines, axis=0)
            here = step[1:-1]
            beyond = np.abs(here) > FAR * full_range
            steps += here.size
            if not beyond.any():  # as nearly everywhere in nearly every scan
                continue
            back = -np.sign(here[beyond])
            before, after = (np.sign(beside[beyond]) for beside in (step[:-2], step[2:]))
            far += back.size
            climbing += int(np.count_nonzero((before == back) & (after == back)))
    many = far > MOST_FAR_STEPS * steps and climbing > MOST_CLIMBING * far
    return far / steps if many else 0.0


def _darker_around_tumour(scan: Scan, labels: Labels) -> float | None:
    """Which share of what lies about the tumour is darker than it; None without a tumour."""
    tumour = mask_of(labels.voxels[labels.box], TUMOUR)
    if not tumour.any():
        return None
    reach = [int(np.ceil(AROUND_MM[1] / step)) for step in labels.geometry.spacing_mm[::-1]]
    wider = tuple(
        slice(max(whole.start + side.start - r, 0), whole.start + side.stop + r)
        for whole, side, r in zip(labels.box, filled_box(tumour), reach, strict=True)
    )
    near = mask_of(labels.voxels[wider], TUMOUR)
    distance_mm = scipy.ndimage.distance_transform_edt(
        ~near, sampling=labels.geometry.spacing_mm[::-1]
    )
    around = scan.voxels[wider][(distance_mm > AROUND_MM[0]) & (distance_mm <= AROUND_MM[1])]
    if not around.size:
        return None
    return float((around < np.median(scan.voxels[wider][near])).mean())


def _extent(shown: Mask) -> tuple[int, int]:
    """The first plane that shows something and one past the last; all where none does."""
    at = np.flatnonzero(shown)
    return (int(at[0]), int(at[-1]) + 1) if at.size else (0, shown.size)
