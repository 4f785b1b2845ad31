"""What was found in a case, in a few words: for a line of the terminal and a row of a page."""

from __future__ import annotations

import re

from meatus.report.measure import Measures, Volumes

MM3_IN_CM3 = 1000
LEAST_CM3 = 0.005  # what two decimals would show as none


def found_line(found: Measures) -> str:
    """``VS left 0.31 + 0.05 cm3, cochleae 2, check: uncertain outline``.

    The volumes are those of the extra- and of the intra-meatal part; sides are the patient's.
    """
    parts = [tumour_words(found), f"cochleae {found.cochleas}"]
    if found.flags:
        parts.append(f"check: {', '.join(short_flag(flag) for flag in found.flags)}")
    return ", ".join(parts)


def tumour_words(found: Measures) -> str:
    """Side and volumes of the tumour, or that there is none."""
    sides = {"right": found.right, "left": found.left}
    told = [f"{side} {_parts(volumes)}" for side, volumes in sides.items() if volumes.whole_vs_mm3]
    return f"VS {', '.join(told)} cm3" if told else "no VS"


def short_flag(flag: str) -> str:
    """The words of a flag that are always the same, without its numbers."""
    return re.split(r":|, yet ", flag, maxsplit=1)[0]


def _parts(volumes: Volumes) -> str:
    return f"{cm3(volumes.extra_meatal_mm3)} + {cm3(volumes.intra_meatal_mm3)}"


def cm3(volume_mm3: float) -> str:
    """Two decimals; three where a small volume would read like none."""
    volume = volume_mm3 / MM3_IN_CM3
    return f"{volume:.3f}" if 0 < volume < LEAST_CM3 else f"{volume:.2f}"
