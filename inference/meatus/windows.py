"""Sliding windows along z: plan, cut, and the weights that blend them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meatus.geometry import Array
from meatus.intensity import BLACK
from meatus.spec import Window

GRID_MULTIPLE = 16  # the network halves rows and columns four times


@dataclass(frozen=True)
class Span:
    """Which slices of a stack one window holds."""

    start: int  # first slice of the stack that the window holds
    stop: int  # one past the last
    before: int  # padding slices in front of them

    @property
    def held(self) -> slice:
        """Where in the window the slices of the stack lie."""
        return slice(self.before, self.before + self.stop - self.start)


def filled_extent(voxels: Array) -> tuple[slice, slice]:
    """The rows and columns of ``voxels`` (Z, Y, X) that a network needs: all but black margins.

    Instance norms count every voxel of a window, so that black margins of a narrow field shift
    what a network sees of the rest. Both extents are multiples of ``GRID_MULTIPLE``, as the
    network's halvings need, where the grid's are.
    """
    seen = voxels > BLACK
    return _widened(np.any(seen, axis=(0, 2))), _widened(np.any(seen, axis=(0, 1)))


def _widened(seen: NDArray[np.bool_]) -> slice:
    """What is true of (N,), widened evenly to a multiple of ``GRID_MULTIPLE``; all if nothing."""
    places = np.flatnonzero(seen)
    if not places.size:
        return slice(0, len(seen))
    first, last = int(places[0]), int(places[-1]) + 1
    extent = min(-(-(last - first) // GRID_MULTIPLE) * GRID_MULTIPLE, len(seen))
    start = min(max(first - (extent - (last - first)) // 2, 0), len(seen) - extent)
    return slice(start, start + extent)


def plan(slices: int, window: Window) -> list[Span]:
    """Where windows of ``window.depth`` lie in a stack of ``slices``.

    A short stack is one window, padded evenly. Otherwise as few windows as neighbours that
    share ``overlap`` slices need, spread evenly; without overlap, one behind the other with
    the last one moved back to fit, as the published implementation does.
    """
    depth, overlap = window.depth, window.overlap
    if slices <= depth:
        return [Span(0, slices, (depth - slices) // 2)]
    count = -(-(slices - overlap) // (depth - overlap))
    if overlap == 0:
        starts = [min(index * depth, slices - depth) for index in range(count)]
    else:
        starts = [round(index * (slices - depth) / (count - 1)) for index in range(count)]
    return [Span(start, start + depth, 0) for start in starts]


def cut(voxels: Array, span: Span, depth: int) -> Array:
    """The window (depth, Y, X) of ``voxels`` (Z, Y, X); padding slices are black."""
    window = np.full((depth, *voxels.shape[1:]), BLACK, dtype=np.float32)
    window[span.held] = voxels[span.start : span.stop]
    return window


def blend_weights(spans: list[Span], window: Window, slices: int) -> list[Array]:
    """Each window's share, (held slices, 1, 1), of every slice of the stack that it holds.

    Where windows overlap, their shares rise and fall linearly, so that no seam shows; for each
    slice they sum to one.
    """
    shares = [_shares(span, window, slices) for span in spans]
    total = np.sum(shares, axis=0)
    return [
        (share / total)[span.start : span.stop, None, None].astype(np.float32)
        for span, share in zip(spans, shares, strict=True)
    ]


def _shares(span: Span, window: Window, slices: int) -> Array:
    """(Z,): the weight of a window at each slice of the stack, zero outside it."""
    shares = np.zeros(slices, dtype=np.float32)
    rising = np.arange(1, span.stop - span.start + 1)
    edge = np.minimum(rising, rising[::-1]) / (window.overlap + 1)
    shares[span.start : span.stop] = np.minimum(edge, 1)
    return shares
