"""The receive field, the error of the main field, and the signal that they and flow leave."""

import math

import numpy as np
import pytest
import torch

from meatus.geometry import Geometry
from meatus_phantom.acquisition.fields import (
    Sampled,
    coarse,
    inner_air,
    off_resonance,
    receive_field,
    signal_kept,
    world,
)
from meatus_phantom.acquisition.setup import (
    Effects,
)
from meatus_phantom.random_streams import stream
from meatus_phantom.render import TissueMap
from meatus_phantom.scene import fade_flow
from meatus_phantom.signal.appearance import Appearance, Signal
from meatus_phantom.tissues import Tissue
from tests.meatus_phantom.acquisition.scans import CPU, grid


def test_the_coil_is_as_much_brighter_at_the_surface_as_stated():
    field = receive_field(
        grid((160, 200, 3), (1.0, 1.0, 1.0)), Effects(coil_gain=2.0), stream(1), CPU
    )
    flat = field.onto(Geometry((1, 1, 1), (1, 1, 1), (75.0, -10.0, 0.0)))  # the head's left side

    assert float(flat.flatten()[0]) == pytest.approx(2.0, abs=0.03)


def test_bias_alone_has_the_stated_spread_and_no_direction():
    logs = [
        float(
            receive_field(grid((64, 64, 8), (3.0, 3.0, 3.0)), Effects(bias_sd=0.2), stream(s), CPU)
            .values.log()
            .square()
            .mean()
        )
        for s in range(40)
    ]

    assert math.sqrt(np.mean(logs)) == pytest.approx(0.2, rel=0.15)


def test_positions_are_left_anterior_and_up_whatever_the_grids_order():
    coronal = Geometry((4, 3, 2), (1.0, 2.0, 3.0), (5.0, -7.0, 9.0), (1, 0, 0, 0, 0, 1, 0, -1, 0))

    assert world(coronal, 0, CPU).expand(2, 3, 4)[1, 2, 3] == 5 + 3
    assert world(coronal, 1, CPU).expand(2, 3, 4)[1, 2, 3] == 7 - 3  # one slice backwards
    assert world(coronal, 2, CPU).expand(2, 3, 4)[1, 2, 3] == 9 - 2 * 2  # two rows down


def test_a_coarse_field_is_exact_for_a_ramp():
    fine = grid((33, 20, 7), (0.5, 0.5, 1.5))
    few = coarse(fine, 4.0)

    ramp = Sampled(world(few, 0, CPU).expand(few.shape), few).onto(fine)

    assert few.size[0] < 8
    torch.testing.assert_close(ramp, world(fine, 0, CPU).expand(fine.shape), atol=1e-4, rtol=0)


def head_with_sinus(size=(60, 60, 12)):
    """Brain everywhere, a ball of air of 10 mm at (0, +35, 0)."""
    where = grid(size, (3.0, 3.0, 3.0))
    x, y, z = (world(where, axis, CPU) for axis in range(3))
    air = (x**2 + (y - 35) ** 2 + z**2) < 100
    kind = torch.where(air, int(Tissue.AIR), int(Tissue.PONS)).to(torch.uint8)
    return TissueMap(kind, kind, torch.ones(where.shape)), where


def test_the_field_error_is_largest_beside_air_and_as_large_as_stated():
    tissues, where = head_with_sinus()

    field = off_resonance(inner_air(tissues, where), Effects(air_field_hz=100.0), stream(1))

    outside = field.onto(where)[tissues.first == int(Tissue.PONS)]
    assert float(outside.abs().max()) == pytest.approx(100, rel=0.1)
    far = field.onto(where)[:, 50:, :]  # 80 mm behind the sinus
    assert float(far.abs().max()) < 15


def test_gradient_echoes_fade_beside_air_and_nowhere_else():
    tissues, where = head_with_sinus()
    kept = signal_kept(inner_air(tissues, where), Effects(air_t2_star_ms=10.0), echo_ms=5.0)

    values = kept.onto(where)

    inside = tissues.first == int(Tissue.AIR)
    assert float(values[inside].min()) == pytest.approx(math.exp(-0.5), abs=0.01)
    assert float(values[:, 50:].min()) == pytest.approx(1.0, abs=1e-4)
    assert (signal_kept(inner_air(tissues, where), Effects(), 5.0).values == 1).all()


def test_flow_takes_the_stated_share_of_csf_and_leaves_brain():
    points = torch.zeros(3, 1, 1, 3)
    points[:, 0, 0, 0] = points[:, 0, 0, 1] = torch.tensor([0.0, 15.0, -4.0])  # before the pons
    points[:, 0, 0, 2] = torch.tensor([60.0, 0.0, 0.0])
    kinds = torch.tensor([[[int(Tissue.CSF), int(Tissue.PONS), int(Tissue.CSF)]]]).to(torch.uint8)
    table = np.zeros((len(Tissue), 1))
    table[Tissue.CSF], table[Tissue.PONS] = 10.0, 2.0
    water = torch.tensor([[[10.0, 2.0, 10.0]]])
    signal = Signal(water, torch.zeros_like(water), 0.0, 2.0)

    fade_flow(
        signal,
        TissueMap(kinds, kinds, torch.ones(1, 1, 3)),
        points,
        Appearance(table, table * 0, 0.0, 1000.0, ()),
        Effects(flow_prepontine=0.4),
    )

    assert signal.water.flatten().tolist() == pytest.approx([6.0, 2.0, 10.0])
