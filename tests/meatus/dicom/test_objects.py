"""SEG, SR and RTSTRUCT: read back, they say what the label map says, where it says it."""

import json
import subprocess

import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from matplotlib.path import Path as Polygon

from meatus.dicom.contours import outlines
from meatus.dicom.origin import Algorithm, file_bytes, origin_of
from meatus.dicom.rtstruct import structure_set
from meatus.dicom.seg import segmentation
from meatus.dicom.series import read_series
from meatus.dicom.sr import report
from meatus.dicom.study import find_series, obstacle
from meatus.report.measure import measure
from meatus.volumes import Labels
from tests.meatus.dicom.orthanc import orthanc, request
from tests.meatus.dicom.series_files import PLANES, enhanced, head, save, save_series, series
from tests.programs import program

WEIGHTS = "a.onnx SHA-256 0123"
KINDS = ("seg", "sr", "rtstruct")


def mark(shape):
    """(Z, Y, X): a tumour of two parts, the outer one with a hole, and two cochleae."""
    labels = np.zeros(shape, np.uint8)
    labels[3:6, 20:30, 20:32] = 1
    labels[4, 24:26, 25:27] = 0
    labels[3:6, 23:26, 14:20] = 2
    labels[4:6, 33:36, 12:15] = 3
    labels[4, 34:36, 55:58] = 3
    return labels


def found_in(folder, voxels=None):
    """What ``folder`` holds, and the labels on it."""
    (case,) = find_series(folder).cases
    scan = read_series(case.stack)
    return case.stack, Labels(mark(scan.voxels.shape) if voxels is None else voxels, scan.geometry)


def objects(stack, labels, folder):
    """The three objects, by kind, as read back from their files."""
    origin = origin_of(labels, stack, Algorithm((WEIGHTS,), "fast"))
    segments = segmentation(origin)
    made = {
        "seg": segments,
        "sr": report(origin, segments, measure(labels)),
        "rtstruct": structure_set(origin),
    }
    for kind, dataset in made.items():
        (folder / f"{kind}.dcm").write_bytes(file_bytes(dataset))
    return {kind: pydicom.dcmread(folder / f"{kind}.dcm") for kind in made}


@pytest.fixture(scope="module")
def oblique(tmp_path_factory):
    """An oblique series, its labels, the folder of the objects, and the objects."""
    folder = tmp_path_factory.mktemp("oblique")
    save_series(folder / "in", axes=PLANES["oblique"], PatientComments="keep, please")
    stack, labels = found_in(folder / "in")
    return stack, labels, folder, objects(stack, labels, folder)


@pytest.mark.parametrize("plane", PLANES)
def test_segments_lie_voxel_for_voxel_where_the_labels_do(tmp_path, plane):
    save_series(tmp_path / "in", head(24), axes=PLANES[plane], spacing=(1.0, 1.1, 3.0))
    stack, labels = found_in(tmp_path / "in")
    objects(stack, labels, tmp_path)

    volume = hd.seg.segread(tmp_path / "seg.dcm").get_volume(
        combine_segments=True, skip_overlap_checks=True
    )

    read_back = np.zeros_like(labels.voxels)
    for z, y, x in np.argwhere(volume.array):
        position = volume.map_indices_to_reference(np.array([[z, y, x]]))[0]
        steps = labels.geometry.axes.T @ (position - np.array(labels.geometry.origin_mm))
        at = np.rint(steps / np.array(labels.geometry.spacing_mm)).astype(int)
        assert np.abs(steps / np.array(labels.geometry.spacing_mm) - at).max() < 1e-3
        read_back[at[2], at[1], at[0]] = volume.array[z, y, x]
    np.testing.assert_array_equal(read_back, labels.voxels)


def test_simpleitk_reads_the_segments_frame_for_frame(oblique):
    _, labels, folder, made = oblique
    frames = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "seg.dcm")))

    frame_items = made["seg"].PerFrameFunctionalGroupsSequence
    for voxels, item in zip(frames, frame_items, strict=True):
        number = item.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        z = item.FrameContentSequence[0].DimensionIndexValues[1]
        assert voxels.any()
        assert z >= 1
        assert (labels.voxels == number).any()
    assert int((frames > 0).sum()) == int((labels.voxels > 0).sum())


def test_segments_of_an_enhanced_file_point_at_its_frames(tmp_path):
    order = [3, 0, 7, 1, 2, 6, 5, 4]
    save([enhanced(head(), order=order, axes=PLANES["coronal"])], tmp_path / "in")
    stack, labels = found_in(tmp_path / "in", mark(head().shape))
    made = objects(stack, labels, tmp_path)

    for item in made["seg"].PerFrameFunctionalGroupsSequence:
        source = item.DerivationImageSequence[0].SourceImageSequence[0]
        z = order[int(source.ReferencedFrameNumber) - 1]
        number = item.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        assert (labels.voxels[z] == number).any()
    (contour, *_) = made["rtstruct"].ROIContourSequence[0].ContourSequence
    assert order[contour.ContourImageSequence[0].ReferencedFrameNumber - 1] == 3


