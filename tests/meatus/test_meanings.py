"""What a file's numbers and header mean: units, backgrounds, labels, and what a result inherits."""

import gzip

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from meatus.errors import ScanError
from meatus.io.images import read_label_map, read_scan, write_labels
from meatus.structures import CLASS_NAMES
from tests.meatus.hostile_files import FLOAT, edited, nifti, pixdim
from tests.meatus.scan_files import GREY, TILTED, labels_of, oblique, save

MEANINGS = dict(enumerate(CLASS_NAMES))
LABELS = (GREY % 4).astype(np.float32)
METRE, MILLIMETRE, MICRON = 1, 2, 3


def scaled(unit, scale, codes=(1, 1), seconds=8):
    """Maker of a scan whose header states lengths in ``unit``, ``scale`` to the millimetre."""
    affine = TILTED.copy()
    affine[:3] *= scale

    def make(folder):
        path = nifti({"xyzt_units": unit | seconds}, codes=codes)(folder)
        image = nib.load(path)
        header = image.header
        header.set_sform(affine, codes[1])
        header.set_qform(affine, codes[0])
        header["pixdim"][1:4] = np.array((0.4, 0.4, 1.5)) * scale
        whole = path.read_bytes()
        path.write_bytes(header.binaryblock + whole[348:])
        return path

    return make


@pytest.mark.parametrize("codes", [(1, 1), (0, 1), (1, 0)])
@pytest.mark.parametrize(("unit", "scale"), [(METRE, 1e-3), (MICRON, 1e3), (MILLIMETRE, 1), (0, 1)])
def test_lengths_count_in_the_unit_that_a_nifti_header_states(tmp_path, unit, scale, codes):
    expected = read_scan(nifti(codes=codes)(tmp_path)).geometry

    scan = read_scan(scaled(unit, scale, codes)(tmp_path))

    assert scan.warnings == ()
    assert scan.geometry.spacing_mm == pytest.approx((0.4, 0.4, 1.5), rel=1e-5)
    for index in ((0, 0, 0), (19, 17, 4)):
        here, there = (grid.position_mm(index) for grid in (scan.geometry, expected))
        assert here == pytest.approx(there, abs=1e-3)


def test_a_result_of_a_scan_in_metres_says_metres_too(tmp_path):
    scan = read_scan(scaled(METRE, 1e-3)(tmp_path))

    write_labels(labels_of(scan), tmp_path / "result.nii.gz")

    back = read_scan(tmp_path / "result.nii.gz").geometry
    assert back.spacing_mm == pytest.approx(scan.geometry.spacing_mm)
    assert back.position_mm((9, 9, 4)) == pytest.approx(scan.geometry.position_mm((9, 9, 4)))


def test_a_unit_in_which_no_head_can_be_scanned_is_taken_as_millimetres_and_told(tmp_path):
    scan = read_scan(scaled(METRE, 1)(tmp_path))

    assert scan.warnings == ("header states metres, no head's size: taken as millimetres",)
    assert scan.geometry.spacing_mm == pytest.approx((0.4, 0.4, 1.5))


def test_a_size_that_is_wrong_in_any_unit_is_refused(tmp_path):
    with pytest.raises(ScanError, match="voxel size 4e"):
        read_scan(scaled(METRE, 1e9)(tmp_path))


@pytest.mark.parametrize(("unit", "scale"), [("m", 1e-3), ("um", 1e3), ("cm", 0.1), ("mm", 1)])
def test_lengths_count_in_the_unit_that_a_text_header_states(tmp_path, unit, scale):
    def numbers(*values):
        return ",".join(str(value * scale) for value in values).encode()

    steps = [numbers(*step) for step in ((0, 0.4, 0), (0.5, 0, 0), (0, 0, 1.5))]
    nrrd = edited(
        ".nrrd",
        (rb"space directions: .*", b"space directions: (%s) (%s) (%s)" % tuple(steps)),
        (rb"space origin: .*", b"space origin: (%s)" % numbers(1, 2, 3)),
        (rb"kinds: .*", b"space units: " + b" ".join([f'"{unit}"'.encode()] * 3)),
    )(tmp_path)
    mha = edited(
        ".mha",
        (
            rb"ElementSpacing = .*",
            b"ElementSpacing = " + numbers(0.4, 0.5, 1.5).replace(b",", b" "),
        ),
        (rb"Offset = .*", b"Offset = " + numbers(1, 2, 3).replace(b",", b" ")),
        (rb"CenterOfRotation = .*", f"DistanceUnits = {unit}".encode()),
    )(tmp_path)

    for path in (nrrd, mha):
        geometry = read_scan(path).geometry
        assert geometry.spacing_mm == pytest.approx((0.4, 0.5, 1.5))
        assert geometry.origin_mm == pytest.approx((1, 2, 3))


