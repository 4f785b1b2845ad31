import torch

from meatus.structures import Structure
from meatus_phantom.parts import Box, Marked, Part
from meatus_phantom.render import label, render_tissues, window_of
from meatus_phantom.shapes import ball, box
from meatus_phantom.tissues import Tissue

WHOLE = Box((-10, -10, -10), (10, 10, 10))


def grid(step=1.0, half=8):
    """Positions (3, Z, Y, X) about the origin."""
    line = torch.arange(-half, half + 1) * step
    z, y, x = torch.meshgrid(line, line, line, indexing="ij")
    return torch.stack((x, y, z))


def slab(edge):
    """Everything with x below ``edge``."""
    return lambda points: points[0] - edge


def test_a_voxel_on_an_edge_is_shared_by_both_tissues():
    rendered = render_tissues([Part(Tissue.CSF, slab(0.25), WHOLE)], grid(), 1.0)

    # The voxel about x = 0 reaches from -0.5 to 0.5: three quarters lie below 0.25.
    assert rendered.first[8, 8, 8] == Tissue.CSF
    assert rendered.second[8, 8, 8] == Tissue.AIR
    assert rendered.share[8, 8, 8] == 0.75
    assert rendered.share[8, 8, 7] == 1
    assert rendered.first[8, 8, 9] == Tissue.AIR


def test_later_parts_cover_earlier_ones():
    parts = [
        Part(Tissue.BONE, slab(5.5), WHOLE),
        Part(Tissue.CSF, lambda p: ball(p, (0, 0, 0), 3.0), Box((-3, -3, -3), (3, 3, 3))),
    ]

    rendered = render_tissues(parts, grid(), 1.0)

    assert rendered.dominant()[8, 8, 8] == Tissue.CSF
    assert rendered.dominant()[8, 8, 13] == Tissue.BONE
    assert rendered.dominant()[8, 8, 14] == Tissue.AIR


def test_a_part_replaces_only_the_tissues_it_may():
    parts = [
        Part(Tissue.BONE, slab(-0.5), WHOLE),
        Part(Tissue.MARROW, slab(5), WHOLE, into=frozenset({Tissue.BONE})),
    ]

    rendered = render_tissues(parts, grid(), 1.0)

    assert rendered.dominant()[8, 8, 4] == Tissue.MARROW
    assert rendered.dominant()[8, 8, 10] == Tissue.AIR


def test_a_thin_veil_leaves_part_of_what_was_there():
    parts = [
        Part(Tissue.MUSCLE, slab(5), WHOLE),
        Part(Tissue.FAT, slab(5), WHOLE, opacity=0.25),
    ]

    rendered = render_tissues(parts, grid(), 1.0)

    assert (rendered.first[8, 8, 8], rendered.second[8, 8, 8]) == (Tissue.FAT, Tissue.MUSCLE)
    assert rendered.share[8, 8, 8] == 0.25


def test_two_layers_of_one_tissue_add_up():
    half = Part(Tissue.CSF, slab(0.0), WHOLE)

    rendered = render_tissues([Part(Tissue.BONE, slab(9), WHOLE), half, half], grid(), 1.0)

    assert (rendered.first[8, 8, 8], rendered.second[8, 8, 8]) == (Tissue.CSF, Tissue.BONE)
    assert rendered.share[8, 8, 8] == 0.75  # half of the voxel, then half of the rest


def test_soft_tissue_is_painted_where_it_was_pushed_to():
    parts = [
        Part(Tissue.PONS, slab(0.0), WHOLE, soft=True),
        Part(Tissue.BONE, slab(-6.0), WHOLE),
    ]

    def displace(points):  # what lies at x came from x + 2
        return points + torch.tensor([2.0, 0, 0]).reshape(3, 1, 1, 1)

    rendered = render_tissues(parts, grid(), 1.0, displace)

    assert rendered.dominant()[8, 8, 5] == Tissue.PONS  # x = -3
    assert rendered.dominant()[8, 8, 7] == Tissue.AIR  # x = -1: the edge went to -2
    assert rendered.dominant()[8, 8, 1] == Tissue.BONE  # x = -7: bone stays


def test_a_smooth_parts_distance_is_the_same_on_few_points():
    shape = Part(Tissue.CSF, slab(2.3), WHOLE)
    smooth = Part(Tissue.CSF, slab(2.3), WHOLE, smooth=True)

    exact, coarse = (render_tissues([part], grid(), 1.0) for part in (shape, smooth))

    torch.testing.assert_close(coarse.share, exact.share, atol=1e-5, rtol=0)


def test_a_window_holds_its_box_and_little_more():
    points = grid(0.5, 40)

    z, y, x = window_of(points, Box((3, -8, -1), (6, -4, 1)))

    for window, low, high in ((x, 3, 6), (y, -8, -4), (z, -1, 1)):
        line = torch.arange(-40, 41)[window] * 0.5
        assert line.min() <= low
        assert line.max() >= high
        assert line.max() - line.min() < high - low + 14
    assert window_of(points, Box((50, 0, 0), (60, 1, 1))) is None


def test_label_shares_sum_to_one_and_later_marks_win():
    marks = [
        Marked(Structure.COCHLEA, lambda p: ball(p, (0, 0, 0), 4.2), WHOLE),
        Marked(Structure.EXTRA_MEATAL, lambda p: box(p, (3, 0, 0), (2, 2, 2)), WHOLE),
    ]

    shares = label(marks, grid(), 1.0)

    torch.testing.assert_close(shares.sum(0), torch.ones_like(shares[0]))
    assert shares[:, 8, 8, 8].argmax() == Structure.COCHLEA
    assert shares[:, 8, 8, 11].argmax() == Structure.EXTRA_MEATAL
    assert shares[:, 0, 0, 0].argmax() == Structure.BACKGROUND
