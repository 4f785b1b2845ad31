"""Every format and variety is read and written as SimpleITK does it."""

import gzip

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from meatus.geometry import Geometry
from meatus.io.images import read_scan, write_labels
from meatus.volumes import Labels
from tests.meatus.scan_files import GREY, TILTED, labels_of, oblique, save

SUFFIXES = [".nii", ".nii.gz", ".mha", ".nrrd"]


def assert_as_simpleitk(scan, image):
    np.testing.assert_array_equal(scan.voxels, sitk.GetArrayFromImage(image).astype(np.float32))
    for index in [(0, 0, 0), (19, 0, 2), (3, 17, 4)]:
        expected = image.TransformIndexToPhysicalPoint(index)
        assert scan.geometry.position_mm(index) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_gives_the_voxels_and_places_that_simpleitk_gives(tmp_path, suffix):
    source = sitk.ReadImage(save(tmp_path / "scan.nii.gz"))
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(source, path)

    assert_as_simpleitk(read_scan(path), source)
    assert read_scan(path).warnings == ()


TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_number_type_compressed_or_not_is_read_as_simpleitk_reads_it(tmp_path, suffix, dtype):
    image = oblique((GREY.T % 128).astype(dtype))
    for compressed in (False, True):
        sitk.WriteImage(image, tmp_path / f"scan{suffix}", useCompression=compressed)
        assert_as_simpleitk(read_scan(tmp_path / f"scan{suffix}"), image)


def test_an_nrrd_in_other_patient_axes_lies_where_simpleitk_puts_it(tmp_path):
    path = tmp_path / "scan.nrrd"
    sitk.WriteImage(oblique(GREY.T), path)
    whole = path.read_bytes()
    for space in (b"right-anterior-superior", b"left-anterior-superior", b"RAS", b"LPS"):
        path.write_bytes(whole.replace(b"left-posterior-superior", space))
        assert_as_simpleitk(read_scan(path), sitk.ReadImage(path))


def test_big_endian_nrrd_and_mha_are_read_as_simpleitk_reads_them(tmp_path):
    for suffix, order, swapped in (
        (".nrrd", b"endian: little", b"endian: big"),
        (".mha", b"ByteOrderMSB = False", b"ByteOrderMSB = True"),
    ):
        path = tmp_path / f"scan{suffix}"
        sitk.WriteImage(oblique(GREY.T), path)
        path.write_bytes(path.read_bytes().replace(order, swapped))
        assert_as_simpleitk(read_scan(path), sitk.ReadImage(path))


def test_labels_of_an_mha_scan_lie_where_the_scan_lies(tmp_path):
    source = sitk.ReadImage(save(tmp_path / "scan.nii.gz"))
    sitk.WriteImage(source, tmp_path / "scan.mha")

    write_labels(labels_of(read_scan(tmp_path / "scan.mha")), tmp_path / "result.nii.gz")

    result = sitk.ReadImage(tmp_path / "result.nii.gz")
    assert result.GetSize() == source.GetSize()
    assert result.GetOrigin() == pytest.approx(source.GetOrigin(), abs=1e-3)
    assert result.GetDirection() == pytest.approx(source.GetDirection(), abs=1e-5)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_one_frame_in_four_axes_is_a_volume(tmp_path, suffix):
    image = oblique(GREY.T)
    sitk.WriteImage(sitk.JoinSeries([image]), tmp_path / f"scan{suffix}")

    assert_as_simpleitk(read_scan(tmp_path / f"scan{suffix}"), image)


def test_text_between_header_and_voxels_is_passed_over(tmp_path):
    image = nib.Nifti1Image(GREY, TILTED)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"from the archive" * 99))
    nib.save(image, tmp_path / "scan.nii.gz")
    scan = read_scan(tmp_path / "scan.nii.gz")

    write_labels(labels_of(scan), tmp_path / "result.nii.gz")

    np.testing.assert_array_equal(scan.voxels, GREY.T)
    written = np.asanyarray(nib.load(tmp_path / "result.nii.gz").dataobj).T
    np.testing.assert_array_equal(written, labels_of(scan).voxels)


def test_a_gzip_file_may_consist_of_members(tmp_path):
    path = save(tmp_path / "scan.nii.gz")
    plain = gzip.decompress(path.read_bytes())
    members = [plain[at : at + 301] for at in range(0, len(plain), 301)]
    path.write_bytes(b"".join(map(gzip.compress, members)))

    np.testing.assert_array_equal(read_scan(path).voxels, GREY.T)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_follows_the_voxels_is_left_alone(tmp_path, suffix):
    path = tmp_path / f"scan{suffix}"
    sitk.WriteImage(oblique(GREY.T), path)
    with path.open("ab") as file:
        file.write(b"more")

    np.testing.assert_array_equal(read_scan(path).voxels, GREY.T)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_simpleitk_finds_labels_where_the_scan_lies(tmp_path, suffix):
    image = oblique(GREY.T)
    sitk.WriteImage(image, tmp_path / "scan.mha")
    labels = labels_of(read_scan(tmp_path / "scan.mha"))

    write_labels(labels, tmp_path / f"result{suffix}")

    result = sitk.ReadImage(tmp_path / f"result{suffix}")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(result), labels.voxels)
    assert result.GetPixelIDTypeAsString() == "8-bit unsigned integer"
    assert result.GetSpacing() == pytest.approx(image.GetSpacing(), abs=1e-6)
    assert result.GetOrigin() == pytest.approx(image.GetOrigin(), abs=1e-5)
    assert result.GetDirection() == pytest.approx(image.GetDirection(), abs=1e-6)


def test_own_geometry_round_trips_through_every_format(tmp_path):
    grid = Geometry((20, 18, 5), (0.4, 0.5, 1.5), (-3.0, 4.0, 5.0))
    labels = Labels((GREY.T % 4).astype(np.uint8), grid)
    for suffix in (".nii", ".nii.gz", ".mha", ".nrrd"):
        write_labels(labels, tmp_path / f"case{suffix}")
        back = read_scan(tmp_path / f"case{suffix}")
        np.testing.assert_array_equal(back.voxels, labels.voxels)
        assert back.geometry.origin_mm == pytest.approx(grid.origin_mm, abs=1e-5)
        assert back.geometry.direction == pytest.approx(grid.direction, abs=1e-6)


@pytest.mark.parametrize("place", ["first", "last"])
def test_an_nrrd_axis_of_one_value_that_lies_nowhere_is_left_out(tmp_path, place):
    path = tmp_path / "scan.nrrd"
    sitk.WriteImage(oblique(GREY.T), path)
    whole = path.read_bytes().replace(b"dimension: 3", b"dimension: 4")
    for old, more in ((b"sizes: ", b"1"), (b"directions: ", b"none"), (b"kinds: ", b"list")):
        start = whole.index(old) + len(old) if place == "first" else whole.index(
            b"\n", whole.index(old)
        )  # fmt: skip
        more = more + b" " if place == "first" else b" " + more
        whole = whole[:start] + more + whole[start:]
    path.write_bytes(whole)

    assert_as_simpleitk(read_scan(path), oblique(GREY.T))
