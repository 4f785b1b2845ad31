"""The ears lie where anatomy says, in bone that only the canal opens to the cistern."""

import math

import numpy as np
import pytest
import torch

from meatus_phantom.anatomy.ear.canal import canal_distance, canal_parts, canal_point
from meatus_phantom.anatomy.ear.labyrinth import cochlea_marked, cochlea_point, labyrinth_parts
from meatus_phantom.anatomy.ear.nerves import nerve_parts
from meatus_phantom.anatomy.ear.temporal_bone import clivus_parts, petrous_parts
from meatus_phantom.anatomy.ear.vessels import vessel_parts
from meatus_phantom.anatomy.landmarks import CanalForm, draw_ears
from meatus_phantom.anatomy.sides import pipe_distance
from meatus_phantom.parts import EVERYWHERE, Part
from meatus_phantom.render import render_tissues
from meatus_phantom.shapes import ball, tube
from meatus_phantom.tissues import Tissue

SEEDS = range(40)
CISTERN = Part(Tissue.CSF, lambda points: torch.full_like(points[0], -1.0), EVERYWHERE)


def grid(low, high, step):
    axes = [torch.arange(a + step / 2, b, step) for a, b in zip(low, high, strict=True)]
    z, y, x = torch.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    return torch.stack([x, y, z])


def volume_mm3(distance, low, high, step=0.4):
    inside = (0.5 - distance(grid(low, high, step)) / step).clamp(0, 1)
    return float(inside.sum()) * step**3


def at(distance, *point):
    return float(distance(torch.tensor(point, dtype=torch.float32)[:, None])[0])


def ears_of(seeds):
    return [ear for seed in seeds for ear in draw_ears(seed)]


def test_the_landmarks_lie_within_their_published_ranges():
    for ear in ears_of(SEEDS):
        left = ear.as_left()
        assert 23 <= left.porus[0] <= 27
        assert abs(left.porus[1]) < 3
        assert 8.4 <= ear.length_mm <= 11.1
        assert -6 <= math.degrees(math.asin(left.axis[1])) <= 25
        assert 35 <= left.cochlea_centre[0] <= 39
        assert 2 <= left.cochlea_centre[1] <= 12
        assert -3 <= left.cochlea_centre[2] <= 1
        assert 41 <= left.vestibule[0] <= 45
        assert -3 <= left.vestibule[1] <= 5


def test_the_fundus_lies_34_to_38_mm_from_the_midline_in_nearly_all_ears():
    fundi = [abs(ear.fundus[0]) for ear in ears_of(SEEDS)]

    assert 34.5 < np.median(fundi) < 36.5
    assert np.mean([33.5 < x < 38 for x in fundi]) > 0.95


def test_both_cochleae_are_70_to_78_mm_apart():
    for left, right in (draw_ears(seed) for seed in SEEDS):
        assert 70 <= math.dist(left.cochlea_centre, right.cochlea_centre) <= 78


def test_the_origin_is_midway_between_both_pori():
    left, right = draw_ears(3)

    np.testing.assert_allclose(np.add(left.porus, right.porus), 0, atol=1e-9)


def test_left_and_right_are_alike_but_differ():
    pairs = [draw_ears(seed) for seed in SEEDS]
    lefts = np.array([left.cochlea_centre for left, _ in pairs])
    rights = np.array([right.as_left().cochlea_centre for _, right in pairs])

    assert all(left.side == 1 and right.side == -1 for left, right in pairs)
    assert np.abs(lefts - rights).max() < 6
    assert np.abs(lefts - rights).max(axis=1).min() > 0.02


def test_the_same_seed_gives_the_same_ears_and_another_seed_others():
    assert draw_ears(5) == draw_ears(5)
    assert draw_ears(5) != draw_ears(6)


