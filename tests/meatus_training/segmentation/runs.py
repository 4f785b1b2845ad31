"""A segmentation small enough to train in a test, and scans for it."""

import json

import numpy as np
import torch

from meatus.geometry import Geometry
from meatus_training.augmentation import AugmentSettings
from meatus_training.augmentation.settings import Borders, Intensities, Quality, Shape, Targets
from meatus_training.losses import SegLossSettings
from meatus_training.prepare.cases import PreparedCase, write_prepared
from meatus_training.prepare.settings import PrepareSettings
from meatus_training.segmentation.samples import SampleScans, TrainingSample
from meatus_training.segmentation.settings import SegmentSettings

SMALL_LOSS = SegLossSettings(
    class_weights=(0.2, 1.5, 1.5, 3.0),
    entropy_weight=1,
    mean_over="weights",
    dice="present",
    whole_tumour=True,
    smooth=1.0,
    hard_weight=0,
)
STEADY = Intensities(chance=0)
CALM = AugmentSettings(
    image=STEADY,
    targets=Targets(STEADY, STEADY),
    borders=Borders(blank_chance=0, expand_chance=0),
    quality=Quality(low_chance=0, blur_chance=0, bias_chance=0),
    shape=Shape(affine_chance=0, elastic_chance=0),
)
TINY = SegmentSettings(
    train_on="source",
    width=4,
    blocks=1,
    depth=8,
    patch=(8, 32, 32),
    batch=2,
    epochs=0,
    steps=6,
    full_field_fraction=0.3,
    foreground_oversampling=1.0,
    learning_rate=1e-2,
    warm_up=1,
    clip=1.0,
    precision="fp32",
    ema=0.9,
    background_bias=3.0,
    loss=SMALL_LOSS,
    augmentation=CALM,
    save_every=2,
    log_every=1,
    picture_every=3,
    seed=5,
)


def silent(_line):
    pass


def toy_scan(seed=0, shape=(10, 32, 48)):
    """A bright cochlea and a tumour in two greys in noise."""
    rng = np.random.default_rng(seed)
    voxels, labels = rng.uniform(-1, -0.4, shape).astype(np.float16), np.zeros(shape, np.uint8)
    labels[2:8, 4:14, 4:14] = 1
    labels[2:8, 4:14, 14:24] = 2
    labels[2:8, 18:28, 30:42] = 3
    for number, grey in ((1, 0.0), (2, 0.9), (3, 0.4)):
        voxels[labels == number] = grey
    return voxels, labels


def toy_samples(folder, count=2):
    folder.mkdir(parents=True, exist_ok=True)
    samples = []
    for number in range(count):
        sample = TrainingSample(
            f"s{number}", folder / f"s{number}.voxels.npy", folder / f"s{number}.labels.npy"
        )
        for file, array in zip((sample.voxels, sample.labels), toy_scan(number), strict=True):
            np.save(file, array)
        samples.append(sample)
    return samples


def toy_scans(folder, count=2, seed=5):
    return SampleScans(toy_samples(folder, count), seed)


def toy_work(work):
    """A working folder with two prepared source scans and a target scan without labels."""
    cases = []
    for split, samples in (
        ("source", toy_samples(work / "prepared/source")),
        ("target", toy_samples(work / "prepared/target", 1)),
    ):
        for sample in samples:
            size, labels = (48, 32, 10), sample.labels if split == "source" else None
            grid = Geometry(size, (0.5, 0.5, 1.5), (0, 0, 0))
            site, kind = "ldn", "ceT1" if split == "source" else "hrT2"
            spacing = grid.spacing_mm
            case = PreparedCase(
                sample.name, split, site, kind, sample.voxels, sample.voxels, labels, size, spacing,
                grid, True, "",
            )  # fmt: skip
            cases.append(case)
    write_prepared(work / "prepared", PrepareSettings(), cases)
    return work


def curve(folder):
    return [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]


def weights(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()])
