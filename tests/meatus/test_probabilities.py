"""Soft maps: on the scan's grid, beside its label map, whole or absent."""

import json

import nibabel as nib
import numpy as np
import pytest

from meatus.geometry import Geometry
from meatus.preprocess import prepare
from meatus.restore import class_maps, restore
from meatus.volumes import Probabilities, Scan
from tests.meatus.tiny_runs import SPEC, run_here, save_scan, write_weights

SAGITTAL = (0.0, 0.0, -1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)  # x runs to posterior, and so on
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


def predict(source, output, weights, *more):
    options = ("--weights", weights, "--device", "cpu", "--quality", "fast", *more)
    return run_here("predict", source, output, *options)


@pytest.mark.parametrize("direction", [AXIAL, SAGITTAL])
def test_maps_lie_as_the_scan_and_agree_with_its_labels(direction):
    random = np.random.default_rng(0)
    grid = Geometry((60, 52, 40), (2.0, 2.0, 3.0), (-50.0, -40.0, 10.0), direction)
    scan = Scan(random.uniform(50, 100, grid.shape).astype(np.float32), grid)
    prepared = prepare(scan, SPEC)
    scores = np.exp(3 * random.normal(size=(4, *prepared.geometry.shape)).astype(np.float32))
    probabilities = Probabilities(scores / scores.sum(axis=0), prepared.geometry, prepared.field)

    maps = np.stack(list(class_maps(probabilities, grid)))

    assert maps.shape == (4, *grid.shape)
    np.testing.assert_allclose(maps.sum(axis=0), 1, atol=2e-3)
    first, second = np.sort(maps, axis=0)[[-1, -2]]
    sure = first - second > 2e-3  # more than float16 rounds
    assert sure.mean() > 0.9
    labels = restore(probabilities, scan).voxels
    np.testing.assert_array_equal(maps.argmax(axis=0)[sure], labels[sure])


def test_what_the_network_did_not_see_is_background():
    grid = Geometry((4, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXIAL)
    seen = grid.crop((0, 0, 0), (4, 4, 2))
    tumour = np.zeros((4, *seen.shape), np.float32)
    tumour[1] = 1

    background, extra, *_ = class_maps(Probabilities(tumour, seen, seen), grid)

    np.testing.assert_array_equal(background[:, 0, 0], [0, 0, 1, 1])
    np.testing.assert_array_equal(extra[:, 0, 0], [1, 1, 0, 0])


def test_a_run_writes_them_beside_the_labels_and_resumes(tmp_path, weights):
    (tmp_path / "in" / "p").mkdir(parents=True)
    scan = nib.load(save_scan(tmp_path / "in" / "p" / "a_T2.nii.gz"))
    out = tmp_path / "out" / "p"

    done = predict(tmp_path / "in", tmp_path / "out", weights, "--probabilities")

    assert done.exit_code == 0, done.output
    assert sorted(file.name for file in out.iterdir()) == [
        "a.nii.gz", "a_probabilities.nii.gz",
    ]  # fmt: skip
    maps = nib.load(out / "a_probabilities.nii.gz")
    assert (maps.shape, maps.get_data_dtype()) == ((*scan.shape, 4), np.float32)
    np.testing.assert_array_equal(maps.affine, scan.affine)
    found = nib.load(out / "a.nii.gz").get_fdata() == 3
    assert found.any()
    assert (maps.get_fdata()[found][:, 3] > 0.25).all()

    (out / "a_probabilities.nii.gz").unlink()
    again = predict(
        tmp_path / "in", tmp_path / "out", weights, "--probabilities", "--resume", "--log-json"
    )
    assert again.exit_code == 0
    start = next(
        event for event in map(json.loads, again.stdout.splitlines()) if event["event"] == "start"
    )
    assert start["to_do"] == 1
    assert (out / "a_probabilities.nii.gz").exists()


def test_a_full_disk_leaves_neither_maps_nor_labels(tmp_path, weights, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("meatus.service.results.write_maps", full)

    done = predict(save_scan(tmp_path / "a.nii.gz"), tmp_path / "out", weights, "--probabilities")

    assert done.exit_code == 1
    assert "a_probabilities.nii.gz: cannot be written (No space left on device)" in done.stderr
    assert not list((tmp_path / "out").iterdir())


def test_votes_have_no_probabilities(tmp_path, weights):
    scan = save_scan(tmp_path / "a.nii.gz")

    done = predict(scan, tmp_path / "out", weights, "--probabilities", "--fusion", "vote")

    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "out").exists()
