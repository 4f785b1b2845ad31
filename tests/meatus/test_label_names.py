"""What labels are called, in the forms that viewers read."""

import re
from xml.etree import ElementTree

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from meatus.geometry import Geometry
from meatus.io.images import label_bytes, read_scan
from meatus.io.label_names import SLICER_NAME, SNAP_NAME
from meatus.structures import LABEL_NAMES, RGB
from meatus.volumes import Labels
from tests.meatus.scan_files import labels_of, save
from tests.meatus.tiny_runs import run_here, save_scan, write_weights

NAMES = {int(structure): name for structure, name in LABEL_NAMES.items()}
GRID = Geometry((20, 18, 5), (1.0, 1.0, 2.0), (0.0, 0.0, 0.0))


def test_an_nrrd_file_tells_them_as_slicers_segments(tmp_path):
    labels = Labels((np.arange(1800) % 4).astype(np.uint8).reshape(GRID.shape), GRID)
    (tmp_path / "a.seg.nrrd").write_bytes(label_bytes(labels, "a.seg.nrrd"))

    image = sitk.ReadImage(tmp_path / "a.seg.nrrd")

    told = {}
    for number in range(len(NAMES)):
        field = {
            key: image.GetMetaData(f"Segment{number}_{key}")
            for key in ("ID", "Name", "LabelValue", "Layer", "Color", "Extent")
        }
        told[int(field["LabelValue"])] = field["Name"]
        rgb = [round(255 * float(value)) for value in field["Color"].split()]
        assert tuple(rgb) == RGB[int(field["LabelValue"])]
        assert (field["Layer"], field["Extent"]) == ("0", "0 19 0 17 0 4")
    assert told == NAMES
    np.testing.assert_array_equal(read_scan(tmp_path / "a.seg.nrrd").voxels, labels.voxels)


def test_a_nifti_file_tells_them_in_an_extension_where_asked(tmp_path):
    labels = labels_of(read_scan(save(tmp_path / "scan.nii.gz")))
    (tmp_path / "plain.nii").write_bytes(label_bytes(labels, "plain.nii"))
    (tmp_path / "named.nii").write_bytes(label_bytes(labels, "named.nii", named=True))

    plain, named = nib.load(tmp_path / "plain.nii"), nib.load(tmp_path / "named.nii")

    assert not plain.header.extensions
    (extension,) = named.header.extensions
    assert extension.get_code() == 30
    tree = ElementTree.fromstring(extension.content.rstrip(b"\0"))
    told = {int(label.get("Key")): label.text for label in tree.iter("Label")}
    assert told == NAMES | {0: "???"}
    assert tree.findtext("VolumeInformation/VolumeType") == "Label"
    for image in (nib.load(tmp_path / "named.nii"), plain):
        np.testing.assert_array_equal(np.asarray(image.dataobj).T, labels.voxels)
        np.testing.assert_array_equal(image.affine, plain.affine)
    itk = sitk.ReadImage(tmp_path / "named.nii")
    np.testing.assert_array_equal(sitk.GetArrayFromImage(itk), labels.voxels)
    np.testing.assert_array_equal(read_scan(tmp_path / "named.nii").voxels, labels.voxels)


def test_a_run_writes_what_itk_snap_and_slicer_load(tmp_path):
    weights = write_weights(tmp_path)
    scan = save_scan(tmp_path / "a_T2.nii.gz")
    options = ("--weights", weights, "--device", "cpu", "--quality", "fast", "--label-names")

    done = run_here("predict", scan, tmp_path / "out", *options)

    assert done.exit_code == 0, done.output
    files = {file.name: file for file in (tmp_path / "out").iterdir()}
    assert files.keys() == {"a.nii.gz", SNAP_NAME, SLICER_NAME}
    assert nib.load(files["a.nii.gz"]).header.extensions
    line = re.compile(r'(\d+) (\d+) (\d+) (\d+) 1 1 1 "(.*)"')
    snap = [line.fullmatch(text) for text in files[SNAP_NAME].read_text().splitlines()]
    assert {int(match[1]): match[5] for match in snap if match} == NAMES
    slicer = [text.split() for text in files[SLICER_NAME].read_text().splitlines()[1:]]
    assert [row[0] for row in slicer] == ["0", "1", "2", "3"]
    assert slicer[1][1:] == ["Vestibular_schwannoma_extra-meatal_part", "255", "64", "64", "255"]
    assert all(len(row) == 6 for row in slicer)  # words with spaces would be more