def test_most_canals_are_funnels_and_few_are_buds():
    forms = [ear.form for ear in ears_of(range(150))]
    shares = {form: forms.count(form) / len(forms) for form in CanalForm}

    assert shares[CanalForm.FUNNEL] == pytest.approx(0.58, abs=0.1)
    assert shares[CanalForm.CYLINDER] == pytest.approx(0.31, abs=0.1)
    assert shares[CanalForm.BUD] == pytest.approx(0.11, abs=0.07)


def test_canals_hold_74_to_502_mm3():
    for ear in ears_of(range(8)):
        x = sorted((ear.porus[0] - 8 * ear.side, ear.fundus[0] + 2 * ear.side))
        volume = volume_mm3(canal_distance(ear), (x[0], -9, -8), (x[1], 12, 8))
        assert 74 <= volume <= 502


def test_the_cochlea_label_has_the_challenges_volume():
    # Both cochleae: median 0.21 cm3, minimum 0.07, maximum 0.38.
    volumes = []
    for ear in ears_of(range(12)):
        marked = cochlea_marked(ear)
        volumes.append(volume_mm3(marked.distance, marked.box.low, marked.box.high))

    assert 95 <= np.median(volumes) <= 110
    assert 6 <= np.std(volumes) <= 20
    assert min(volumes) > 60
    assert max(volumes) < 160


def test_the_cochlea_label_lies_about_its_stated_centre_with_the_modiolus_filled():
    for ear in draw_ears(2):
        marked = cochlea_marked(ear)
        points = grid(marked.box.low, marked.box.high, 0.3)
        centre = points[:, marked.distance(points) < 0].mean(dim=1)

        np.testing.assert_allclose(centre, ear.cochlea_centre, atol=0.6)
        left = ear.as_left()
        x, y, z = cochlea_point(left, (0.0, 0.0, 1.5))
        assert at(marked.distance, ear.side * x, y, z) < -0.3


def test_the_canal_is_negative_inside_and_ends_at_porus_and_fundus():
    for ear in draw_ears(1):
        left, distance = ear.as_left(), canal_distance(ear)

        def along(share, left=left, distance=distance, side=ear.side):
            x, y, z = canal_point(left, share)
            return at(distance, side * x, y, z)

        assert along(0.5) < -1.5
        assert along(0.05) < 0 < along(-0.05)
        assert along(0.97) < 0 < along(1.03)
        x, y, z = canal_point(left, 0.5, up_mm=left.canal_half_mm[1] + 1.0)
        assert at(distance, ear.side * x, y, z) == pytest.approx(1.0, abs=0.25)


def test_bone_gives_way_to_a_tumour_and_a_film_of_fluid_but_only_lateral_to_the_porus():
    ear, _ = draw_ears(1)
    middle = canal_point(ear, 0.5)
    _, _, room = canal_parts(ear, lambda points: ball(points, middle, 5.0))
    x, y, z = middle

    assert at(room.distance, x, y, z + 5.2) < 0 < at(room.distance, x, y, z + 5.4)
    _, _, room = canal_parts(ear, lambda points: ball(points, ear.porus, 5.0))
    beyond = np.array(ear.porus) + 3 * np.array(ear.porus_normal)
    assert at(room.distance, *beyond) > 1


def test_the_labyrinth_touches_the_cistern_only_through_the_canal():
    for seed in (0, 4):
        ear = draw_ears(seed)[seed % 2]
        low, high = (
            ((28, -14, -11), (56, 20, 12)) if ear.side > 0 else ((-56, -14, -11), (-28, 20, 12))
        )
        points = grid(low, high, 0.5)
        labyrinth = labyrinth_parts(ear, affected=True)
        tissues = render_tissues(
            [CISTERN, *petrous_parts(ear, seed), *canal_parts(ear, None), *labyrinth], points, 0.5
        ).dominant()

        inner = (tissues == Tissue.PERILYMPH_AFFECTED) | (tissues == Tissue.MODIOLUS)
        beside = torch.nn.functional.max_pool3d(inner[None].float(), 5, 1, 2)[0] > 0
        fluid = beside & (tissues == Tissue.CSF)
        from_canal = canal_distance(ear)(points)
        opening = torch.stack([part.distance(points) for part in labyrinth[-2:]]).amin(0)
        assert inner.sum() > 1000
        assert not (fluid & (from_canal > 0.8) & (opening > 0.8)).any()


