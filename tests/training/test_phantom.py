import nibabel as nib
import numpy as np
import pytest

from inference.structures import Structure
from training.phantom import Contrast, generate, make_phantom, write_cohort
from training.phantom.generate import write_volume

# Seed 7 draws a tumour with both parts.
SEED = 7


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(SEED, Contrast.TSE)


def cochleae(labels):
    """Voxel indices (N, 3) of the right and the left cochlea."""
    at = np.argwhere(labels.voxels == Structure.COCHLEA)
    middle = at[:, 2].mean()
    return at[at[:, 2] < middle], at[at[:, 2] > middle]


def centre_mm(at, geometry):
    return at.mean(axis=0) * np.array(geometry.spacing_mm[::-1])


def test_the_same_seed_gives_the_same_phantom(phantom):
    scan, labels = make_phantom(SEED, Contrast.TSE)

    np.testing.assert_array_equal(scan.voxels, phantom[0].voxels)
    np.testing.assert_array_equal(labels.voxels, phantom[1].voxels)
    assert scan.geometry == labels.geometry == phantom[0].geometry


def test_another_seed_gives_another_head(phantom):
    scan, labels = make_phantom(SEED + 1)

    assert scan.geometry != phantom[0].geometry
    assert labels.voxels.shape == scan.voxels.shape


def test_a_tumour_of_both_parts_gives_all_four_classes(phantom):
    scan, labels = phantom

    assert set(np.unique(labels.voxels)) == set(Structure)
    assert labels.voxels.dtype == np.uint8
    assert labels.voxels.shape == scan.voxels.shape == scan.geometry.shape
    for part in (Structure.EXTRA_MEATAL, Structure.INTRA_MEATAL):
        volume_mm3 = np.sum(labels.voxels == part) * labels.geometry.voxel_mm3
        assert 20 < volume_mm3 < 27_000


def test_the_scan_holds_whole_numbers_that_fit_sixteen_bits(phantom):
    voxels = phantom[0].voxels

    assert voxels.dtype == np.float32
    np.testing.assert_array_equal(voxels, np.rint(voxels))
    assert voxels.min() >= 0
    assert 500 <= voxels.max() < 2**15


def test_both_cochleae_have_their_size_and_distance(phantom):
    labels = phantom[1]
    right, left = cochleae(labels)

    for side in (right, left):
        assert 60 < len(side) * labels.geometry.voxel_mm3 < 140
    apart = centre_mm(left, labels.geometry) - centre_mm(right, labels.geometry)
    assert 66 < np.linalg.norm(apart) < 84


def test_the_intra_meatal_part_lies_lateral_of_the_extra_meatal(phantom):
    labels = phantom[1]
    midline = np.mean([side.mean(axis=0)[2] for side in cochleae(labels)])

    def lateral(part):
        return abs(np.argwhere(labels.voxels == part)[:, 2].mean() - midline)

    assert lateral(Structure.INTRA_MEATAL) > lateral(Structure.EXTRA_MEATAL)


def test_fluid_outshines_brain_and_brain_outshines_air(phantom):
    scan, labels = phantom
    at = np.rint(np.mean([side.mean(axis=0) for side in cochleae(labels)], axis=0)).astype(int)
    dx, dy, _ = scan.geometry.spacing_mm
    slab = scan.voxels[at[0] - 1 : at[0] + 2]
    cistern = slab[:, at[1] - int(12 / dy) : at[1] + int(10 / dy), at[2] - 3 : at[2] + 4]
    brain = slab[:, at[1] + int(10 / dy) : at[1] + int(14 / dy), at[2] - 5 : at[2] + 6].mean()
    corners = slab[:, :, : int(4 / dx)].mean()

    assert np.percentile(cistern, 90) > 1.5 * brain
    assert brain > 3 * corners


def test_a_cohort_is_the_same_for_any_number_of_workers(tmp_path):
    write_cohort(tmp_path / "one", 2, first_seed=259, workers=1)
    write_cohort(tmp_path / "two", 2, first_seed=259, workers=2)

    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == [
        "phantom_0001_Label.nii.gz",
        "phantom_0001_T2.nii.gz",
        "phantom_0002_Label.nii.gz",
        "phantom_0002_T2.nii.gz",
    ]
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_finished_phantom_is_not_made_again(tmp_path, monkeypatch):
    for kind in ("T2", "Label"):
        (tmp_path / f"phantom_0001_{kind}.nii.gz").write_bytes(b"kept")
    monkeypatch.setattr(generate, "make_phantom", None)

    write_cohort(tmp_path, 1, first_seed=0)

    assert (tmp_path / "phantom_0001_T2.nii.gz").read_bytes() == b"kept"


def test_a_written_volume_lies_where_its_geometry_says(tmp_path, phantom):
    labels = phantom[1]

    write_volume(labels.voxels, labels.geometry, tmp_path / "label.nii.gz")

    image = nib.load(tmp_path / "label.nii.gz")
    right, anterior, up, _ = image.affine @ (3, 4, 5, 1)
    x, y, z = labels.geometry.position_mm((3, 4, 5))
    np.testing.assert_allclose((right, anterior, up), (-x, -y, z), atol=1e-3)
    np.testing.assert_array_equal(np.asarray(image.dataobj), labels.voxels.transpose(2, 1, 0))
