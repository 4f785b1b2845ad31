"""The reference rule against the published implementation's numbers (preprocess.npz).

Tolerances are those of the golden README: exact geometry, 1e-5 for float32 intensities.
"""

import numpy as np
import pytest

from meatus.crop import reference_crop
from meatus.geometry import Geometry
from meatus.preprocess import prepare
from meatus.restore import restore_labels
from meatus.spec import PhysicalCrop, ReferenceCrop, SliceNormalisation, VolumeNormalisation
from meatus.volumes import Scan
from meatus.windows import cut, plan
from tests.meatus.specs import make_spec
from tests.shared_files import shared

CASES = [
    "sq400",
    "nocrop300",
    "tall500x300",
    "wide300x500",
    "both380x300",
    "zwin45",
    "zwin81",
    "z40",
    "flip_none",
    "flip_x",
    "flip_y",
    "flip_z",
    "flip_xyz",
    "quirk_last_in201",
    "quirk_last_out192",
]
PUBLISHED = make_spec(crop=ReferenceCrop(), normalisation=SliceNormalisation(), depth=40, overlap=0)


@pytest.fixture(scope="module")
def golden():
    return np.load(shared("golden/preprocess.npz"))


def flipped_volume(golden, case):
    name = "flip_none" if case.startswith("flip_") else case
    flips = golden.get(f"{case}/flip_xyz", (0, 0, 0))
    axes = [axis for axis, flip in zip((2, 1, 0), flips, strict=True) if flip]
    return np.flip(golden[f"{name}/vol"], axes).astype(np.float32)


def windows_of(volume):
    z, y, x = volume.shape
    scan = Scan(volume, Geometry((x, y, z), (0.5, 0.5, 1.5), (0, 0, 0)))
    prepared = prepare(scan, PUBLISHED)
    parts = plan(prepared.geometry.size[2], PUBLISHED.window)
    return prepared, parts, np.stack([cut(prepared.voxels, part, 40) for part in parts])


def test_the_crop_table_is_the_published_one(golden):
    for w, h, start_w, end_w, start_h, end_h, *_ in golden["crop/table"].tolist():
        rows, columns = reference_crop(w, h)
        assert (rows.start, rows.stop, columns.start, columns.stop) == (
            start_w,
            end_w,
            start_h,
            end_h,
        )


def test_windows_without_overlap_lie_where_the_published_ones_lie(golden):
    for n, (size, front, _back) in enumerate(golden["zwin/size_padfront_padback"].tolist(), 1):
        parts = plan(n, PUBLISHED.window)
        starts = [start for start in golden["zwin/starts"][n - 1].tolist() if start >= 0]
        assert [part.start for part in parts] == starts
        assert parts[0].before == front
        assert size == 40 or n == size


@pytest.mark.parametrize("case", CASES)
def test_the_network_sees_the_published_intensities(golden, case):
    _, parts, windows = windows_of(flipped_volume(golden, case))

    assert [part.start for part in parts] == golden[f"{case}/win_starts"].tolist()
    window, k, row, column = golden[f"{case}/vox_idx"].astype(int).T
    # Where the published zoom loses its last row and column to rounding, ours clamps.
    kept = (row < 383) & (column < 383) if case.startswith("quirk") else np.full(row.shape, True)
    found = windows[window, k, row, column]
    np.testing.assert_allclose(found[kept], golden[f"{case}/vox_val"][kept], atol=1e-5)
    if not case.startswith("quirk"):
        means = windows.mean(axis=(2, 3), dtype=np.float64)
        np.testing.assert_allclose(means, golden[f"{case}/slice_mean"], atol=1e-5)
        deviations = windows.std(axis=(2, 3), dtype=np.float64)
        np.testing.assert_allclose(deviations, golden[f"{case}/slice_std"], atol=1e-5)


def test_a_whole_slice_of_an_elongated_image_is_the_published_one(golden):
    _, _, windows = windows_of(flipped_volume(golden, "tall500x300"))

    expected = golden["tall500x300/full_k19_f16"].astype(np.float32)
    np.testing.assert_allclose(windows[0, 19], expected, atol=1e-3)


def test_a_range_beyond_sixteen_bits_does_not_wrap(golden):
    """The published code drops such a slice; a deliberate deviation."""
    prepared, _, _ = windows_of(flipped_volume(golden, "quirk_int16_overflow"))

    assert np.ptp(prepared.voxels[1]) == pytest.approx(2, abs=1e-5)


