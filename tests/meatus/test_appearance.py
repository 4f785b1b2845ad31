"""What a scan shows: slices without anything, and whether it looks like hrT2."""

import numpy as np
import pytest
from scipy import ndimage

from meatus.appearance import appearance_of, shown_planes, without_empty_planes
from meatus.geometry import Geometry
from meatus.report.flags import empty_slices, not_hrt2
from meatus.report.measure import measure_found
from meatus.structures import Structure
from meatus.volumes import Appearance, Labels, Scan, Segmented
from tests.meatus.tiny_runs import run_here, save_scan, write_weights

SIZE, STEPS = (120, 100, 24), (1.0, 1.0, 2.0)
GRID = Geometry(SIZE, STEPS, (0, 0, 0))
BONE, BRAIN, FAT, FLUID = 40.0, 250.0, 500.0, 1000.0


def head(fluid=FLUID, brain=BRAIN, fat=FAT, tumour=450.0):
    """A brain in fluid within bone and a rim of fat, a tumour of 12 mm in the fluid, a cochlea."""
    z, y, x = np.mgrid[: SIZE[2], : SIZE[1], : SIZE[0]]
    from_middle = np.hypot((x - 60) / 55, (y - 50) / 45)
    voxels = np.full(GRID.shape, 10.0)
    for limit, level in ((1, fat), (0.92, BONE), (0.85, fluid), (0.75, brain)):
        voxels[from_middle < limit] = level
    labels = np.zeros(GRID.shape, dtype=np.uint8)
    centre = np.sqrt((x - 100) ** 2 + (y - 50) ** 2 + 4 * (z - 12) ** 2)
    voxels[centre < 6] = tumour
    labels[centre < 6] = Structure.EXTRA_MEATAL
    ear = (np.abs(x - 110) <= 1) & (np.abs(y - 50) <= 1) & (np.abs(z - 12) <= 1)
    voxels[ear] = fluid
    labels[ear] = Structure.COCHLEA
    noise = np.random.default_rng(0).normal(0, 8, voxels.shape)
    return Scan((voxels + noise).astype(np.float32), GRID), Labels(labels, GRID)


def seen(scan, labels):
    return appearance_of(scan, labels, shown_planes(scan.voxels))


def mapped(scan, change):
    return Scan(change(scan.voxels).astype(np.float32), scan.geometry)


def test_hrt2_looks_like_hrt2_with_and_without_what_was_found():
    scan, labels = head()

    assert seen(scan, labels).doubts == ()
    assert seen(scan, Labels(labels.voxels * 0, GRID)).doubts == ()


@pytest.mark.parametrize("bright", [0.1, 1, 300])
def test_shading_and_scale_make_no_doubt(bright):
    scan, labels = head()
    shading = np.linspace(0.6, 1.4, SIZE[0])

    assert seen(mapped(scan, lambda v: v * shading * bright + 7), labels).doubts == ()


