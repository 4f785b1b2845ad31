"""The checklist of a cohort: what its files measure against what scans and tables say.

Some scans are made once more: the same seed must give the same files.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from scipy.stats import binomtest

from meatus.errors import InferenceError
from meatus.io.images import read_scan
from meatus_phantom.cohort.files import FOLDERS, Row, read_settings, read_table, sha256
from meatus_phantom.cohort.make import Maker, Writer, identity_of
from meatus_phantom.cohort.plan import CohortSettings, plan_cohort, share_patients
from meatus_phantom.contours import Patient
from meatus_phantom.errors import PhantomError
from meatus_phantom.generate import make_case
from meatus_phantom.validate import expected as ex
from meatus_phantom.validate.expected import Check
from meatus_phantom.validate.measures import LabelMeasures, measure_labels
from meatus_phantom.validate.scan_checks import check_scans, measure_scan


@dataclass(frozen=True)
class Case:
    """One scan of a cohort: its row, its labels in numbers, and what is wrong with its files."""

    row: Row
    labels: LabelMeasures | None  # none where the file is missing or broken
    faults: tuple[str, ...]


def check_cohort(
    out: Path, workers: int = 1, told: Callable[[str], None] = lambda line: None
) -> list[Check]:
    """All checks of the cohort in ``out``. Raises ``PhantomError`` where there is none."""
    rows = read_table(out)
    with ThreadPoolExecutor(workers) as pool:
        cases = list(pool.map(lambda row: examine(out, row), rows))
        told(f"{len(cases)} scans: files and labels read")
        for fault in (fault for case in cases for fault in case.faults):
            told(fault)
        known = [c for c in cases if c.row["tissues"] and c.row.get("appearance") != "random"]
        whole = [c.row for c in known if not c.faults]
        scans = list(pool.map(lambda row: measure_scan(out, row), whole))
        told(f"{len(scans)} scans with known tissues measured")
    heads = [case.labels for case in cases if case.labels and _is_head(case.row)]
    return [
        *check_files(out, cases),
        *check_volumes(heads),
        *check_tumours(heads),
        *check_koos(cases),
        *check_scans(scans),
    ]


def _is_head(row: Row) -> bool:
    """Whether the labels of ``row`` are a whole head's of the usual mix, not met before."""
    unusual = "True" in (row.get("stripped"), row.get("difficult"))
    return row["paired"] == "False" and not unusual


def examine(out: Path, row: Row) -> Case:
    """Read the labels of ``row`` and look at its files."""
    kinds = [kind for kind in ("scan", "label", "tissues") if row[kind]]
    faults = [
        f"{row[kind]}: missing or changed"
        for kind in kinds
        if not (found := sha256(out / row[kind])) or found != row.get(f"{kind}_sha256")
    ]
    if faults:
        return Case(row, None, tuple(faults))
    faults += [
        f"{row[kind]}: {fault}" for kind in kinds for fault in header_faults(out / row[kind], kind)
    ]
    try:
        labels = read_scan(out / row["label"])
        if nib.load(out / row["scan"]).shape != labels.geometry.size:
            faults.append(f"{row['scan']}: another grid than its labels")
    except (InferenceError, ImageFileError) as error:
        return Case(row, None, (*faults, str(error)))
    found_labels = measure_labels(labels.voxels.astype(np.uint8), labels.geometry)
    if found_labels.stray:
        faults.append(f"{row['label']}: {found_labels.stray} voxels of no class")
    return Case(row, found_labels, tuple(faults))


def header_faults(path: Path, kind: str) -> list[str]:
    """What a NIfTI header says otherwise than the challenge's."""
    try:
        header = nib.load(path).header
    except (ImageFileError, OSError, EOFError) as error:
        return [f"not a NIfTI file ({error})"]
    wanted = np.int16 if kind == "scan" else np.uint8
    faults = []
    if header.get_data_dtype() != wanted:
        faults.append(f"holds {header.get_data_dtype()}, not {np.dtype(wanted)}")
    if (int(header["sform_code"]), int(header["qform_code"])) != (1, 1):
        faults.append("sform and qform codes are not 1")
    return faults


