"""One training window rendered from a subject's tissue map: what the network sees, and the truth.

Arrays are (Z, Y, X). All is drawn from the stream that is handed in, so that a window depends on
its seed alone.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool3d, grid_sample, interpolate, pad

from meatus.intensity import BLACK
from meatus.spec import VolumeNormalisation
from meatus.structures import Structure
from meatus_phantom.tissue_maps import COMMONEST, FULL, SPACING_MM, Maps
from meatus_phantom.tissues import Tissue
from meatus_phantom.windows.look import BRAIN, Look, draw_look
from meatus_phantom.windows.scanner import draw_field, repeated_slices, scanned, toned
from meatus_phantom.windows.settings import (
    GeometrySettings,
    RenderSettings,
    chance,
    log_uniform,
    smooth_noise,
)

OFF_CENTRE = 0.3  # of the window's size: how far off its centre a structure may lie
WHOLE_SD_MM = (3.0, 6.0, 6.0)  # z, y, x: how far off the head's centre a whole field may lie
WARP_MM = 16.0  # between the knots of the elastic warp
SHARED_NOISE = 0.5  # of windows with one slice repeated: its noise repeats as well
LEAST_SEEN = 0.1  # share of a window; of less, nothing can be learnt
POCKET_KNOTS = (3.0, 16.0)  # voxels between the knots of the field that pockets are cut from
POCKET_EDGES = (3.0, 30.0)  # how steep they end, against that field's SD
FEWEST_VOXELS = 50  # that settle a percentile


@dataclass(frozen=True)
class Window:
    """What a training step sees."""

    image: Tensor  # (Z, Y, X) float32 in [-1, 1]
    labels: Tensor  # (Z, Y, X) uint8


@dataclass(frozen=True)
class Placed:
    """Where a window's voxels lie in the map."""

    at: Tensor  # (3, Z, Y, X), fractional voxels of the map along z, y, x
    slice_mm: float
    pixel_mm: float


def render_window(
    maps: Maps,
    places: tuple[NDArray[np.int16], ...],
    size: tuple[int, int, int],
    rng: np.random.Generator,
    settings: RenderSettings,
    normalisation: VolumeNormalisation,
    *,
    near: float,
    whole: bool,
    look: Look | None = None,
    spacing_mm: float = SPACING_MM[0],
) -> Window:
    """A window of ``size`` (Z, Y, X) from ``maps``, with probability ``near`` about a structure.

    ``places`` are voxels of the structures in ``maps``; ``whole`` says that the window is the whole
    field and lies about the head's centre; ``look`` takes the place of a fresh one. In the plane
    its voxels are ``spacing_mm`` wide, but for the drawn scale.
    """
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    look = look or draw_look(rng, settings)
    centre = _centre(maps, places, size, rng, near=near, whole=whole)
    placed = _place(centre, size, rng, generator, settings.geometry, spacing_mm)
    image, labels, inside = _signal(maps, placed, look, rng, generator)
    repeats = repeated_slices(labels, rng, settings.field)
    if repeats is not None:
        image, labels, inside = image[repeats], labels[repeats], inside[repeats]
    image = scanned(image, rng, generator, settings.scanner)
    if repeats is not None and chance(rng, SHARED_NOISE):
        image = image[repeats]
    brightest = float(max(look.level[BRAIN].max(), look.level[Tissue.TUMOUR]))
    again = copy.deepcopy(rng)  # the head beyond the window is toned alike
    image = toned(image, rng, settings.scanner, brightest)
    seen = inside & draw_field(labels, rng, settings.field, spacing_mm, whole=whole)
    if seen.float().mean() < LEAST_SEEN:
        seen = inside
    field = None
    if not whole and chance(rng, 0.6):
        field = torch.from_numpy(_sparse_levels(maps, look))
        field = toned(field, again, settings.scanner, brightest)
    image = _normalised(image, seen, field, normalisation)
    return Window(image, torch.where(seen, labels, 0).to(torch.uint8))


def _centre(
    maps: Maps,
    places: tuple[NDArray[np.int16], ...],
    size: tuple[int, int, int],
    rng: np.random.Generator,
    *,
    near: float,
    whole: bool,
) -> NDArray[np.float64]:
    """The map's voxel (z, y, x) at the window's middle."""
    extent = np.array(maps.shape[1:], dtype=np.float64)
    if whole:
        off = rng.normal(0, 1, 3) * WHOLE_SD_MM / np.array(SPACING_MM[::-1])
        return np.asarray((extent - 1) / 2 + off)
    if places and chance(rng, near):
        some = places[int(rng.integers(len(places)))]
        at = some[int(rng.integers(len(some)))]
        return np.asarray(at + rng.uniform(-OFF_CENTRE, OFF_CENTRE, 3) * np.array(size))
    margin = np.minimum(np.array(size) / 3, extent / 3)
    return np.asarray(rng.uniform(margin, extent - margin))


