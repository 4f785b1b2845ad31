"""Tumours at the phantom's canals: where they lie, how large they are, what gives way."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from meatus.structures import Structure
from meatus_phantom.anatomy.ear.canal import canal_distance
from meatus_phantom.anatomy.grids import evaluate, lattice
from meatus_phantom.anatomy.landmarks import Ear
from meatus_phantom.anatomy.tumour.lesions import Kind, LesionMix, draw_lesions
from meatus_phantom.anatomy.tumour.place import Pose, Room
from meatus_phantom.anatomy.tumour.real import place_tumour, tumour_grid, usable
from meatus_phantom.anatomy.tumour.tumour import build, displaced, displacement_field
from meatus_phantom.contours.planes import stack_planes
from meatus_phantom.contours.read import Patient
from meatus_phantom.parts import Box, Part
from meatus_phantom.random_streams import stream
from meatus_phantom.render import label, render_tissues
from meatus_phantom.shapes import ball
from meatus_phantom.tissues import Tissue

ONLY = dict.fromkeys(("none", "both", "canal", "cystic", "irradiated", "operated"), 0.0)


def ear(side=1):
    """A canal of 11 mm behind a petrous face at 40 degrees."""
    left = Ear(
        side=1,
        porus=(25.0, 0.0, 0.0),
        fundus=(36.0, 2.0, 0.0),
        porus_normal=(-math.sin(math.radians(40)), -math.cos(math.radians(40)), 0.0),
        porus_half_mm=(3.8, 2.7),
        canal_half_mm=(2.75, 2.45),
        cochlea_centre=(37.7, 7.3, -1.0),
        cochlea_axis=(0.64, 0.75, -0.15),
        cochlea_scale=1.0,
        vestibule=(43.4, 0.8, 0.4),
    )
    return left if side > 0 else left.mirrored()


EARS = (ear(1), ear(-1))


def loops(centre, radius, spacing):
    """A ball cut into circles, LPS."""
    found = []
    for z in np.arange(-radius + spacing / 2, radius, spacing):
        angles = np.linspace(0, 2 * np.pi, 41)
        wide = math.sqrt(radius**2 - z**2)
        x, y = centre[0] + wide * np.cos(angles), centre[1] + wide * np.sin(angles)
        loop = np.column_stack([x, y, np.full(41, centre[2] + z)])
        loop[-1] = loop[0]
        found.append(loop.tolist())
    return found


def patient(side=1, radius=7.0, medial_mm=17.0):
    """A ball medial and behind the cochlea; y points backwards and the origin is the scanner's."""
    path = Path("sub-900.json")
    cochlea = (side * 40.0, -20.0, -30.0)
    tumour = (side * (40.0 - medial_mm), -20.0 + 12.0, -29.0)
    return Patient(
        "sub-900",
        stack_planes(path, "TV", loops(tumour, radius, 1.5)),
        stack_planes(path, "Cochlea", loops(cochlea, 2.5, 1.0)),
    )


def one(kind, seed=3, patients=(), **shares):
    mix = LesionMix(**{**ONLY, **({kind: 1.0} if kind else {}), **shares})
    return draw_lesions(seed, EARS, mix, patients)


def cube(side=1, step=1.0, reach=26.0):
    middle = (side * 25.0, -4.0, 0.0)
    return lattice(Box(middle, middle).grown(reach), step)


def test_the_same_seed_gives_the_same_tumour():
    first, remade, other = one(None, 5), one(None, 5), one(None, 6)

    assert first.describe() == remade.describe()
    assert torch.equal(first.tumours[0].grid.values, remade.tumours[0].grid.values)
    assert first.describe() != other.describe()


def test_kinds_come_with_the_stated_shares():
    mix = LesionMix()
    kinds = [mix.draw(stream(seed, "kinds")) for seed in range(4000)]

    for kind, share in ((Kind.NONE, mix.none), (Kind.BOTH, mix.both), (Kind.CANAL, mix.canal)):
        assert kinds.count(kind) / 4000 == pytest.approx(share, abs=0.016)


def test_a_head_without_tumour_has_nothing_to_paint_and_moves_nothing():
    none = one("none")
    points = cube()

    assert none.parts() == none.marked() == []
    assert none.widen(1) is None
    assert torch.equal(none.displace(points), points)
    assert set(none.describe()) == set(one(None).describe())


