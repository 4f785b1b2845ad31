"""What a cohort will hold: every scan with its seeds and files, every patient's split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from meatus_phantom.acquisition.setup import Modality
from meatus_phantom.acquisition.sites import SITES
from meatus_phantom.anatomy.tumour.real import usable
from meatus_phantom.cohort.files import FOLDERS, Split, label_path, scan_path, tissue_path
from meatus_phantom.contours import Patient
from meatus_phantom.errors import PhantomError
from meatus_phantom.generate import Recipe
from meatus_phantom.random_streams import SEEDS, stream

TISSUE_MAPS = 4  # of each site and contrast, for phantom-check


@dataclass(frozen=True)
class CohortSettings:
    """What a cohort is made from; the same settings and patients give the same files."""

    source: int = 0
    target: int = 0
    validation: int = 0
    test: int = 0
    sites: tuple[str, ...] = tuple(SITES)
    seed: int = 0
    paired: bool = False
    random_share: float = Recipe().random_share  # of source and target scans
    stripped_share: float = 0.0  # of target scans: without a skull
    difficult_share: float = 0.0  # of target scans: small tumours, residues, both sides

    def count(self, split: Split) -> int:
        counts: dict[Split, int] = {
            "source": self.source,
            "target": self.target,
            "validation": self.validation,
            "test": self.test,
        }
        return counts[split]


@dataclass(frozen=True)
class ScanPlan:
    """One scan that is to be made, and where its files go (paths below the cohort's folder)."""

    split: Split
    number: int  # in the file's name; counts a site's subjects through all splits
    site: str
    modality: Modality
    subject_seed: int
    scan_seed: int
    paired: bool  # the subject's other contrast
    random: bool  # random class intensities instead of physics
    stripped: bool  # without a skull
    difficult: bool  # a tumour of those that are found last
    scan: str
    label: str
    tissues: str  # empty where no tissue map is kept


def plan_cohort(settings: CohortSettings) -> tuple[ScanPlan, ...]:
    """Every scan of a cohort. Sites take turns; seeds depend on split and place alone."""
    plans: list[ScanPlan] = []
    numbers = dict.fromkeys(settings.sites, 0)
    for split in FOLDERS:
        for place in range(settings.count(split)):
            site = settings.sites[place % len(settings.sites)]
            numbers[site] += 1
            turn = place // len(settings.sites)  # the site's own count within the split
            # Every so many scans, not by chance: small cohorts keep the shares, too.
            is_random = split in ("source", "target") and _is_due(settings.random_share, turn)
            is_stripped = split == "target" and _is_due(settings.stripped_share, turn, 0.25)
            own: Modality = "ceT1" if split == "source" else "hrT2"
            other: Modality = "hrT2" if split == "source" else "ceT1"
            is_difficult = split == "target" and _is_due(settings.difficult_share, turn, 0.5)
            plan = _plan(settings, split, place, numbers[site], own)
            plan = replace(plan, random=is_random, stripped=is_stripped, difficult=is_difficult)
            plans.append(plan)
            if settings.paired:
                plans.append(_plan(settings, split, place, numbers[site], other, paired=True))
    return _with_tissue_maps(plans)


def _plan(
    settings: CohortSettings,
    split: Split,
    place: int,
    number: int,
    modality: Modality,
    paired: bool = False,
) -> ScanPlan:
    site = settings.sites[place % len(settings.sites)]
    subject = stream(settings.seed, "subject", split, place)
    scan = stream(settings.seed, "scan", split, place, modality)
    return ScanPlan(
        split=split,
        number=number,
        site=site,
        modality=modality,
        subject_seed=int(subject.integers(SEEDS)),
        scan_seed=int(scan.integers(SEEDS)),
        paired=paired,
        random=False,
        stripped=False,
        difficult=False,
        scan=scan_path(split, site, number, modality, paired),
        label=label_path(split, site, number, paired),
        tissues="",
    )


def _is_due(share: float, turn: int, phase: float = 0.0) -> bool:
    """Whether the scan ``turn`` is one of every so many.

    With ``phase`` others are: else all heads without a skull would have random intensities.
    """
    return int((turn + 1) * share + phase) > int(turn * share + phase)


def _with_tissue_maps(plans: Sequence[ScanPlan]) -> tuple[ScanPlan, ...]:
    """Keep the tissues of the first physical whole heads of each site and contrast."""
    kept: dict[tuple[str, str], int] = {}
    result = []
    for plan in plans:
        key = (plan.site, plan.modality)
        if not (plan.random or plan.stripped) and kept.get(key, 0) < TISSUE_MAPS:
            kept[key] = kept.get(key, 0) + 1
            plan = replace(plan, tissues=tissue_path(plan.site, plan.number, plan.modality))
        result.append(plan)
    return tuple(result)


def share_patients(
    patients: Sequence[Patient], settings: CohortSettings
) -> dict[Split, tuple[Patient, ...]]:
    """Each patient to one split, in proportion to the splits' sizes; the same for a seed.

    Those whose tumour cannot be placed for want of a cochlea are left out.
    """
    found = sorted((p for p in patients if usable(p)), key=lambda patient: patient.subject)
    if patients and not found:
        raise PhantomError(
            f"none of {len(patients)} patients has a cochlea beside the tumour; expected contours "
            "of both. Pass another --contours folder, or none."
        )
    order = stream(settings.seed, "patients").permutation(len(found))
    total = sum(settings.count(split) for split in FOLDERS)
    shares: dict[Split, tuple[Patient, ...]] = {}
    start, counted = 0, 0
    for split in FOLDERS:
        counted += settings.count(split)
        stop = round(len(found) * counted / total) if total else 0
        shares[split] = tuple(found[int(n)] for n in order[start:stop])
        start = stop
    return shares
