"""The network quantised to int8 by NNCF, beside the float one in the same ONNX file.

Only the products of convolutions are quantised. Sums, norms and enlargements stay float32, as do
the first two convolutions and the last two: with all of it in int8, on 6 phantoms and 29 real
scans and slices, one tumour and one cochlea were lost. Like this nothing was, and the network
takes 0.45 of its time in float32 instead of 0.33.
"""

from __future__ import annotations

import base64
import io
import math
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from meatus.atomic import write_whole
from meatus.engines.openvino_cpu import (
    GRAPH,
    INT8_KEY,
    NUMBERS,
    OpenVinoEngine,
    openvino_core,
    openvino_module,
)
from meatus.geometry import Array
from meatus.preprocess import prepare
from meatus.regions import whole_field
from meatus.report.measure import structure_masks
from meatus.spec import Spec
from meatus.volumes import Scan
from meatus.windows import cut, plan
from meatus_evaluation.scoring.measures import dice
from meatus_training.errors import TrainingError

MOST_WINDOWS = 24  # of all, evenly: more change nothing and take minutes
FLOAT_ENDS = 2  # convolutions at either end
FLOAT_KINDS = [
    *("Add", "Concat", "Divide", "Interpolate", "Multiply", "MVN", "ReduceMean", "Subtract")
]


def windows_of(scans: Iterable[Scan], spec: Spec) -> list[Array]:
    """At most ``MOST_WINDOWS`` (Z, Y, X), spread evenly over those of the whole fields."""
    windows = []
    for scan in scans:
        prepared = prepare(scan, spec)
        for region in whole_field(prepared, spec).boxes:
            voxels = prepared.voxels[region.box]
            spans = plan(len(voxels), spec.window)
            windows += [cut(voxels, span, spec.window.depth) for span in spans]
    return windows[:: max(1, math.ceil(len(windows) / MOST_WINDOWS))]


def quantised(file: Path, windows: Sequence[Array]) -> Any:
    """The network in ``file`` as OpenVINO's model in int8, its ranges those that ``windows`` show.

    Raises ``TrainingError`` where NNCF is not installed.
    """
    try:
        import nncf  # type: ignore[import-not-found]  # 100 MB that nothing else needs
    except ImportError as error:
        raise TrainingError(f"int8 needs NNCF ({error}): pip install nncf") from error
    model = openvino_core().read_model(file)
    model.reshape([1, 1, windows[0].shape[0], -1, -1])
    products = [
        op.get_friendly_name()
        for op in model.get_ordered_ops()
        if op.get_type_name() == "Convolution"
    ]
    kept = nncf.IgnoredScope(
        names=[*products[:FLOAT_ENDS], *products[-FLOAT_ENDS:]], types=FLOAT_KINDS, validate=False
    )
    shown = [window[None, None].astype(np.float32) for window in windows]
    return nncf.quantize(
        model,
        nncf.Dataset(shown),
        subset_size=len(shown),
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=kept,
    )


def write_with_int8(file: Path, windows: Sequence[Array], out: Path) -> None:
    """The ONNX ``file`` as ``out``, with its int8 network in its metadata."""
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / GRAPH
        openvino_module().save_model(quantised(file, windows), graph)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name in (GRAPH, NUMBERS):
                # without the time of writing: the same network is the same file
                entry = zipfile.ZipInfo(name)
                archive.writestr(entry, graph.with_name(name).read_bytes(), zipfile.ZIP_DEFLATED)
    model = onnx.load(file)
    told = {entry.key: entry.value for entry in model.metadata_props}
    told[INT8_KEY] = base64.b64encode(packed.getvalue()).decode()
    onnx.helper.set_model_props(model, told)
    write_whole(out, model.SerializeToString())


def agreement(file: Path, spec: Spec, windows: Sequence[Array], threads: int) -> dict[str, float]:
    """The Dice by structure, over all ``windows`` together, of int8's labels with float32's."""
    one, other = (
        OpenVinoEngine(file, spec, threads=threads, precision=precision)
        for precision in ("int8", "f32")
    )
    labels = [
        [engine(window).argmax(axis=0).ravel() for window in windows] for engine in (one, other)
    ]
    found, wanted = (structure_masks(np.concatenate(each)) for each in labels)
    return {name: dice(found[name], wanted[name]) for name in found}