@pytest.mark.parametrize("case", ["sq400", "tall500x300", "both380x300", "zwin45"])
def test_the_prepared_grid_lies_where_the_crop_was_cut(golden, case):
    """Start voxel and first slice of the crop, in millimetres, corners aligned."""
    prepared, _, _ = windows_of(flipped_volume(golden, case))

    start_w, end_w, start_h, end_h = golden[f"{case}/crop"].tolist()
    side = max(end_w - start_w, end_h - start_h)
    first_x = start_h - (side - (end_h - start_h)) // 2
    first_y = start_w - (side - (end_w - start_w)) // 2
    first_z = int(golden[f"{case}/z_range"][0])
    expected = (first_x * 0.5, first_y * 0.5, first_z * 1.5)
    np.testing.assert_allclose(prepared.geometry.origin_mm, expected, atol=1e-9)
    last = prepared.geometry.position_mm((383, 383, 0))[:2]
    np.testing.assert_allclose(last, [(n + side - 1) * 0.5 for n in (first_x, first_y)])


def head(size, spacing, centre_mm):
    """A bright disc of 70 mm radius on every slice, black around it."""
    x, y, z = size
    scan = Geometry(size, spacing, (0, 0, 0))
    at_x = np.arange(x) * spacing[0] - centre_mm[0]
    at_y = np.arange(y)[:, None] * spacing[1] - centre_mm[1]
    disc = (at_x**2 + at_y**2 < 70**2) * (900 + 5 * at_x)
    grain = np.random.default_rng(0).uniform(0.5, 1.5, (z, y, x))
    return Scan((disc * grain).astype(np.float32), scan)


PHYSICAL = make_spec(
    crop=PhysicalCrop(size=(96, 64), spacing_mm=1.0), normalisation=VolumeNormalisation()
)


@pytest.mark.parametrize("spacing", [(0.5, 0.5, 1.5), (0.8, 0.6, 3.0)])
def test_the_physical_field_is_centred_on_the_head_at_any_resolution(spacing):
    size = (round(220 / spacing[0]), round(200 / spacing[1]), 4)
    prepared = prepare(head(size, spacing, (100, 90)), PHYSICAL)

    assert prepared.voxels.shape == (4, 64, 96)
    assert prepared.geometry.spacing_mm == pytest.approx((1.0, 1.0, spacing[2]))
    middle = prepared.geometry.position_mm((47.5, 31.5, 0))
    assert middle[:2] == pytest.approx((100, 90), abs=3)


def test_slices_thinner_than_the_limit_are_resampled_and_thicker_ones_are_not():
    thin = prepare(head((220, 200, 40), (1, 1, 0.5), (100, 90)), PHYSICAL)
    thick = prepare(head((220, 200, 40), (1, 1, 0.8), (100, 90)), PHYSICAL)

    assert thin.geometry.spacing_mm[2] == pytest.approx(1.0)
    assert thin.geometry.size[2] == 20
    assert thick.geometry.spacing_mm[2] == pytest.approx(0.8)


def test_what_lies_outside_a_small_scan_is_black():
    scan = head((60, 60, 3), (1, 1, 1), (30, 30))
    prepared = prepare(scan, PHYSICAL)

    assert (prepared.voxels[:, 0] == -1).all()
    assert (prepared.voxels[:, 32, 30:60] > -1).all()


def test_painting_out_part_of_the_field_leaves_the_scaling_alone():
    scan = head((220, 200, 3), (1, 1, 1), (100, 90))
    painted = scan.voxels.copy()
    painted[:, 60:70] = 0

    before, after = (prepare(Scan(v, scan.geometry), PHYSICAL) for v in (scan.voxels, painted))
    below = slice(20, 64)  # rows that the painted ones and their neighbours do not reach
    np.testing.assert_allclose(before.voxels[:, below], after.voxels[:, below], atol=0.03)


@pytest.mark.parametrize("case", CASES)
def test_labels_return_to_the_published_voxels(golden, case):
    """The published labels of each window, placed by the nearest voxel (step 7)."""
    volume = flipped_volume(golden, case)
    prepared, parts, windows = windows_of(volume)
    k, row, column = np.indices(windows.shape[1:])
    labels = np.zeros(prepared.voxels.shape, dtype=np.uint8)
    for number, part in enumerate(parts):
        output = (row // 20 + 2 * (column // 28) + k + number) % 4
        held = slice(part.before, part.before + part.stop - part.start)
        labels[part.start : part.stop] = output[held]

    z, y, x = volume.shape
    scan = Scan(volume, Geometry((x, y, z), (0.5, 0.5, 1.5), (0, 0, 0)))
    placed = restore_labels(labels, prepared, scan).voxels

    flips = golden.get(f"{case}/flip_xyz", (0, 0, 0))
    axes = [axis for axis, flip in zip((2, 1, 0), flips, strict=True) if flip]
    # Where the published zoom loses its last row and column to rounding, ours clamps.
    kept = np.s_[:, :-1, :-1] if case.startswith("quirk") else np.s_[:]
    np.testing.assert_array_equal(np.flip(placed, axes)[kept], golden[f"{case}/final_label"][kept])