OTHERS = {
    "inverted": (lambda v: v.max() - v, "tissue has"),
    # Fluid is gone, and brain nearly as bright as fat.
    "FLAIR": (
        lambda v: np.where(v > 700, 60, np.where((v > 200) & (v < 300), v + 150, v)),
        "tissue",
    ),
    "T1": (lambda v: np.where(v > 700, 100, np.where(v > 200, 700 - v / 4, v)), "tissue has"),
    "label map": (lambda v: np.rint(v / 300), "grey values in all"),
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("found", [True, False])
def test_another_contrast_is_told(kind, found):
    scan, labels = head()
    change, words = OTHERS[kind]
    kept = labels if found else Labels(labels.voxels * 0, GRID)

    (doubt,) = seen(mapped(scan, change), kept).doubts

    assert words in doubt


def test_contrast_agent_makes_the_tumour_outshine_what_is_about_it():
    scan, labels = head(fluid=120, brain=450, fat=800, tumour=1200)
    voxels = scan.voxels.copy()
    voxels[:, 20:40, 20:40] = 1250  # vessels, as bright

    (doubt,) = seen(Scan(voxels, GRID), labels).doubts

    assert doubt.startswith("the tumour is brighter than ")


def test_a_cyst_as_bright_as_fluid_makes_no_doubt():
    scan, labels = head(tumour=1000)

    assert seen(scan, labels).doubts == ()


@pytest.mark.parametrize("scale", [1e-20, 1e-9, 1e20])
def test_doubts_do_not_depend_on_the_scale(scale):
    scan, labels = head()

    assert seen(mapped(scan, lambda v: v * scale), labels).doubts == ()
    (doubt,) = seen(mapped(scan, lambda v: (v.max() - v) * scale), labels).doubts
    assert "tissue has" in doubt


# Values that ran over.


def blurred(scan):
    """As a scanner sees it: no edge is sharper than about two voxels."""
    return mapped(scan, lambda v: ndimage.gaussian_filter(v, 0.8))


def stored(voxels, bits, signed, brightest, cut):
    """``voxels`` in so many bits, ``brightest`` of which would just fit; what does not is cut."""
    largest = 2 ** (bits - signed) - 1
    whole = np.rint(np.clip(voxels, 0, None) / brightest * largest).astype(np.int64)
    return (
        np.minimum(whole, largest) if cut else whole.astype(f"{'i' if signed else 'u'}{bits // 8}")
    )


@pytest.mark.parametrize(("bits", "signed"), [(8, False), (8, True), (16, False), (16, True)])
def test_values_that_ran_over_are_told_and_those_cut_off_are_not(bits, signed):
    scan, labels = head()
    scan = blurred(scan)

    wrapped, cut = (
        seen(mapped(scan, lambda v, cut=cut: stored(v, bits, signed, 900, cut)), labels).doubts
        for cut in (False, True)
    )

    (doubt,) = wrapped
    assert "of steps between voxels span all greys, as after an overflow" in doubt
    assert cut == ()


# Slices that show nothing.

LOST = {
    "every second": (
        range(0, 24, 2),
        "12 of 24 slices show nothing: 1, 3, 5, 7, 9 and 7 more places",
    ),
    "upper half": (range(12, 24), "12 of 24 slices show nothing: 13 to 24"),
    "one": ([7], "1 of 24 slices show nothing: 8"),
    "both ends": ([0, 1, 22, 23], "4 of 24 slices show nothing: 1 to 2, 23 to 24"),
}  # fmt: skip


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("value", [0, -1000, 12.5])
def test_slices_that_show_nothing_are_named_and_hold_no_labels(kind, value):
    lost, sentence = LOST[kind]
    scan, _ = head()
    voxels = scan.voxels.copy()
    voxels[list(lost)] = value
    scan = Scan(voxels, GRID)
    everywhere = Labels(np.full(GRID.shape, 3, np.uint8), GRID)

    shown = shown_planes(scan.voxels)
    found = seen(scan, everywhere)
    kept = without_empty_planes(everywhere, shown)

    assert empty_slices(found.empty_slices, found.slices) == sentence
    labelled = kept.voxels.any(axis=(1, 2))
    assert labelled.tolist() == [number not in lost for number in range(24)]


def test_a_whole_scan_has_no_slice_without_anything():
    scan, labels = head()

    found = seen(scan, labels)

    assert found.empty_slices == ()
    assert found.shown == ((0, 24), (0, 100), (0, 120))
    assert without_empty_planes(labels, shown_planes(scan.voxels)) is labels


def test_slices_are_those_of_the_stack_however_it_lies():
    """Coronal slices, 3 mm apart: the file's second axis."""
    grid = Geometry((40, 12, 30), (1, 3, 1), (0, 0, 0))
    voxels = np.random.default_rng(0).uniform(50, 100, grid.shape).astype(np.float32)
    voxels[:, 3:5] = 0

    found = seen(Scan(voxels, grid), Labels(np.zeros(grid.shape, np.uint8), grid))

    assert (found.slices, found.empty_slices) == (12, (4, 5))


def test_one_hot_voxel_does_not_make_all_slices_empty():
    scan, labels = head()
    voxels = scan.voxels.copy()
    voxels[0, 0, 0] = 1e6

    assert seen(Scan(voxels, GRID), labels).empty_slices == ()


def test_the_border_is_the_last_slice_that_shows_something():
    labels = np.zeros(GRID.shape, np.uint8)
    labels[8:12, 40:50, 40:50] = Structure.EXTRA_MEATAL
    whole, upper_half_lost = (
        Appearance(),
        Appearance(24, tuple(range(13, 25)), ((0, 12), (0, 100), (0, 120))),
    )

    def flags(appearance):
        return measure_found(Segmented(Labels(labels, GRID), appearance=appearance)).flags

    border = "structure at the border of the scan: extra-meatal"
    assert border not in flags(whole)
    assert border in flags(upper_half_lost)
    assert "12 of 24 slices show nothing: 13 to 24" in flags(upper_half_lost)


def test_doubts_become_one_flag():
    assert not_hrt2(()) is None
    assert not_hrt2(("a", "b")) == "does not look like hrT2: a, b"


def test_strict_refuses_what_is_flagged_otherwise(tmp_path):
    weights = write_weights(tmp_path)
    scan = save_scan(tmp_path / "a.mha")
    whole = scan.read_bytes()
    start = whole.index(b"LOCAL\n") + len(b"LOCAL\n")
    turned = 1100 - np.frombuffer(whole[start:], "<i2")
    scan.write_bytes(whole[:start] + turned.astype("<i2").tobytes())
    arguments = ("predict", scan, tmp_path / "out", "--weights", weights, "--quality", "fast")

    flagged, refused = run_here(*arguments), run_here(*arguments, "--strict")

    assert (flagged.exit_code, refused.exit_code) == (0, 1)
    assert "does not look like hrT2" in flagged.stdout
    (line,) = refused.stderr.splitlines()
    assert f"{scan}: does not look like hrT2: tissue has" in line
