"""What becomes of a scan's header, and of results that cannot be written."""

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from meatus.errors import OutputError
from meatus.io.images import SUFFIXES, read_grid, read_scan, write_labels
from tests.meatus.scan_files import GREY, TILTED, labels_of, save

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("codes", [(1, 1), (0, 2), (2, 0), (4, 3), (0, 0)])
def test_the_label_map_keeps_size_affine_and_form_codes(tmp_path, codes):
    path = save(tmp_path / "scan.nii.gz", codes=codes)
    scan = read_scan(path)

    write_labels(labels_of(scan), tmp_path / "result.nii.gz")

    before, after = nib.load(path).header, nib.load(tmp_path / "result.nii.gz").header
    for field in ("dim", "pixdim", "qform_code", "sform_code", "quatern_b", "quatern_c",
                  "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y",
                  "srow_z", "xyzt_units", "descrip"):  # fmt: skip
        np.testing.assert_array_equal(before[field], after[field], err_msg=field)
    assert after.get_data_dtype() == np.uint8
    written = np.asanyarray(nib.load(tmp_path / "result.nii.gz").dataobj).T
    np.testing.assert_array_equal(written, labels_of(scan).voxels)


def test_a_scaled_scan_gives_unscaled_labels(tmp_path):
    image = nib.Nifti1Image(GREY.astype(np.float64) / 7, TILTED)
    image.set_data_dtype(np.int16)
    nib.save(image, tmp_path / "scan.nii.gz")
    scan = read_scan(tmp_path / "scan.nii.gz")

    write_labels(labels_of(scan), tmp_path / "result.nii.gz")

    assert scan.voxels.max() == pytest.approx(GREY.max() / 7, rel=1e-3)
    assert nib.load(tmp_path / "result.nii.gz").get_fdata().max() == 3


def test_a_big_endian_scan_is_read_and_its_labels_written(tmp_path):
    image = nib.Nifti1Image(GREY, TILTED, nib.Nifti1Header(endianness=">"))
    nib.save(image, tmp_path / "scan.nii")
    scan = read_scan(tmp_path / "scan.nii")

    write_labels(labels_of(scan), tmp_path / "result.nii.gz")

    np.testing.assert_array_equal(scan.voxels, GREY.T)
    np.testing.assert_allclose(nib.load(tmp_path / "result.nii.gz").affine, TILTED, atol=1e-5)


def test_a_scan_in_nifti_2_gives_labels_in_nifti_2(tmp_path):
    nib.save(nib.Nifti2Image(GREY, TILTED), tmp_path / "scan.nii.gz")
    scan = read_scan(tmp_path / "scan.nii.gz")

    write_labels(labels_of(scan), tmp_path / "result.nii.gz")

    result = nib.load(tmp_path / "result.nii.gz")
    assert isinstance(result, nib.Nifti2Image)
    np.testing.assert_allclose(result.affine, TILTED, atol=1e-5)
    np.testing.assert_array_equal(np.asanyarray(result.dataobj).T, labels_of(scan).voxels)


def test_the_grid_of_a_cut_file_is_still_known(tmp_path):
    path = save(tmp_path / "scan.nii.gz")
    path.write_bytes(path.read_bytes()[:1500])

    geometry, header = read_grid(path)

    assert geometry.size == (20, 18, 5)
    assert len(header) == 348


def test_a_result_that_cannot_be_written_leaves_nothing(tmp_path):
    scan = read_scan(save(tmp_path / "scan.nii.gz"))
    with pytest.raises(OutputError, match="missing"):
        write_labels(labels_of(scan), tmp_path / "missing" / "case.nii.gz")
    with pytest.raises(OutputError, match=r"scan\.nii\.gz.case"):
        write_labels(labels_of(scan), tmp_path / "scan.nii.gz" / "case.mha")
    with pytest.raises(OutputError, match=r"case\.mhd: not a label map's name"):
        write_labels(labels_of(scan), tmp_path / "case.mhd")
    (tmp_path / "folder.nii.gz").mkdir()
    with pytest.raises(OutputError, match="folder"):
        write_labels(labels_of(scan), tmp_path / "folder.nii.gz")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder.nii.gz", "scan.nii.gz"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_leaves_no_result(tmp_path, suffix):
    """A limit on the size of files stands in for the disk; SimpleITK's writer overlooks both."""
    code = f"""
import resource, signal, sys
from pathlib import Path
import numpy as np
from meatus.errors import OutputError
from meatus.geometry import Geometry
from meatus.io.images import write_labels
from meatus.volumes import Labels

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))
voxels = np.random.default_rng(0).integers(0, 4, (5, 18, 20), np.uint8)
grid = Geometry((20, 18, 5), (0.4, 0.5, 1.5), (0, 0, 0))
try:
    write_labels(Labels(voxels, grid), Path({str(tmp_path / f"case{suffix}")!r}))
except OutputError as error:
    sys.exit(str(error))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    line = f"{tmp_path / f'case{suffix}'}: cannot be written (File too large); make room"
    assert done.stderr.startswith(line)
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
