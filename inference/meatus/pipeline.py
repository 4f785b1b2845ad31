"""The main path: one scan in, one label map out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from meatus.certainty import expected_tumour
from meatus.decide import confidence, decide, place
from meatus.engines import Device, choose, load_engine, usable_threads
from meatus.ensemble import EIGHT_FLIPS, Flip, Model, Quality, predict
from meatus.postprocess import Rules, clean
from meatus.preprocess import prepare
from meatus.spec import Window
from meatus.timing import Stopwatch
from meatus.volumes import Certainty, Labels, Prepared, Probabilities, Scan, Segmented
from meatus.voting import vote
from meatus.weights import check_same_input, find_members, read_spec
from meatus.windows import cut, plan

# Beside this file where the package was installed, in the repository's own folder in a checkout.
_PACKAGED = Path(__file__).resolve().parent / "shipped_weights"
DEFAULT_WEIGHTS = _PACKAGED if _PACKAGED.is_dir() else _PACKAGED.parents[2] / "weights"


def segment(scan: Scan, model: Model, rules: Rules | None = None) -> Labels:
    """Label every voxel of ``scan``; the result lies on the scan's own grid.

    Raises ``ScanError`` where the scan shows nothing.
    """
    return segment_in_detail(scan, model, rules or Rules()).labels


def segment_in_detail(scan: Scan, model: Model, rules: Rules) -> Segmented:
    """As ``segment``, with the time that each stage took and how sure the ensemble is."""
    return segment_with_probabilities(scan, model, rules)[0]


def segment_with_probabilities(
    scan: Scan, model: Model, rules: Rules
) -> tuple[Segmented, Probabilities]:
    """As ``segment_in_detail``, with the probabilities on the network's grid."""
    watch = Stopwatch()
    with watch("prepare"):
        prepared = prepare(scan, model.spec)
    with watch("network"):
        probabilities = predict(prepared, model)
    with watch("decide"):
        labels = decide(probabilities, scan)
        sure = confidence(probabilities)
    with watch("clean"):
        cleaned = clean(labels, rules)
        certainty = Certainty(sure, *expected_tumour(probabilities, cleaned))
    return Segmented(cleaned, certainty, watch.seconds), probabilities


def segment_by_vote(scan: Scan, model: Model) -> Segmented:
    """Label ``scan`` as the published code does: eight flips, each with hard labels, vote.

    Windows follow one another without overlap. Unlike there, the crop is cut once and not
    anew for each flip, which may differ by a voxel.
    """
    watch = Stopwatch()
    with watch("prepare"):
        prepared = prepare(scan, model.spec)
    with watch("network"):
        votes = [_flipped_labels(prepared, flip, model) for flip in EIGHT_FLIPS]
    with watch("decide"):
        ballots = [place(labels, prepared, scan) for labels in votes]
        fused = vote(np.stack([ballot.voxels for ballot in ballots]))
    return Segmented(replace(ballots[0], voxels=fused), seconds=watch.seconds)


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
    names = ", ".join(spec.name for _, spec in used)
    return Model(members, specs[0][1], chosen, names)


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
