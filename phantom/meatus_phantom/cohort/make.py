"""A folder of phantoms laid out as the challenge: planned from a seed, written by workers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from meatus.service.parallel import in_parallel
from meatus_phantom.cohort.files import (
    WORK,
    Row,
    Split,
    is_whole,
    load_rows,
    read_settings,
    row_file,
    volume_bytes,
    write_settings,
    write_table,
    write_whole,
)
from meatus_phantom.cohort.plan import CohortSettings, ScanPlan, plan_cohort, share_patients
from meatus_phantom.contours import Patient
from meatus_phantom.errors import PhantomError
from meatus_phantom.generate import Case, Recipe, make_case

__all__ = ["CohortSettings", "ScanPlan", "Writer", "plan_cohort", "share_patients", "write_cohort"]

Maker = Callable[..., Case]

FORMAT = 2  # of the files that the same settings give; 1 had narrow openings to the cochlea
AGAIN = "go on with --resume and fewer --workers."


@dataclass(frozen=True)
class Writer:
    """Makes scans and writes their files; sent to the workers as it is."""

    out: Path
    patients: dict[Split, tuple[Patient, ...]]
    device: str
    make: Maker

    def write(self, plan: ScanPlan) -> Row:
        """Write one scan, its labels and, last, its row: with the row the scan is finished."""
        recipe = Recipe(
            random_share=1.0 if plan.random else 0.0,
            stripped_share=1.0 if plan.stripped else 0.0,
            difficult_share=1.0 if plan.difficult else 0.0,
        )
        with _one_thread():
            case = self.make(
                plan.subject_seed,
                plan.scan_seed,
                plan.site,
                plan.modality,
                recipe,
                self.patients[plan.split],
                torch.device(self.device),
            )
        files: dict[str, NDArray[Any]] = {
            "scan": case.voxels,
            "label": case.labels,
            "tissues": case.tissues,
        }
        row = {name: str(value) for name, value in asdict(plan).items()}
        for kind, voxels in files.items():
            data = volume_bytes(voxels, case.geometry) if row[kind] else b""
            row[f"{kind}_sha256"] = write_whole(data, self.out, row[kind]) if data else ""
        row |= {name: str(value) for name, value in case.drawn.items()}
        write_whole(json.dumps(row).encode(), self.out, row_file(plan.scan))
        return row


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in another order would round otherwise: files must not depend on the machine's cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def write_cohort(
    out: Path,
    settings: CohortSettings,
    patients: Sequence[Patient] = (),
    *,
    device: str = "cpu",
    workers: int = 1,
    resume: bool = False,
    told: Callable[[ScanPlan], None] = lambda plan: None,
    make: Maker = make_case,
) -> int:
    """Write the cohort to ``out``; the number of scans that had to be made.

    With ``resume`` scans that are whole stay. ``told`` hears of every scan as it is there.
    """
    plans = plan_cohort(settings)
    if not plans:
        raise PhantomError("nothing to make; pass a number with --source, --target or others.")
    shares = share_patients(patients, settings)
    _claim(out, identity_of(settings, shares, device), resume)
    done = load_rows(out)
    missing = []
    for plan in plans:
        if is_whole(out, done.get(plan.scan)):
            told(plan)
        else:
            missing.append(plan)
    writer = Writer(out, shares, device, make)
    for plan, row in in_parallel(writer.write, missing, workers, AGAIN):
        done[plan.scan] = row
        told(plan)
    write_table(out, [done[plan.scan] for plan in plans])
    shutil.rmtree(out / WORK, ignore_errors=True)
    return len(missing)


def identity_of(
    settings: CohortSettings, shares: dict[Split, tuple[Patient, ...]], device: str
) -> dict[str, Any]:
    """What must be the same for a cohort to go on; devices round differently."""
    names = {split: [patient.subject for patient in group] for split, group in shares.items()}
    known = json.dumps({"format": FORMAT, **asdict(settings), "device": device, "patients": names})
    identity: dict[str, Any] = json.loads(known)
    return identity


def _claim(out: Path, identity: dict[str, Any], resume: bool) -> None:
    """See that ``out`` is empty or holds the same cohort, and mark it."""
    found = read_settings(out) if resume else None
    if found is None:
        if out.exists() and any(out.iterdir()):
            what = "a cohort's beginning or other files"
            raise PhantomError(
                f"{out} is not empty; expected {'a cohort' if resume else 'a new folder'}, found "
                f"{what}. Pass another folder{'' if resume else ', or --resume'}."
            )
        write_settings(out, identity)
        return
    different = [name for name in identity if identity[name] != found.get(name)]
    if different:
        raise PhantomError(
            f"{out} holds a cohort made with another {', '.join(different)}; "
            "pass the same again, or another folder."
        )
