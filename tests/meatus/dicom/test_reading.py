"""A DICOM series becomes the volume that it is, or one line says why not."""

import shutil

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import HTJ2KLossless, JPEG2000Lossless, JPEGLSLossless, RLELossless

from meatus.dicom.series import on_planes, read_series
from meatus.dicom.stacks import place
from meatus.dicom.study import find_series
from meatus.errors import ScanError, UsageError
from meatus.volumes import Labels
from tests.meatus.dicom.series_files import (
    PLANES,
    change,
    enhanced,
    head,
    save,
    save_series,
    series,
    uid,
)
from tests.shared_files import shared


def stack_in(folder, **options):
    (case,) = find_series(folder, **options).cases
    return case.stack


def read(folder, **options):
    return read_series(stack_in(folder, **options))


def by_simpleitk(folder):
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def assert_lies_as(image, geometry):
    """Where ``image`` lies in the patient, ``geometry`` does."""
    assert image.GetSize() == geometry.size
    np.testing.assert_allclose(image.GetSpacing(), geometry.spacing_mm, atol=1e-6)
    np.testing.assert_allclose(image.GetOrigin(), geometry.origin_mm, atol=1e-6)
    np.testing.assert_allclose(image.GetDirection(), geometry.direction, atol=1e-6)


@pytest.mark.parametrize("plane", PLANES)
def test_a_series_has_simpleitks_grid_and_grey_values(tmp_path, plane):
    save_series(tmp_path, head(24), axes=PLANES[plane], spacing=(1.0, 1.1, 3.0))

    scan = read(tmp_path)

    image = by_simpleitk(tmp_path)
    assert_lies_as(image, scan.geometry)
    np.testing.assert_array_equal(scan.voxels, sitk.GetArrayFromImage(image))
    assert scan.warnings == ()


def test_slices_count_along_the_normal_whatever_instance_numbers_say(tmp_path):
    voxels = head()
    backwards = series(voxels, axes=PLANES["axial"])
    for n, dataset in enumerate(backwards):
        dataset.InstanceNumber = 100 - n
    save(backwards, tmp_path)

    np.testing.assert_array_equal(read(tmp_path).voxels, voxels)


@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("signed", [False, True])
def test_compressed_series_are_read(tmp_path, syntax, signed):
    voxels = head(4) - (500 if signed else 0)
    save_series(tmp_path, voxels, syntax=syntax, signed=signed, spacing=(1.0, 1.0, 3.0))

    np.testing.assert_array_equal(read(tmp_path).voxels, voxels)


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless, JPEG2000Lossless])
def test_what_gdcm_cannot_decode_pydicoms_decoders_do(tmp_path, monkeypatch, syntax):
    monkeypatch.setattr("meatus.dicom.pixels._by_gdcm", lambda _file, _shape: None)
    voxels = head(4)
    save_series(tmp_path, voxels, syntax=syntax, slope=(2, 1), spacing=(1.0, 1.0, 3.0))

    np.testing.assert_array_equal(read(tmp_path).voxels, voxels * 2.0 + 1)


def test_what_neither_decoder_knows_is_told_in_one_line(tmp_path):
    (file, *_) = save_series(tmp_path, head(4), spacing=(1.0, 1.0, 3.0), syntax=JPEG2000Lossless)
    dataset = pydicom.dcmread(file)
    dataset.file_meta.TransferSyntaxUID = HTJ2KLossless
    dataset.PixelData = dataset.PixelData[:40]
    dataset.save_as(file)

    with pytest.raises(
        ScanError, match=rf"{file}: its pixels cannot be decoded .*High-Throughput"
    ) as failed:
        read(tmp_path)
    assert "\n" not in str(failed.value)


def test_signed_values_are_rescaled_each_slice_by_its_own(tmp_path):
    voxels = head() - 400
    datasets = series(voxels, signed=True, slope=(2, -7))
    datasets[3].RescaleSlope = 3
    save(datasets, tmp_path)

    expected = voxels.astype(float) * 2 - 7
    expected[3] = voxels[3] * 3.0 - 7
    np.testing.assert_array_equal(read(tmp_path).voxels, expected)


def test_grey_values_from_white_to_black_are_turned_round(tmp_path):
    save_series(tmp_path, 1200 - head(), PhotometricInterpretation="MONOCHROME1")

    scan = read(tmp_path)

    np.testing.assert_array_equal(scan.voxels, head() - head().min())
    assert any("MONOCHROME1" in line for line in scan.warnings)


def test_frames_of_an_enhanced_file_are_put_in_order(tmp_path):
    voxels = head()
    order = [3, 0, 7, 1, 2, 6, 5, 4]
    save([enhanced(voxels, order=order, axes=PLANES["oblique"])], tmp_path)
    save_series(tmp_path / "classic", voxels, axes=PLANES["oblique"])

    scan = read_series(stack_in(tmp_path / "IM001.dcm"))

    np.testing.assert_array_equal(scan.voxels, voxels)
    assert_lies_as(by_simpleitk(tmp_path / "classic"), scan.geometry)


