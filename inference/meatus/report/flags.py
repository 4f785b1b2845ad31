"""What a reader should look at twice: one small rule per sentence.

A rule takes what it judges and gives its sentence, or None where all is as usual. A sentence
starts with words that stay the same, so that a table can be searched for them.
"""

from __future__ import annotations

import itertools
import math

from meatus.anatomy import (
    COCHLEAS_APART_USUAL_MM,
    EARS_TURNED_DEG,
    FAR_FROM_EAR_MM,
    SMALLEST_TUMOUR_MM3,
)

# crossMoDA 2023's 227 labelled scans have 0.35 to 0.86 mm in-plane, 0.78 to 3.5 mm between
# slices and at least 11 slices; the limits are rounded outwards.
USUAL_IN_PLANE_MM = (0.3, 1.0)
USUAL_SLICES_MM = (0.5, 3.5)
FEWEST_SLICES = 11

# The share of its votes that the published code asks of a label.
LOW_CONFIDENCE = 0.7

# Chosen on validation phantoms (docs/weights.md): most tumours found with a Dice below 0.7 lie
# below it, few others do.
USUAL_EXPECTED_DICE = 0.85


def misplaced(misplaced_mm3: float, *, kept: bool) -> str | None:
    """``misplaced_mm3`` of what looks like a tumour, and was ``kept`` as one or left out."""
    if not misplaced_mm3:
        return None
    what = "tumour where no ear can be" if kept else "left out as no ear can be there"
    return f"{what}: {misplaced_mm3:.0f} mm3"


def passed_over(passed_over_mm3: float) -> str | None:
    """What reaches into the meatus is the tumour, however small: as a rule, but not always."""
    if not passed_over_mm3:
        return None
    return f"left out though larger, with less in the meatus: {passed_over_mm3:.0f} mm3"


RUNS_SHOWN = 5  # of slices, in a sentence


def not_hrt2(doubts: tuple[str, ...]) -> str | None:
    """What was found in another contrast than the network learnt on may be anything."""
    return f"does not look like hrT2: {', '.join(doubts)}" if doubts else None


def empty_slices(empty: tuple[int, ...], slices: int) -> str | None:
    """Slices count from 1. What lies in those that show nothing cannot be found."""
    if not empty:
        return None
    # Numbers that follow on one another differ from their place in the list by the same.
    runs = [
        [number for _, number in run]
        for _, run in itertools.groupby(enumerate(empty), lambda pair: pair[1] - pair[0])
    ]
    told = [f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs]
    more = f" and {len(told) - RUNS_SHOWN} more places" if len(told) > RUNS_SHOWN else ""
    return f"{len(empty)} of {slices} slices show nothing: {', '.join(told[:RUNS_SHOWN])}{more}"


def no_tumour(tumour_mm3: float, elsewhere_mm3: float | None) -> str | None:
    """Who is scanned so is suspected of one, so that missing it must never pass unsaid."""
    if tumour_mm3:
        return None
    if elsewhere_mm3 is None or elsewhere_mm3 < SMALLEST_TUMOUR_MM3:
        return "no tumour found"
    return f"no tumour found, yet {elsewhere_mm3:.0f} mm3 may be some"


def no_part_in_meatus(tumour_mm3: float, intra_meatal_mm3: float) -> str | None:
    """Of 227 labelled tumours one has no part in the canal."""
    if tumour_mm3 and not intra_meatal_mm3:
        return "tumour without a part in the meatus"
    return None


def both_sides(tumour_side: str) -> str | None:
    """One patient in twenty has a tumour by each ear (NF2): more often the second is none."""
    return "tumours on both sides" if tumour_side == "both" else None


def missing_cochlea(cochleas: int) -> str | None:
    """Everyone has two, and all of the 227 label maps have at least one."""
    return {0: "no cochlea found", 1: "one cochlea found"}.get(cochleas)


def cochleas_apart(distance_mm: float | None) -> str | None:
    low, high = COCHLEAS_APART_USUAL_MM
    if distance_mm is None or low <= distance_mm <= high:
        return None
    nearness = "near" if distance_mm < low else "far"
    return f"cochleas too {nearness}: {distance_mm:.0f} mm apart, usual are {low:.0f} to {high:.0f}"


def cochleas_turned(angle_deg: float | None) -> str | None:
    """One far in front of or above the other: a head so turned is rare, a false cochlea is not."""
    if angle_deg is None or angle_deg <= EARS_TURNED_DEG:
        return None
    return (
        f"cochleas not side by side: their line is turned by {angle_deg:.0f} degrees, usual are up "
        f"to {EARS_TURNED_DEG:.0f}"
    )


def tumour_far_from_ear(gap_mm: float | None) -> str | None:
    if gap_mm is None or gap_mm <= FAR_FROM_EAR_MM:
        return None
    return f"tumour far from the ear: {gap_mm:.0f} mm from the cochlea of its side"


def at_border(structures: tuple[str, ...]) -> str | None:
    """A structure that the scan cuts off is larger than it measures."""
    if not structures:
        return None
    names = ", ".join(name.replace("_", "-") for name in structures)
    return f"structure at the border of the scan: {names}"


def unusual_spacing(spacing_mm: tuple[float, float, float]) -> str | None:
    """``spacing_mm`` (x, y, z) of the axial view."""
    x, y, z = spacing_mm
    (fine, coarse), (thin, thick) = USUAL_IN_PLANE_MM, USUAL_SLICES_MM
    if fine <= min(x, y) and max(x, y) <= coarse and thin <= z <= thick:
        return None
    return (
        f"unusual spacing: {x:.2f} x {y:.2f} mm in the slice and {z:.2f} mm between slices, "
        f"usual are {fine} to {coarse} mm and {thin} to {thick} mm"
    )


def few_slices(slices: int) -> str | None:
    """``slices`` of the axial view."""
    if slices >= FEWEST_SLICES:
        return None
    return f"few slices: {slices}, usual are {FEWEST_SLICES} or more"


def low_confidence(confidence: float | None) -> str | None:
    if confidence is None or confidence >= LOW_CONFIDENCE:
        return None
    return f"low confidence: {_below(confidence)}, usual is {LOW_CONFIDENCE} or more"


def uncertain_outline(expected_dice: float | None) -> str | None:
    """``expected_dice`` of the whole tumour, by the network's own probabilities."""
    if expected_dice is None or expected_dice >= USUAL_EXPECTED_DICE:
        return None
    return (
        f"uncertain outline: expected Dice {_below(expected_dice)}, "
        f"usual is {USUAL_EXPECTED_DICE} or more"
    )


def _below(share: float) -> str:
    """To the hundredth below, so that what lies under a limit never reads like it."""
    return f"{math.floor(share * 100) / 100:.2f}"
