"""One member of the ensemble: trained, and written as ``export`` wants it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lightning.fabric import Fabric

from inference.spec import Spec
from inference.weights import read_spec
from training.checkpoints import load_checkpoint
from training.errors import TrainingError
from training.exported import read_network
from training.launch import StoppedError
from training.networks import ResUNet25d
from training.prepare.config import PrepareSettings
from training.segmentation.items import Scans
from training.segmentation.network import spec_for, write_network
from training.segmentation.settings import SegmentSettings
from training.segmentation.train import train_segmenter
from training.widen import widen

NETWORK = "network.pt"


def load_start(path: Path, settings: SegmentSettings) -> tuple[ResUNet25d, Spec]:
    """The network to begin with, and what it says of itself: a checkpoint or an ``.onnx`` file.

    A narrower network is widened to twice its width, or more, without changing what it says.
    Raises ``WeightsError`` where the file cannot be used, and ``TrainingError`` where its
    network cannot become one of the size that ``settings`` ask for.
    """
    if path.suffix == ".onnx":
        spec = read_spec(path)
        network = read_network(path, spec)
    else:
        network, spec, _ = load_checkpoint(path)
    times, left = divmod(settings.width, network.width)
    if left or network.blocks != settings.blocks:
        found, wanted = (network.width, network.blocks), (settings.width, settings.blocks)
        raise TrainingError(
            f"{path}: its network has (width, blocks) {found}, the preset says {wanted}: as many "
            "blocks, and the same width or a multiple; start from another file or change the "
            "preset."
        )
    return (widen(network, times, settings.seed) if times > 1 else network), spec


def train_member(
    folder: Path,
    scans: Scans,
    settings: SegmentSettings,
    prepared: PrepareSettings,
    fabric: Fabric,
    trained_on: str,
    *,
    start: ResUNet25d | None = None,
    say: Callable[[str], None] = print,
    should_stop: Callable[[], bool] = lambda: False,
) -> Path:
    """Train, and write ``folder/network.pt``; the member is called as its folder.

    Raises ``StoppedError`` where ``should_stop`` came first: the state is saved by then.
    """
    trained = train_segmenter(
        scans, settings, folder, fabric, start=start, say=say, should_stop=should_stop
    )
    if not trained.finished:
        raise StoppedError(f"the training of {folder.name}", trained.step)
    file = folder / NETWORK
    if fabric.is_global_zero:
        spec = spec_for(settings, prepared, folder.name, trained_on)
        write_network(file, trained.network, spec, settings)
    fabric.barrier()
    return file
