"""Reliability curves: how often what the pipeline says is so."""

from __future__ import annotations

import io
from pathlib import Path

from meatus.pictures.plotting import Figure
from meatus.report import write_whole
from meatus_evaluation.reliability import Bins

INCHES, DPI = (5.2, 5.0), 100
FEWEST = 30  # voxels in a bin that is drawn: shares of fewer are noise


def draw_reliability(bins: dict[str, Bins], out: Path) -> None:
    """One curve per structure: the share of true voxels over the mean probability of a bin."""
    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="perfect")
    for name, one in bins.items():
        drawn = one.voxels >= FEWEST
        label = f"{name.replace('_', '-')} (expected error {one.expected_error:.3f})"
        voxels = one.voxels[drawn]
        axes.plot(one.p[drawn] / voxels, one.true[drawn] / voxels, marker="o", ms=4, label=label)
    axes.set(xlabel="probability", ylabel="share of voxels that are so", xlim=(0, 1), ylim=(0, 1))
    axes.set_aspect("equal")
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_whole(out, content.getvalue())
