"""Pseudo-labels with known faults, mended by scans whose edges are known."""

import numpy as np
import pytest

from meatus.geometry import Geometry
from meatus.structures import Structure
from meatus_training.selftraining.repair import (
    RepairRules,
    repair,
    with_doubtful_tumour,
    without_fluid,
)
from tests.meatus_training.selftraining.ears import (
    BONE,
    FLUID,
    GRID,
    TUMOUR,
    box,
    doubted,
    ears,
    probabilities,
    scan_of,
)

COCHLEA, INTRA, EXTRA = Structure.COCHLEA, Structure.INTRA_MEATAL, Structure.EXTRA_MEATAL


def noisy(scan, sd=0.03):
    return (scan + np.random.default_rng(3).normal(0, sd, scan.shape)).astype(np.float32)


def canal_in_fluid():
    """A canal of 14 x 7 x 6 mm in bone that holds a tumour in its first 10 mm, fluid beyond."""
    truth = np.zeros(GRID.shape, dtype=np.uint8)
    scan = np.full(GRID.shape, BONE, dtype=np.float32)
    scan[12:18, 27:34, 60:74] = FLUID
    box(truth, INTRA, (60, 70), (27, 34), (12, 18))
    scan[truth == INTRA] = TUMOUR
    return truth, noisy(scan)


def dice(one, other):
    return 2 * np.count_nonzero(one & other) / (one.sum() + other.sum())


def test_right_labels_stay_as_they_are():
    labels = ears()

    mended = repair(noisy(scan_of(labels)), labels, GRID)

    np.testing.assert_array_equal(mended.labels, labels)
    assert {change.structure for change in mended.changes} == {"cochlea", "intra_meatal"}
    assert all(c.added == c.removed == 0 and not c.kept_because for c in mended.changes)


def test_a_cochlea_grows_into_the_fluid_beside_it():
    truth = ears()
    short = truth.copy()
    short[(truth == COCHLEA) & (np.arange(130) == 98)] = 0  # a sagittal slice of one is missed

    mended = repair(noisy(scan_of(truth)), short, GRID)

    np.testing.assert_array_equal(mended.labels, truth)
    assert [change.added for change in mended.changes] == [0, 20, 0]


def test_a_cochlea_shrinks_out_of_the_bone():
    truth = ears()
    fat = truth.copy()
    box(fat, COCHLEA, (97, 105), (28, 33), (13, 17))

    mended = repair(noisy(scan_of(truth)), fat, GRID)

    np.testing.assert_array_equal(mended.labels, truth)
    assert [change.removed for change in mended.changes] == [0, 40, 0]


def test_a_cochlea_does_not_run_into_fluid_beyond_its_reach():
    truth = ears()
    scan = scan_of(truth)
    scan[15, 30, 104:120] = FLUID  # the vestibule, say: bright and touching

    mended = repair(scan, truth, GRID, RepairRules(reach_mm=2.0))

    assert (mended.labels == COCHLEA)[15, 30, 104:120].sum() == 2


def test_the_dark_modiolus_is_part_of_the_cochlea():
    truth = ears()
    scan = scan_of(truth)
    hole = (slice(13, 17), 30, slice(100, 102))
    scan[hole] = BONE
    labels = truth.copy()
    labels[hole] = 0

    mended = repair(scan, labels, GRID)

    np.testing.assert_array_equal(mended.labels, truth)


def test_a_canal_label_leaves_the_fluid_and_the_bone():
    truth, scan = canal_in_fluid()
    wide = truth.copy()
    box(wide, INTRA, (60, 71), (26, 34), (12, 18))  # a millimetre too far either way

    mended = repair(scan, wide, GRID)

    assert dice(wide > 0, truth > 0) < 0.94
    np.testing.assert_array_equal(mended.labels, truth)


def test_a_canal_label_grows_into_what_is_as_dark_as_the_tumour():
    truth, scan = canal_in_fluid()
    narrow = np.zeros_like(truth)
    box(narrow, INTRA, (61, 69), (28, 33), (13, 17))

    mended = repair(scan, narrow, GRID, RepairRules(reach_mm=2.0))

    assert dice(narrow > 0, truth > 0) < 0.65
    # Noise keeps single voxels of the rim out: their level must be near the tumour's.
    assert dice(mended.labels > 0, truth > 0) > 0.98
    assert not (mended.labels[truth == 0]).any()