def _place(
    centre: NDArray[np.float64],
    size: tuple[int, int, int],
    rng: np.random.Generator,
    generator: torch.Generator,
    rules: GeometrySettings,
    spacing_mm: float,
) -> Placed:
    """Scale, mirror, turn and warp a grid of ``size`` about ``centre``."""
    step_y = spacing_mm * log_uniform(rng, *rules.scale)
    step_x = step_y * log_uniform(rng, 1 / rules.aspect, rules.aspect)
    ranges = rules.slice_mm[int(rng.choice(len(rules.slice_mm), p=rules.slice_chances))]
    step_z = log_uniform(rng, *ranges)
    mirror = -1.0 if chance(rng, 0.5) else 1.0
    turn = _rotation(rng, rules)
    steps = np.diag([step_z, step_y, mirror * step_x])
    matrix = np.diag(1 / np.array(SPACING_MM[::-1])) @ turn @ steps  # window voxels to map voxels
    middle = [(n - 1) / 2 for n in size]
    z, y, x = (torch.arange(n, dtype=torch.float32) - m for n, m in zip(size, middle, strict=True))
    warp = _warp(size, (step_z, step_y, step_x), rng, generator, rules)
    at = torch.empty((3, *size))
    for axis in range(3):
        a, b, c = (float(v) for v in matrix[axis])
        at[axis] = (a * z)[:, None, None] + (b * y)[None, :, None] + (c * x)[None, None, :]
        at[axis] += float(centre[axis])
        if warp is not None:
            at[axis] += warp[axis] / SPACING_MM[2 - axis]
    return Placed(at, step_z, step_y)


def _rotation(rng: np.random.Generator, rules: GeometrySettings) -> NDArray[np.float64]:
    """(3, 3) on (z, y, x): yaw turns y to x, pitch z to y, roll z to x."""
    turn = np.eye(3)
    for (i, j), sd in (
        ((1, 2), rules.yaw_deg),
        ((0, 1), rules.pitch_deg),
        ((0, 2), rules.roll_deg),
    ):
        angle = np.radians(np.clip(rng.normal(0, 1), -2.5, 2.5) * sd)
        part = np.eye(3)
        part[i, i] = part[j, j] = np.cos(angle)
        part[i, j], part[j, i] = -np.sin(angle), np.sin(angle)
        turn = part @ turn
    return turn


def _warp(
    size: tuple[int, int, int],
    steps_mm: tuple[float, float, float],
    rng: np.random.Generator,
    generator: torch.Generator,
    rules: GeometrySettings,
) -> Tensor | None:
    """A smooth displacement (3, Z, Y, X) in mm, at times."""
    strength = rng.uniform(0, rules.elastic_mm)
    if not chance(rng, rules.elastic_chance) or strength == 0:
        return None
    counts = [int(np.ceil(n * s / WARP_MM)) + 2 for n, s in zip(size, steps_mm, strict=True)]
    knots = torch.randn((1, 3, *counts), generator=generator) * strength
    knots[:, 0] *= 0.5
    return interpolate(knots, size=size, mode="trilinear", align_corners=True)[0]


def _signal(
    maps: Maps,
    placed: Placed,
    look: Look,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor, Tensor]:
    """Signal, labels and where the map reaches, (Z, Y, X) each; fluid is 1."""
    box, at = _source_box(maps, placed)
    source = np.array(maps[(slice(None), *box)])  # read once, and writable as torch wants it
    levels = torch.from_numpy(_levels(source, look))
    labels = torch.from_numpy(source[-1])
    if look.plug != 1:
        plug = (labels == int(Structure.INTRA_MEATAL)) & (
            torch.from_numpy(source[0] >= Tissue.TUMOUR)
        )
        levels = torch.where(plug, levels * look.plug, levels)
    thick, wide = _odd(placed.slice_mm / SPACING_MM[2]), _odd(placed.pixel_mm / SPACING_MM[0])
    if max(thick, wide) > 1:  # a voxel shows the mean of what it covers
        z, xy = thick // 2, wide // 2
        ends = pad(levels[None, None], (xy, xy, xy, xy, z, z), mode="replicate")
        levels = avg_pool3d(ends, (thick, wide, wide), 1)[0, 0]
    shape = levels.shape
    unit = [2 * at[axis] / max(shape[axis] - 1, 1) - 1 for axis in (2, 1, 0)]
    grid = torch.stack(unit, -1)[None]
    inside = (grid.abs().amax(-1) <= 1)[0]
    image = grid_sample(levels[None, None], grid, mode="bilinear", align_corners=True)[0, 0]
    nearest = [at[axis].round().clamp(0, shape[axis] - 1).int() for axis in range(3)]
    index = (nearest[0] * shape[1] + nearest[1]) * shape[2] + nearest[2]
    tissues = torch.from_numpy(source[0]).flatten()[index].int()
    _add_texture(image, tissues, placed, look, rng, generator)
    if look.pockets:
        _add_pockets(image, tissues, placed, look, rng, generator)
    marked = torch.where(inside, labels.flatten()[index], 0)
    return image.clamp_min_(0) * inside, marked.to(torch.uint8), inside


