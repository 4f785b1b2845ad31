"""Head and brain: the right tissue at the right millimetre, before bone and ears are laid over."""

import pytest
import torch

from meatus_phantom.anatomy.brain import brain_parts
from meatus_phantom.anatomy.head import head_parts
from meatus_phantom.render import render_tissues
from meatus_phantom.tissues import Tissue

CEREBELLUM = {Tissue.CEREBELLAR_CORTEX, Tissue.CEREBELLAR_WHITE, Tissue.DENTATE}


@pytest.fixture(scope="module")
def head():
    return head_parts(5)


@pytest.fixture(scope="module")
def brain():
    return brain_parts(5, 0.2)


@pytest.fixture(scope="module")
def whole(head, brain):
    return head + brain


def grid(low, high, step):
    axes = [torch.arange(a, b + step / 2, step) for a, b in zip(low, high, strict=True)]
    z, y, x = torch.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    return torch.stack((x, y, z))


def tissues(parts, low, high, step):
    return render_tissues(parts, grid(low, high, step), step).dominant()


def tissue_at(parts, *point):
    low, high = ([v + s * 0.4 for v in point] for s in (-1, 1))
    return Tissue(int(tissues(parts, low, high, 0.4)[1, 1, 1]))


def along(parts, start, axis, length, step=0.5):
    """Tissues on a line from ``start``."""
    end = list(start)
    end[axis] += length
    return [Tissue(t) for t in tissues(parts, start, end, step).flatten().tolist()]


def test_landmarks_hold_their_tissue(whole):
    assert tissue_at(whole, 0, 2, 0) == Tissue.PONS
    assert tissue_at(whole, 0, -16, 2) == Tissue.CSF  # fourth ventricle
    assert tissue_at(whole, 0, -4, -30) == Tissue.PONS  # medulla
    for side in (1, -1):
        assert tissue_at(whole, side * 32.5, 77, 11) == Tissue.VITREOUS
        assert tissue_at(whole, side * 21, 1, 0) == Tissue.CSF  # cerebellopontine angle
        assert tissue_at(whole, side * 30, -30, -4) in CEREBELLUM
        assert tissue_at(whole, side * 40, 26, 6) in {Tissue.GREY, Tissue.WHITE, Tissue.CSF}


def test_no_brain_lies_where_the_clivus_will_be(whole):
    found = set(tissues(whole, (-8, 21, -10), (8, 23, -2), 1.0).flatten().tolist())

    assert found <= {Tissue.BONE, Tissue.MARROW}


def test_the_sphenoid_sinus_holds_air_on_both_sides(whole):
    for side in (1, -1):
        found = along(whole, (side * 7 - 4, 38.5, -3), 0, 8)
        assert Tissue.AIR in found


@pytest.mark.parametrize("height", [-20.0, 0.0, 30.0])
def test_skin_and_fat_close_a_ring_about_the_head(head, height):
    flat = tissues(head, (-110, -110, height), (110, 125, height), 1.0)[0]
    angles = torch.linspace(0, 2 * torch.pi, 361)[:, None]
    reach = torch.arange(10, 108, 0.5)
    x = (110 + reach * angles.cos()).round().long()
    y = (110 + reach * angles.sin()).round().long()
    rays = flat[y, x]
    last = (rays != Tissue.AIR).int().cumsum(1).argmax(1)
    outermost = rays[torch.arange(361), last]

    assert set(outermost.tolist()) <= {Tissue.SKIN, Tissue.FAT}


def test_pons_and_cerebellum_have_their_published_sizes(brain):
    depths, widths = [], []
    for parts in (brain, brain_parts(2, 0.0)):
        depths.append(0.5 * along(parts, (0, -30, 0), 1, 60).count(Tissue.PONS))
        places = [i for i, t in enumerate(along(parts, (-60, -33, -2), 0, 120)) if t in CEREBELLUM]
        widths.append(0.5 * (places[-1] - places[0]))

    assert all(19.7 <= depth <= 25.7 for depth in depths)  # 22.7 +- 3
    assert all(91.2 <= width <= 108.4 for width in widths)  # 99.8 +- two SD of 4.3


def test_a_seed_draws_the_same_head_again_and_another_seed_another(head):
    def coarse(parts):
        return tissues(parts, (-80, -95, 0), (80, 100, 8), 4.0)

    first = coarse(head)

    assert torch.equal(first, coarse(head_parts(5)))
    assert not torch.equal(first, coarse(head_parts(6)))


def test_no_head_is_its_own_mirror_image(whole):
    found = tissues(whole, (-80, -95, 0), (80, 100, 0), 1.0)

    assert (found != found.flip(2)).float().mean() > 0.05


def test_atrophy_widens_the_fluid():
    def fluid_mm3(atrophy):
        found = tissues(brain_parts(1, atrophy), (-75, -90, -40), (75, 92, 40), 2.0)
        return 8 * int((found == Tissue.CSF).sum())

    assert fluid_mm3(0.0) * 1.3 < fluid_mm3(1.0)


def test_below_the_skull_only_the_spinal_canal_holds_fluid(whole):
    found = tissues(whole, (25, -60, -60), (75, 60, -40), 2.0)

    assert not (found == Tissue.CSF).any()


def test_hindbrain_gives_way_to_a_tumour_and_the_skull_does_not(head, brain):
    hindbrain = {Tissue.PONS, Tissue.CEREBELLAR_CORTEX, Tissue.CEREBELLAR_WHITE, Tissue.DENTATE}

    assert all(part.soft for part in brain if part.tissue in hindbrain)
    assert not any(part.soft for part in head)
