"""The main path: one scan in, one label map out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from inference.decide import decide, place
from inference.engines import Device, choose, load_engine, usable_threads
from inference.ensemble import EIGHT_FLIPS, Flip, Model, Quality, predict
from inference.postprocess import Rules, clean
from inference.preprocess import prepare
from inference.spec import Window
from inference.volumes import Labels, Prepared, Scan
from inference.voting import vote
from inference.weights import check_same_input, find_members, read_spec
from inference.windows import cut, plan

DEFAULT_WEIGHTS = Path(__file__).resolve().parents[1] / "weights"


def segment(scan: Scan, model: Model, rules: Rules | None = None) -> Labels:
    """Label every voxel of ``scan``; the result lies on the scan's own grid.

    Raises ``ScanError`` where the scan shows nothing.
    """
    prepared = prepare(scan, model.spec)
    probabilities = predict(prepared, model)
    labels = decide(probabilities, scan)
    return clean(labels, rules or Rules())


def segment_by_vote(scan: Scan, model: Model) -> Labels:
    """Label ``scan`` as the published code does: eight flips, each with hard labels, vote.

    Windows follow one another without overlap. Unlike there, the crop is cut once and not
    anew for each flip, which may differ by a voxel.
    """
    prepared = prepare(scan, model.spec)
    ballots = [
        place(_flipped_labels(prepared, flip, model), prepared, scan) for flip in EIGHT_FLIPS
    ]
    fused = vote(np.stack([ballot.voxels for ballot in ballots]))
    return replace(ballots[0], voxels=fused)


def load_model(
    weights: Path = DEFAULT_WEIGHTS,
    *,
    device: Device = "auto",
    quality: Quality | None = None,
    threads: int | None = None,
    cache: Path | None = None,
    say: Callable[[str], None] = lambda _line: None,
) -> Model:
    """Load the ensemble in ``weights``, a folder with a manifest or one ``.onnx`` file.

    Without ``quality``, a GPU works with all flips and a processor with the left-right one;
    ``fast`` loads the first member only. ``say`` gets the lines that a user should see.

    Raises ``WeightsError`` where a file is missing or damaged, ``DeviceError`` where the
    device cannot be used.
    """
    files = [file for file, _ in find_members(weights)]
    specs = [(file, read_spec(file)) for file in files]
    check_same_input(specs)
    kind = choose(device, say)
    chosen: Quality = quality or ("full" if kind in ("cuda", "tensorrt") else "standard")
    used = specs[:1] if chosen == "fast" else specs
    members = tuple(
        load_engine(file, spec, kind, threads=threads or usable_threads(), cache=cache, say=say)
        for file, spec in used
    )
    return Model(members, specs[0][1], chosen)


def _flipped_labels(
    prepared: Prepared, flip: Flip, model: Model
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The labels (Z, Y, X) that the members agree on for one flip, flipped back."""
    turned = np.flip(prepared.voxels, flip)
    window = Window(model.spec.window.depth, overlap=0)
    labels = np.zeros(turned.shape, dtype=np.uint8)
    for part in plan(len(turned), window):
        view = cut(turned, part, window.depth)
        total = sum(member(view) for member in model.members)
        held = slice(part.before, part.before + part.stop - part.start)
        labels[part.start : part.stop] = np.argmax(total, axis=0)[held]
    return np.flip(labels, flip)
