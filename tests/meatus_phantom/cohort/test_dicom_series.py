"""A cohort's scans as DICOM series: the same grid and grey values, found again by the reader."""

from functools import partial

import numpy as np
import pytest
from click.testing import CliRunner

from meatus.cli import main
from meatus.dicom.series import read_series
from meatus.dicom.study import find_series
from meatus.io.images import read_scan
from meatus_phantom import cli
from meatus_phantom.cohort.make import write_cohort
from tests.meatus_phantom.scenes import tiny_case


@pytest.fixture
def cohort(tmp_path, monkeypatch):
    """A function that runs the command, with tiny scenes."""
    monkeypatch.setattr(cli, "write_cohort", partial(write_cohort, make=tiny_case))

    def run(name, *options):
        arguments = ["phantom", "cohort", str(tmp_path / name), "--test", "1", "--workers", "1"]
        done = CliRunner().invoke(main, [*arguments, "--sites", "ldn", *options])
        assert done.exit_code == 0, done.output
        return tmp_path / name, done.output

    return run


def files_in(folder):
    return {file.name: file.read_bytes() for file in sorted(folder.rglob("*.dcm"))}


def test_a_series_is_the_scan_of_the_same_name(cohort):
    out, told = cohort("a", "--dicom")

    (folder,) = (out / "dicom").iterdir()
    (case,) = find_series(folder, series_of(folder)).cases
    scan = read_series(case.stack)
    same = read_scan(out / "crossmoda23_test" / f"{folder.name}.nii.gz")

    assert "1 DICOM series written" in told
    assert scan.geometry.size == same.geometry.size
    np.testing.assert_allclose(scan.geometry.origin_mm, same.geometry.origin_mm, atol=1e-3)
    np.testing.assert_allclose(scan.geometry.direction, same.geometry.direction, atol=1e-5)
    np.testing.assert_allclose(scan.geometry.spacing_mm, same.geometry.spacing_mm, rtol=1e-5)
    np.testing.assert_allclose(scan.voxels, same.voxels, atol=0.5)


def series_of(folder):
    import pydicom

    return pydicom.dcmread(next(folder.iterdir())).SeriesInstanceUID


def test_equal_cohorts_give_equal_files_and_resume_writes_what_is_missing(cohort):
    one, _ = cohort("a", "--dicom")
    other, _ = cohort("b")
    assert not (other / "dicom").exists()

    other, told = cohort("b", "--dicom", "--resume")
    _, again = cohort("b", "--dicom", "--resume")

    assert files_in(one) == files_in(other) != {}
    assert "1 DICOM series written" in told
    assert "0 DICOM series written" in again
    assert not (other / ".cohort").exists()