def test_marrow_of_the_apex_keeps_clear_of_the_canal():
    for seed in range(3):
        ear, _ = draw_ears(seed)
        points = grid((8, -8, -12), (44, 24, 9), 0.7)
        tissues = render_tissues(petrous_parts(ear, seed), points, 0.7).dominant()
        marrow = tissues == Tissue.MARROW

        assert marrow.sum() * 0.7**3 > 100
        assert float(canal_distance(ear)(points)[marrow].min()) > 1.9


def test_the_clivus_lies_before_the_pons_with_marrow_in_it():
    points = grid((-10, 5, -3), (10, 35, 3), 0.7)
    tissues = render_tissues([CISTERN, *clivus_parts(2)], points, 0.7).dominant()
    depth = points[1][tissues == Tissue.MARROW]

    assert 14 <= float(depth.min()) <= 20
    assert 5 <= float(depth.max() - depth.min()) <= 13
    assert tissues[:, 0].eq(Tissue.CSF).all()  # no bone at y = 5


def test_four_nerves_run_in_the_canals_lateral_third():
    for seed in (0, 1):
        ears = draw_ears(seed)
        nerves = [p for p in nerve_parts(ears, seed) if p.tissue == Tissue.NERVE]
        left = ears[0]
        wide, high = left.canal_half_mm
        spots = [
            canal_point(left, 0.9, u * 0.6 * wide, v * high)
            for u in np.linspace(-1, 1, 25)
            for v in np.linspace(-0.6, 0.6, 25)
        ]
        points = torch.tensor(spots, dtype=torch.float32).T
        inside = torch.stack([part.distance(points) for part in nerves]) < 0
        assert int(inside.any(dim=1).sum()) == 4


def test_nerves_and_vessels_are_pushed_aside_by_tumours():
    ears = draw_ears(0)

    assert all(part.soft for part in nerve_parts(ears, 0) + vessel_parts(ears, 0))


def test_vessels_reproduce_and_the_basilar_artery_lies_before_the_pons():
    ears = draw_ears(8)
    points = grid((-8, 5, -4), (8, 20, 4), 0.5)
    first, remade, other = (
        render_tissues(vessel_parts(ears, s), points, 0.5).dominant() for s in (8, 8, 9)
    )

    assert torch.equal(first, remade)
    assert not torch.equal(first, other)
    artery = points[:, first == Tissue.ARTERY].mean(dim=1)
    assert abs(float(artery[0])) < 4
    assert 10 <= float(artery[1]) <= 17


def test_every_part_lies_within_its_box():
    ears = draw_ears(4)
    parts = [
        *petrous_parts(ears[1], 4),
        *labyrinth_parts(ears[1], affected=False),
        *canal_parts(ears[1], None),
        *nerve_parts(ears, 4),
        *vessel_parts(ears, 4),
    ]
    points = grid((-80, -45, -45), (40, 40, 25), 2.0).reshape(3, -1)
    for part in parts:
        inside = points[:, part.distance(points) < 0]
        for axis in range(3):
            assert (inside[axis] >= part.box.low[axis] - 0.01).all()
            assert (inside[axis] <= part.box.high[axis] + 0.01).all()


def test_a_pipe_is_an_exact_tube_up_to_two_millimetres():
    line = [
        (0.0, 0.0, 0.0),
        (4.0, 0.0, 0.0),
        (8.0, 2.0, 0.0),
        (9.0, 6.0, 1.0),
        (9.0, 9.0, 4.0),
        (12.0, 9.0, 4.0),
    ]
    points = grid((-4, -4, -4), (14, 12, 8), 0.9)
    exact = tube(points, line, [1.0] * 6)

    torch.testing.assert_close(pipe_distance(line, [1.0])(points), exact.clamp_max(2.0))
