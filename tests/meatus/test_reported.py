"""Further kinds of fault that users of such tools report, each with the report that it is from."""

import gzip
import json

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from meatus.dicom.series import read_series
from meatus.dicom.study import find_series
from meatus.errors import ScanError, UsageError
from meatus.io.images import read_scan
from tests.meatus.dicom.series_files import enhanced, head, save_series
from tests.meatus.dicom.series_files import save as save_datasets
from tests.meatus.hostile_files import stored
from tests.meatus.scan_files import GREY, oblique, save
from tests.meatus.tiny_runs import run, run_here, save_scan, write_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


def read_study(folder):
    (case,) = find_series(folder).cases
    return read_series(case.stack)


@pytest.mark.parametrize("rest", [b"\0" * 512, b"padding of a tape", b"\x1f"])
def test_garbage_behind_a_gzip_stream_is_left_alone(tmp_path, rest):
    """github.com/python/cpython/issues/68489: Python's gzip raises."""
    path = stored(".nii.gz", lambda data: data + rest)(tmp_path)

    np.testing.assert_array_equal(read_scan(path).voxels, GREY.T)


def test_a_file_of_many_gzip_members_is_read_to_its_end(tmp_path):
    """github.com/silx-kit/fabio/issues/18: 160 sections, of which the first was read."""

    def split(data):
        whole = gzip.decompress(data)
        return b"".join(gzip.compress(whole[at : at + 97]) for at in range(0, len(whole), 97))

    np.testing.assert_array_equal(read_scan(stored(".nii.gz", split)(tmp_path)).voxels, GREY.T)


@pytest.mark.parametrize("suffix", [".mha", ".nrrd"])
def test_text_headers_with_windows_line_ends_are_read(tmp_path, suffix):
    """github.com/Deep-MI/FastSurfer/issues/454: a carriage return became part of a name."""
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(oblique(GREY.T), path)
    text, mark, voxels = path.read_bytes().partition(b"LOCAL\n" if suffix == ".mha" else b"\n\n")
    path.write_bytes((text + mark).replace(b"\n", b"\r\n") + voxels)

    scan = read_scan(path)

    np.testing.assert_array_equal(scan.voxels, GREY.T)
    assert scan.geometry.spacing_mm == pytest.approx((0.4, 0.5, 1.5))


