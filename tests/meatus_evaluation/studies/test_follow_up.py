"""All dates of a patient: which file is of which day, the curve, the page and the PDF."""

import json
import re
from datetime import date

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from meatus.errors import UsageError
from meatus_evaluation.report.html.curves import HEIGHT, curves
from meatus_evaluation.studies.follow_up import Visit, course, date_of, find_maps
from meatus_evaluation.studies.growth import TimePoint
from tests.meatus_evaluation.label_maps import GRID, ends_in_one_line, run, save

BOX = {1: np.s_[1:3, 5:10, 5:9], 2: np.s_[1:3, 5:10, 9:11]}
LARGER = {1: np.s_[0:4, 3:16, 3:15], 2: np.s_[1:3, 5:10, 15:17]}


@pytest.fixture
def patient(tmp_path):
    folder = tmp_path / "Doe Jane"
    for name, boxes in (("2020-01-02", BOX), ("jane_20210304", BOX), ("2022-05-06_Label", LARGER)):
        save(folder / f"{name}.nii.gz", boxes)
    save(folder / "2020-01-02_T2.nii.gz")  # the scan beside its labels
    return folder


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("2024-03-01.nii.gz", date(2024, 3, 1)),
        ("vs_20240301_2.nii.gz", date(2024, 3, 1)),
        ("20240301-2024-03-01.mha", date(2024, 3, 1)),  # the same twice
        ("p123456789_2024-02-29.nrrd", date(2024, 2, 29)),
        ("20241399_20240301.nii", date(2024, 3, 1)),  # the first is none
    ],
)
def test_a_date_stands_anywhere_in_a_name(tmp_path, name, expected):
    assert date_of(tmp_path / name) == expected


@pytest.mark.parametrize(
    "content",
    [
        {"StudyDate": "20240301"},
        {"AcquisitionDateTime": "2024-03-01T10:20:30.5"},
        {"00080020": {"vr": "DA", "Value": ["20240301"]}},
    ],
)
def test_a_date_may_stand_in_a_sidecar(tmp_path, content):
    (tmp_path / "a.json").write_text(json.dumps(content))

    assert date_of(tmp_path / "a.nii.gz") == date(2024, 3, 1)


def test_the_dicom_segmentation_beside_a_map_dates_it(tmp_path):
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
    header.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    header.StudyDate = "20240301"
    pydicom.dcmwrite(tmp_path / "a.seg.dcm", header, enforce_file_format=True)
    (tmp_path / "b.seg.dcm").write_bytes(b"no DICOM")

    assert date_of(tmp_path / "a.nii.gz") == date(2024, 3, 1)
    with pytest.raises(UsageError, match=r"b\.nii\.gz has no date"):
        date_of(tmp_path / "b.nii.gz")


def test_files_without_one_clear_date_are_refused_with_how_to_name_them(tmp_path):
    with pytest.raises(UsageError, match=r"has no date\. Put the scan's date .*2024-03-01\.nii"):
        date_of(tmp_path / "follow-up 2.nii.gz")
    with pytest.raises(UsageError, match="holds 2024-03-01 and 2024-03-02"):
        date_of(tmp_path / "20240301_20240302.nii.gz")
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(UsageError, match=r"a\.json is no readable JSON"):
        date_of(tmp_path / "a.nii.gz")


def test_a_folder_gives_its_label_maps_by_date_and_no_scans(patient):
    days = [date(2020, 1, 2), date(2021, 3, 4), date(2022, 5, 6)]

    assert list(find_maps(patient)) == days


