"""Formats that SimpleITK and nibabel read, through the same checks as our own."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from meatus.errors import ScanError
from meatus.io.images import read_grid, read_scan
from meatus.service.cases import find_cases
from tests.meatus.scan_files import GREY, TILTED, oblique

VOXELS = np.random.default_rng(1).integers(0, 900, (5, 18, 20)).astype(np.int16)  # z, y, x


def save(folder, suffix):
    path = folder / f"scan_T2{suffix}"
    if suffix in (".mgz", ".mgh"):
        nib.save(nib.freesurfer.mghformat.MGHImage(GREY, TILTED), path)
    elif suffix == ".hdr":
        image = nib.Nifti1Pair(GREY, TILTED)
        nib.save(image, path.with_suffix(".img"))
    else:
        sitk.WriteImage(oblique(VOXELS), str(path), useCompression=suffix == ".nhdr")
    return path


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr"])
def test_a_detached_header_lies_where_simpleitk_puts_it(tmp_path, suffix):
    scan = read_scan(save(tmp_path, suffix))

    image = oblique(VOXELS)
    np.testing.assert_array_equal(scan.voxels, VOXELS)
    assert scan.geometry.size == image.GetSize()
    np.testing.assert_allclose(scan.geometry.spacing_mm, image.GetSpacing())
    np.testing.assert_allclose(scan.geometry.origin_mm, image.GetOrigin())
    np.testing.assert_allclose(scan.geometry.direction, image.GetDirection(), atol=1e-6)


@pytest.mark.parametrize("suffix", [".mgz", ".mgh", ".hdr"])
def test_formats_of_nifti_space_lie_as_the_same_nifti_file(tmp_path, suffix):
    scan = read_scan(save(tmp_path, suffix))

    nib.save(nib.Nifti1Image(GREY, TILTED), tmp_path / "same.nii")
    same = read_scan(tmp_path / "same.nii")
    np.testing.assert_array_equal(scan.voxels, same.voxels)
    np.testing.assert_allclose(scan.geometry.spacing_mm, same.geometry.spacing_mm, rtol=1e-5)
    np.testing.assert_allclose(scan.geometry.origin_mm, same.geometry.origin_mm, rtol=1e-4)
    np.testing.assert_allclose(scan.geometry.direction, same.geometry.direction, atol=1e-5)
    assert read_grid(tmp_path / f"scan_T2{suffix}")[0] == scan.geometry


@pytest.mark.parametrize("suffix", [".mhd", ".mgz", ".hdr"])
def test_the_header_is_the_case_and_its_data_file_none(tmp_path, suffix):
    save(tmp_path, suffix)
    (case,) = find_cases(tmp_path, tmp_path).cases
    assert case.name == "scan"


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr", ".mgz", ".hdr"])
def test_a_cut_file_is_told_in_one_line_and_quietly(tmp_path, suffix, capfd):
    path = save(tmp_path, suffix)
    data = next((file for file in sorted(tmp_path.iterdir()) if file != path), path)
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])

    with pytest.raises(ScanError, match="scan_T2") as failed:
        read_scan(path)
    assert "\n" not in str(failed.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("suffix", [".mhd", ".nhdr", ".hdr"])
def test_a_lost_data_file_is_told(tmp_path, suffix):
    path = save(tmp_path, suffix)
    next(file for file in tmp_path.iterdir() if file != path).unlink()
    with pytest.raises(ScanError, match="not beside it"):
        read_scan(path)


def test_a_header_that_points_elsewhere_is_refused(tmp_path):
    path = save(tmp_path, ".mhd")
    path.write_text(path.read_text().replace("scan_T2.raw", "/etc/passwd"))
    with pytest.raises(ScanError, match="expected one file in the same folder"):
        read_scan(path)


def test_a_claim_beyond_the_file_is_refused_before_memory_is_taken(tmp_path):
    path = save(tmp_path, ".mhd")
    path.write_text(path.read_text().replace("DimSize = 20 18 5", "DimSize = 9000 900 30"))
    with pytest.raises(ScanError, match=r"claims more voxels than scan_T2\.raw"):
        read_scan(path)


def test_colours_and_too_few_slices_are_refused(tmp_path):
    colours = sitk.GetImageFromArray(np.repeat(VOXELS[..., None], 3, -1), isVector=True)
    sitk.WriteImage(colours, str(tmp_path / "a.mhd"))
    sitk.WriteImage(oblique(VOXELS[:2]), str(tmp_path / "b.mhd"))
    with pytest.raises(ScanError, match="several values per voxel"):
        read_scan(tmp_path / "a.mhd")
    with pytest.raises(ScanError, match="20 x 18 x 2 voxels"):
        read_scan(tmp_path / "b.mhd")
