"""Files in other formats, cases and places: read where they can be, else counted and named."""

import nibabel as nib
import numpy as np
import SimpleITK as sitk

from meatus_evaluation.scoring.match import match_folders
from meatus_training.prepare.challenge import find_challenge
from meatus_training.prepare.nnunet import find_nnunet
from tests.meatus_evaluation.label_maps import TRUTH, run, save
from tests.meatus_training.prepare.test_layouts import PARTS, describe, touch


def test_prepare_reads_names_in_capitals_and_names_what_it_skips(tmp_path):
    folder = tmp_path / "TrainingTarget"
    save(folder / "a_T2.nii.gz").rename(folder / "crossmoda2023_ldn_1_T2.NII.GZ")
    sitk.WriteImage(sitk.Image(8, 8, 4, sitk.sitkInt16), folder / "crossmoda2023_ldn_2_T2.mhd")
    for name in ("IM0001.dcm", "IM0002.dcm", "notes.txt", "IM0003.dcm"):
        (folder / name).write_bytes(b"")

    found = find_challenge(tmp_path)

    assert [case.name for case in found.cases] == ["crossmoda2023_ldn_1", "crossmoda2023_ldn_2"]
    (note,) = found.notes
    assert note.startswith("no scans by their names, not read: 4 (TrainingTarget/IM0001.dcm, ")
    assert "notes.txt" not in note  # the fourth
    assert ".nii.gz" in note


def test_score_reads_all_formats_and_names_what_it_skips(tmp_path):
    found, truth = tmp_path / "found", tmp_path / "truth"
    for case in ("a", "b", "c"):
        save(truth / f"{case}_Label.nii.gz")
    save(found / "a.nii.gz").rename(found / "a.NII.GZ")
    for case, suffix in (("b", ".mhd"), ("c", ".mgz")):
        whole = save(found / "whole.nii.gz")
        if suffix == ".mhd":
            sitk.WriteImage(sitk.ReadImage(str(whole)), found / f"{case}.mhd")
        else:
            image = nib.load(whole)
            nib.save(nib.MGHImage(np.asarray(image.dataobj), image.affine), found / f"{case}.mgz")
        whole.unlink()
    (found / "c.seg.dcm").write_bytes(b"")
    (found / "deeper").mkdir()

    matched = match_folders(found, truth)
    done = run("score", found, truth)

    assert [pair.prediction.name for pair in matched.pairs] == ["a.NII.GZ", "b.mhd", "c.mgz"]
    assert [file.name for file in matched.skipped] == ["c.seg.dcm", "deeper"]
    assert done.exit_code == 0, done.output
    assert "no label maps by their names, not looked at: 2 (c.seg.dcm, deeper/)" in done.stdout
    assert "3 cases of 1 site: every tumour and cochlea is found" in done.stdout


def test_a_class_that_is_lost_to_nan_is_no_score(tmp_path):
    save(tmp_path / "truth" / "a_Label.nii.gz")
    path = save(tmp_path / "found" / "a.nii.gz")
    image = nib.load(path)
    voxels = np.asarray(image.dataobj).astype(np.float32)
    voxels[voxels == 3] = np.nan
    nib.save(nib.Nifti1Image(voxels, image.affine), path)

    done = run("score", tmp_path / "found", tmp_path / "truth")

    assert done.exit_code == 1
    count = int(np.prod([side.stop - side.start for side in TRUTH[3]]))
    assert f"a.nii.gz: holds nan in {count} of " in done.stderr


def test_nnunets_folders_are_read_in_capitals_too(tmp_path):
    describe(tmp_path, {"0": "T1"}, PARTS)
    touch(tmp_path, "imagesTr/a_0000.NII.GZ", "labelsTr/a.Nii.Gz", "imagesTr/b_0000.dcm")

    found = find_nnunet(tmp_path)

    assert found.problems == ()
    assert [case.label.name for case in found.cases] == ["a.Nii.Gz"]
    (note,) = found.notes
    assert note.startswith("no scans by their names, not read: 1 (imagesTr/b_0000.dcm)")