def test_segments_say_what_they_are_and_refer_to_every_image(oblique):
    stack, _, _, made = oblique
    seg = made["seg"]

    assert [item.SegmentNumber for item in seg.SegmentSequence] == [1, 2, 3]
    kinds = [item.SegmentedPropertyTypeCodeSequence[0] for item in seg.SegmentSequence]
    assert [(kind.CodeValue, kind.CodingSchemeDesignator) for kind in kinds] == [
        ("126949007", "SCT"), ("126949007", "SCT"), ("80169004", "SCT"),
    ]  # fmt: skip
    modifiers = [kind.get("SegmentedPropertyTypeModifierCodeSequence") for kind in kinds]
    assert [found[0].CodeValue if found else None for found in modifiers] == [
        "extra-meatal", "intra-meatal", None,
    ]  # fmt: skip
    assert seg.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99MEATUS"
    for item in seg.SegmentSequence:
        algorithm = item.SegmentationAlgorithmIdentificationSequence[0]
        assert algorithm.AlgorithmName == "Meatus"
        assert WEIGHTS in algorithm.AlgorithmParameters
        assert len(item.RecommendedDisplayCIELabValue) == 3
    referred = seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert {item.ReferencedSOPInstanceUID for item in referred} == {p.uid for p in stack.planes}


