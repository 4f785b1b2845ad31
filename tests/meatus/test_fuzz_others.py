"""Damage at random in whatever else is read: pairs, FreeSurfer, DICOM, tables, manifests, jobs.

As in ``test_fuzz``, number n is always the same input; ``MEATUS_FUZZ_OTHERS`` sets how many.
"""

import faulthandler
import gzip
import json
import os
import subprocess
import sys
import zipfile
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from meatus.dicom.series import read_series
from meatus.dicom.study import find_series
from meatus.errors import InferenceError, MeatusError, ScanError, UsageError, WeightsError
from meatus.grand_challenge import find_case
from meatus.io.images import read_scan
from meatus.report.case_table import CaseReport, read_report, write_report
from meatus.weights import read_manifest
from meatus_evaluation.scoring.score_tables import read_scores
from tests.meatus.dicom import series_files
from tests.meatus.dicom.series_files import enhanced, save_series
from tests.meatus.dicom.series_files import save as save_datasets
from tests.meatus.scan_files import GREY, TILTED, oblique
from tests.meatus.test_fuzz import (
    ANY_MUTATIONS,
    BINARY_MUTATIONS,
    LIMIT_S,
    ROOT,
    TEXT_MUTATIONS,
    check_sound,
    repeat,
)

INPUTS = int(os.environ.get("MEATUS_FUZZ_OTHERS", "240"))
REMEMBERED = {
    1287: "warns of an infinite origin",
    6723: "SimpleITK never ends on an infinite axis of a pair",
    9460: "warns of an axis that is no number",
    11960: "warns of a shape that overflows",
    13795: "never ends on an infinite axis, and a shape of no extent",
    18059: "never ends on an axis that is no number",
    19126: "SimpleITK crashes on a MetaImage of 1e30 axes",
    19854: "crashes on it, and on a field of that name",
}
HEAD = np.random.default_rng(1).integers(20, 900, (4, 18, 20)).astype(np.int16)


SERIES = "1.2.3"


def read_study(source):
    """As ``predict`` does: find the series, then read it."""
    found = find_series(source, SERIES)
    for case in found.cases:
        if case.stack is not None:
            check_sound(read_series(case.stack, None))
    assert all(line.isprintable() for line in found.lines), found.lines


def read_one(name):
    return lambda folder: check_sound(read_scan(folder / name))


def read_job(folder):
    find_case(folder, folder / "out", input_slug=None, output_slug="tumour")


# By kind: the file that is damaged, how, who reads it, and what it may be refused by.
KINDS = {
    "FreeSurfer": ("scan.mgh", BINARY_MUTATIONS, read_one("scan.mgh"), ScanError),
    "FreeSurfer, packed": ("scan.mgz", BINARY_MUTATIONS, read_one("scan.mgz"), ScanError),
    "pair": ("scan.hdr", BINARY_MUTATIONS, read_one("scan.hdr"), ScanError),
    "detached MetaImage": ("scan.mhd", TEXT_MUTATIONS, read_one("scan.mhd"), ScanError),
    "detached NRRD": ("scan.nhdr", TEXT_MUTATIONS, read_one("scan.nhdr"), ScanError),
    "DICOM": ("IM002.dcm", BINARY_MUTATIONS, read_study, (ScanError, UsageError)),
    "DICOM, packed pixels": ("IM002.dcm", BINARY_MUTATIONS, read_study, (ScanError, UsageError)),
    "enhanced DICOM": ("IM001.dcm", BINARY_MUTATIONS, read_study, (ScanError, UsageError)),
    "DICOM archive": (
        "study.zip",
        ANY_MUTATIONS,
        lambda folder: read_study(folder / "study.zip"),
        (ScanError, UsageError),
    ),
    "report": ("report.json", TEXT_MUTATIONS, read_report, InferenceError),
    "manifest": ("manifest.json", TEXT_MUTATIONS, read_manifest, WeightsError),
    "job": ("inputs.json", TEXT_MUTATIONS, read_job, UsageError),
    "scores": (
        "scores.csv",
        TEXT_MUTATIONS,
        lambda folder: read_scores(folder / "scores.csv"),
        MeatusError,
    ),
}
SCORES = (
    "case,site,structure,dice,assd,found\na,ldn,whole_vs,0.9,0.4,1\na,ldn,cochlea,0.8,0.2,1\n"
    "b,etz,whole_vs,0,350,0\n"
)


@cache
def sound(kind):
    """The files of a sound input by name, the same ones in every process."""
    numbers = count(1)
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patched:
        patched.setattr(series_files, "uid", lambda: f"1.2.4.{next(numbers)}")
        folder = Path(name)
        _write(kind, folder)
        return {
            str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }


def _write(kind, folder):
    if kind.startswith("FreeSurfer"):
        nib.save(nib.MGHImage(GREY, TILTED), folder / KINDS[kind][0])
    elif kind in ("pair", "detached MetaImage", "detached NRRD"):
        sitk.WriteImage(oblique(GREY.T), folder / KINDS[kind][0])
    elif kind == "DICOM":
        save_series(folder, HEAD, series=SERIES)
    elif kind == "DICOM, packed pixels":
        save_series(folder, HEAD, series=SERIES, syntax="1.2.840.10008.1.2.5")  # run lengths
    elif kind == "enhanced DICOM":
        save_datasets([enhanced(HEAD, series=SERIES)], folder)
    elif kind == "DICOM archive":
        with TemporaryDirectory() as series, zipfile.ZipFile(folder / "study.zip", "w") as archive:
            for file in save_series(Path(series), HEAD, series=SERIES):
                archive.writestr(
                    zipfile.ZipInfo(file.name), file.read_bytes(), zipfile.ZIP_DEFLATED
                )
    elif kind == "report":
        write_report(folder, [CaseReport("a", seconds={"read": 1.0}), CaseReport("b", error="no")])
    elif kind == "manifest":
        members = [{"file": "a.onnx", "sha256": "0" * 64, "trained_on": "nothing"}]
        (folder / "manifest.json").write_text(json.dumps({"format": 1, "members": members}))
    elif kind == "job":
        socket = {"slug": "t2", "relative_path": "images/t2"}
        (folder / "inputs.json").write_text(json.dumps([{"socket": socket, "image": None}]))
        (folder / "images" / "t2").mkdir(parents=True)
        (folder / "images" / "t2" / "a.mha").write_bytes(b"")
    else:
        (folder / "scores.csv").write_text(SCORES)


def mutant(number):
    """The kind, and the files by name, of the numbered input."""
    kind = list(KINDS)[number % len(KINDS)]
    name, mutations, *_ = KINDS[kind]
    rng = np.random.default_rng(number)
    data = sound(kind)[name]
    packed = data.startswith(b"\x1f\x8b") and rng.random() < 0.8
    if packed:
        data = gzip.decompress(data)
    data = repeat(rng.choice(mutations), int(rng.integers(1, 4)), rng, data)
    return kind, sound(kind) | {name: gzip.compress(data, mtime=0) if packed else data}


def outcome(number):
    """ "read" or "refused"; raises where an input is neither."""
    kind, files = mutant(number)
    _, _, read, refusals = KINDS[kind]
    with TemporaryDirectory() as name:
        for file, data in files.items():
            (Path(name) / file).parent.mkdir(parents=True, exist_ok=True)
            (Path(name) / file).write_bytes(data)
        refusal = None
        try:
            read(Path(name))
        except refusals as error:
            refusal = str(error)
    if refusal is None:
        return "read"
    assert name in refusal or kind == "job", refusal
    assert refusal.isprintable(), repr(refusal)
    return "refused"


def work(first, last):
    """Try the inputs numbered ``first`` up to ``last``; tell of each before and after."""
    for number in range(first, last):
        faulthandler.dump_traceback_later(LIMIT_S, exit=True)
        print(number, end=" ", flush=True)
        print(outcome(number), flush=True)
    faulthandler.cancel_dump_traceback_later()


def tried(first, last):
    """``work`` in a process of its own."""
    code = f"from tests.meatus.test_fuzz_others import work; work({first}, {last})"
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_damaged_inputs_of_any_kind_are_read_soundly_or_refused_in_a_line():
    done = tried(0, INPUTS)

    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, ""), f"{lines[-1]}: {done.stderr[-3000:]}"
    assert len(lines) == INPUTS
    for word in ("read", "refused"):  # or the damage would be too coarse or too slight
        assert sum(line.endswith(word) for line in lines) > INPUTS / 10


@pytest.mark.parametrize("number", REMEMBERED, ids=REMEMBERED.get)
def test_an_input_that_once_left_more_than_a_line_does_no_more(number):
    done = tried(number, number + 1)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_damaged_was_sound(tmp_path, kind):
    for name, data in sound(kind).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)

    KINDS[kind][2](tmp_path)


def test_a_numbered_input_is_always_the_same():
    first = [mutant(number)[1][KINDS[mutant(number)[0]][0]] for number in (0, 2, 3, 9, 12)]

    assert first == [mutant(number)[1][KINDS[mutant(number)[0]][0]] for number in (0, 2, 3, 9, 12)]