def test_both_sides_have_a_tumour_each():
    both = one("both")

    assert sorted(t.ear.side for t in both.tumours) == [-1, 1]
    assert both.widen(1) is not None
    assert both.widen(-1) is not None


def test_a_tumour_of_the_canal_stays_in_it():
    for seed in range(4):
        lesions = one("canal", seed)
        (tumour,) = lesions.tumours

        assert tumour.extra_mm3 < 1
        assert tumour.intra_mm3 > 15
        assert {m.structure for m in lesions.marked() if m.structure == 1} <= {1}


@pytest.mark.parametrize("real", [False, True])
def test_no_tumour_lies_in_bone_beyond_the_widened_canal(real):
    for seed in range(3):
        (tumour,) = one(None, seed, [patient()] if real else []).tumours
        side = tumour.ear.side
        points = cube(side, 0.7)
        inside = points[:, tumour.whole(points) < 0]
        medial = Room(tumour.ear, 0.0).medial(inside)
        from_canal = canal_distance(tumour.ear)(inside)

        # Lateral of the petrous face only the canal is open, wider by 3 mm at most.
        lateral = medial < -0.5
        assert inside.shape[1] > 50
        assert bool((from_canal[lateral] < 3.2).all())


def test_the_parts_on_both_sides_of_the_porus_make_up_the_whole():
    (tumour,) = one(None, 1).tumours
    points = cube(tumour.ear.side, 0.5, 20.0)
    shares = label(tumour.marked(), points, 0.5)
    labels = shares.argmax(0)

    for structure, volume in (
        (Structure.EXTRA_MEATAL, tumour.extra_mm3),
        (Structure.INTRA_MEATAL, tumour.intra_mm3),
    ):
        counted = int((labels == int(structure)).sum()) * 0.125
        assert counted == pytest.approx(volume, rel=0.1, abs=12)
    whole = tumour.whole(points) < 0
    assert bool((labels[whole] > 0).all())


def test_a_real_tumour_keeps_its_place_by_the_cochlea():
    # Free of bone, nothing is turned: the ball lies 17 mm medial and 12 mm behind the cochlea.
    grid = tumour_grid(patient())
    centre = torch.tensor([[-17.0], [-12.0], [1.0]])

    for axis in range(3):
        for way in (-7.0, 7.0):
            edge = centre.clone()
            edge[axis] += way
            assert float(grid.near(edge)[0]) == pytest.approx(0, abs=0.4)
    placed = Pose(ear(), 1.0).to_ear(centre)[:, 0].tolist()
    assert placed == pytest.approx([20.7, -4.7, 0.0], abs=0.01)


