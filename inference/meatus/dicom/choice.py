"""Which series of a study is the hrT2: by its tags and its geometry, with the reason."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from meatus.dicom.stacks import Stack
from meatus.io.checks import FEWEST_SLICES
from meatus.report.flags import USUAL_SLICES_MM

# Names of other contrasts come first: "T2 FLAIR" and "T1 SPACE" are none of ours. Words as they
# stand in protocols of the four large makers.
NOT_T2 = re.compile(
    r"flair|dark.?fluid|t1|mp-?rage|bravo|vibe|thrive|lava|stir|dwi|diff|adc|dti|swi|swan|venbold"
    r"|tof|angio|mra\b|mrv\b|hemo|perf|asl\b|bold|fmri|t2\s*\*|t2.?star|field.?map|medic\b|merge\b"
)
T2 = re.compile(
    r"t2|ciss|fiesta|space|drive|cube|vista|b-?ffe|b-?tfe|trufi|true.?fisp|bssfp|isovox"
)
EARS = re.compile(r"\b(?:iac|iam|ciss|fiesta|drive|cpa|kha|ears?|inner.?ear|innenohr|hr.?t2)")
ELSEWHERE = re.compile(
    r"spine|lumb|cerv|neck|knee|shoulder|\bhip\b|liver|abdo|pelvi|chest|heart|breast"
)
HEAD = re.compile(r"head|brain|skull|iac|iam|ear|orbit|pituitar|temporal|\Z")
RENDERED = {"MIP", "MINIP", "PROJECTION IMAGE", "MPR THICK", "ADC", "FA", "MAP", "SUBTRACTION"}

# Spin echo: T2 weighting has both long; below, T1 (Bushberg, The Essential Physics of MRI).
LONG_TE_MS, LONG_TR_MS = 60.0, 1500.0
SHORT_TE_MS, SHORT_TR_MS = 40.0, 1200.0
FLUID_TI_MS, FAT_TI_MS = 1500.0, 90.0  # inversion that nulls fluid, or fat

COARSEST_PIXEL_MM = 1.2
THICKEST_MM = USUAL_SLICES_MM[1]
NARROWEST_MM = 60.0  # from left to right: cochleae lie some 75 mm apart, one ear is not enough
LOWEST_MM = 8.0  # from bottom to top: less cannot hold a canal with its slices


@dataclass(frozen=True)
class Verdict:
    """What is held of one stack as the hrT2."""

    stack: Stack
    grade: int  # 0 not hrT2; 1 weighting not stated; 2 T2 by name or times; 3 by both
    reason: str

    @property
    def rank(self) -> tuple[float, ...]:
        """Larger is better: surely T2, originals, without agent, named for ears, fine voxels."""
        traits = self.stack.traits
        return (
            self.grade,
            "DERIVED" not in traits.image_type,
            not traits.agent,
            bool(EARS.search(traits.name)),
            -round(math.prod(self.stack.spacing_mm), 3),
            len(self.stack.planes),
            -(traits.number or 0),
        )


def judge(stack: Stack) -> Verdict:
    """Whether ``stack`` looks like an hrT2 scan of both ears, and by what."""
    fault = _no_image_of_a_head(stack) or _no_volume(stack)
    if fault:
        return Verdict(stack, 0, fault)
    grade, weighting = _weighting(stack)
    if not grade:
        return Verdict(stack, 0, weighting)
    fault = _no_fine_field(stack)
    if fault:
        return Verdict(stack, 0, f"{weighting}, but {fault}")
    return Verdict(stack, grade, f"{weighting}, {described(stack)}")


def best(verdicts: Sequence[Verdict]) -> Verdict | None:
    """The one to label, or None where none looks like an hrT2."""
    found = [verdict for verdict in verdicts if verdict.grade]
    return max(found, key=lambda verdict: verdict.rank) if found else None


def described(stack: Stack) -> str:
    """Number and size of slices, pixels, field."""
    x, y, step = stack.spacing_mm
    kind = f"{stack.traits.acquisition}, " if stack.traits.acquisition else ""
    field = " x ".join(f"{extent:.0f}" for extent in stack.field_mm)
    return (
        f"{kind}{len(stack.planes)} slices of {step:.2f} mm, pixels of {x:.2f} x {y:.2f} mm, "
        f"field of {field} mm"
    )


def _no_image_of_a_head(stack: Stack) -> str:
    traits = stack.traits
    if traits.modality != "MR":
        return f"modality {traits.modality or 'not stated'}, not MR"
    if traits.samples != 1:
        return "colour images"
    if "LOCALIZER" in traits.image_type or "localizer" in traits.name or "scout" in traits.name:
        return "localiser"
    rendered = RENDERED & set(traits.image_type)
    if rendered:
        return f"computed images ({', '.join(sorted(rendered))})"
    if stack.planes and stack.planes[0].component in ("P", "R", "I"):
        return "phase, real or imaginary images"
    if not HEAD.match(traits.body_part) or ELSEWHERE.search(traits.name):
        return "another part of the body"
    return ""


def _no_volume(stack: Stack) -> str:
    if len(stack.planes) < FEWEST_SLICES:
        return f"{len(stack.planes)} parallel image(s), a localiser or a single one"
    return ""


def _weighting(stack: Stack) -> tuple[int, str]:
    """A grade, and what it comes from."""
    traits, te, tr = stack.traits, stack.te_ms, stack.traits.tr_ms
    ti, contrast = traits.ti_ms, traits.contrast.upper()
    if contrast and contrast not in ("T2", "UNKNOWN", "MIXED", "STEADY_STATE"):
        return 0, f"contrast {contrast}"
    other = NOT_T2.search(traits.name)
    if other:
        return 0, f"not T2-weighted by its name ('{other[0]}')"
    if traits.b_value or "EP" in traits.sequence:
        return 0, "diffusion or echo-planar images"
    if ti and ("IR" in traits.sequence or ti >= FAT_TI_MS):
        return 0, f"inversion recovery (TI {ti:.0f} ms)" if ti < FLUID_TI_MS else "fluid nulled"
    spin = "GR" not in traits.sequence
    if te is not None and tr is not None and spin and te < SHORT_TE_MS and tr < SHORT_TR_MS:
        return 0, f"T1-weighted (TE {te:.0f}, TR {tr:.0f} ms)"
    times = te is not None and te >= LONG_TE_MS and (tr is None or tr >= LONG_TR_MS) and spin
    steady = "GR" in traits.sequence and "SS" in traits.variant and "SP" not in traits.variant
    named = bool(T2.search(traits.name)) or contrast == "T2"
    if not spin and not steady and not named:
        return 0, "gradient echo without T2 in its name"
    grade = 1 + named + (times or steady)
    if grade == 1:
        return 1, "weighting not stated" if te is None else f"weighting not sure (TE {te:.0f} ms)"
    told = f"TE {te:.0f} ms" if times else "balanced steady state" if steady else "by its name"
    return grade, f"T2-weighted ({told})"


def _no_fine_field(stack: Stack) -> str:
    x, y, step = stack.spacing_mm
    wide, _, high = stack.field_mm
    if max(x, y) > COARSEST_PIXEL_MM:
        return f"pixels of {max(x, y):.2f} mm, hrT2 has up to {COARSEST_PIXEL_MM}"
    if step > THICKEST_MM:
        return f"slices {step:.1f} mm apart, hrT2 has up to {THICKEST_MM}"
    if wide < NARROWEST_MM:
        return f"a field of {wide:.0f} mm from left to right, which cannot hold both ears"
    if high < LOWEST_MM:
        return f"a field of {high:.0f} mm from bottom to top"
    return ""