def _add_texture(
    image: Tensor,
    tissues: Tensor,
    placed: Placed,
    look: Look,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> None:
    """Add each tissue's fine and coarse texture to ``image``, in place."""
    for strength, knot in (
        (look.fine, log_uniform(rng, 1, 3.5)),
        (look.coarse, log_uniform(rng, 5, 16)),
    ):
        noise = _noise_like(image, knot, placed, generator)
        image.addcmul_(torch.from_numpy(strength)[tissues], noise)


def _add_pockets(
    image: Tensor,
    tissues: Tensor,
    placed: Placed,
    look: Look,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> None:
    """Fill a share of the tumour with pockets of one level, soft or sharp, in place."""
    knot = log_uniform(rng, *POCKET_KNOTS)
    noise = _noise_like(image, knot, placed, generator)
    tumour = (tissues >= Tissue.TUMOUR) & (tissues <= Tissue.TUMOUR_CYST)
    if not tumour.any():
        return
    least = float(np.quantile(noise[tumour].numpy(), 1 - look.pockets))
    share = torch.sigmoid((noise - least) * log_uniform(rng, *POCKET_EDGES)) * tumour
    image.lerp_(torch.full_like(image, look.pocket_level), share)


def _noise_like(image: Tensor, knot: float, placed: Placed, generator: torch.Generator) -> Tensor:
    """Smooth noise as large as ``image``, its knots ``knot`` voxels of the plane apart each way."""
    thin = SPACING_MM[0] / placed.slice_mm
    return smooth_noise(generator, tuple(image.shape), (max(1.0, knot * thin), knot, knot))


def _source_box(maps: Maps, placed: Placed) -> tuple[tuple[slice, slice, slice], Tensor]:
    """The part of the map that a window needs, and the window's places in it."""
    box, moved = [], []
    for values, extent in zip(placed.at, maps.shape[1:], strict=True):
        low, high = float(values.min()), float(values.max())
        start = int(np.clip(np.floor(low) - 2, 0, extent - 2))
        stop = int(np.clip(np.ceil(high) + 3, start + 2, extent))
        box.append(slice(start, stop))
        moved.append(values - start)
    return (box[0], box[1], box[2]), torch.stack(moved)


def _levels(source: Maps, look: Look) -> NDArray[np.float32]:
    """The mean level of each voxel's tissues by their shares."""
    table = (look.level / FULL).astype(np.float32)
    shares = source[COMMONEST : COMMONEST + 2].astype(np.float32)
    third = table[source[2]]
    level = (table[source[0]] - third) * shares[0]
    level += (table[source[1]] - third) * shares[1]
    level += third * FULL
    return np.asarray(level)


def _sparse_levels(maps: Maps, look: Look) -> NDArray[np.float32]:
    """The head's levels (1, K, 1) at some voxels, for percentiles of the whole field."""
    return _levels(np.ascontiguousarray(maps[:, ::4, ::5, ::5]), look).reshape(1, -1, 1)


def _odd(times: float) -> int:
    """The odd number of slices next to ``times``."""
    return 2 * int(times / 2) + 1


def _normalised(
    image: Tensor, seen: Tensor, field: Tensor | None, rule: VolumeNormalisation
) -> Tensor:
    """As ``meatus.intensity.normalise_volume``, by the percentiles of what is ``seen``.

    A window cut out of a larger ``field`` is scaled by the field's percentiles, at times.
    """
    shown = torch.where(seen, image, 0)
    sample = (shown[:, ::2, ::2] if field is None else field).flatten()
    sample = sample[sample > float(sample.min())]
    if sample.numel() < FEWEST_VOXELS:
        return torch.full_like(image, BLACK)
    low, high = (float(v) for v in np.percentile(sample.numpy(), [rule.lower, rule.upper]))
    unit = ((shown - low) / max(high - low, 1e-6)).clamp_(0, 1)
    return 2 * unit**rule.power - 1