def test_the_dark_sheet_between_fluid_and_bone_does_not_join_the_tumour():
    truth, scan = canal_in_fluid()
    scan[12:18, 26, 69:74] = TUMOUR  # half fluid, half bone: one voxel thick

    mended = repair(scan, truth, GRID, RepairRules(reach_mm=3.0))

    assert not mended.labels[:, 26, 69:].any()
    assert dice(mended.labels > 0, truth > 0) > 0.99


def test_extra_meatal_voxels_and_the_boundary_never_change():
    labels = ears()
    scan = scan_of(labels)
    scan[labels == EXTRA] = FLUID  # however it looks

    mended = repair(scan, labels, GRID)

    np.testing.assert_array_equal(mended.labels == EXTRA, labels == EXTRA)
    np.testing.assert_array_equal(mended.labels == INTRA, labels == INTRA)


def test_a_tumour_as_bright_as_fluid_keeps_its_label():
    truth, scan = canal_in_fluid()
    scan[truth == INTRA] = FLUID
    wide = truth.copy()
    box(wide, INTRA, (60, 71), (27, 34), (12, 18))

    mended = repair(noisy(scan), wide, GRID)

    np.testing.assert_array_equal(mended.labels, wide)


def test_a_piece_that_would_change_threefold_stays_as_it_is():
    labels = ears()
    scan = np.full(GRID.shape, BONE, dtype=np.float32)
    scan[14, 30, 99:102] = FLUID  # all that the scan shows of the left cochlea

    mended = repair(noisy(scan, 0.001), labels, GRID)

    left = (slice(None), slice(None), slice(97, 106))
    np.testing.assert_array_equal(mended.labels[left], labels[left])
    reasons = [c.kept_because for c in mended.changes if c.structure == "cochlea"]
    assert "would become 0.03 times as large" in reasons[1]


def test_a_few_voxels_are_too_small_to_measure():
    labels = np.zeros(GRID.shape, dtype=np.uint8)
    labels[5, 5, 5:9] = COCHLEA

    mended = repair(scan_of(labels), labels, GRID)

    np.testing.assert_array_equal(mended.labels, labels)
    assert mended.changes[0].kept_because == "too small to measure"


@pytest.mark.parametrize(("scale", "shift"), [(400.0, 0.0), (2.0, -1.0)])
def test_the_scale_of_the_scan_does_not_matter(scale, shift):
    truth, scan = canal_in_fluid()
    wide = truth.copy()
    box(wide, INTRA, (60, 71), (26, 34), (12, 18))

    mended = repair((scan * scale + shift).astype(np.float32), wide, GRID)

    np.testing.assert_array_equal(mended.labels, truth)


