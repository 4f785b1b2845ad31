"""A translator small enough to train in a test, and scans for it."""

import json

import numpy as np
import torch

from meatus_training.runs.launch import make_fabric
from meatus_training.translation.data import TranslationData
from meatus_training.translation.settings import TranslatorSettings

CPU = make_fabric(accelerator="cpu")

TINY = TranslatorSettings(
    width=4,
    critic_width=4,
    blocks=5,
    sampler_width=8,
    patches=16,
    size=32,
    batch=2,
    epochs=2,
    steps_per_epoch=3,
    precision="fp32",
    learning_rate=2e-3,
    save_every=2,
    log_every=1,
    seed=5,
)


def silent(_line):
    pass


def scans(count, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, (3, 36, 40)).astype(np.float16) for _ in range(count)]


def toy_data(**changes):
    source = scans(2)
    labels = [np.zeros(volume.shape, np.uint8) for volume in source]
    return TranslationData(
        **{"source": source, "labels": labels, "target": scans(3, seed=1)} | changes
    )


def curve(folder):
    return [json.loads(line) for line in (folder / "curve.jsonl").read_text().splitlines()]


def weights(trained):
    state = trained.state
    return torch.cat([p.detach().flatten() for n in state.networks for p in n.parameters()])
