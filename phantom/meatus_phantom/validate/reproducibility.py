"""Scans of a cohort made once more: the same seed must give the same files."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np

from meatus_phantom.cohort.files import read_settings, read_table
from meatus_phantom.cohort.make import Maker, Writer, identity_of
from meatus_phantom.cohort.plan import CohortSettings, plan_cohort, share_patients
from meatus_phantom.contours import Patient
from meatus_phantom.errors import PhantomError
from meatus_phantom.generate import make_case
from meatus_phantom.validate.expected import Check


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