def test_an_empty_map_stays_empty_and_the_argument_is_left_alone():
    empty = np.zeros((4, 5, 6), dtype=np.uint8)
    grid = Geometry((6, 5, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    assert not repair(np.zeros(empty.shape, np.float32), empty, grid).labels.any()

    truth = ears()
    fat = truth.copy()
    box(fat, COCHLEA, (97, 105), (28, 33), (13, 17))
    kept = fat.copy()
    repair(scan_of(truth), fat, GRID)
    np.testing.assert_array_equal(fat, kept)


def test_the_fluid_that_a_tumour_runs_into_goes_and_the_tumour_stays():
    truth, scan = canal_in_fluid()
    long = truth.copy()
    box(long, INTRA, (60, 74), (27, 34), (12, 18))  # to the canal's end

    dry = without_fluid(scan, long, GRID)

    np.testing.assert_array_equal(dry, truth)


def test_a_tumour_that_is_fluid_alone_goes_and_no_other():
    truth, scan = canal_in_fluid()
    scan[12:18, 27:34, 20:34] = FLUID  # the other ear's canal
    both = truth.copy()
    box(both, INTRA, (22, 32), (27, 34), (12, 18))

    dry = without_fluid(scan, both, GRID)

    np.testing.assert_array_equal(dry, truth)


def test_a_cyst_stays_and_a_thin_sheet_beside_fluid_goes():
    truth = np.zeros(GRID.shape, dtype=np.uint8)
    box(truth, EXTRA, (60, 75), (20, 35), (10, 20))
    scan = np.full(GRID.shape, BONE, dtype=np.float32)
    scan[truth == EXTRA] = TUMOUR
    scan[13:17, 25:30, 65:70] = FLUID  # the cyst
    scan[10:20, 35:37, 60:75] = FLUID
    scan[10:20, 37, 60:75] = TUMOUR  # half fluid, half bone
    wide = truth.copy()
    box(wide, EXTRA, (60, 75), (20, 38), (10, 20))

    dry = without_fluid(noisy(scan), wide, GRID)

    np.testing.assert_array_equal(dry, truth)


def test_a_thin_tumour_without_fluid_stays():
    labels = ears()
    box(labels, INTRA, (96, 97), (32, 33), (14, 16))  # one voxel wide
    scan = scan_of(labels)
    scan[5:25, 40:46, 60:96] = FLUID  # the cistern

    np.testing.assert_array_equal(without_fluid(scan, labels, GRID), labels)


def test_cochleae_are_fluid_and_stay():
    labels = ears()
    scan = scan_of(labels)
    scan[labels == EXTRA] = FLUID

    dry = without_fluid(scan, labels, GRID)

    np.testing.assert_array_equal(dry == COCHLEA, labels == COCHLEA)
    assert not (dry == EXTRA).any()


BRAIN = 0.25


def doubts(marked, everything):
    """Of a teacher that is sure of what is ``marked`` and gives 0.2 to ``everything`` besides."""
    missing = (everything > 0) & (marked == 0)
    return doubted(probabilities(marked, 1.0), everything, missing, 0.2)


def tumour_between_brain_and_fluid():
    """What is tumour, what a teacher marks of it, what it doubts, and the scan."""
    truth = np.zeros(GRID.shape, dtype=np.uint8)
    box(truth, EXTRA, (60, 72), (22, 38), (8, 20))
    box(truth, INTRA, (72, 80), (27, 33), (11, 17))
    marked = truth.copy()
    marked[:, :, :64] = marked[:, :, 78:] = 0
    everything = truth.copy()
    box(everything, EXTRA, (54, 60), (22, 38), (8, 20))  # brain
    box(everything, EXTRA, (60, 72), (38, 42), (8, 20))  # fluid
    scan = np.full(GRID.shape, BRAIN, dtype=np.float32)
    scan[:, 38:46] = FLUID
    scan[truth > 0] = TUMOUR
    return truth, marked, everything, noisy(scan, 0.02)


def test_what_is_doubted_of_a_tumour_joins_it_but_neither_brain_nor_fluid_do():
    truth, marked, everything, scan = tumour_between_brain_and_fluid()

    grown = with_doubtful_tumour(scan, doubts(marked, everything), marked, GRID, 0.1)

    joined = grown != marked
    assert dice(joined, truth != marked) > 0.9  # a tenth of it is darker than a tenth of the rest
    assert joined[everything != truth].mean() < 0.01
    assert set(grown[:, :, 78:80][joined[:, :, 78:80]]) == {INTRA}
    assert set(grown[:, :, :64][joined[:, :, :64]]) == {EXTRA}


def test_nothing_joins_a_tumour_that_is_too_doubtful_or_apart_or_a_cochlea():
    _, marked, everything, scan = tumour_between_brain_and_fluid()
    box(everything, EXTRA, (20, 24), (22, 26), (8, 12))  # apart
    scan[8:12, 22:26, 20:24] = TUMOUR
    box(marked, COCHLEA, (62, 64), (28, 30), (12, 14))
    p = doubts(marked, everything)

    grown = with_doubtful_tumour(scan, p, marked, GRID, 0.1)

    np.testing.assert_array_equal(grown == COCHLEA, marked == COCHLEA)
    assert not grown[8:12, 22:26, 20:24].any()
    np.testing.assert_array_equal(with_doubtful_tumour(scan, p, marked, GRID, 0.3), marked)
    np.testing.assert_array_equal(with_doubtful_tumour(scan, p, marked, GRID, 1.0), marked)
    nothing = np.zeros_like(marked)
    np.testing.assert_array_equal(with_doubtful_tumour(scan, p, nothing, GRID, 0.1), nothing)