def test_a_pose_and_its_inverse_cancel():
    pose = Pose(ear(), 1.2, (1.0, -0.5, 0.3), (0.1, -0.2, 0.15))
    points = torch.randn(3, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    torch.testing.assert_close(pose.from_ear(pose.to_ear(points)), points)


def test_a_patient_of_the_right_side_gives_the_same_tumour_mirrored():
    left, right = tumour_grid(patient(1)), tumour_grid(patient(-1))

    points = lattice(Box((-26.0, -22.0, -6.0), (-8.0, -4.0, 8.0)), 1.0)
    torch.testing.assert_close(left.distance(points), right.distance(points), atol=0.15, rtol=0)


def test_a_scaled_real_tumour_has_the_volume_asked_for():
    for scale in (0.7, 1.6):
        shape, box = place_tumour(tumour_grid(patient()), ear(), scale, stream(1, "test"))
        wanted = scale * 4 / 3 * math.pi * 7**3
        tumour = build(shape, box, ear(), 2.5, wanted_mm3=wanted)

        assert tumour.extra_mm3 + tumour.intra_mm3 == pytest.approx(wanted, rel=0.1)


def test_patients_without_a_cochlea_or_with_a_lateral_tumour_are_passed_over():
    assert usable(patient())
    assert not usable(replace(patient(), cochlea=None))
    assert not usable(patient(medial_mm=-6.0))
    lesion = one(None, 2, [replace(patient(), cochlea=None)], real=1.0).lesions[0]
    assert lesion.source == "procedural"


def test_tissue_beside_a_ball_is_pushed_out_and_keeps_its_volume():
    # A ball of radius 6 about its own centre: what lies at r was at (r^3 - 216)^(1/3) before.
    field = displacement_field(lambda p: ball(p, (0.0, 0.0, 0.0), 6.0), (0.0, 0.0, 0.0), 6.0)
    at = torch.tensor([[8.0, 10.0, 30.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])

    before = displaced(at, field, 1)[0].tolist()

    assert before[0] == pytest.approx((512 - 216) ** (1 / 3), abs=0.35)
    assert before[1] == pytest.approx((1000 - 216) ** (1 / 3), abs=0.2)
    assert before[2] == 30.0


def test_a_push_mirrors_with_its_side():
    field = displacement_field(lambda p: ball(p, (20.0, 0.0, 0.0), 6.0), (18.0, 0.0, 0.0), 8.0)
    points = torch.tensor([[12.0, 15.0], [3.0, -7.0], [1.0, 2.0]])
    flip = torch.tensor([[-1.0], [1.0], [1.0]])

    torch.testing.assert_close(
        displaced(points, field, 1), displaced(points * flip, field, -1) * flip
    )


def test_a_push_is_continuous_and_leaves_the_far_head_alone():
    lesions = one(None, 1)
    side = lesions.tumours[0].ear.side
    line = torch.stack(
        [torch.linspace(-60, 60, 2401), torch.full((2401,), -6.0), torch.zeros(2401)]
    )
    moved = lesions.displace(line)
    far = torch.tensor([[-side * 70.0], [40.0], [50.0]])

    assert float((moved[:, 1:] - moved[:, :-1]).norm(dim=0).max()) < 1.0  # over 0.05 mm
    assert torch.equal(lesions.displace(far), far)
    block = cube(side, 2.0)
    torch.testing.assert_close(
        lesions.displace(block).reshape(3, -1), lesions.displace(block.reshape(3, -1))
    )


def test_the_brain_is_not_cut_but_moved():
    (tumour,) = one(None, 1).tumours
    points = lattice(Box((-45.0, -45.0, -40.0), (45.0, 35.0, 40.0)), 1.0)
    brain = Part(Tissue.PONS, lambda p: ball(p, (0.0, -4.0, 0.0), 15.0), soft=True)
    fluid = Part(Tissue.CSF, lambda p: torch.full_like(p[0], -9.0))

    looked_up = render_tissues([fluid, brain], points, 1.0).dominant()
    moved = render_tissues([fluid, brain, *tumour.parts()], points, 1.0, tumour.displace).dominant()

    lost = int((looked_up == Tissue.PONS).sum()) - int((moved == Tissue.PONS).sum())
    overlap = int(((looked_up == Tissue.PONS) & (tumour.whole(points) < 0)).sum())
    assert lost <= 0.3 * overlap


def test_kinds_show_their_tissues():
    tissues = {
        "cystic": Tissue.TUMOUR_CYST,
        "irradiated": Tissue.TUMOUR_CORE,
    }
    for kind, tissue in tissues.items():
        found = [any(p.tissue == tissue for p in one(kind, seed).parts()) for seed in range(3)]
        assert sum(found) >= 2
    operated = [p.tissue for seed in range(3) for p in one("operated", seed).parts()]
    assert Tissue.FAT in operated
    assert Tissue.TUMOUR in operated


def test_boxes_hold_their_parts():
    for kind in (None, "cystic", "irradiated"):
        for part in one(kind, 4).parts():
            inside = cube(1, 1.0, 34.0)
            inside = torch.cat([inside.reshape(3, -1), cube(-1, 1.0, 34.0).reshape(3, -1)], dim=1)
            low, high = (torch.tensor(v)[:, None] for v in (part.box.low, part.box.high))
            outside = ((inside < low) | (inside > high)).any(0)
            if part.tissue is Tissue.TUMOUR:
                assert bool((evaluate(part.distance, inside[:, outside][:, None]) > 0).all())


def test_procedural_volumes_follow_the_challenges_table():
    """Medians of about 25 tumours: 1.05 cm3 beyond the porus and 0.23 cm3 in the canal.

    The tolerance is three standard errors of a median of 25 lognormal volumes (sigma
    1.2 and 0.5); over 800 heads both lie within 20 %.
    """
    drawn = [draw_lesions(seed, EARS, LesionMix(), []) for seed in range(26)]
    tumours = [tumour for lesions in drawn for tumour in lesions.tumours]
    extra = np.median([t.extra_mm3 for t in tumours])
    intra = np.median([t.intra_mm3 for t in tumours])

    assert 1050 / 2.4 < extra < 1050 * 2.4
    assert 230 / 1.45 < intra < 230 * 1.45
    assert 0.2 < np.mean([t.ear.side > 0 for t in tumours]) < 0.8