@pytest.mark.parametrize("kind", KINDS)
def test_patient_and_study_are_copied_and_nothing_is_invented(oblique, kind):
    stack, _, _, made = oblique
    source = pydicom.dcmread(stack.planes[0].entry.path)
    for keyword in (
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientComments",
        "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription",
        "AccessionNumber", "ReferringPhysicianName", "SpecificCharacterSet",
    ):  # fmt: skip
        assert made[kind][keyword].value == source[keyword].value, keyword
    assert made[kind].SeriesInstanceUID != source.SeriesInstanceUID
    assert "InstitutionName" not in made[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_images_lack_stays_empty(tmp_path, kind):
    datasets = series(head())
    for dataset in datasets:
        for keyword in ("PatientBirthDate", "PatientID", "StudyID", "ReferringPhysicianName"):
            del dataset[keyword]
        dataset.PatientSex = "X"
        dataset.PatientName = "Müller^Jörg"
    save(datasets, tmp_path / "in")

    made = objects(*found_in(tmp_path / "in"), tmp_path)[kind]

    assert not made.PatientBirthDate
    assert not made.PatientID
    assert (made.PatientSex, str(made.PatientName)) == ("X", "Müller^Jörg")


def test_images_that_cannot_be_referred_to_are_known_beforehand(tmp_path):
    datasets = series(head())
    for dataset in datasets:
        del dataset["FrameOfReferenceUID"]
    save(datasets, tmp_path)
    stack = find_series(tmp_path).cases[0].stack
    assert obstacle(stack) == "the series states no Frame of Reference UID"


def texts_in(item):
    """Every text and number below ``item``, by the name of its concept."""
    name = item.ConceptNameCodeSequence[0].CodeMeaning if "ConceptNameCodeSequence" in item else ""
    if item.ValueType == "TEXT":
        yield name, item.TextValue
    if item.ValueType == "NUM":
        value = item.MeasuredValueSequence[0]
        unit = value.MeasurementUnitsCodeSequence[0].CodeValue
        yield name, (float(value.NumericValue), unit)
    for inner in item.get("ContentSequence", []):
        yield from texts_in(inner)


def test_the_report_holds_measures_flags_and_weights(oblique):
    _, labels, folder, made = oblique
    measures = measure(labels)

    told = list(texts_in(made["sr"]))

    volumes = [value for name, value in told if name == "Volume"]
    expected = (measures.total.extra_meatal_mm3, measures.total.intra_meatal_mm3,
                measures.total.cochlea_mm3)  # fmt: skip
    assert [unit for _, unit in volumes] == ["mm3"] * 3
    np.testing.assert_allclose([value for value, _ in volumes], expected, rtol=1e-5)
    (diameter,) = [value for name, value in told if name == "Diameter"]
    assert diameter[1] == "mm"
    assert diameter[0] == pytest.approx(measures.extra_meatal_diameter_mm, rel=1e-5)
    comments = [value for name, value in told if name == "Comment"]
    assert measures.flags
    assert {f"flag: {flag}" for flag in measures.flags} < set(comments)
    assert f"weights: {WEIGHTS}" in comments
    assert made["sr"].SOPClassUID.name == "Comprehensive 3D SR Storage"
    assert made["sr"].ContentTemplateSequence[0].TemplateIdentifier == "1500"
    read_back = hd.sr.srread(folder / "sr.dcm")
    groups = read_back.content.get_volumetric_roi_measurement_groups()
    assert [group.referenced_segment.referenced_sop_instance_uid for group in groups] == [
        made["seg"].SOPInstanceUID
    ] * 3


@pytest.mark.parametrize("plane", PLANES)
def test_contours_enclose_the_labels_and_nothing_else(tmp_path, plane):
    save_series(tmp_path / "in", head(24), axes=PLANES[plane], spacing=(1.0, 1.1, 3.0))
    stack, labels = found_in(tmp_path / "in")
    made = objects(stack, labels, tmp_path)["rtstruct"]
    geometry = labels.geometry

    names = {roi.ROINumber: roi.ROIName for roi in made.StructureSetROISequence}
    drawn = {name: np.zeros(geometry.shape, bool) for name in names.values()}
    y, x = np.mgrid[: geometry.size[1], : geometry.size[0]]
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    for item in made.ROIContourSequence:
        for contour in item.ContourSequence:
            points = np.array(contour.ContourData, float).reshape(-1, 3)
            steps = (points - geometry.origin_mm) @ geometry.axes / geometry.spacing_mm
            z = int(np.rint(steps[0, 2]))
            np.testing.assert_allclose(steps[:, 2], z, atol=1e-5)  # in the plane of its image
            uid = contour.ContourImageSequence[0].ReferencedSOPInstanceUID
            assert uid in {plane.uid for plane in stack.planes}
            inside = Polygon(steps[:, :2]).contains_points(centres).reshape(y.shape)
            drawn[names[item.ReferencedROINumber]][z] ^= inside
    expected = {
        "VS": np.isin(labels.voxels, (1, 2)),
        "VS_extrameatal": labels.voxels == 1,
        "VS_intrameatal": labels.voxels == 2,
        "Cochlea": labels.voxels == 3,
    }
    assert drawn.keys() == expected.keys()
    for name, mask in expected.items():
        np.testing.assert_array_equal(drawn[name], mask, err_msg=name)
    assert made.ApprovalStatus == "UNAPPROVED"
    kinds = [item.RTROIInterpretedType for item in made.RTROIObservationsSequence]
    assert kinds == ["GTV", "GTV", "GTV", "ORGAN"]


def test_a_single_pixel_and_one_with_two_holes_are_outlined():
    mask = np.zeros((9, 12), bool)
    mask[1, 1] = True
    mask[3:8, 3:11] = True
    mask[5, 5] = mask[5, 8] = False

    one, other = sorted(outlines(mask), key=len)

    y, x = np.mgrid[:9, :12]
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    inside = [Polygon(ring).contains_points(centres).reshape(9, 12) for ring in (one, other)]
    assert len(one) == 4
    np.testing.assert_array_equal(inside[0] ^ inside[1], mask)


def test_a_slice_that_was_filled_in_is_in_no_object(tmp_path):
    save_series(tmp_path / "in")[4].unlink()
    stack, labels = found_in(tmp_path / "in", mark(head().shape))

    made = objects(stack, labels, tmp_path)

    assert labels.geometry.size[2] == 8
    assert len(made["seg"].ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 7
    volume = hd.seg.segread(tmp_path / "seg.dcm")
    places = [
        item.PlanePositionSequence[0].ImagePositionPatient[2]
        for item in volume.PerFrameFunctionalGroupsSequence
    ]
    assert set(places) <= {plane.position_mm[2] for plane in stack.planes}


def test_nothing_found_is_written_as_nothing(tmp_path):
    save_series(tmp_path / "in")
    stack, labels = found_in(tmp_path / "in", np.zeros(head().shape, np.uint8))

    made = objects(stack, labels, tmp_path)

    assert not made["seg"].pixel_array.any()
    assert "flag: no tumour found" in [value for _, value in texts_in(made["sr"])]
    assert list(made["rtstruct"].ROIContourSequence) == []


@pytest.mark.parametrize("kind", KINDS)
def test_dciodvfy_finds_no_error(oblique, kind):
    validator = program("dciodvfy", "dicom3tools")
    _, _, folder, _ = oblique

    done = subprocess.run([validator, str(folder / f"{kind}.dcm")], capture_output=True, text=True)

    told = [line for line in done.stderr.splitlines() if line.startswith(("Error", "Warning"))]
    # That our own scheme of codes is not one of the standard's is as it should be.
    assert [line for line in told if "<99MEATUS>" not in line] == []


@pytest.mark.parametrize("kind", KINDS)
def test_dcmtk_reads_all_of_it(oblique, kind):
    reader = program("dsrdump" if kind == "sr" else "dcmdump", "dcmtk")
    _, _, folder, _ = oblique

    done = subprocess.run([reader, str(folder / f"{kind}.dcm")], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")
    assert "Meatus" in done.stdout


def test_orthanc_stores_them_and_gives_them_back_byte_for_byte(oblique, tmp_path):
    stack, _, folder, made = oblique
    with orthanc(tmp_path) as address:
        for plane in stack.planes:
            request(f"{address}/instances", plane.entry.path.read_bytes())
        for kind in KINDS:
            sent = (folder / f"{kind}.dcm").read_bytes()
            stored = json.loads(request(f"{address}/instances", sent))
            assert stored["Status"] == "Success"
            assert request(f"{address}/instances/{stored['ID']}/file") == sent
        (study,) = json.loads(request(f"{address}/studies"))
        listed = json.loads(request(f"{address}/studies/{study}/series"))
    assert len(listed) == 1 + len(made)  # all in the study of the images
    assert {item["MainDicomTags"]["Modality"] for item in listed} == {"MR", "SEG", "SR", "RTSTRUCT"}