def check_files(out: Path, cases: Sequence[Case]) -> list[Check]:
    """Counts of what must not be there."""
    rows = [case.row for case in cases]
    names = {row[kind] for row in rows for kind in ("scan", "label")}
    folders = [*FOLDERS.values(), "paired"]
    strange = [
        p for f in folders for p in (out / f).glob("*") if str(p.relative_to(out)) not in names
    ]
    truth = list((out / FOLDERS["target"]).glob("*_Label*"))
    return [
        _none(sum(len(case.faults) for case in cases), "faults of files", len(cases)),
        _none(len(strange), "files that cohort.csv does not name", len(cases)),
        _none(len(truth), "labels among the unlabelled targets", len(cases)),
        _none(_twins([row.get("scan_sha256", "") for row in rows]), "duplicate scans", len(rows)),
        _none(_twins(_label_keys(cases)), "duplicate label maps", len(rows)),
        _none(_shared_patients(rows), "real patients in two splits", len(rows)),
    ]


def _none(count: int, name: str, of: int) -> Check:
    return Check(name, float(count), (0.0, 0.0), (0.0, 0.0), of)


def _twins(keys: Sequence[str]) -> int:
    return sum(count - 1 for key, count in Counter(keys).items() if key and count > 1)


def _label_keys(cases: Sequence[Case]) -> list[str]:
    """Label maps by content; empty ones may be equal."""
    return [
        case.row.get("label_sha256", "")
        for case in cases
        if case.labels and case.labels.tumour_mm3 + case.labels.cochlea_mm3 > 0
    ]


def _shared_patients(rows: Sequence[Row]) -> int:
    """Real patients whose contours are met in more than one split."""
    splits: dict[str, set[str]] = {}
    for row in rows:
        for column in ("left_source", "right_source"):
            if row.get(column, "") not in ("", "procedural"):
                splits.setdefault(row[column], set()).add(row["split"])
    return sum(len(found) > 1 for found in splits.values())


def check_volumes(heads: Sequence[LabelMeasures]) -> list[Check]:
    """Label volumes against the challenge's table, and the cochleae."""
    ill = [head for head in heads if head.tumour_mm3 > 0]
    extra = [head.extra_mm3 for head in ill]
    intra = [head.intra_mm3 for head in ill]
    both = [head.cochlea_mm3 for head in heads if len(head.cochleae_mm3) == 2]
    sides = [volume for head in heads for volume in head.cochleae_mm3]
    apart = [head.apart_mm for head in heads if head.apart_mm is not None]
    volume = ex.VOLUME_TOLERANCE
    low, high = ex.COCHLEA_SIDE_MM3
    few = ex.by_chance((low, high), ex.COCHLEA_SPREAD, len(sides))
    return [
        _median("extra-meatal, median mm3", extra, ex.about(ex.EXTRA_MM3, volume), ex.EXTRA_SPREAD),
        _median("intra-meatal, median mm3", intra, ex.about(ex.INTRA_MM3, volume), ex.INTRA_SPREAD),
        _median("cochleae, median mm3", both, ex.about(ex.COCHLEA_MM3, volume), ex.COCHLEA_SPREAD),
        _quantile("cochlea a side, 5 % quantile mm3", sides, 5, (low, high), few),
        _quantile("cochlea a side, 95 % quantile mm3", sides, 95, (low, high), few),
        _median("cochleae apart, median mm", apart, ex.APART_MM, ex.APART_SPREAD),
    ]


