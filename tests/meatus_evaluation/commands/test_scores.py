import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from meatus.geometry import Geometry
from meatus.io.images import write_labels
from meatus.volumes import Labels
from tests.meatus_evaluation.label_maps import (
    GRID,
    TRUTH,
    ends_in_one_line,
    run,
    save,
    save_damaged,
    save_value,
)

HALF = {**TRUTH, 3: np.s_[1:2, 2:4, 2:4]}  # half the cochlea
OTHER_GRID = Geometry((20, 20, 5), (0.5, 0.5, 1.5), (0, 0, 0))


@pytest.fixture
def folders(tmp_path):
    """Two cases of two sites; the second's cochlea is half found."""
    found, truth = tmp_path / "found", tmp_path / "truth"
    for case, boxes in (("crossmoda2023_ldn_1", TRUTH), ("crossmoda2023_etz_2", HALF)):
        save(truth / f"{case}_Label.nii.gz")
        save(found / f"{case}.nii.gz", boxes)
    return found, truth


def test_the_module_prints_cases_sites_and_overall_and_ends_with_0(folders):
    done = subprocess.run(
        [sys.executable, "-m", "meatus", "score", *folders, "--verbose"],
        capture_output=True, text=True,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 120
    (etz,) = [line for line in done.stdout.splitlines() if "│ crossmoda2023_etz_2" in line]
    cells = [cell.split() for cell in etz.strip("│ ").split("│")]
    assert cells[1:4] == [["1.000", "0.000"]] * 3
    assert cells[4][0] == "0.667"  # Dice of the cochlea: 2 * 4 / (4 + 8)
    assert cells[5] == ["0.000"]
    for words in (
        "all sites: 2 cases, 0 failures",
        "ldn: 1 case, 0",
        "etz: 1 case, 0",
        "quartiles",
    ):
        assert words in done.stdout


def test_tables_report_and_pictures_are_written_into_new_folders(folders, tmp_path):
    found, truth = folders
    scan = np.random.default_rng(0).integers(0, 255, GRID.shape).astype(np.uint8)
    write_labels(Labels(scan, GRID), truth / "crossmoda2023_ldn_1_T2.nii.gz")
    out = tmp_path / "new" / "folder"

    done = run(
        "score", found, truth, "--csv", out / "s.csv", "--json", out / "s.json",
        "--html", out / "s.html", "--pictures", out / "pictures",
    )  # fmt: skip

    assert (done.exit_code, done.stderr) == (0, "")
    assert "1 of 2 cases drawn" in done.stdout
    assert [file.name for file in (out / "pictures").iterdir()] == ["crossmoda2023_ldn_1.png"]
    rows = list(csv.DictReader((out / "s.csv").read_text().splitlines()))
    assert (len(rows), rows[3]["structure"]) == (10, "cochlea")
    numbers = json.loads((out / "s.json").read_text())
    assert numbers["mean"]["cochlea"] == pytest.approx((1 + 2 / 3) / 2)
    assert "crossmoda2023_etz_2" in (out / "s.html").read_text()


def test_results_below_sub_folders_are_scored_drawn_and_compared_unless_left_alone(tmp_path):
    found, truth = tmp_path / "found", tmp_path / "truth"
    for case in ("a", "ldn/b"):
        save(truth / f"{case}_Label.nii.gz")
        save(found / f"{case}.nii.gz")
    scan = np.random.default_rng(0).integers(0, 255, GRID.shape).astype(np.uint8)
    write_labels(Labels(scan, GRID), truth / "ldn" / "b_T2.nii.gz")
    table, pictures = tmp_path / "s.csv", tmp_path / "pictures"

    done = run("score", found, truth, "--csv", table, "--pictures", pictures)
    flat = run("score", found, truth, "--no-recursive")
    compared = run("compare", found, table, "--reference", truth)
    flatly = run("compare", found, table, "--reference", truth, "--no-recursive")

    assert [one.exit_code for one in (done, flat, compared, flatly)] == [0, 0, 0, 0], done.output
    rows = csv.DictReader(table.read_text().splitlines())
    assert {row["case"] for row in rows} == {"a", "ldn/b"}
    assert [file.name for file in (pictures / "ldn").iterdir()] == ["b.png"]
    assert "1 case" in flat.stdout
    assert "2 cases in both" in compared.stdout
    assert "1 case in both" in flatly.stdout


def test_what_score_writes_rank_and_compare_read(folders, tmp_path):
    found, truth = folders
    run("score", found, truth, "--csv", tmp_path / "ours.csv", "--json", tmp_path / "theirs.json")

    ranked = run("rank", tmp_path / "ours.csv", tmp_path / "theirs.json", "--bootstrap", 10)
    compared = run("compare", tmp_path / "ours.csv", tmp_path / "theirs.json")

    assert (ranked.exit_code, compared.exit_code) == (0, 0), ranked.output + compared.output
    assert "extra_meatal dice" in ranked.stdout
    assert "2 cases in both" in compared.stdout
    assert "boundary assd" in compared.stdout


def test_every_failure_is_named_scored_as_empty_and_ends_with_1(folders):
    found, truth = folders
    save(truth / "c_Label.nii.gz")
    save_damaged(found / "crossmoda2023_etz_2.nii.gz")

    done = run("score", found, truth, "--verbose")

    assert done.exit_code == 1
    missing, damaged = sorted(done.stderr.splitlines())
    assert missing == "error: c: no prediction. Scored as empty."
    assert damaged.startswith("error: crossmoda2023_etz_2: ")
    assert "all sites: 3 cases, 2 failures, 2 tumours missed" in done.stdout
    assert done.stdout.count("0.000 350.000") == 8


@pytest.mark.parametrize(("value", "shown"), [(0.5, "0.5"), (7, "7"), (-1, "-1")])
def test_a_prediction_with_other_numbers_than_labels_is_a_failure(folders, value, shown):
    found, truth = folders
    (found / "crossmoda2023_ldn_1.nii.gz").unlink()
    save_value(found / "crossmoda2023_ldn_1.mha", value)

    done = run("score", found, truth)

    assert ends_in_one_line(done, 1, f"ldn_1.mha: holds {shown} in ", "Scored as empty")


def test_predictions_without_a_reference_are_told_and_no_failure(folders):
    found, truth = folders
    save(found / "misnamed.nii.gz")

    done = run("score", found, truth)

    assert done.exit_code == 0
    assert "without a reference, not scored: 1 (misnamed.nii.gz)" in done.stdout


def test_what_neither_map_has_is_shown_as_absent(tmp_path):
    for folder in ("found", "truth"):
        save(tmp_path / folder / "a.nii.gz", {3: TRUTH[3]})

    done = run("score", tmp_path / "found", tmp_path / "truth", "--verbose")

    assert done.exit_code == 0
    assert "absent: in neither map, which counts as Dice 1 and ASSD 0" in done.stdout


def test_another_grid_ends_it_unless_it_is_resampled(folders):
    found, truth = folders
    save(found / "crossmoda2023_ldn_1.nii.gz", TRUTH, OTHER_GRID)

    refused = run("score", found, truth)
    taken = run("score", found, truth, "--resample", "--verbose")

    assert ends_in_one_line(refused, 2, "(20, 20, 5)", "(20, 20, 4)", "--resample")
    assert taken.exit_code == 0
    assert "1.000   0.000" in taken.stdout


def test_the_scheme_of_2022_has_two_structures_and_its_own_pictures(tmp_path):
    for folder in ("found", "truth"):
        save(tmp_path / folder / "a.nii.gz", {1: TRUTH[1], 2: TRUTH[3]})
    scan = np.random.default_rng(0).integers(0, 255, GRID.shape).astype(np.uint8)
    (tmp_path / "scans").mkdir()
    write_labels(Labels(scan, GRID), tmp_path / "scans" / "a_hrT2.nii.gz")

    folders = ("score", tmp_path / "found", tmp_path / "truth", "--scheme", "2022")
    done = run(*folders, "--scans", tmp_path / "scans", "--pictures", tmp_path / "pictures")

    assert (done.exit_code, done.stderr) == (0, "")
    assert "boundary" not in done.stdout
    assert (tmp_path / "pictures" / "a.png").stat().st_size > 10_000


def test_a_scan_that_cannot_be_read_costs_its_picture_alone(folders, tmp_path):
    found, truth = folders
    save_damaged(truth / "crossmoda2023_ldn_1_T2.nii.gz")

    done = run("score", found, truth, "--pictures", tmp_path / "pictures", "--verbose")

    assert ends_in_one_line(done, 1, "crossmoda2023_ldn_1: no picture: ")
    assert "1.000   0.000" in done.stdout


def test_folders_that_cannot_be_compared_end_in_one_line_each(folders, tmp_path):
    found, truth = folders
    (tmp_path / "empty").mkdir()
    save(tmp_path / "others" / "other.nii.gz")
    file = save(tmp_path / "file.nii.gz")

    assert ends_in_one_line(run("score", tmp_path / "empty", truth), 2, "holds no label map")
    assert ends_in_one_line(run("score", found, tmp_path / "empty"), 2, "holds no label map")
    assert ends_in_one_line(run("score", tmp_path / "none", truth), 2, "No such file")
    assert ends_in_one_line(run("score", file, truth), 2, "Not a directory")
    other = run("score", tmp_path / "others", truth)
    assert ends_in_one_line(other, 2, "no case in common", "found other", "crossmoda2023_etz_2")


def test_a_reference_that_cannot_be_used_ends_it(folders):
    found, truth = folders
    save_damaged(truth / "crossmoda2023_ldn_1_Label.nii.gz")
    assert ends_in_one_line(run("score", found, truth), 2, "crossmoda2023_ldn_1_Label.nii.gz: ")

    save(truth / "crossmoda2023_ldn_1_Label.nii.gz", {4: np.s_[0, 0, 0]})
    assert ends_in_one_line(
        run("score", found, truth), 2, "holds 4 in 1 of", "expected 0 background"
    )


def test_two_files_of_one_case_end_it(folders):
    found, truth = folders
    save(found / "crossmoda2023_ldn_1.nii")

    assert ends_in_one_line(run("score", found, truth), 2, "both of the case crossmoda2023_ldn_1")


def test_a_file_that_could_not_be_written_ends_it_before_anything_is_scored(folders, tmp_path):
    file = tmp_path / "file"
    file.write_text("")

    folder = run("score", *folders, "--csv", tmp_path)
    below = run("score", *folders, "--html", file / "report.html")

    assert ends_in_one_line(folder, 2, "is a folder")
    assert ends_in_one_line(below, 2, "report.html cannot be written")
    assert folder.stdout == below.stdout == ""


def test_a_name_with_a_line_end_stays_in_one_line(tmp_path):
    name = "two\nlines\x1b[31m"
    save(tmp_path / "truth" / f"{name}_Label.nii.gz")
    save(tmp_path / "truth" / "a_Label.nii.gz")
    save(tmp_path / "found" / "a.nii.gz")

    done = run("score", tmp_path / "found", tmp_path / "truth")

    assert ends_in_one_line(done, 1, "two?lines?[31m: no prediction")
    assert "\x1b" not in done.stdout


def test_torch_is_never_loaded():
    code = "import meatus_evaluation.commands.scores, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_missed_tumour_stands_first_on_one_screen_however_many_cases(folders):
    found, truth = folders
    for number in range(40):
        save(truth / f"case{number:02d}_Label.nii.gz")
        boxes = {3: TRUTH[3]} if number == 7 else TRUTH
        save(found / f"case{number:02d}.nii.gz", boxes)

    done = run("score", found, truth)

    lines = done.stdout.splitlines()
    assert done.exit_code == 0
    assert lines[0] == "42 cases of 3 sites: 1 tumour missed"
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 120
    assert any(line.startswith("worst: case07, Dice extra-meatal 0.00") for line in lines)
    assert "--verbose" in lines[-1]
