"""Smooth random fields: random knots on a coarse grid, joined by cubic B-splines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from inference.geometry import Array

# Cubic B-spline weights average the knots; this restores an SD of about one in 3D.
SPLINE_SD = 0.33


@dataclass(frozen=True)
class Field:
    """A random function of position with a mean of 0 and an SD of about 1."""

    knots: Array  # (Kz, Ky, Kx)
    # Spline weights, four a row. Sparse: a thread pool in every worker would slow them all.
    rows: sparse.csr_array  # (Y, Ky)
    columns: sparse.csr_array  # (X, Kx)
    scale_mm: float

    def plane(self, z_mm: float) -> Array:
        """Values (Y, X) at height ``z_mm`` above the first slice."""
        weights = spline_weights(np.array([z_mm / self.scale_mm]), self.knots.shape[0])[0]
        used = np.flatnonzero(weights)
        knots = (weights[used, None, None] * self.knots[used]).sum(axis=0)
        lines = np.ascontiguousarray((self.rows @ knots).T)
        return np.ascontiguousarray((self.columns @ lines).T, dtype=np.float32)


def spline_weights(at: np.ndarray, knots: int) -> Array:
    """Cubic B-spline weights (positions, knots); position 0 lies one knot inside."""
    distance = np.abs(at[:, None] + 1 - np.arange(knots))
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


def draw_field(
    rng: np.random.Generator,
    extent_mm: tuple[float, float, float],
    shape: tuple[int, int],
    scale_mm: float,
) -> Field:
    """A field with knots every ``scale_mm`` over a box (z, y, x), seen on planes (Y, X)."""
    counts = [int(np.ceil(length / scale_mm)) + 4 for length in extent_mm]
    rows, columns = (
        sparse.csr_array(spline_weights(np.linspace(0, length / scale_mm, size), count))
        for length, size, count in zip(extent_mm[1:], shape, counts[1:], strict=True)
    )
    knots = rng.standard_normal(counts, dtype=np.float32) / SPLINE_SD
    return Field(knots, rows, columns, scale_mm)
