"""Results never go over what is read, nor where they cannot be written: told before any work."""

import os
import shutil
import subprocess
import sys

import pytest

import meatus.service.results
from meatus.errors import UsageError
from meatus.service.destinations import check_apart, check_folders, check_writable, longest_name
from tests.meatus.tiny_runs import ROOT, run_here, save_scan, write_weights

# Places are looked at before weights are.
NO_WEIGHTS = ("--weights", "no weights")


@pytest.fixture
def scans(tmp_path):
    """One scan whose name says so, and one that its label map would replace."""
    folder = tmp_path / "scans"
    folder.mkdir()
    save_scan(folder / "a_T2.nii.gz")
    save_scan(folder / "b.nii.gz")
    return folder


def refused(done, *words):
    assert done.exit_code == 2, done.output
    (line,) = done.stderr.splitlines()
    for word in ("error: ", *words):
        assert word in line
    return True


@pytest.mark.parametrize("more", [(), ("--resume",), ("--on-error", "empty")])
def test_a_run_into_its_own_input_is_refused_and_nothing_touched(tmp_path, scans, more):
    (tmp_path / "link").symlink_to(scans)
    before = {file.name: file.read_bytes() for file in scans.iterdir()}
    for source, output in (
        (scans, scans),
        (scans, tmp_path / "link"),
        (tmp_path / "link", scans),
        (scans / "b.nii.gz", scans),
        (scans, tmp_path / "scans" / ".." / "scans"),
    ):
        done = run_here("predict", source, output, *NO_WEIGHTS, *more)

        assert refused(done, "b.nii.gz is read, and would be replaced", "Nothing was started")
    assert {file.name: file.read_bytes() for file in scans.iterdir()} == before


def test_a_result_beside_its_scan_is_no_fault(scans):
    done = run_here("predict", scans / "a_T2.nii.gz", scans, *NO_WEIGHTS)

    assert refused(done, "no weights does not exist")  # the next thing that is wrong


def test_links_and_second_names_are_seen_through(tmp_path):
    scan = save_scan(tmp_path / "scan.nii.gz")
    (tmp_path / "link.nii.gz").symlink_to(scan)
    os.link(scan, tmp_path / "second.nii.gz")

    for name in ("link.nii.gz", "second.nii.gz", "scan.nii.gz"):
        with pytest.raises(UsageError, match=r"scan\.nii\.gz is read"):
            check_apart([tmp_path / name], [scan])
        with pytest.raises(UsageError, match="is read"):
            check_apart([None, scan], [tmp_path / name])
    check_apart([tmp_path / "new.nii.gz", None], [scan, tmp_path / "gone.nii.gz"])


def test_of_a_folder_its_scans_are_read_and_nothing_else(tmp_path):
    scan = save_scan(tmp_path / "scan.nii.gz")
    (tmp_path / "scores.csv").write_text("made before")

    check_apart([tmp_path / "scores.csv"], [tmp_path])
    with pytest.raises(UsageError, match=r"scan\.nii\.gz is read"):
        check_apart([scan], [tmp_path])
    check_apart([scan], [tmp_path.parent])
    with pytest.raises(UsageError, match=r"scan\.nii\.gz is read"):
        check_apart([scan], [tmp_path.parent], recursive=True)


def test_places_that_cannot_be_made_are_told_and_none_is_made(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    for folder in (tmp_path / "file", tmp_path / "file" / "a" / "b", tmp_path / "nowhere" / "a"):
        with pytest.raises(UsageError, match=rf"{folder} cannot be written: .* no folder"):
            check_folders(folder)
        with pytest.raises(UsageError, match=r"cannot be written: .* no folder"):
            check_writable(folder / "a.csv")
    check_folders(tmp_path / "new" / "er", None, tmp_path)
    check_writable(tmp_path / "new" / "a.csv", None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "nowhere"]


MOUNTED = """
import sys
from pathlib import Path
from meatus.errors import UsageError
from meatus.service.destinations import check_folders, check_writable

folder = Path(sys.argv[1])
if sys.argv[2] == "fill":
    (folder / "large").write_bytes(bytes(8192))
for check, place in ((check_folders, folder / "out"), (check_writable, folder / "a.csv")):
    try:
        check(place)
    except UsageError as error:
        print(error)
"""


@pytest.mark.parametrize(("options", "words"), [("ro", "Read-only"), ("size=8k", "No space left")])
def test_a_disk_that_is_full_or_read_only_is_told(tmp_path, options, words):
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    script = 'mount -t tmpfs -o "$0" tmpfs "$1" || exit 77; shift; exec "$@"'
    fill = "fill" if options != "ro" else "leave"
    python = (sys.executable, "-c", MOUNTED, str(tmp_path), fill)
    wrapper = ("unshare", "-rm", "sh", "-c", script, options, str(tmp_path))

    done = subprocess.run(
        [*wrapper, *python], cwd=ROOT, capture_output=True, text=True, check=False
    )

    if done.returncode == 77 or done.stderr.startswith("unshare:"):
        pytest.skip("this user may not mount a tmpfs here")
    assert (done.returncode, done.stderr) == (0, "")
    assert [words in line for line in done.stdout.splitlines()] == [True, True]


# Names as long as the disk can hold.


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


def predict(weights, *arguments):
    return run_here("predict", *arguments, "--weights", weights, "--quality", "fast")


@pytest.mark.parametrize("letter", ["a", "ö", "耳"])
def test_results_with_the_longest_names_are_written_and_reported(tmp_path, weights, letter):
    most = longest_name(tmp_path) - len(".nii.gz")
    stem = letter * (most // len(letter.encode()))
    (tmp_path / "in").mkdir()
    save_scan(tmp_path / "in" / f"{stem}.nii.gz")

    done = predict(weights, tmp_path / "in", tmp_path / "out", "--report", tmp_path / "report")

    assert (done.exit_code, done.stderr) == (0, "")
    assert [file.name for file in (tmp_path / "out").iterdir()] == [f"{stem}.nii.gz"]
    assert (tmp_path / "report" / f"{stem}.png").exists()
    assert (tmp_path / "report" / "cases" / f"{stem}.html").exists()


@pytest.mark.parametrize("more", [(), ("--resume",), ("--on-error", "empty")])
def test_a_name_that_the_disk_cannot_hold_is_one_line_and_the_others_go_on(
    tmp_path, weights, monkeypatch, more
):
    monkeypatch.setattr(meatus.service.results, "longest_name", lambda _folder: 143)
    (tmp_path / "in").mkdir()
    save_scan(tmp_path / "in" / f"{'a' * 140}_T2.nii.gz")
    save_scan(tmp_path / "in" / "b_T2.nii.gz")

    done = predict(weights, tmp_path / "in", tmp_path / "out", *more)

    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: aaaa")
    assert "has 147 bytes; names in" in line
    assert "at most 143" in line
    assert (tmp_path / "out" / "b.nii.gz").exists()


def test_a_result_longer_than_its_scans_name_is_told(tmp_path, weights):
    stem = "a" * (longest_name(tmp_path) - len(".nii"))
    scan = save_scan(tmp_path / f"{stem}.nii")

    done = predict(weights, scan, tmp_path / "out")

    assert done.exit_code == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Give the scan a shorter one" in done.stderr
