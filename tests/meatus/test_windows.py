from itertools import pairwise

import numpy as np
import pytest

from meatus.spec import Window
from meatus.windows import blend_weights, cut, filled_extent, plan


def blend(spans, window, outputs, slices):
    """The windows' ``outputs`` (C, depth, Y, X), joined by their weights to one (C, Z, Y, X)."""
    outputs = list(outputs)
    joined = np.zeros((outputs[0].shape[0], slices, *outputs[0].shape[2:]), np.float32)
    weights = blend_weights(spans, window, slices)
    for span, share, output in zip(spans, weights, outputs, strict=True):
        joined[:, span.start : span.stop] += output[:, span.held] * share
    return joined


def joined(stack, window):
    spans = plan(len(stack), window)
    return blend(
        spans, window, (cut(stack, span, window.depth)[None] for span in spans), len(stack)
    )[0]


@pytest.mark.parametrize("slices", [1, 3, 8, 9, 15, 16, 40, 41])
@pytest.mark.parametrize("window", [Window(8, 2), Window(8, 0), Window(8, 4)])
def test_cutting_and_blending_give_the_stack_back(slices, window):
    stack = np.random.default_rng(slices).normal(size=(slices, 2, 3)).astype(np.float32)

    np.testing.assert_allclose(joined(stack, window), stack, atol=1e-6)


def test_a_short_stack_lies_in_the_middle_of_black_slices():
    spans = plan(5, Window(8, 2))
    window = cut(np.ones((5, 1, 1), dtype=np.float32), spans[0], 8)

    assert window[:, 0, 0].tolist() == [-1, 1, 1, 1, 1, 1, -1, -1]


def test_neighbours_share_at_least_the_overlap_and_windows_stay_full():
    for slices in range(9, 100):
        spans = plan(slices, Window(8, 3))
        assert all(span.stop - span.start == 8 for span in spans)
        assert all(left.stop - right.start >= 3 for left, right in pairwise(spans))
        assert (spans[0].start, spans[-1].stop) == (0, slices)


def test_no_seam_shows_where_two_windows_disagree():
    """One window says 0, the next 1: the blend must rise in small steps."""
    window = Window(8, 4)
    spans = plan(12, window)
    constant = (np.full((1, 8, 1, 1), value, dtype=np.float32) for value in (0, 1))

    steps = np.diff(blend(spans, window, constant, 12)[0, :, 0, 0])

    assert len(spans) == 2
    assert steps.max() < 0.3


def test_black_margins_are_left_out_in_multiples_of_sixteen():
    voxels = np.full((3, 64, 96), -1, np.float32)
    voxels[1, 20:41, 70:80] = 0

    rows, columns = filled_extent(voxels)

    assert (rows.start, rows.stop) == (15, 47), "21 rows and 11 about them, evenly"
    assert (columns.start, columns.stop) == (67, 83)


@pytest.mark.parametrize("at", [0, 63])
def test_a_field_at_the_border_is_widened_inwards(at):
    voxels = np.full((1, 64, 64), -1, np.float32)
    voxels[0, at, 10] = 1

    rows, _ = filled_extent(voxels)

    assert (rows.start, rows.stop) == ((0, 16) if at == 0 else (48, 64))


@pytest.mark.parametrize("value", [-1, 1])
def test_all_is_kept_where_nothing_or_everything_is_seen(value):
    assert filled_extent(np.full((2, 32, 48), value, np.float32)) == (slice(0, 32), slice(0, 48))
