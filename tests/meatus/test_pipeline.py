"""The main path with networks of a few numbers; no trained weights are needed."""

from dataclasses import replace

import numpy as np
import pytest

from meatus.ensemble import EIGHT_FLIPS, Model, predict
from meatus.geometry import Geometry, axial, reorient
from meatus.label_voting import segment_by_vote
from meatus.pipeline import segment
from meatus.postprocess import Rules
from meatus.preprocess import prepare
from meatus.spec import PhysicalCrop, ReferenceCrop, SliceNormalisation
from meatus.volumes import Prepared, Scan
from tests.meatus.specs import make_spec

SPEC = make_spec(crop=PhysicalCrop(size=(96, 80), spacing_mm=1.0), depth=8, overlap=2)


class BrightnessEngine:
    """Calls the brightest voxels cochlea, the next intra-, the next extra-meatal."""

    name = "brightness"

    def __call__(self, window):
        limits = np.array([-2.0, 0.0, 0.5, 0.9])[:, None, None, None]
        reached = (window[None] > limits).sum(axis=0) - 1
        return (reached[None] == np.arange(4)[:, None, None, None]).astype(np.float32)

    def release(self):
        pass


class LeftEngine(BrightnessEngine):
    """Calls everything in the left half of its window cochlea, whatever it shows."""

    def __call__(self, window):
        result = np.zeros((4, *window.shape), dtype=np.float32)
        half = window.shape[2] // 2
        result[0, ..., :half] = result[3, ..., half:] = 1
        return result


def model(*engines, quality="full", spec=SPEC):
    return Model(engines or (BrightnessEngine(),), spec, quality)


def average(window, ensemble):
    """The probabilities (C, Z, Y, X) of a scan that is this one window."""
    depth, rows, columns = window.shape
    grid = Geometry((columns, rows, depth), (1.0, 1.0, 1.5), (0.0, 0.0, 0.0))
    return predict(Prepared(window, grid, grid), ensemble).voxels


def head_with_targets():
    """Grey 64 mm disc; a tumour's two parts on the left, a cochlea on each side."""
    x, y, z = 150, 150, 20
    at_y, at_x = np.mgrid[:y, :x] - 75
    slice_ = np.where(at_x**2 + at_y**2 < 64**2, 100.0, 0.0)
    voxels = np.repeat(slice_[None], z, axis=0)
    voxels[:, ::3, ::3] *= 1.05  # so that the tissue has a range of its own
    voxels[6:13, 70:80, 85:97] = 650  # extra-meatal, medial
    voxels[6:13, 72:78, 97:103] = 850  # intra-meatal, lateral
    voxels[7:12, 65:70, 108:114] = voxels[7:12, 65:70, 36:42] = 1000  # cochleas
    return voxels.astype(np.float32)


HEAD = Geometry((150, 150, 20), (1.0, 1.0, 1.5), (-75.0, -75.0, -15.0))


def test_each_structure_is_found_where_it_lies():
    labels = segment(Scan(head_with_targets(), HEAD), model(spec=LINEAR)).labels.voxels

    assert labels[9, 75, 90] == 1
    assert labels[9, 75, 100] == 2
    assert labels[9, 67, 111] == 3
    assert labels[9, 67, 39] == 3
    assert labels[9, 20, 75] == 0
    assert set(np.unique(labels)) == {0, 1, 2, 3}


LINEAR = make_spec(
    crop=PhysicalCrop(size=(96, 80), spacing_mm=1.0),
    normalisation=SPEC.normalisation.__class__(lower=0.5, upper=99.9, power=1.0),
    depth=8,
    overlap=2,
)

TURNED = {
    "sagittal": (0, 0, 1, 1, 0, 0, 0, 1, 0),
    "coronal": (1, 0, 0, 0, 0, 1, 0, -1, 0),
    "flipped": (-1, 0, 0, 0, -1, 0, 0, 0, 1),
}


@pytest.mark.parametrize("name", TURNED)
def test_the_same_head_stored_otherwise_gets_the_same_labels(name):
    direction = tuple(float(v) for v in TURNED[name])
    scan = Scan(head_with_targets(), HEAD)
    expected = segment(scan, model(spec=LINEAR)).labels.voxels
    turned = _stored_as(scan, direction)
    assert turned.geometry.direction == direction

    labels = segment(turned, model(spec=LINEAR)).labels

    assert labels.geometry == turned.geometry
    back = reorient(labels.voxels, turned.geometry, axial(turned.geometry))
    np.testing.assert_array_equal(back, expected)


def _stored_as(scan, direction):
    """The same voxels in a file whose axes run along ``direction``'s columns."""
    axes = np.array(direction).reshape(3, 3)
    order = np.argmax(np.abs(axes), axis=0)
    signs = axes[order, range(3)]
    size = tuple(scan.geometry.size[world] for world in order)
    spacing = tuple(scan.geometry.spacing_mm[world] for world in order)
    first = [0, 0, 0]
    for world, sign in zip(order, signs, strict=True):
        first[world] = scan.geometry.size[world] - 1 if sign < 0 else 0
    target = Geometry(size, spacing, scan.geometry.position_mm(tuple(first)), direction)
    return Scan(np.ascontiguousarray(reorient(scan.voxels, scan.geometry, target)), target)