def test_voxel_sizes_that_are_not_those_of_the_sform_are_told(tmp_path):
    (warning,) = read_scan(nifti(pixdim(1, 1, 1), codes=(0, 1))(tmp_path)).warnings

    assert warning == (
        "voxel sizes are stated as 1 x 1 x 1 mm, the sform has 0.4 x 0.4 x 1.5 mm: it is used"
    )


@pytest.mark.parametrize("space", ["left-posterior-superior-time", "RAST"])
def test_a_space_with_time_is_refused(tmp_path, space):
    image = sitk.JoinSeries([oblique(GREY.T)])
    path = edited(
        ".nrrd", (rb"space dimension: 4|space: .*", f"space: {space}".encode()), image=image
    )

    with pytest.raises(ScanError, match=r"scan\.nrrd: .*has time as an axis; expected"):
        read_scan(path(tmp_path))


FOREIGN = {
    "intent_code": 1007, "intent_p1": 3, "intent_p2": 4, "intent_p3": 5, "intent_name": b"vectors",
    "cal_min": 5, "cal_max": 900, "scl_slope": 2, "scl_inter": -7, "slice_code": 3,
    "slice_end": 4, "slice_duration": 0.1, "toffset": 9, "dim": (5, 20, 18, 5, 1, 1, 1, 1),
}  # fmt: skip


@pytest.mark.parametrize("code", [1005, 1007, 2003])
def test_a_result_inherits_nothing_that_gives_its_numbers_another_meaning(tmp_path, code):
    scan = read_scan(nifti(FOREIGN | {"intent_code": code})(tmp_path))
    labels = labels_of(scan)

    write_labels(labels, tmp_path / "result.nii")

    header = nib.Nifti1Header((tmp_path / "result.nii").read_bytes()[:348])
    assert header["dim"].tolist() == [3, 20, 18, 5, 1, 1, 1, 1]
    assert header.get_intent() == ("label", (), "")
    assert [float(header[f"intent_p{number}"]) for number in (1, 2, 3)] == [0, 0, 0]
    assert (float(header["cal_min"]), float(header["cal_max"])) == (0, 0)
    assert header.get_slope_inter() == (1, 0)
    assert [float(header[name]) for name in ("slice_code", "slice_end", "toffset")] == [0, 0, 0]
    assert header["descrip"].item() == b"as exported"
    np.testing.assert_array_equal(read_scan(tmp_path / "result.nii").voxels, labels.voxels)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
def test_a_result_of_a_scan_without_a_header_is_a_label_map_too(tmp_path, suffix):
    path = tmp_path / "scan.mha"
    sitk.WriteImage(oblique(GREY.T), path)

    write_labels(labels_of(read_scan(path)), tmp_path / f"result{suffix}")

    assert nib.load(tmp_path / f"result{suffix}").header.get_intent()[0] == "label"


# Backgrounds without numbers, as masks of SPM and FSL leave them.


def outside(value):
    """The scan with ``value`` in all but the middle 12 x 10 voxels of each slice."""
    voxels = np.full(FLOAT.shape, value, dtype=np.float32)
    voxels[4:16, 4:14] = FLOAT[4:16, 4:14] + 50
    return voxels


def test_a_background_without_numbers_is_empty_and_told(tmp_path):
    scan = read_scan(nifti(voxels=outside(np.nan))(tmp_path))

    assert scan.warnings == ("1200 voxels up to the border hold no number: empty",)
    inside = FLOAT[4:16, 4:14] + 50
    np.testing.assert_array_equal(
        scan.voxels, np.where(np.isnan(outside(np.nan)), inside.min(), outside(0)).T
    )


def test_stray_voxels_within_are_replaced_as_well(tmp_path):
    voxels = outside(np.nan)
    voxels[8, 8, 2] = np.nan

    first, second = read_scan(nifti(voxels=voxels)(tmp_path)).warnings

    assert first.startswith("1200 voxels up to the border")
    assert second.startswith("1 voxels that are no finite numbers")


