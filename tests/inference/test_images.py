import gzip

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from inference.errors import OutputError, ScanError
from inference.geometry import Geometry
from inference.images import read_grid, read_scan, write_labels
from inference.volumes import Labels

GREY = np.random.default_rng(0).integers(0, 900, (20, 18, 5)).astype(np.int16)  # x, y, z
COS, SIN = np.cos(0.2), np.sin(0.2)
TILTED = np.array(
    [
        [-0.4, 0, 0, 90],
        [0, 0.4 * COS, -1.5 * SIN, -80],
        [0, 0.4 * SIN, 1.5 * COS, 4],
        [0, 0, 0, 1],
    ]
)


def save(path, voxels=GREY, affine=TILTED, codes=(1, 1)):
    image = nib.Nifti1Image(voxels, affine)
    image.set_qform(affine, codes[0])
    image.set_sform(affine, codes[1])
    image.header["descrip"] = b"as exported"
    nib.save(image, path)
    return path


def labels_of(scan):
    voxels = (np.arange(scan.voxels.size).reshape(scan.voxels.shape) % 4).astype(np.uint8)
    return Labels(voxels, scan.geometry, scan.header)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd"])
def test_every_format_gives_the_voxels_and_places_that_simpleitk_gives(tmp_path, suffix):
    source = sitk.ReadImage(save(tmp_path / "scan.nii.gz"))
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(source, path)

    scan = read_scan(path)

    np.testing.assert_array_equal(scan.voxels, sitk.GetArrayFromImage(source))
    for index in [(0, 0, 0), (19, 0, 2), (3, 17, 4)]:
        expected = source.TransformIndexToPhysicalPoint(index)
        assert scan.geometry.position_mm(index) == pytest.approx(expected, abs=1e-4)


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


def test_labels_of_an_mha_scan_lie_where_the_scan_lies(tmp_path):
    source = sitk.ReadImage(save(tmp_path / "scan.nii.gz"))
    sitk.WriteImage(source, tmp_path / "scan.mha")

    write_labels(labels_of(read_scan(tmp_path / "scan.mha")), tmp_path / "result.nii.gz")

    result = sitk.ReadImage(tmp_path / "result.nii.gz")
    assert result.GetSize() == source.GetSize()
    assert result.GetOrigin() == pytest.approx(source.GetOrigin(), abs=1e-3)
    assert result.GetDirection() == pytest.approx(source.GetDirection(), abs=1e-5)


def test_one_frame_in_four_axes_is_a_volume(tmp_path):
    nib.save(nib.Nifti1Image(GREY[..., None], TILTED), tmp_path / "scan.nii.gz")

    assert read_scan(tmp_path / "scan.nii.gz").voxels.shape == (5, 18, 20)


def bad_file(folder, kind):
    path = folder / "scan.nii.gz"
    whole = save(path).read_bytes()
    plain = gzip.decompress(whole)
    if kind == "not an image":
        path.write_bytes(b"no image at all")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut gzip":
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "header only":
        path.write_bytes(gzip.compress(plain[:352]))
    elif kind == "four frames":
        nib.save(nib.Nifti1Image(np.stack([GREY] * 4, -1), TILTED), path)
    elif kind == "one slice":
        save(path, GREY[:, :, :1])
    elif kind == "not a number":
        save(path, np.where(GREY > 800, np.nan, GREY).astype(np.float32))
    elif kind == "skewed":
        save(path, affine=TILTED + np.array([[0, 0.1, 0, 0]] + [[0] * 4] * 3), codes=(0, 1))
    return path


BAD = ["not an image", "empty", "cut gzip", "header only", "four frames", "one slice",
       "not a number", "skewed"]  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_what_is_not_one_scan_is_refused_in_a_line_that_names_the_file(tmp_path, kind):
    with pytest.raises(ScanError, match=r"scan\.nii\.gz") as caught:
        read_scan(bad_file(tmp_path, kind))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_an_error_of_ours(tmp_path):
    with pytest.raises(ScanError, match=r"none\.mha"):
        read_scan(tmp_path / "none.mha")


def test_the_grid_of_a_cut_file_is_still_known(tmp_path):
    geometry, header = read_grid(bad_file(tmp_path, "cut gzip"))

    assert geometry.size == (20, 18, 5)
    assert len(header) == 348


def test_a_result_that_cannot_be_written_leaves_nothing(tmp_path):
    scan = read_scan(save(tmp_path / "scan.nii.gz"))
    with pytest.raises(OutputError, match="missing"):
        write_labels(labels_of(scan), tmp_path / "missing" / "case.nii.gz")
    (tmp_path / "folder.nii.gz").mkdir()
    with pytest.raises(OutputError, match="folder"):
        write_labels(labels_of(scan), tmp_path / "folder.nii.gz")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["folder.nii.gz", "scan.nii.gz"]


def test_own_geometry_round_trips_through_every_format(tmp_path):
    grid = Geometry((20, 18, 5), (0.4, 0.5, 1.5), (-3.0, 4.0, 5.0))
    labels = Labels((GREY.T % 4).astype(np.uint8), grid)
    for suffix in (".nii", ".nii.gz", ".mha", ".nrrd"):
        write_labels(labels, tmp_path / f"case{suffix}")
        back = read_scan(tmp_path / f"case{suffix}")
        np.testing.assert_array_equal(back.voxels, labels.voxels)
        assert back.geometry.origin_mm == pytest.approx(grid.origin_mm, abs=1e-5)
        assert back.geometry.direction == pytest.approx(grid.direction, abs=1e-6)
