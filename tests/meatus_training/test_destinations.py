"""Every command that writes looks at its place before the first scan is read."""

import os

import pytest

from tests.meatus_evaluation.label_maps import ends_in_one_line, run, save

IN_THE_WAY = "file"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """What commands read: here sound by their names alone, as nothing of it may be opened."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("scans/a_T2.nii.gz", "scans/b_Label.nii.gz", "network.pt", "a.json", "a.csv"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"not to be read")
    (folder / IN_THE_WAY).write_text("")
    return folder


COMMANDS = {
    "prepare": ("train", "prepare", "scans", "OUT"),
    "translate": ("train", "translate", "OUT"),
    "epochs": ("train", "epochs", "OUT"),
    "segment": ("train", "segment", "OUT", "--member", "a"),
    "selftrain": ("train", "selftrain", "OUT"),
    "reproduce": ("train", "reproduce", "scans", "OUT"),
    "ladder": ("train", "ladder", "scans", "OUT"),
    "export": ("train", "export", "network.pt", "OUT/a.onnx"),
    "import": ("train", "import-checkpoint", "network.pt", "OUT/a.onnx"),
    "manifest": ("train", "manifest", "OUT", "--scores", "a.json"),
    "engines": ("train", "engines", "scans", "--json", "OUT/a.json"),
    "cohort": ("phantom", "cohort", "OUT", "--source", "1"),
    "contours": ("phantom", "contours", "scans", "OUT"),
    "check": ("phantom", "check", "scans", "--json", "OUT/a.json"),
    "sheet": ("phantom", "check", "scans", "--contact-sheet", "OUT/a.png"),
    "score to CSV": ("score", "scans", "scans", "--csv", "OUT/a.csv"),
    "score to a page": ("score", "scans", "scans", "--html", "OUT/a.html"),
    "score to pictures": ("score", "scans", "scans", "--pictures", "OUT"),
    "rank": ("rank", "a.csv", "--csv", "OUT/a.csv"),
    "compare": ("compare", "a.csv", "a.csv", "--json", "OUT/a.json"),
    "growth": ("growth", "scans/b_Label.nii.gz", "scans/b_Label.nii.gz", "--json", "OUT/a.json"),
    "growth of a folder": ("growth", "scans", "--pdf", "OUT/a.pdf"),
    "reliability": ("reliability", "scans", "scans", "--picture", "OUT/a.png"),
    "budget": ("budget", "scans", "--json", "OUT/a.json"),
    "bench": ("bench", "--json", "OUT/a.json"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_place_below_a_file_is_one_line_before_anything_is_read(data, monkeypatch, command):
    monkeypatch.chdir(data)
    place = f"{IN_THE_WAY}{os.sep}below"

    done = run(*(word.replace("OUT", place) for word in COMMANDS[command]))

    assert ends_in_one_line(done, 2, place, "cannot be written", "Not a directory")


OVER_ITS_INPUT = {
    "score": ("score", "found", "truth", "--csv", "found/a.nii.gz"),
    "score over a reference": ("score", "found", "truth", "--json", "truth/a_Label.nii.gz"),
    "score through a link": ("score", "found", "truth", "--html", "link/a.nii.gz"),
    "rank": ("rank", "a.csv", "--csv", "a.csv"),
    "compare": ("compare", "found", "a.csv", "--reference", "truth", "--json", "a.csv"),
    "growth": ("growth", "found/a.nii.gz", "truth/a_Label.nii.gz", "--json", "found/a.nii.gz"),
    "reliability": ("reliability", "found", "truth", "--json", "truth/a_Label.nii.gz"),
    "budget": ("budget", "found/a.nii.gz", "--json", "found/a.nii.gz"),
    "export": ("train", "export", "network.pt", "network.pt"),
    "import": ("train", "import-checkpoint", "network.pt", "network.pt"),
    "engines": ("train", "engines", "found", "--json", "found/a.nii.gz"),
    "manifest": ("train", "manifest", ".", "--scores", "manifest.json"),
}


@pytest.mark.parametrize("command", OVER_ITS_INPUT)
def test_no_result_goes_over_what_is_read(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "found" / "a.nii.gz")
    save(tmp_path / "truth" / "a_Label.nii.gz")
    (tmp_path / "link").symlink_to("found")
    for name in ("a.csv", "network.pt", "manifest.json"):
        (tmp_path / name).write_text("kept")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    done = run(*OVER_ITS_INPUT[command])

    assert ends_in_one_line(done, 2, "is read, and would be replaced by the result")
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