@pytest.mark.parametrize(("value", "count"), [(np.nan, 9), (np.inf, 9)])
def test_more_than_stray_voxels_within_are_refused(tmp_path, value, count):
    voxels = outside(np.nan)
    voxels[7:10, 7:10, 2] = value

    with pytest.raises(ScanError, match=f"{count} of 1,800 voxels are no finite numbers"):
        read_scan(nifti(voxels=voxels)(tmp_path))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_a_background_of_infinities_is_damage(tmp_path, value):
    with pytest.raises(ScanError, match="1,200 of 1,800 voxels are no finite numbers"):
        read_scan(nifti(voxels=outside(value))(tmp_path))


# Labels are never repaired.


def labels_with(count, value):
    voxels = LABELS.copy()
    voxels.ravel()[557 : 557 + count] = value
    return voxels


UNKNOWN = {
    "one NaN": (labels_with(1, np.nan), "holds nan in 1 of 1,800 voxels"),
    "a class of NaN": (np.where(LABELS == 3, np.nan, LABELS), f"nan in {(LABELS == 3).sum()} of"),
    "infinite": (labels_with(2, np.inf), "holds inf in 2 of"),
    "halves": (labels_with(3, 1.5), "holds 1.5 in 3 of 1,800 voxels; .* interpolated"),
    "another class": (labels_with(4, 4), "holds 4 in 4 of 1,800 voxels; expected 0 background, 1"),
    "negative": (labels_with(1, -1), "holds -1 in 1 of"),
    "many values": (FLOAT, "holds 4, 5, 7, 8, 10, ... in 1,792 of"),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_what_is_no_known_class_in_a_label_map_is_an_error_that_names_file_and_count(
    tmp_path, kind
):
    voxels, words = UNKNOWN[kind]

    with pytest.raises(ScanError, match=rf"scan\.nii: .*{words}"):
        read_label_map(nifti(voxels=voxels.astype(np.float32))(tmp_path), MEANINGS)


def test_a_label_map_of_one_class_alone_or_of_none_is_read(tmp_path):
    for value in (0, 1):
        path = nifti(voxels=np.full_like(GREY, value))(tmp_path)
        assert read_label_map(path, MEANINGS).voxels.max() == value


# Names end in any case.


@pytest.mark.parametrize(
    "name", ["SCAN.NII.GZ", "scan.Nii.gz", "Scan.NII", "SCAN.MHA", "SCAN.NRRD"]
)
def test_a_name_may_end_in_capitals(tmp_path, name):
    kind = name.lower().partition(".")[2]
    path = tmp_path / f"scan.{kind}"
    sitk.WriteImage(oblique(GREY.T), path)
    path = path.rename(tmp_path / name)

    np.testing.assert_array_equal(read_scan(path).voxels, GREY.T)


def test_a_pair_and_a_detached_header_may_end_in_capitals(tmp_path):
    sitk.WriteImage(oblique(GREY.T), tmp_path / "pair.img")
    (tmp_path / "pair.hdr").rename(tmp_path / "PAIR.HDR")
    (tmp_path / "pair.img").rename(tmp_path / "PAIR.IMG")
    sitk.WriteImage(oblique(GREY.T), tmp_path / "scan.mhd")
    (tmp_path / "scan.mhd").rename(tmp_path / "SCAN.MHD")
    nib.save(nib.MGHImage(GREY, TILTED), tmp_path / "head.mgz")
    (tmp_path / "head.mgz").rename(tmp_path / "HEAD.MGZ")

    for name in ("PAIR.HDR", "SCAN.MHD", "HEAD.MGZ"):
        np.testing.assert_array_equal(read_scan(tmp_path / name).voxels, GREY.T)


def test_capitals_do_not_hide_what_is_wrong(tmp_path):
    path = save(tmp_path / "scan.nii.gz").rename(tmp_path / "SCAN.NII")
    with pytest.raises(ScanError, match=r"compressed with gzip.*nii\.gz"):
        read_scan(path)
    (tmp_path / "A.NII.GZ").write_bytes(gzip.compress(b"nothing"))
    with pytest.raises(ScanError, match=r"A\.NII\.GZ: not a NIfTI"):
        read_scan(tmp_path / "A.NII.GZ")
