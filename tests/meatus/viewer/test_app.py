"""What the viewer gives, keeps and refuses."""

import json
import shutil
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from meatus.report.case_files import write_case
from meatus.report.case_table import CaseReport
from tests.meatus.tiny_runs import run, run_here, save_scan, write_weights
from tests.meatus.viewer.server import TOKEN, viewer

SIZE = 12 * 120 * 120


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Scans ``a`` and ``b`` with label maps, and weights."""
    folder = tmp_path_factory.mktemp("labelled")
    weights = write_weights(folder)
    (folder / "in").mkdir()
    for seed, name in enumerate("ab"):
        save_scan(folder / "in" / f"{name}_T2.nii.gz", seed)
    done = run_here(
        "predict", folder / "in", folder / "out", "--weights", weights, "--device", "cpu",
        "--quality", "fast",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def folder(labelled, tmp_path):
    shutil.copytree(labelled, tmp_path / "of", dirs_exist_ok=True)
    return tmp_path / "of"


@pytest.fixture
def page(folder):
    with viewer(folder / "out", folder / "in", folder) as running:
        yield running


def painted(page, case="a"):
    """The labels of ``case`` as the page has them, to paint on."""
    status, _, content = page.ask(f"api/labels?case={case}")
    assert status == 200
    return np.frombuffer(content, np.uint8).reshape(12, 120, 120).copy()


def test_scans_and_labels_are_given_as_they_lie(page, folder):
    _, _, scan = page.ask("api/scan.nii?case=a")
    shown = nib.Nifti1Image.from_bytes(scan)
    stored = nib.as_closest_canonical(nib.load(folder / "in" / "a_T2.nii.gz"))
    truth = nib.as_closest_canonical(nib.load(folder / "out" / "a.nii.gz")).get_fdata()

    np.testing.assert_allclose(shown.affine, stored.affine)
    np.testing.assert_allclose(shown.get_fdata(), stored.get_fdata(), atol=0.02)
    np.testing.assert_array_equal(painted(page), truth.transpose(2, 1, 0))


def test_a_correction_is_kept_with_who_and_when_and_the_programs_labels_stay(page, folder):
    before = (folder / "out" / "a.nii.gz").read_bytes()
    drawn = painted(page)
    drawn[5, 60, 40:50] = 1

    status, told = page.told("api/labels?case=a", method="POST", body=drawn.tobytes())

    assert status == 200
    corrected = nib.load(folder / "out" / "a_corrected.nii.gz")
    scan = nib.load(folder / "in" / "a_T2.nii.gz")
    np.testing.assert_array_equal(corrected.affine, scan.affine)
    seen = nib.as_closest_canonical(corrected).get_fdata()
    np.testing.assert_array_equal(seen.transpose(2, 1, 0), drawn)
    note = json.loads((folder / "out" / "a_corrected.json").read_text())
    assert (note["corrected_by"], note["voxels_changed"]) == ("Ada", 10)
    assert note["corrected_at"].endswith("+00:00")
    assert told["corrected"] == note
    assert (folder / "out" / "a.nii.gz").read_bytes() == before
    np.testing.assert_array_equal(painted(page), drawn)  # what is opened again


def test_flagged_cases_come_first_and_corrected_ones_last(folder):
    report = folder / "report"
    for name in ("a", "b"):
        write_case(report, CaseReport(name))
    save_scan(folder / "in" / "c_T2.nii.gz")
    write_case(report, CaseReport("c", error="full disk"))
    with viewer(folder / "out", folder / "in", folder, report) as page:
        page.ask("api/labels?case=a", method="POST", body=bytes(SIZE))
        _, told = page.told("api/cases")

    assert [entry["case"] for entry in told["cases"]] == ["c", "b", "a"]
    assert told["cases"][0]["error"] == "full disk"


def test_without_a_report_the_label_maps_tell_what_to_look_at(page):
    _, told = page.told("api/cases")

    assert all("no tumour found" in entry["flags"][0] for entry in told["cases"])


@pytest.mark.parametrize(
    "body", [b"", bytes(SIZE - 1), bytes(SIZE + 1), b"\x09" * SIZE], ids=["0", "few", "many", "9"]
)
def test_what_is_no_label_map_is_refused_and_nothing_is_written(page, folder, body):
    status, told = page.told("api/labels?case=a", method="POST", body=body)

    assert status == 422
    assert told["error"].endswith("Open the case again.")
    assert sorted(file.name for file in (folder / "out").glob("[!.]*")) == ["a.nii.gz", "b.nii.gz"]


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},  # DNS that points here
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"origin": None, "method": "POST"},
        {"token": "another"},
        {"token": ""},
        {"token": TOKEN[:-1]},
    ],
    ids=str,
)
def test_who_is_not_the_page_itself_is_refused(page, folder, headers):
    about = {"method": "GET", **headers}
    body = bytes(SIZE) if about["method"] == "POST" else None

    for path in ("", "api/cases", "api/labels?case=a", "api/scan.nii?case=a"):
        status, answer, content = page.ask(path, body=body, **about)
        assert status == 403
        assert content.count(b"\n") == 1
        assert "access-control-allow-origin" not in {name.lower() for name in answer}
    assert not (folder / "out" / "a_corrected.nii.gz").exists()


@pytest.mark.parametrize(
    "path",
    [
        "../a", "..%2f..%2fetc%2fpasswd", "app.py", "..%2fapp.py", "%2e%2e/app.py",
        "niivue.umd.js/../../app.py", "docs", "openapi.json", "%00", "page/index.html",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_page(page, path):
    status, _, content = page.ask(path)

    assert status in (403, 404)
    assert b"import" not in content


@pytest.mark.parametrize("case", ["..%2fin%2fa_T2", "%2fetc%2fpasswd", "A", "", "a%00", "c"])
def test_only_cases_that_are_known_can_be_asked_for(page, case):
    for path in ("api/labels", "api/scan.nii"):
        status, told = page.told(f"{path}?case={case}")
        assert status == 422
        assert "there is no case" in told["error"]
    assert page.told(f"api/labels?case={case}", method="POST", body=bytes(SIZE))[0] == 422


@pytest.mark.parametrize(
    "name",
    [
        "..%2fevil.nii.gz", "%2ftmp%2fevil.nii.gz", "..%5cevil.nii.gz", ".evil.nii.gz", "",
        "evil.sh", "evil.nii.gz%0a", "a" * 300 + ".nii.gz",
    ],
)  # fmt: skip
def test_no_file_comes_in_under_a_name_that_leads_elsewhere(page, folder, name):
    before = sorted(path.name for path in folder.rglob("*"))

    status, told = page.told(f"api/scans?name={name}", method="POST", body=b"x")

    assert status == 422
    assert "\n" not in told["error"]
    after = sorted(path.name for path in folder.rglob("*"))
    assert [name for name in after if name not in before] in ([], ["scans"])


def labelled_here(page, name, body):
    status, told = page.told(f"api/scans?name={name}", method="POST", body=body)
    assert status == 200, told
    until = time.monotonic() + 60
    while time.monotonic() < until:
        (told,) = page.told("api/incoming")[1]
        if told["state"] in ("done", "failed"):
            return told
        time.sleep(0.05)
    raise AssertionError(told)


def test_a_scan_that_comes_in_is_labelled_and_can_be_corrected(page, folder):
    scan = save_scan(folder / "new.nii.gz", 5).read_bytes()

    told = labelled_here(page, "new_T2.nii.gz", scan)

    assert (told["state"], told["cases"], told["error"]) == ("done", ["new"], "")
    assert (folder / "out" / "scans" / "new_T2.nii.gz").read_bytes() == scan
    assert nib.load(folder / "out" / "new.nii.gz").get_fdata().max() == 3
    assert "new" in [entry["case"] for entry in page.told("api/cases")[1]["cases"]]
    assert page.told("api/labels?case=new", method="POST", body=bytes(SIZE))[0] == 200


def test_a_file_that_is_no_scan_fails_in_one_line_and_leaves_nothing(page, folder):
    told = labelled_here(page, "bad.nii.gz", b"no scan")

    assert told["state"] == "failed"
    assert told["error"].count("\n") == 0
    assert list((folder / "out" / "scans").iterdir()) == []
    assert page.told("api/cases")[0] == 200


def test_a_case_that_is_known_does_not_come_in_again(page, folder):
    scan = (folder / "in" / "a_T2.nii.gz").read_bytes()

    status, told = page.told("api/scans?name=a.nii.gz", method="POST", body=scan)

    assert (status, told["error"]) == (422, "there is a case a already. Rename the file.")
    assert list((folder / "out" / "scans").iterdir()) == []


def test_the_page_may_load_and_ask_for_nothing_from_elsewhere(page):
    for path in ("", "viewer.js", "viewer.css", "api/cases"):
        _, headers, _ = page.ask(path)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "connect-src 'self'" in policy
        assert "http" not in policy
        assert headers["cache-control"] == "no-store"
    text = page.ask("")[2].decode() + page.ask("viewer.js")[2].decode()
    assert "http:" not in text
    assert "https:" not in text
    assert "innerHTML" not in text  # names of cases are text, whatever they hold


def test_the_licences_of_what_is_shown_with_lie_beside_it(page):
    status, _, content = page.ask("niivue.LICENSE.txt")

    assert status == 200
    assert b"Copyright (c) 2021, Niivue" in content


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--scans", "none"), "none does not exist"),
        (("--report", "none"), "none does not exist"),
        (("--weights", "none"), "none"),
    ],
)
def test_what_cannot_be_shown_ends_in_one_line(tmp_path, options, reason):
    done = run("view", tmp_path / "out", "--no-browser", *options)

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert reason in done.stderr


def test_where_the_server_is_not_installed_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "uvicorn", None)

    done = run_here("view", tmp_path, "--no-browser")

    assert done.exit_code == 2
    assert "pip install 'meatus[serve]' (uvicorn is missing)." in done.output
    assert Path(tmp_path).is_dir()
