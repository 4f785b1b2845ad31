import csv
import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meatus.atomic import write_whole
from meatus.errors import OutputError
from meatus.geometry import Geometry
from meatus.report.case_table import (
    STAGES,
    CaseReport,
    notice,
    read_report,
    write_report,
)
from meatus.report.figures import draw_case
from meatus.report.measure import measure
from meatus.service.cases import Case
from meatus.service.path_scrubbing import without_paths
from meatus.structures import Structure
from meatus.volumes import Certainty, Labels, Scan

ROOT = Path(__file__).resolve().parents[2]
GRID = Geometry((100, 80, 14), (1.0, 1.0, 1.5), (-50, -40, 0))


def case_of_two_ears():
    """A bright square head with noise, both cochleas and a tumour on the left."""
    voxels = np.random.default_rng(0).normal(20, 5, GRID.shape).astype(np.float32)
    voxels[:, 5:75, 5:95] += 100
    labels = np.zeros(GRID.shape, dtype=np.uint8)
    labels[5:7, 30:34, 12:16] = labels[6:8, 30:34, 84:88] = Structure.COCHLEA
    labels[6:8, 36:39, 74:82] = Structure.INTRA_MEATAL
    labels[5:10, 34:44, 64:74] = Structure.EXTRA_MEATAL
    return Scan(voxels, GRID), Labels(labels, GRID)


def done(case="a", **changes):
    report = CaseReport(
        case,
        measure(case_of_two_ears()[1], Certainty(0.9, 0.85, 3.0)),
        seconds=dict.fromkeys(STAGES, 0.25),
        peak_mib=512.0,
        engine="onnxruntime cpu fp32",
        weights="one, two",
        version="0.1.0",
        notice=notice("900 phantoms"),
    )
    return replace(report, **changes)


def rows(folder):
    with (folder / "report.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_what_was_written_is_read_again(tmp_path):
    reports = [done("a"), done("b", warnings=("axes repaired",)), CaseReport("c", error="no scan")]

    write_report(tmp_path, reports)

    assert read_report(tmp_path) == reports


def test_the_table_has_a_row_per_case_with_units_in_the_names(tmp_path):
    write_report(tmp_path, [done()])

    (row,) = rows(tmp_path)
    assert row["case"] == "a"
    assert row["status"] == "done"
    assert row["tumour_side"] == "left"
    assert row["extra_meatal_mm3"] == "750.000"  # 5 x 10 x 10 voxels of 1.5 mm3
    assert row["left_intra_meatal_mm3"] == "72.000"  # 2 x 3 x 8
    assert row["extra_meatal_diameter_mm"] == "14.142"
    assert row["mean_confidence"] == "0.900"
    assert (row["expected_vs_dice"], row["elsewhere_mm3"]) == ("0.850", "3.000")
    assert row["flags"] == ""
    assert row["spacing_z_mm"] == "1.500"
    assert row["network_s"] == "0.250"
    assert row["total_s"] == "1.500"
    assert row["peak_mib"] == "512.000"
    assert row["notice"] == "Research software, not for clinical use; trained on 900 phantoms"


def test_a_failed_case_has_a_row_with_its_error_and_the_same_columns(tmp_path):
    write_report(tmp_path, [done("a"), CaseReport("b", error="the scan is empty, or not")])

    first, second = rows(tmp_path)
    assert list(first) == list(second)
    assert (second["status"], second["error"]) == ("failed", "the scan is empty, or not")
    assert second["extra_meatal_mm3"] == second["flags"] == second["total_s"] == ""


def test_no_report_is_an_empty_one(tmp_path):
    assert read_report(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "Expecting value"),
        (b'{"format": 1, "cases": [{"case"', "Expecting"),
        (b'{"\xff": 1}', "decode"),
        (b"[]", "indices"),
        (b'{"format": 1}', "no entry 'cases'"),
        (b'{"format": 9, "cases": []}', "format 9, expected 1"),
        (b'{"format": 1, "cases": [{"case": 3}]}', "at '0.case'"),
        (b"[" * 100_000, "recursion"),
    ],
)
def test_a_damaged_report_is_named_in_one_line(tmp_path, content, reason):
    (tmp_path / "report.json").write_bytes(content)

    with pytest.raises(OutputError, match=reason) as caught:
        read_report(tmp_path)

    assert "report.json: the earlier report cannot be continued" in str(caught.value)
    assert "Move report.csv and report.json away" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_without_its_details_is_not_overwritten_unseen(tmp_path):
    (tmp_path / "report.csv").write_text("case\na\n")

    with pytest.raises(OutputError, match=r"missing beside report\.csv"):
        read_report(tmp_path)


def test_writing_leaves_nothing_but_the_two_files(tmp_path):
    write_report(tmp_path / "new", [done()])
    write_report(tmp_path / "new", [done()])

    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == [
        "report.csv",
        "report.json",
    ]


