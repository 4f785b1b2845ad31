"""Whether an exported file computes what the network it came from computes.

The file runs through the engines of ``inference``, so that what is checked is what is shipped.
"""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from meatus.atomic import write_whole
from meatus.engines.onnx_runtime import OnnxRuntimeEngine
from meatus.engines.openvino_cpu import OpenVinoEngine
from meatus.geometry import Array
from meatus.spec import Spec
from meatus.weights import read_spec
from meatus_training.errors import TrainingError
from meatus_training.export.onnx_export import export_onnx
from meatus_training.networks import ResUNet25d

# Sums in another order change a probability by some 1e-6; a wrong operator by far more.
TOLERANCE = 1e-3

THREADS = 2


@dataclass(frozen=True)
class Difference:
    """How one way to run the network differs from PyTorch in float32."""

    maximum: float  # of a class probability, over voxels and classes
    mean: float
    changed: float  # share of voxels whose label is another one
    dice: tuple[float, ...]  # per class between the two label maps; 1 where both lack it


@dataclass(frozen=True)
class Agreement:
    """Each runtime against PyTorch, on one window."""

    onnxruntime: Difference
    openvino: Difference
    openvino_bf16: Difference
    fp16: Difference | None = None  # the float16 file, in ONNX Runtime on the processor

    def lines(self) -> list[str]:
        """For a user: one line per runtime."""
        rows = {
            "ONNX Runtime fp32": self.onnxruntime,
            "OpenVINO fp32": self.openvino,
            "OpenVINO bf16": self.openvino_bf16,
            "ONNX Runtime fp16 file": self.fp16,
        }
        return [
            f"{name}: probabilities differ by at most {row.maximum:.2g} (mean {row.mean:.2g}), "
            f"{row.changed:.3%} of voxels change label, "
            f"Dice per class {' '.join(f'{dice:.4f}' for dice in row.dice)}"
            for name, row in rows.items()
            if row is not None
        ]


def export_checked(
    network: ResUNet25d, spec: Spec, window: Array, out: Path, *, fp16: bool = False
) -> Agreement:
    """Write ``network`` to ``out`` once its file has shown to compute the same on ``window``.

    ``window`` (Z, Y, X) is what the network is meant for, prepared by ``inference``: noise
    would not show how labels change. With ``fp16`` the float16 file is written, and its
    float32 twin is what must agree; what half precision changes is in the result.

    Raises ``TrainingError`` where the float32 file differs from PyTorch by more than
    ``TOLERANCE``; nothing is written then, and a file that was at ``out`` stays.
    """
    if not out.parent.is_dir():
        raise TrainingError(f"{out.parent} is not a folder; create it, or write elsewhere.")
    with tempfile.TemporaryDirectory() as folder:
        full, half = Path(folder) / "fp32.onnx", Path(folder) / "fp16.onnx"
        export_onnx(network, replace(spec, precision="fp32"), full)
        if fp16:
            export_onnx(network, replace(spec, precision="fp16"), half)
        agreement = compare(network, full, window, half if fp16 else None)
        _refuse_disagreement(agreement, out)
        write_whole(out, (half if fp16 else full).read_bytes())
    return agreement


def compare(network: ResUNet25d, path: Path, window: Array, fp16: Path | None = None) -> Agreement:
    """Run ``network`` and its float32 file on ``window`` (Z, Y, X), and the ``fp16`` file too."""
    spec = read_spec(path)
    expected = probabilities(network, window)
    runs = (
        OnnxRuntimeEngine(path, spec, "onnxruntime", threads=THREADS),
        OpenVinoEngine(path, spec, threads=THREADS, precision="f32"),
        OpenVinoEngine(path, spec, threads=THREADS, precision="bf16"),
    )
    onnxruntime, openvino, openvino_bf16 = (difference(run(window), expected) for run in runs)
    if fp16 is None:
        return Agreement(onnxruntime, openvino, openvino_bf16)
    engine = OnnxRuntimeEngine(fp16, read_spec(fp16), "onnxruntime", threads=THREADS)
    return Agreement(onnxruntime, openvino, openvino_bf16, difference(engine(window), expected))


def probabilities(network: ResUNet25d, window: Array) -> Array:
    """(Z, Y, X) to (C, Z, Y, X) by PyTorch, float32 on the processor; ``network`` is left as is."""
    exact = copy.deepcopy(network).cpu().float().eval()
    with torch.inference_mode():
        logits = exact(torch.from_numpy(np.ascontiguousarray(window[None, None])))
    result: Array = logits[0].softmax(0).numpy()
    return result


def difference(found: Array, expected: Array) -> Difference:
    """Between two sets of probabilities (C, Z, Y, X)."""
    apart = np.abs(found - expected)
    labels, wanted = found.argmax(0), expected.argmax(0)
    return Difference(
        maximum=float(apart.max()),
        mean=float(apart.mean()),
        changed=float((labels != wanted).mean()),
        dice=tuple(dice(labels == each, wanted == each) for each in range(len(found))),
    )


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    total = int(one.sum() + other.sum())
    return 2 * int((one & other).sum()) / total if total else 1.0


def _refuse_disagreement(agreement: Agreement, out: Path) -> None:
    runs = {"ONNX Runtime": agreement.onnxruntime, "OpenVINO": agreement.openvino}
    for name, run in runs.items():
        # Written so that NaN is refused, too.
        if not run.maximum <= TOLERANCE:
            raise TrainingError(
                f"{out}: not written. In {name} the exported network differs from PyTorch by "
                f"{run.maximum:.2g} in a probability, at most {TOLERANCE} is allowed; "
                "the checkpoint holds values that are not finite, or the export has an error."
            )