def check_tumours(heads: Sequence[LabelMeasures]) -> list[Check]:
    """Quartiles of tumour volume, and sides."""
    volumes = [head.tumour_mm3 for head in heads if head.tumour_mm3 > 0]
    checks = []
    for percent, wanted in ex.QUARTILES_MM3.items():
        tolerated = ex.tolerant(wanted, ex.RATIO_TOLERANCE)
        few = ex.by_chance(tolerated, ex.TUMOUR_SPREAD, len(volumes))
        checks.append(
            _quantile(f"tumour, {percent} % quantile mm3", volumes, percent, tolerated, few)
        )
    sides = Counter(head.side for head in heads)
    left, total = sides["L"], sides["L"] + sides["R"]
    chance = float(binomtest(left, total).pvalue) if total else None
    bounds = (ex.LEAST_P, 1.0)
    return [*checks, Check(f"{left} of {total} tumours left, p", chance, bounds, bounds, total)]


def check_koos(cases: Sequence[Case]) -> list[Check]:
    """Share of the tumour in the canal, of procedural tumours by their grade."""
    shares: dict[str, list[float]] = {grade: [] for grade in ex.INTRA_SHARES}
    for case in cases:
        grades = [case.row.get(f"{side}_koos", "") for side in ("left", "right")]
        grade = "".join(grades) if "" in grades else ""  # heads with two tumours apart
        labels = case.labels
        if labels and labels.tumour_mm3 > 0 and grade in shares and _untreated(case.row):
            shares[grade].append(labels.intra_mm3 / labels.tumour_mm3)
    return [
        _median(f"Koos {g}, share in the canal", shares[g], wanted, ex.INTRA_SHARE_SPREAD)
        for g, wanted in ex.INTRA_SHARES.items()
    ]


def _untreated(row: Row) -> bool:
    return row.get("lesion", "") != "after surgery"


def _median(name: str, values: Sequence[float], wanted: ex.Range, spread: float) -> Check:
    allowed = ex.by_chance(wanted, spread, len(values))
    return _quantile(name, values, 50, wanted, allowed)


def _quantile(
    name: str, values: Sequence[float], percent: float, wanted: ex.Range, allowed: ex.Range
) -> Check:
    measured = float(np.percentile(values, percent)) if values else None
    return Check(name, measured, wanted, allowed, len(values))


def failed(checks: Sequence[Check]) -> bool:
    """Whether a number is out of range. Raises ``PhantomError`` where none was measured."""
    if all(check.measured is None for check in checks):
        raise PhantomError("nothing could be measured; expected a cohort with scans and labels.")
    return any(check.verdict == "OUT" for check in checks)


def check_reproducible(
    out: Path, count: int, patients: Sequence[Patient] = (), make: Maker = make_case
) -> Check:
    """Make ``count`` scans of the cohort in ``out`` again and compare every byte and draw."""
    settings = read_settings(out)
    if settings is None:
        raise PhantomError(f"{out}: has no cohort.json; expected the folder of a cohort.")
    try:
        known = {field.name: settings[field.name] for field in fields(CohortSettings)}
        cohort = CohortSettings(**known | {"sites": tuple(known["sites"])})
        device, names = settings["device"], settings["patients"]
    except KeyError as error:
        raise PhantomError(f"{out}: cohort.json has no {error}; make the cohort again.") from error
    shares = share_patients(patients, cohort)
    if identity_of(cohort, shares, device)["patients"] != names:
        raise PhantomError(
            f"{out} was made with other real contours; pass the same --contours folder."
        )
    rows = {row["scan"]: row for row in read_table(out)}
    plans = plan_cohort(cohort)
    chosen = np.unique(np.linspace(0, len(plans) - 1, min(count, len(plans))).astype(int))
    different = 0
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(Path(folder), shares, device, make)
        for plan in (plans[int(place)] for place in chosen):
            remade, before = writer.write(plan), rows.get(plan.scan, {})
            different += any(remade.get(name, "") != value for name, value in before.items())
            different += not before
    wanted = (0.0, 0.0)
    return Check("scans that differ when made again", float(different), wanted, wanted, len(chosen))
