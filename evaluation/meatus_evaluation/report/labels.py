"""What structures, sites and terms are called in tables and in the report."""

from __future__ import annotations

from collections.abc import Sequence

from meatus_evaluation.scoring.measures import MEASURES
from meatus_evaluation.scoring.score import CaseScore
from meatus_evaluation.scoring.summary import BOUNDARY, OVERALL

STRUCTURES = {
    "extra_meatal": "extra-meatal VS",
    "intra_meatal": "intra-meatal VS",
    "whole_vs": "whole VS",
    "cochlea": "cochlea",
    BOUNDARY: "boundary",
}


SHORT_STRUCTURES = {
    "extra_meatal": "extra-meatal",
    "intra_meatal": "intra-meatal",
    "whole_vs": "whole VS",
    "cochlea": "cochlea",
    BOUNDARY: "boundary",
}

# Beside those of the measures; the whole is in docs/evaluation.md.
OTHER_DEFINITIONS = {
    "Boundary": "ASSD between the predicted and the true border of intra- and extra-meatal part.",
    "Found, missed": "the reference has the structure, and the result shares a voxel with it, or "
    "none. False positive: the reference lacks it. Absent: both lack it.",
    "False positives, false parts": "connected parts of the result that share no voxel with the "
    "reference.",
    "Empty masks": "where one mask is empty, Dice is 0 and distances are 350 mm, as in the "
    "challenge; where both are, Dice is 1 and distances are 0.",
    "Failures": "cases without a usable result. They count as empty results, also for structures "
    "that the reference lacks.",
    "95 % of the mean": "bootstrap interval of the mean over cases, percentile method, 2000 "
    "resamples.",
    "Box plots": "quartiles and median; whiskers to the furthest value within 1.5 interquartile "
    "ranges of the box; further values are dots, and those beyond the scale are counted at its "
    "end.",
}


def definitions() -> dict[str, str]:
    """Of the measures first, then of all else in the report."""
    told = [one for one in MEASURES.values() if one.definition]
    of_measures = {one.title[0].upper() + one.title[1:]: one.definition for one in told}
    return of_measures | OTHER_DEFINITIONS


def group_name(group: str) -> str:
    """Of a site, or of all of them together."""
    return "all sites" if group == OVERALL else group


def counted(number: int, one: str, more: str = "") -> str:
    """``2 cases``"""
    return f"{number} {one if number == 1 else more or one + 's'}"


def shortcomings(scores: Sequence[CaseScore]) -> list[str]:
    """``1 failure``, ``2 tumours missed``: what must stand above every mean; empty: none."""
    usable = [entry for entry in scores if entry.failure is None]
    missed, invented = (
        {
            name: sum(entry.structures[name].outcome == outcome for entry in usable)
            for name in ("whole_vs", "cochlea")
        }
        for outcome in ("missed", "false positive")
    )
    told = {
        "failure": len(scores) - len(usable),
        "tumour missed": missed["whole_vs"],
        "tumour where there is none": invented["whole_vs"],
        "scan without its cochleas": missed["cochlea"],
    }
    more = {
        "tumour missed": "tumours missed",
        "tumour where there is none": "tumours where there is none",
        "scan without its cochleas": "scans without their cochleas",
    }
    return [counted(number, what, more.get(what, "")) for what, number in told.items() if number]