def test_flips_are_undone_before_the_average():
    window = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16)).astype(np.float32)

    np.testing.assert_array_equal(
        average(window, model(quality="full")), average(window, model(quality="fast"))
    )


def test_the_left_right_flip_cancels_a_network_that_prefers_one_side():
    window = np.zeros((8, 16, 16), dtype=np.float32)

    np.testing.assert_allclose(average(window, model(LeftEngine(), quality="standard"))[3], 0.5)


def test_members_count_alike():
    window = np.full((8, 16, 16), 0.95, dtype=np.float32)
    both = model(BrightnessEngine(), LeftEngine(), quality="fast")

    probabilities = average(window, both)

    np.testing.assert_allclose(probabilities.sum(axis=0), 1)
    np.testing.assert_allclose(probabilities[3, :, :, 8:], 1)
    np.testing.assert_allclose(probabilities[3, :, :, :8], 0.5)


def test_probabilities_sum_to_one_where_windows_overlap():
    prepared = prepare(Scan(head_with_targets(), HEAD), SPEC)

    total = predict(prepared, model(LeftEngine(), quality="fast")).voxels.sum(axis=0)

    np.testing.assert_allclose(total, 1, atol=1e-5)


class ShapeEngine(BrightnessEngine):
    """Keeps the shapes of the windows that it is shown."""

    def __init__(self):
        self.seen = set()

    def __call__(self, window):
        self.seen.add(window.shape)
        return super().__call__(window)


def narrow_field(rows, columns):
    """A prepared scan that fills a part of its grid, with a cochlea; the rest is black."""
    voxels = np.full((20, 80, 96), -1, np.float32)
    voxels[:, rows, columns] = -0.5
    voxels[8:12, 40:44, 50:54] = 1
    grid = Geometry((96, 80, 20), (1.0, 1.0, 1.5), (0.0, 0.0, 0.0))
    return Prepared(voxels, grid, grid)


def test_a_network_is_not_shown_the_margins_of_a_narrow_field():
    engine = ShapeEngine()

    found = predict(narrow_field(slice(20, 60), slice(10, 86)), model(engine, quality="fast"))

    assert engine.seen == {(8, 48, 80)}, "40 rows and 76 columns, in multiples of 16"
    assert found.voxels.shape == (4, 20, 80, 96)
    np.testing.assert_allclose(found.voxels.sum(axis=0), 1, atol=1e-5)
    assert (found.voxels[0, :, :16] == 1).all(), "background beyond the field"
    assert (found.voxels[3, 8:12, 40:44, 50:54] == 1).all()


def test_the_published_crop_keeps_its_black_margins():
    spec = make_spec(crop=ReferenceCrop(size=(96, 80)), depth=8, overlap=2)
    engine = ShapeEngine()

    predict(narrow_field(slice(20, 60), slice(10, 86)), model(engine, quality="fast", spec=spec))

    assert engine.seen == {(8, 80, 96)}


def test_the_published_vote_finds_the_same_structures():
    published = make_spec(
        crop=ReferenceCrop(size=(160, 160)),
        normalisation=SliceNormalisation(lower=0, upper=100),
        depth=8,
        overlap=2,
    )

    done = segment_by_vote(Scan(head_with_targets(), HEAD), model(spec=published))
    labels = done.labels.voxels

    assert (labels[9, 75, 90], labels[9, 75, 100], labels[9, 67, 39]) == (1, 2, 3)


def test_all_tumours_stay_where_the_user_says_so():
    voxels = head_with_targets()
    voxels[7:12, 70:78, 50:60] = 650
    scan = Scan(voxels, HEAD)

    one = segment(scan, model(spec=LINEAR)).labels.voxels
    every = segment(scan, model(spec=LINEAR), Rules(tumours="all")).labels.voxels

    assert one[9, 74, 55] == 0
    assert every[9, 74, 55] == 1


def test_full_quality_uses_each_of_the_eight_flips_once():
    assert len(set(EIGHT_FLIPS)) == 8


@pytest.mark.parametrize(("quality", "count"), [("fast", 1), ("standard", 2), ("full", 2)])
def test_flips_that_the_network_has_not_learnt_are_left_out(quality, count):
    of_two_sides = replace(SPEC, flips="left-right")

    assert len(model(quality=quality, spec=of_two_sides).flips) == count
    assert len(model(quality="full").flips) == 8


def test_thin_slices_are_thinned_out_for_the_network_and_labelled_in_full():
    voxels = np.repeat(head_with_targets(), 3, axis=0)
    thin = Geometry((150, 150, 60), (1.0, 1.0, 0.5), HEAD.origin_mm)

    prepared = prepare(Scan(voxels, thin), LINEAR)
    labels = segment(Scan(voxels, thin), model(spec=LINEAR)).labels.voxels

    assert prepared.geometry.size[2] == 30
    assert labels.shape == voxels.shape
    # The tumour lies in slices 6 to 12 of 1.5 mm, so in 18 to 38 of 0.5 mm.
    found = np.flatnonzero(labels[:, 75, 90] == 1)
    assert abs(found[0] - 18) <= 1
    assert abs(found[-1] - 38) <= 1
