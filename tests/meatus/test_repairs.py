"""Small faults of a scan are repaired and told, and what is not used may hold anything."""

import re

import nibabel as nib
import numpy as np
import pytest

from meatus.io.images import read_scan, write_labels
from tests.meatus.hostile_files import edited, nifti, pixdim, with_bad
from tests.meatus.scan_files import GREY, TILTED, labels_of, save

SLIGHTLY = TILTED + np.array([[0, 0.001, 0, 0]] + [[0] * 4] * 3)
MOVED = {"srow_x": (-0.4, 0, 0, 102)}

REPAIRED = {
    "few NaN": (nifti(voxels=with_bad(1)), "1 voxels .* minimum"),
    "few infinite": (nifti(voxels=with_bad(1, np.inf)), "1 voxels .* minimum"),
    "slightly sheared": (
        lambda f: save(f / "scan.nii", affine=SLIGHTLY, codes=(0, 2)),
        "right-angled axes",
    ),
    "forms apart": (nifti(MOVED), "12.0 mm apart: sform is used, both kept"),
    "no form": (nifti(codes=(0, 0)), "neither sform nor qform"),
    "sform of zeros": (nifti({"srow_x": 0, "srow_y": 0}), "sform cannot be used: qform is used"),
    "voxel size 0": (nifti(pixdim(0, 0, 0)), "qform cannot be used: sform is used"),
    "voxel size -1": (nifti(pixdim(-0.4, 1, 1)), "qform cannot be used: sform is used"),
    "infinite slope": (nifti({"scl_slope": np.inf}), "scaling by inf"),
    "intercept NaN": (nifti({"scl_slope": 2, "scl_inter": np.nan}), "scaling by 2 and nan"),
    "bits": (nifti({"bitpix": 8}), "8 bits per voxel of type int16"),
    "nrrd without space": (edited(".nrrd", (rb"\nspace: .*", b"\nspace dimension: 3")), "as LPS"),
    "nrrd of sizes": (
        edited(".nrrd", (rb"\nspace: .*", b""), (rb"space dir.*", b"spacings: 0.4 0.5 1.5"),
               (rb"\nspace origin.*", b"")),
        "no directions",
    ),
    "mha of sizes": (edited(".mha", (rb"\nTransformMatrix.*", b"")), "no directions"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REPAIRED)
def test_a_small_fault_is_repaired_and_told_and_the_header_kept(tmp_path, capfd, kind):
    make, words = REPAIRED[kind]
    path = make(tmp_path)
    capfd.readouterr()

    scan = read_scan(path)
    write_labels(labels_of(scan), tmp_path / "result.nii")

    (warning,) = scan.warnings
    assert re.search(words, warning)
    assert "\n" not in warning
    assert capfd.readouterr() == ("", "")
    assert np.isfinite(scan.voxels).all()
    np.testing.assert_allclose(scan.geometry.axes.T @ scan.geometry.axes, np.eye(3), atol=1e-12)
    back = read_scan(tmp_path / "result.nii")
    assert back.geometry.position_mm((9, 9, 4)) == pytest.approx(
        scan.geometry.position_mm((9, 9, 4)), abs=1e-4
    )
    if path.suffix == ".nii":
        before, after = (file.read_bytes()[:348] for file in (path, tmp_path / "result.nii"))
        assert after[76:108] == before[76:108]  # pixdim
        assert after[252:328] == before[252:328]  # both forms and their codes


SILENT = {
    "size 0 where only the sform is set": nifti(pixdim(0, 0, 0), codes=(0, 1)),
    "size -1 where only the sform is set": nifti(pixdim(-1, -1, -1), codes=(0, 2)),
    "sform of NaN where only the qform is set": nifti({"srow_x": np.nan}, codes=(1, 0)),
    "slope 0": nifti({"scl_slope": 0, "scl_inter": 0}),
    "slope NaN": nifti({"scl_slope": np.nan, "scl_inter": np.nan}),
    "no offset": nifti({"vox_offset": 0}),
}


@pytest.mark.parametrize("kind", SILENT)
def test_a_field_that_is_not_used_may_hold_anything(tmp_path, kind):
    scan = read_scan(SILENT[kind](tmp_path))

    assert scan.warnings == ()
    np.testing.assert_array_equal(scan.voxels, GREY.T)
    np.testing.assert_allclose(scan.geometry.spacing_mm, (0.4, 0.4, 1.5), rtol=1e-6)


def test_a_scan_without_forms_lies_where_nibabel_puts_it(tmp_path):
    path = nifti(codes=(0, 0))(tmp_path)
    affine = np.diag([-1, -1, 1, 1]) @ nib.load(path).affine

    place = read_scan(path).geometry.position_mm((3, 4, 2))

    assert place == pytest.approx((affine @ (3, 4, 2, 1))[:3], abs=1e-4)


def test_a_stray_nan_becomes_the_minimum(tmp_path):
    voxels = read_scan(nifti(voxels=with_bad(1) + 7)(tmp_path)).voxels

    assert voxels.min() == 7
    assert voxels.transpose().ravel()[5] == 7


def test_an_empty_label_map_is_read(tmp_path):
    assert read_scan(nifti(voxels=np.zeros_like(GREY))(tmp_path)).voxels.max() == 0
