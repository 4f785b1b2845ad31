"""Supervised training of the segmentation network; resumes from its checkpoint."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from training.augment import augment
from training.config import SegmentConfig
from training.dataset import Sample, draw_window
from training.errors import TrainingError
from training.losses import deep_loss
from training.networks import MEMORY_FORMAT, ResUNet25d

# A single step may overflow; a run of them means that the training is lost.
BAD_STEPS = 20


def train_segmenter(
    samples: list[Sample],
    config: SegmentConfig,
    folder: Path,
    say: Callable[[str], None],
    minutes: float = math.inf,
) -> ResUNet25d:
    """Train on ``samples`` for ``config.steps`` and return the averaged network.

    The state lies in ``folder/state.pt`` and training goes on from there; the curve is
    ``folder/curve.jsonl``. After ``minutes`` the learning rate has run its course whatever
    the number of steps. Raises ``TrainingError`` where gradients stay infinite.
    """
    torch.manual_seed(config.seed)
    network = start_network(config)
    average = start_network(config)
    average.load_state_dict(network.state_dict())
    optimiser = torch.optim.AdamW(
        network.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    step, spent = _resume(folder / "state.pt", network, average, optimiser)
    started = time.monotonic() - spent
    bad, recent = 0, []
    while step < config.steps and (done := _done(step, config, started, minutes)) < 1:
        _set_rate(optimiser, config, step, done)
        voxels, labels = draw_batch(samples, config, step, whole=done > 1 - config.whole_share)
        loss = _train_step(network, optimiser, voxels, labels, config)
        bad = 0 if math.isfinite(loss) else bad + 1
        if bad >= BAD_STEPS:
            raise TrainingError(f"{BAD_STEPS} steps in a row without finite gradients; stopped.")
        step += 1
        recent.append(loss)
        _follow(average, network, min(config.average, (1 + step) / (10 + step)))
        if step % config.save_every == 0:
            seconds = time.monotonic() - started
            _save(folder / "state.pt", network, average, optimiser, step, seconds)
            _log(folder / "curve.jsonl", step, float(np.nanmean(recent)), seconds, say)
            recent = []
    _save(folder / "state.pt", network, average, optimiser, step, time.monotonic() - started)
    return average


def start_network(config: SegmentConfig) -> ResUNet25d:
    """A fresh network whose heads first call everything background.

    Without that bias the first hundreds of steps go into unlearning false structures.
    """
    network = ResUNet25d(config.width, config.blocks)
    heads = [m for m in network.head.modules() if isinstance(m, nn.Conv3d)]
    for head in heads:
        assert head.bias is not None
        nn.init.zeros_(head.bias)
        head.bias.data[0] = config.background_bias
    network.to(memory_format=MEMORY_FORMAT)  # type: ignore[call-overload]
    return network


def draw_batch(
    samples: list[Sample], config: SegmentConfig, step: int, *, whole: bool = False
) -> tuple[Tensor, Tensor]:
    """The augmented window of ``step``: (1, 1, Z, Y, X) and (1, Z, Y, X).

    Drawn from the seed and the step's number alone, so that a resumed run sees what an
    unbroken one would have seen. A ``whole`` window is what inference cuts: instance norms
    then see the statistics that they will see there.
    """
    draw = np.random.default_rng((config.seed, step))
    sample = samples[int(draw.integers(len(samples)))]
    rows, columns = sample.voxels.shape[1:]
    size = (config.depth, rows, columns) if whole else config.patch
    voxels, labels = draw_window(sample, size, config.near_structures, draw)
    voxels, labels = augment(voxels, labels, draw)
    image = torch.from_numpy(voxels)[None, None].contiguous(memory_format=MEMORY_FORMAT)
    return image, torch.from_numpy(labels.astype(np.int64))[None]


def _train_step(
    network: ResUNet25d,
    optimiser: torch.optim.Optimizer,
    voxels: Tensor,
    labels: Tensor,
    config: SegmentConfig,
) -> float:
    """One update; NaN, and no update, where the gradients are not finite."""
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network.forward_deep(voxels)
    loss = deep_loss(logits, labels, torch.tensor(config.class_weights))
    loss.backward()  # type: ignore[no-untyped-call]
    norm = torch.nn.utils.clip_grad_norm_(network.parameters(), config.clip)
    if not torch.isfinite(norm):
        return math.nan
    optimiser.step()
    return loss.item()


def _done(step: int, config: SegmentConfig, started: float, minutes: float) -> float:
    """The share of the training that is behind us, by steps or by time."""
    return max(step / config.steps, (time.monotonic() - started) / 60 / minutes)


def _set_rate(
    optimiser: torch.optim.Optimizer, config: SegmentConfig, step: int, done: float
) -> None:
    """Linear warm-up, then a cosine down to nothing."""
    rate = config.learning_rate * min(1, (step + 1) / config.warm_up)
    for group in optimiser.param_groups:
        group["lr"] = rate * (1 + math.cos(math.pi * done)) / 2


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, keep: float) -> None:
    for mean, current in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(current, 1 - keep)


def _save(
    file: Path,
    network: nn.Module,
    average: nn.Module,
    optimiser: torch.optim.Optimizer,
    step: int,
    seconds: float,
) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    state = {
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
        "step": step,
        "seconds": seconds,
    }
    torch.save(state, part)
    part.replace(file)


def _resume(
    file: Path, network: nn.Module, average: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[int, float]:
    if not file.exists():
        return 0, 0.0
    state = torch.load(file, weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"]), float(state["seconds"])


def _log(file: Path, step: int, loss: float, seconds: float, say: Callable[[str], None]) -> None:
    entry = {"step": step, "loss": round(loss, 4), "seconds": round(seconds, 1)}
    with file.open("a") as lines:
        lines.write(json.dumps(entry) + "\n")
    say(f"step {step}: loss {loss:.3f} after {seconds / 60:.1f} min")