def test_the_command_tells_every_date_and_writes_page_and_pdf(patient, tmp_path):
    out = tmp_path / "out"

    done = run("growth", patient, "--html", out / "g.html", "--pdf", out / "g.pdf", "--json",
               out / "g.json")  # fmt: skip

    assert (done.exit_code, done.stderr) == (0, "")
    assert [day in done.stdout for day in ("2020-01-02", "2021-03-04", "2022-05-06")] == [True] * 3
    assert "verdict since 2020-01-02: growth" in done.stdout
    page = (out / "g.html").read_text()
    assert page.count("<svg") == 2
    assert not re.search(r"https?:|src=|@import|url\(", page)
    assert (out / "g.pdf").read_bytes().startswith(b"%PDF")
    numbers = json.loads((out / "g.json").read_text())
    assert numbers["visits"][0]["date"] == "2020-01-02"
    assert numbers["visits"][0]["volume_mm3"] == pytest.approx(60 * 0.375)
    assert len(numbers["steps"]) == 2
    for file in out.iterdir():  # what is passed on names no patient
        assert b"ane" not in file.read_bytes().replace(b"plane", b""), file
    assert b"Doe" not in (out / "g.pdf").read_bytes()


def test_two_maps_with_dates_have_a_curve_too_and_without_are_told(tmp_path):
    earlier, later = save(tmp_path / "a.nii.gz", BOX), save(tmp_path / "b.nii.gz", LARGER)
    dates = ("--dates", "2020-01-01", "2022-01-01")

    done = run("growth", earlier, later, *dates, "--html", tmp_path / "g.html")

    assert done.exit_code == 0, done.stderr
    assert "2022-01-01" in (tmp_path / "g.html").read_text()
    assert ends_in_one_line(
        run("growth", earlier, later, "--pdf", tmp_path / "g.pdf"), 2, "needs dates", "--dates"
    )


def test_folders_that_give_no_course_end_in_one_line(patient, tmp_path):
    (tmp_path / "empty").mkdir()
    save(tmp_path / "one" / "2020-01-01.nii.gz")
    file = next(patient.iterdir())

    assert ends_in_one_line(run("growth", tmp_path / "empty"), 2, "holds no label maps", "2024-")
    assert ends_in_one_line(run("growth", tmp_path / "one"), 2, "holds 1 label map;")
    assert ends_in_one_line(run("growth", file), 2, "expected one patient's folder")
    assert ends_in_one_line(run("growth", file, file, file), 2, "expected one patient's folder")
    dates = ("--dates", "2020-01-01", "2022-01-01")
    assert ends_in_one_line(run("growth", patient, *dates), 2, "--dates are of two")
    save(patient / "again_2020-01-02.nii.gz")
    assert ends_in_one_line(run("growth", patient), 2, "are both of 2020-01-02")
    assert ends_in_one_line(run("growth", tmp_path / "none"), 2, "found 1")


def test_a_curve_rises_where_the_tumour_does():
    """Drawn downwards; from 0: an interval that reaches below is cut there."""
    days = [date(2020, 1, 1), date(2021, 1, 1), date(2024, 1, 1)]
    points = [TimePoint(v, sd, 4.0, 0.2, "left") for v, sd in ((100, 80), (150, 5), (300, 5))]

    volume, diameter = curves(course([Visit(*one) for one in zip(days, points, strict=True)]))

    first, second, third = volume.marks
    assert first.y > second.y > third.y
    assert third.x - second.x == pytest.approx(3 * (second.x - first.x), rel=0.01)
    assert first.low == volume.ticks[0][0] < HEIGHT
    assert second.y < volume.limit < first.y  # 120 mm3
    assert diameter.limit is not None
    assert "2020-01-01: 100, 95 % from 0 to 257" in volume.words


def test_a_patient_without_a_tumour_at_first_has_a_curve_without_a_limit():
    none, some = TimePoint(0, 0, 0, 0, "none"), TimePoint(50, 5, 0, 0, "left")
    found = course([Visit(date(2020, 1, 1), none), Visit(date(2021, 1, 1), some)])

    assert [one.limit for one in curves(found)] == [None, None]
    assert found.whole.verdict == "new tumour"
    assert GRID.voxel_mm3 == 0.375