def test_a_write_that_fails_keeps_the_earlier_file(tmp_path, monkeypatch):
    file = tmp_path / "report.json"
    write_whole(file, b"earlier")

    def full(self, content):
        with self.open("wb") as half:
            half.write(content[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match=r"report\.json: cannot be written \(No space left"):
        write_whole(file, b"later")

    assert file.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [file]


def test_case_names_may_hold_anything_a_file_name_can(tmp_path):
    names = ["=cmd()", "a,b", "line\nbreak", "bytes\udcff", "größe"]

    write_report(tmp_path, [done(name) for name in sorted(names)])

    assert {report.case for report in read_report(tmp_path)} == set(names)
    assert [row["case"] for row in rows(tmp_path)] == [
        "'=cmd()",  # so that no spreadsheet runs it
        "a,b",
        "bytes\\udcff",
        "größe",
        "line\nbreak",
    ]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("/data/Jane Doe/a_T2.nii.gz has shape (3, 4)", "the scan has shape (3, 4)"),
        ("/out/a.nii.gz: cannot be written (full).", "the result: cannot be written (full)."),
        ("no '/data/Jane Doe/.1.part.x'", "no '.1.part.x'"),
        (r"C:\study\a.nii or ../b/c.mha", "a.nii or c.mha"),
        ("2 mm/s, 3/4, and/or", "2 mm/s, 3/4, and/or"),
    ],
)
def test_an_error_in_the_report_tells_no_path(error, expected):
    case = Case("a", Path("/data/Jane Doe/a_T2.nii.gz"), Path("/out/a.nii.gz"))

    assert without_paths(error, case) == expected


def test_the_picture_has_its_size_and_is_small(tmp_path):
    file = tmp_path / "pictures" / "a.png"

    draw_case(*case_of_two_ears(), "a", file)

    with Image.open(file) as picture:
        assert (picture.size, picture.format) == ((1640, 736), "PNG")
    assert file.stat().st_size < 400_000
    assert list(file.parent.iterdir()) == [file]


def test_contours_are_drawn_in_the_challenges_colours_beside_the_plain_tissue(tmp_path):
    scan, labels = case_of_two_ears()
    draw_case(scan, labels, "a", tmp_path / "a.png")
    draw_case(scan, replace(labels, voxels=np.zeros_like(labels.voxels)), "a", tmp_path / "b.png")

    marked, empty = (pixels(tmp_path / name) for name in ("a.png", "b.png"))

    contours, plain = np.s_[64:360, 712:1008], np.s_[64:360, 412:708]
    assert coloured(marked[contours], 0) > 200  # red
    assert coloured(marked[contours], 1) > 50  # green
    assert coloured(marked[plain]) == coloured(empty[contours]) == 0


def test_the_patients_right_is_on_the_left_of_the_picture_however_the_file_is_stored(tmp_path):
    scan, labels = case_of_two_ears()
    grid = replace(
        GRID,
        origin_mm=GRID.position_mm((99, 0, 0)),
        direction=(-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    )
    draw_case(scan, labels, "a", tmp_path / "a.png")
    mirrored = Scan(scan.voxels[..., ::-1], grid), Labels(labels.voxels[..., ::-1], grid)
    draw_case(*mirrored, "a", tmp_path / "b.png")

    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))


@pytest.mark.parametrize("value", [0, 7])
def test_a_scan_that_shows_nothing_and_has_no_label_is_drawn(tmp_path, value):
    grid = Geometry((16, 16, 3), (9.0, 2.0, 6.0), (0, 0, 0))
    nothing = np.full(grid.shape, value)

    scan, labels = Scan(nothing.astype(np.float32), grid), Labels(np.uint8(0) * nothing, grid)
    draw_case(scan, labels, "a", tmp_path / "a.png")

    assert (tmp_path / "a.png").exists()


def test_a_title_is_text_whatever_it_holds(tmp_path):
    title = r"$\frac$ 脳 " + "\udcff\n" + "x" * 300

    draw_case(*case_of_two_ears(), title, tmp_path / "a.png", weights=title)

    assert (tmp_path / "a.png").exists()


def test_pictures_can_be_drawn_by_two_threads(tmp_path):
    case = case_of_two_ears()
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    threads = [threading.Thread(target=draw_case, args=(*case, "a", file)) for file in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_picture_that_cannot_be_written_is_told_in_one_line(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match=r"a\.png: cannot be written"):
        draw_case(*case_of_two_ears(), "a", tmp_path / "file" / "a.png")


def test_the_report_needs_no_matplotlib_and_pictures_need_no_home():
    code = (
        "import sys, meatus.report.case_table; assert 'matplotlib' not in sys.modules\n"
        "import meatus.report.figures; assert 'matplotlib.pyplot' not in sys.modules"
    )
    home = {"HOME": "/proc/none", "XDG_CONFIG_HOME": "", "XDG_CACHE_HOME": "", "PATH": ""}

    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=home, capture_output=True, text=True
    )

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_the_report_is_plain_json(tmp_path):
    write_report(tmp_path, [done()])

    content = json.loads((tmp_path / "report.json").read_text(encoding="ascii"))

    assert content["format"] == 1
    assert content["cases"][0]["measures"]["left"]["intra_meatal_mm3"] == 72
    assert content["cases"][0]["seconds"]["network"] == 0.25


def pixels(file):
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def coloured(part, channel=None):
    """How many pixels of (Y, X, 3) are not grey, or are mostly of one channel."""
    if channel is None:
        return int((np.ptp(part, axis=2) > 20).sum())
    others = np.delete(part, channel, axis=2).max(axis=2)
    return int((part[..., channel] > others + 80).sum())
