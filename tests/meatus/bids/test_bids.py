"""``meatus bids``: what a derivative dataset holds, and that it is one."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import pytest

from meatus.bids.commands import bids
from meatus.bids.dataset import find_scans
from meatus.bids.derivative import case_of, common_files
from meatus.errors import UsageError
from tests.meatus.tiny_runs import run_here, save_scan, write_weights

VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")
SCANS = ("sub-01/anat/sub-01_T2w", "sub-02/ses-a/anat/sub-02_ses-a_acq-hr_run-1_T2w")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def dataset(tmp_path):
    folder = tmp_path / "dataset"
    for name in (*SCANS, "sub-01/anat/sub-01_T1w", "sub-02/ses-b/anat/sub-02_ses-b_FLAIR"):
        file = folder / f"{name}.nii.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    about = {"Name": "ears", "BIDSVersion": "1.8.0", "DatasetDOI": "doi:10.1/x", "License": "CC0"}
    (folder / "dataset_description.json").write_text(json.dumps(about))
    return folder


def label(dataset, out, weights, *more):
    options = ("--weights", weights, "--device", "cpu", "--quality", "fast", *more)
    return run_here("bids", dataset, out, "participant", *options)


def names(folder):
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.*"))


def test_scans_are_the_t2w_files_of_participants_and_sessions(dataset):
    def entities(*labels):
        return [scan.entities for scan in find_scans(dataset, *labels)]

    assert entities() == ["sub-01", "sub-02_ses-a_acq-hr_run-1"]
    assert entities(["sub-01"]) == entities(["01"]) == ["sub-01"]
    assert entities([], ["a"]) == ["sub-02_ses-a_acq-hr_run-1"]
    with pytest.raises(UsageError, match=r"has no participant sub-7\. It has sub-01, sub-02"):
        entities(["7"])
    with pytest.raises(UsageError, match="no T2w scan of what was asked for"):
        entities(["02"], ["b"])


@pytest.mark.parametrize(
    "words",
    [
        "DATA OUT participant --participant_label 01 sub-02 --session-label a --quiet",
        "--participant-label 01 DATA OUT participant --participant-label 02 --session-label a",
    ],
)
def test_labels_are_taken_as_bids_apps_take_them(words):
    context = bids.make_context("bids", words.split())

    assert [label[-2:] for label in context.params["participants"]] == ["01", "02"]
    assert context.params["sessions"] == ("a",)
    assert (context.params["dataset"].name, context.params["out"].name) == ("DATA", "OUT")


def test_results_are_named_after_their_scans_and_point_at_them(dataset, tmp_path):
    out = tmp_path / "out"
    _, scan = find_scans(dataset)

    case = case_of(scan, dataset, out, probabilities=True)

    stem = "sub-02/ses-a/anat/sub-02_ses-a_acq-hr_run-1_space-orig_desc-meatus"
    assert case.result == out / f"{stem}_dseg.nii.gz"
    assert case.soft == out / f"{stem}_probseg.nii.gz"
    sidecars = {path: json.loads(data) for path, data in case.sidecars}
    assert sidecars.keys() == {out / f"{stem}_dseg.json", out / f"{stem}_probseg.json"}
    about = sidecars[out / f"{stem}_dseg.json"]
    assert about["Sources"] == [f"bids:raw:{SCANS[1]}.nii.gz"]
    assert about["SpatialReference"] == f"bids:raw:{SCANS[1]}.nii.gz"
    assert sidecars[out / f"{stem}_probseg.json"]["LabelMap"][3] == "cochlea"


def test_the_dataset_says_what_made_it_and_what_of(dataset):
    out = dataset / "derivatives" / "meatus"

    files = common_files(dataset, out)

    about = json.loads(files[out / "dataset_description.json"])
    assert about["DatasetType"] == "derivative"
    assert about["GeneratedBy"][0]["Name"] == "meatus"
    assert about["SourceDatasets"] == [{"URL": "../..", "DOI": "doi:10.1/x"}]
    assert about["DatasetLinks"] == {"raw": "../.."}
    assert about["License"] == "CC0"
    table = files[out / "desc-meatus_dseg.tsv"].decode().splitlines()
    assert table[0].split("\t") == ["index", "name", "abbreviation", "color"]
    assert [line.split("\t")[0] for line in table[1:]] == ["0", "1", "2", "3"]


def test_parts_and_processes_share_the_scans_and_leave_one_dataset(dataset, weights):
    for name in SCANS:
        save_scan(dataset / f"{name}.nii.gz")
    out = dataset / "derivatives" / "meatus"

    first = label(dataset, out, weights, "--part", "1/2")
    alone = [file.name for file in out.rglob("*_dseg.nii.gz")]
    both = label(dataset, out, weights, "--jobs", "2", "--resume")

    assert (first.exit_code, both.exit_code) == (0, 0), first.output + both.output
    assert [name.partition("_")[0] for name in alone] == ["sub-01"]
    assert "cases: 2, 1 already done" in both.output
    assert len(list(out.rglob("*_dseg.nii.gz"))) == len(SCANS)


def test_a_job_array_shares_the_scans_of_all_participants_alone(monkeypatch, dataset, tmp_path):
    asked = []
    monkeypatch.setattr("meatus.bids.commands.run", lambda request, _find: asked.append(request))
    for name, value in (("ID", "2"), ("COUNT", "3"), ("MIN", "1"), ("MAX", "3")):
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)

    for labels in ((), ("--participant-label", "01")):
        run_here("bids", dataset, tmp_path / "out", "participant", *labels)

    assert [request.part and (request.part.number, request.part.of) for request in asked] == [
        (2, 3), None,
    ]  # fmt: skip


def test_a_run_makes_a_valid_derivative_dataset_and_resumes(dataset, weights):
    for name in SCANS:
        save_scan(dataset / f"{name}.nii.gz")
    out = dataset / "derivatives" / "meatus"

    done = label(dataset, out, weights, "--probabilities")

    assert done.exit_code == 0, done.output
    one, two = (f"{name.removesuffix('_T2w')}_space-orig_desc-meatus" for name in SCANS)
    ends = ("dseg.json", "dseg.nii.gz", "probseg.json", "probseg.nii.gz")
    assert names(out) == [
        "dataset_description.json",
        "desc-meatus_dseg.tsv",
        *(f"{stem}_{end}" for stem in (one, two) for end in ends),
    ]
    assert nib.load(out / f"{one}_dseg.nii.gz").get_fdata().max() == 3
    assert "[1/2] sub-01 " in done.stdout
    again = label(dataset, out, weights, "--probabilities", "--resume")
    assert (again.exit_code, "cases: 2, 2 already done" in again.stdout) == (0, True)
    check_by_validator(out)


def check_by_validator(folder):
    if not VALIDATOR.exists():
        pytest.skip("bids-validator-deno is not here: pip install bids-validator-deno")
    told = subprocess.run(
        [VALIDATOR, folder, "--format", "json"], capture_output=True, text=True, check=False
    )
    issues = json.loads(told.stdout)["issues"]["issues"]
    assert [issue for issue in issues if issue["severity"] == "error"] == []
    assert told.returncode == 0


def wrong(tmp_path, dataset, name):
    """What is passed as dataset and output, and more options."""
    if name == "no dataset":
        (dataset / "dataset_description.json").unlink()
    if name == "a damaged description":
        (dataset / "dataset_description.json").write_text("{")
    if name == "a description that is a list":
        (dataset / "dataset_description.json").write_text("[]")
    if name == "no scan":
        shutil.rmtree(dataset / "sub-01")
        shutil.rmtree(dataset / "sub-02")
    if name == "another program's output":
        (tmp_path / "out").mkdir()
        about = {"Name": "x", "GeneratedBy": [{"Name": "fMRIPrep"}]}
        (tmp_path / "out" / "dataset_description.json").write_text(json.dumps(about))
    out = dataset if name == "into itself" else tmp_path / "out"
    return dataset, out, ("--participant-label", "9") if name == "nobody" else ()


WRONG = {
    "no dataset": "cannot be read",
    "a damaged description": "is not JSON",
    "a description that is a list": "no JSON object",
    "no scan": "holds no T2w scan",
    "nobody": "has no participant sub-9",
    "into itself": "is the dataset itself",
    "another program's output": "did not make",
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_ends_in_one_line_and_writes_nothing(tmp_path, dataset, weights, name):
    source, out, more = wrong(tmp_path, dataset, name)
    before = names(tmp_path)

    done = label(source, out, weights, *more)

    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert WRONG[name] in done.stderr
    assert names(tmp_path) == before