def test_a_sform_of_ones_beside_real_voxel_sizes_is_told(tmp_path):
    """github.com/InsightSoftwareConsortium/ITK/issues/3514: VINCI leaves scales out of it."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    path = save(tmp_path / "scan.nii", affine=affine, codes=(0, 1))
    whole = path.read_bytes()
    header = nib.Nifti1Header(whole[:348])
    header["pixdim"][1:4] = (0.87, 0.87, 0.8)
    path.write_bytes(header.binaryblock + whole[348:])

    (warning,) = read_scan(path).warnings

    assert warning.startswith("voxel sizes are stated as 0.87 x 0.87 x 0.8 mm")


@pytest.mark.parametrize("value", ["3.42362e+09", "2.95029e-39", "1e400"])
def test_a_slice_with_a_place_out_of_this_world_is_refused(tmp_path, value):
    """github.com/rordenlab/dcm2niix/issues/539: last distances of 2.95029e-39 and 3.42362e+09."""
    files = save_series(tmp_path)
    dataset = pydicom.dcmread(files[3])
    dataset.ImagePositionPatient = ["-36", "-32", value]
    dataset.save_as(files[3])

    with pytest.raises((ScanError, UsageError)) as caught:
        read_study(tmp_path)

    assert str(caught.value).isprintable()


def test_a_gap_where_most_slices_are_missing_is_refused(tmp_path):
    """github.com/rordenlab/dcm2niix/issues/248: 28.8 mm, then 211.2 mm."""
    below, above = head(6), head(6, seed=1)
    study, series = "1.2.3", "1.2.3.4"
    save_series(tmp_path / "a", below, study=study, series=series)
    save_series(tmp_path / "b", above, study=study, series=series, origin=(-36, -32, 180))

    with pytest.raises((ScanError, UsageError), match=r"missing|slices|apart|gap"):
        read_study(tmp_path)


def test_frames_of_several_times_at_one_place_are_no_volume(tmp_path):
    """github.com/ImagingDataCommons/highdicom/issues/369: cine frames share their positions."""
    voxels = np.concatenate([head(6), head(6, seed=1), head(6, seed=2)])
    dataset = enhanced(voxels)
    frames = dataset.PerFrameFunctionalGroupsSequence
    for n, frame in enumerate(frames):
        place = frames[n % 6].PlanePositionSequence[0].ImagePositionPatient
        frame.PlanePositionSequence[0].ImagePositionPatient = place
    save_datasets([dataset], tmp_path)

    with pytest.raises((ScanError, UsageError)) as caught:
        read_study(tmp_path)

    assert str(caught.value).isprintable()


LACKING = ("StudyID", "SliceThickness", "PatientSex", "PatientBirthDate", "AccessionNumber",
           "ReferringPhysicianName", "StudyTime", "SeriesNumber", "Manufacturer")  # fmt: skip


@pytest.mark.parametrize("preamble", [True, False])
def test_a_study_that_lacks_what_it_should_state_gives_all_objects(tmp_path, weights, preamble):
    """highdicom #99 and #159 (StudyID, SliceThickness), DIAGNijmegen/rse-panimg #116 (sex),
    wasserth/TotalSegmentator #366 (files without a preamble).
    """
    for file in save_series(tmp_path / "in"):
        dataset = pydicom.dcmread(file)
        for keyword in LACKING:
            del dataset[keyword]
        dataset.save_as(file, enforce_file_format=True)
        if not preamble:
            file.write_bytes(file.read_bytes()[132:])

    done = run_here(
        "predict", tmp_path / "in", tmp_path / "out", "--weights", weights, "--quality", "fast",
        "--output", "nifti,dicom-seg,dicom-sr,rtstruct",
    )  # fmt: skip

    assert done.stderr == ""
    assert done.exit_code == 0
    kinds = sorted(file.name.partition(".")[2] for file in (tmp_path / "out").iterdir())
    assert kinds == ["nii.gz", "rtstruct.dcm", "seg.dcm", "sr.dcm"]


def test_a_home_that_cannot_be_written_costs_no_word(tmp_path, weights):
    """github.com/ReproNim/containers/pull/102: Matplotlib warns of its cache folder."""
    scan = save_scan(tmp_path / "a_T2.nii.gz")
    arguments = ("predict", scan, tmp_path / "out", "--weights", weights, "--quality", "fast")

    done = run(
        *arguments, "--report", tmp_path / "report",
        HOME="/proc/none", XDG_CONFIG_HOME="/proc/none", XDG_CACHE_HOME="/proc/none",
        MPLCONFIGDIR="",
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "report" / "a.png").exists()


def test_resource_forks_and_other_hidden_files_are_no_scans(tmp_path, weights):
    """macOS leaves ``._a.nii.gz`` beside each file on disks of other systems, and in archives."""
    save_scan(tmp_path / "in.nii.gz")
    (tmp_path / "in").mkdir()
    (tmp_path / "in.nii.gz").rename(tmp_path / "in" / "a_T2.nii.gz")
    (tmp_path / "in" / "._a_T2.nii.gz").write_bytes(b"\0\5\26\7" * 40)
    (tmp_path / "in" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")

    done = run_here(
        "predict", tmp_path / "in", tmp_path / "out", "--weights", weights, "--log-json"
    )

    assert (done.exit_code, done.stderr) == (0, "")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["cases"] for event in events if event["event"] == "start"] == [1]


def test_a_scan_whose_axes_are_left_handed_keeps_its_sides(tmp_path, weights):
    """github.com/ENHANCE-PET/MOOSE/issues/232: left and right were exchanged."""
    scan = save_scan(tmp_path / "a_T2.nii.gz")
    image = nib.load(scan)
    voxels = np.asarray(image.dataobj).copy()
    voxels[15:36] = 100  # the ball of the one side is gone: its place in the patient tells which
    left = [nib.Nifti1Image(voxels, image.affine)]
    flip = image.affine @ np.array([[-1, 0, 0, 119], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    left.append(nib.Nifti1Image(voxels[::-1], flip))
    places = []
    for n, one in enumerate(left):
        nib.save(one, tmp_path / f"{n}_T2.nii.gz")
        done = run_here("predict", tmp_path / f"{n}_T2.nii.gz", tmp_path, "--weights", weights)
        assert done.exit_code == 0, done.output
        found = nib.load(tmp_path / f"{n}.nii.gz")
        index = np.argwhere(np.asarray(found.dataobj) == 3).mean(axis=0)
        places.append(nib.affines.apply_affine(found.affine, index))

    assert np.linalg.det(left[0].affine[:3, :3]) * np.linalg.det(left[1].affine[:3, :3]) < 0
    np.testing.assert_allclose(places[0], places[1], atol=0.01)
