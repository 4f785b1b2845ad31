"""The part of the checklist that needs each voxel's tissue: contrast, noise, edges, spectrum."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from meatus.io.images import read_scan
from meatus_phantom.cohort.files import Row
from meatus_phantom.validate import expected as ex
from meatus_phantom.validate.expected import Check
from meatus_phantom.validate.image_quality import Noise, edge_width, noise, spectrum_slope
from meatus_phantom.validate.measures import Known, brightness


@dataclass(frozen=True)
class ScanMeasures:
    """One scan with known tissues in numbers."""

    site: str
    modality: str
    sequence: str
    levels: dict[str, float]  # median intensity inside each group of tissues
    noise: Noise | None
    edge_voxels: float | None
    slope: float


def measure_scan(out: Path, row: Row) -> ScanMeasures:
    """Measure the scan of ``row``, whose tissue map must be there."""
    scan = read_scan(out / row["scan"])
    tissues = read_scan(out / row["tissues"])
    known = Known(scan.voxels, tissues.voxels.astype(np.uint8), scan.geometry, row)
    return ScanMeasures(
        site=row["site"],
        modality=row["modality"],
        sequence=row.get("sequence", ""),
        levels=brightness(known),
        noise=None if float(row.get("effect_wrap_voxels", "0")) else noise(known),
        edge_voxels=edge_width(known),
        slope=spectrum_slope(scan.voxels, scan.geometry.spacing_mm[:2]),
    )


def check_scans(scans: Sequence[ScanMeasures]) -> list[Check]:
    checks = check_contrasts(scans)
    for modality in ("hrT2", "ceT1"):
        here = [scan for scan in scans if scan.modality == modality]
        checks += check_noise(here, modality)
        checks.append(
            _median(
                here,
                f"{modality} edge width, acquired voxels",
                _edge,
                ex.EDGE_VOXELS,
                ex.EDGE_SPREAD,
            )
        )
        slopes = [scan.slope for scan in here]
        allowed = ex.by_chance_added(ex.SLOPE, ex.SLOPE_SD, len(slopes))
        middle = float(np.median(slopes)) if slopes else None
        checks.append(
            Check(f"{modality} slope of the power spectrum", middle, ex.SLOPE, allowed, len(slopes))
        )
    return checks


def check_contrasts(scans: Sequence[ScanMeasures]) -> list[Check]:
    """Tissue over CSF (hrT2) or brain (ceT1), per site, against what was measured on real scans."""
    checks = []
    for (site, modality), tissues in ex.CONTRASTS.items():
        sequence = ex.MEASURED_SEQUENCE.get((site, modality))
        here = [
            scan
            for scan in scans
            if (scan.site, scan.modality) == (site, modality) and sequence in (None, scan.sequence)
        ]
        if not any((scan.site, scan.modality) == (site, modality) for scan in scans):
            continue
        reference = "CSF" if modality == "hrT2" else "brain"
        for tissue, measured in tissues.items():
            wanted = ex.tolerant(measured, ex.RATIO_TOLERANCE)

            def ratio(
                scan: ScanMeasures, tissue: str = tissue, below: str = reference
            ) -> float | None:
                shown = tissue in scan.levels and scan.levels.get(below, 0) > 0
                return scan.levels[tissue] / scan.levels[below] if shown else None

            name = f"{site} {modality} {tissue} / {reference}"
            checks.append(_median(here, name, ratio, wanted, ex.RATIO_SPREAD))
    return checks


def check_noise(scans: Sequence[ScanMeasures], modality: str) -> list[Check]:
    """Rayleigh noise in air, the same noise in CSF, and its strength."""
    air = f"{modality} air, mean / SD"
    checks = [_median(scans, air, _air, ex.RAYLEIGH, ex.RAYLEIGH_SPREAD)]
    if modality == "hrT2":
        name, of, wanted, spread = "CSF", _mottle, ex.CSF_MOTTLE, ex.CSF_MOTTLE_SPREAD
    else:
        name, of, wanted, spread = "noise", _flatness, ex.CSF_NOISE, ex.CSF_NOISE_SPREAD
    checks.append(_median(scans, f"{modality} SD in CSF / {name}", of, wanted, spread))
    for (kind, tissue), wanted in ex.SNR.items():
        if kind == modality:

            def strength(scan: ScanMeasures, tissue: str = tissue) -> float | None:
                seen = scan.noise is not None and tissue in scan.levels
                return scan.levels[tissue] / scan.noise.sd if scan.noise and seen else None

            checks.append(
                _median(scans, f"{modality} {tissue} / noise", strength, wanted, ex.SNR_SPREAD)
            )
    return checks


def _edge(scan: ScanMeasures) -> float | None:
    return scan.edge_voxels


def _air(scan: ScanMeasures) -> float | None:
    return scan.noise.air_ratio if scan.noise else None


def _flatness(scan: ScanMeasures) -> float | None:
    return scan.noise.csf_ratio if scan.noise else None


def _mottle(scan: ScanMeasures) -> float | None:
    sd = scan.noise.csf_sd if scan.noise else None
    return sd / scan.levels["CSF"] if sd is not None and "CSF" in scan.levels else None


def _median(
    scans: Sequence[ScanMeasures],
    name: str,
    of: Callable[[ScanMeasures], float | None],
    wanted: ex.Range,
    spread: float,
) -> Check:
    values = [value for scan in scans if (value := of(scan)) is not None]
    middle = float(np.median(values)) if values else None
    return Check(name, middle, wanted, ex.by_chance(wanted, spread, len(values)), len(values))