def test_frames_with_scales_of_their_own_are_rescaled_each(tmp_path):
    voxels = head()
    scales = [1, 2, 1, 1, 3, 1, 1, 1]
    save([enhanced(voxels, scales=scales)], tmp_path, syntax=RLELossless)

    expected = voxels * np.array(scales, float)[:, None, None]
    np.testing.assert_array_equal(read(tmp_path).voxels, expected)


def test_files_are_found_at_any_depth_without_endings_and_beside_others(tmp_path):
    save_series(tmp_path / "disk" / "study" / "6", suffix="")
    (tmp_path / "disk" / "readme.txt").write_text("no image")
    (tmp_path / "disk" / "picture.dcm").write_bytes(b"neither")
    (tmp_path / "disk" / ".hidden").write_bytes(b"")

    found = find_series(tmp_path)

    assert read_series(found.cases[0].stack).voxels.shape == head().shape
    (line,) = [line for line in found.lines if line.startswith("left out")]
    assert line.startswith("left out: 2 file(s) that are not DICOM")


def test_an_archive_is_read_like_the_folder_and_leaves_nothing(tmp_path):
    save_series(tmp_path / "study", syntax=JPEGLSLossless)
    archive = shutil.make_archive(str(tmp_path / "study"), "zip", tmp_path / "study")
    (tmp_path / "scratch").mkdir()

    (case,) = find_series(tmp_path / "study.zip").cases
    scan = read_series(case.stack, tmp_path / "scratch")

    assert archive.endswith(".zip")
    np.testing.assert_array_equal(scan.voxels, read(tmp_path / "study").voxels)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_damaged_archive_is_told(tmp_path):
    (tmp_path / "study.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(UsageError, match=r"study\.zip is no zip archive that can be read"):
        find_series(tmp_path / "study.zip")


def test_a_missing_thin_slice_is_filled_in_and_told(tmp_path):
    files = save_series(tmp_path)
    files[4].unlink()

    scan = read(tmp_path)

    assert scan.geometry.size[2] == len(files)
    np.testing.assert_array_equal(scan.voxels[4], (scan.voxels[3] + scan.voxels[5]) / 2)
    (line,) = scan.warnings
    assert line == (
        "1 slice(s) missing, at most 3.00 mm apart where others are 1.50, as after instance 4: "
        "filled in from their neighbours"
    )


def test_a_missing_thick_slice_is_refused(tmp_path):
    save_series(tmp_path, spacing=(1.0, 1.0, 2.0))[4].unlink()
    with pytest.raises(ScanError, match=r"1 slice\(s\) missing, at most 4\.00 mm apart"):
        read(tmp_path)


def test_too_many_missing_slices_are_refused(tmp_path):
    files = save_series(tmp_path, head(12))
    files[3].unlink()
    files[7].unlink()
    with pytest.raises(ScanError, match=r"2 slice\(s\) missing"):
        read(tmp_path)


@pytest.mark.parametrize(("off_mm", "kind"), [(0.01, "even"), (0.1, "told"), (0.4, "refused")])
def test_unevenly_spaced_slices_are_told_or_refused(tmp_path, off_mm, kind):
    (_, _, _, file, *_) = save_series(tmp_path)
    x, y, z = pydicom.dcmread(file).ImagePositionPatient
    change(file, ImagePositionPatient=[x, y, float(z) + off_mm])

    if kind == "refused":
        with pytest.raises(ScanError, match=r"instance 4 lies 0\.40 mm off a row of 1\.50 mm"):
            read(tmp_path)
    else:
        assert any("uneven" in line for line in read(tmp_path).warnings) == (kind == "told")


def test_files_that_repeat_an_image_are_left_out_with_a_line(tmp_path):
    files = save_series(tmp_path)
    for file in files[:3]:
        shutil.copy(file, tmp_path / f"again-{file.name}")

    found = find_series(tmp_path)

    assert "left out: 3 file(s) that repeat an image (same SOP Instance UID)" in found.lines
    assert read_series(found.cases[0].stack).voxels.shape == head().shape


def test_a_second_image_at_one_place_is_left_out_and_told(tmp_path):
    files = save_series(tmp_path)
    again = shutil.copy(files[2], tmp_path / "again.dcm")
    change(again, SOPInstanceUID=uid(), InstanceNumber=99)

    assert read(tmp_path).warnings == ("1 image(s) at a place that another has are left out",)


def test_several_volumes_in_one_series_are_refused(tmp_path):
    one, place_, study = uid(), uid(), uid()
    for n in range(2):
        options = {"series": one, "study": study, "frame_of_reference": place_}
        save_series(tmp_path / str(n), head(seed=n), **options)
    with pytest.raises(ScanError, match="16 images at 8 places: several volumes in one series"):
        read(tmp_path)


def test_localisers_within_the_series_are_left_out_with_a_line(tmp_path):
    volume = series(head())
    same = {
        "series": volume[0].SeriesInstanceUID,
        "study": volume[0].StudyInstanceUID,
        "frame_of_reference": volume[0].FrameOfReferenceUID,
    }
    scout = series(head(1), axes=PLANES["sagittal"], **same)
    save(volume, tmp_path)
    save(scout, tmp_path, prefix="SC")

    found = find_series(tmp_path)

    assert found.lines[0] == (
        "left out: 1 image(s) of series 6 'AX T2 CISS' that lie otherwise (localisers)"
    )
    assert read_series(found.cases[0].stack).voxels.shape == head().shape


def test_a_file_that_ends_early_is_named(tmp_path):
    (file, *_) = save_series(tmp_path)
    file.write_bytes(file.read_bytes()[:-2000])
    with pytest.raises(ScanError, match=rf"{file}: cut short"):
        read(tmp_path)


def test_a_compressed_file_that_ends_early_is_named(tmp_path):
    (file, *_) = save_series(tmp_path, syntax=JPEG2000Lossless)
    file.write_bytes(file.read_bytes()[:-3000])
    with pytest.raises(ScanError, match=f"{file}: "):
        read(tmp_path)


def test_damaged_headers_are_left_out_with_a_line(tmp_path):
    files = save_series(tmp_path)
    files[-1].write_bytes(files[-1].read_bytes()[:300])

    lines = find_series(tmp_path).lines

    assert any("damaged" in line or "not DICOM" in line for line in lines) or len(lines) == 1
    assert read(tmp_path).geometry.size[2] == len(files) - 1


@pytest.mark.parametrize("count", [1, 2])
def test_one_file_of_a_classic_series_is_no_volume(tmp_path, count):
    files = save_series(tmp_path)
    for file in files[count:]:
        file.unlink()
    with pytest.raises(UsageError, match=rf"{count} parallel image\(s\), a localiser"):
        find_series(tmp_path)


def test_colour_images_are_refused(tmp_path):
    colour = np.repeat(head()[..., None], 3, axis=-1)
    datasets = series(head())
    for dataset, pixels in zip(datasets, colour, strict=True):
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 3, "RGB"
        dataset.PlanarConfiguration = 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.PixelData = pixels.astype(np.uint8).tobytes()
    save(datasets, tmp_path)
    with pytest.raises(UsageError, match="colour images"):
        find_series(tmp_path)
    with pytest.raises(UsageError, match="holds colour images"):
        find_series(tmp_path, datasets[0].SeriesInstanceUID)


def test_a_tilted_gantry_is_undone_and_labels_return_to_their_images(tmp_path):
    save_series(tmp_path, head(), along=(0.0, 1.0))  # a pixel further back with each slice
    stack = stack_in(tmp_path)

    scan = read_series(stack)

    assert scan.geometry.origin_mm == (-36.0, -32.0, -5.0)
    assert any("tilted by 33.7 degrees" in line for line in scan.warnings)
    np.testing.assert_array_equal(scan.voxels[5, 5:], head()[5, :-5])
    marked = np.where(scan.voxels == 1000, 3, 0).astype(np.uint8)
    back = on_planes(Labels(marked, scan.geometry), place(stack))
    np.testing.assert_array_equal(back == 3, head() == 1000)


def test_slices_shifted_at_random_are_refused(tmp_path):
    (_, _, file, *_) = save_series(tmp_path)
    x, y, z = pydicom.dcmread(file).ImagePositionPatient
    change(file, ImagePositionPatient=[float(x) + 2, y, z])
    with pytest.raises(ScanError, match=r"shifted against one another by up to 2\.0 mm"):
        read(tmp_path)


def test_a_place_that_is_no_number_is_refused(tmp_path):
    (file, *_) = save_series(tmp_path)
    data = file.read_bytes()
    file.write_bytes(data.replace(b"-36\\-32\\-5", b"-36\\nan\\-5"))
    with pytest.raises((ScanError, UsageError)):
        read(tmp_path)


def test_a_real_series_has_simpleitks_grid_and_grey_values():
    folder = shared("data/real/dicom")

    found = find_series(folder)
    scan = read_series(found.cases[0].stack)

    image = by_simpleitk(folder)
    assert_lies_as(image, scan.geometry)
    np.testing.assert_array_equal(scan.voxels, sitk.GetArrayFromImage(image))
    assert "AX FSE T2" in found.lines[0]
    assert "T2-weighted (TE 91 ms)" in found.lines[0]
