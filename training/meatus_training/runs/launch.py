"""How a training starts, on which devices, in how many processes; how these talk and are stopped.

Distributed training is Fabric's, which starts the processes and lets them talk. Its wrapper for
modules is not used where gradients are averaged here, in one message: a step of the translation
runs parts of the generator on their own, twice, and the wrapper expects each module's forward once
per backward.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Literal

import click
import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies.single_device import SingleDeviceStrategy
from torch import Tensor, nn

from meatus_training.errors import TrainingError

Precision = Literal["fp32", "bf16", "fp16"]
FABRIC_PRECISION: dict[Precision, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "fp32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}


class StoppedError(TrainingError):
    """The training was told to stop and has saved what it had."""

    def __init__(self, what: str, saved: str) -> None:
        super().__init__(
            f"{what} was told to stop and saved {saved}; run the same command again to go on."
        )


def launch_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--devices``, ``--nodes``, ``--strategy`` and ``--accelerator`` to a command."""
    count = click.IntRange(min=1)
    options = (
        click.option("--devices", type=count, default=1, help="Processes per node."),
        click.option("--nodes", type=count, default=1, help="Machines, as torchrun or Slurm has."),
        click.option("--strategy", type=click.Choice(["auto", "ddp"]), default="auto"),
        click.option("--accelerator", type=click.Choice(["auto", "cpu", "cuda"]), default="auto"),
    )
    for option in reversed(options):
        command = option(command)
    return command


def make_fabric(
    devices: int = 1,
    nodes: int = 1,
    strategy: str = "auto",
    accelerator: str = "auto",
    precision: Precision = "fp32",
) -> Fabric:
    """A launched Fabric; with several processes this starts them, unless torchrun or Slurm did.

    Raises ``TrainingError`` where the machine has not what is asked for.
    """
    if accelerator == "cuda" and not torch.cuda.is_available():
        raise TrainingError("PyTorch finds no CUDA device; pass --accelerator cpu or auto.")
    chosen = "cpu" if accelerator == "auto" and not torch.cuda.is_available() else accelerator
    if chosen != "cpu" and devices > torch.cuda.device_count():
        raise TrainingError(
            f"{devices} devices asked for, but this machine has {torch.cuda.device_count()}; "
            "pass a smaller --devices, or --accelerator cpu."
        )
    use_given_threads()
    torch.backends.cudnn.benchmark = True  # windows have one size or two; not compared
    for part in ("fabric", "pytorch"):  # one logger, whose name depends on the order of imports
        logging.getLogger(f"lightning.{part}").setLevel(logging.WARNING)
    try:
        with _without_hint_at_srun():
            fabric = Fabric(
                accelerator=chosen if chosen == "cpu" else "cuda",
                strategy=strategy,
                devices=devices,
                num_nodes=nodes,
                precision=FABRIC_PRECISION[usable_precision(precision, chosen)],
            )
        fabric.launch()
    except (ValueError, RuntimeError) as error:  # of Lightning: Slurm's numbers do not fit ours
        raise TrainingError(f"the processes did not start: {error}") from error
    return fabric


def lone_fabric(device: torch.device, precision: Precision = "fp32") -> Fabric:
    """A Fabric of this process alone on its ``device``, whatever other processes run beside it."""
    with _without_hint_at_srun():
        return Fabric(
            accelerator="cpu" if device.type == "cpu" else "cuda",
            strategy=SingleDeviceStrategy(device),
            devices=1 if device.type == "cpu" else [device.index or 0],
            precision=FABRIC_PRECISION[usable_precision(precision, device.type)],
        )


@contextmanager
def _without_hint_at_srun() -> Iterator[None]:
    """Keep Lightning from asking, wherever Slurm is installed, whether it was meant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The `srun` command is available", UserWarning)
        yield


def usable_precision(wanted: Precision, accelerator: str) -> Precision:
    """A processor has no float16 arithmetic worth the name; bfloat16 takes its place.

    One that has to imitate that too, at a fraction of the speed, works in float32.
    """
    if accelerator != "cpu" or wanted == "fp32":
        return wanted
    return "bf16" if torch.cpu._is_avx512_bf16_supported() else "fp32"


def use_given_threads() -> None:
    """As many threads as OMP_NUM_THREADS says; torch's own number where it says nothing."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdecimal() and int(given) > 0:
        torch.set_num_threads(int(given))


def stop_when_told() -> Callable[[], bool]:
    """From now on SIGTERM and SIGUSR1 only note that somebody wants the training to stop.

    Slurm sends either before a job's time is up. The result says whether one came. Outside the
    main thread, where Python hears no signals, nothing changes and it stays false.
    """
    told = threading.Event()

    def note(_signal: int, _frame: FrameType | None) -> None:
        told.set()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, note)
    return told.is_set


def outlive_signals(_worker: int) -> None:
    """Slurm tells all processes to stop: those that read go on until the training has saved."""
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def told_of_memory(what: str) -> Iterator[None]:
    """Turn torch's report of a GPU that is full into a ``TrainingError`` of ``what`` to change."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            "the GPU's memory does not hold a step: end what else runs on it and give the same "
            f"command again, which goes on from the last checkpoint; or {what}."
        ) from error


def together(fabric: Fabric, *values: float) -> tuple[float, ...]:
    """The largest of each value over all processes, so that they decide alike."""
    if fabric.world_size == 1:
        return values
    mine = torch.tensor(values, dtype=torch.float64, device=fabric.device)
    found = fabric.all_reduce(mine, reduce_op="max")
    assert isinstance(found, torch.Tensor)
    return tuple(found.tolist())


def average_gradients(fabric: Fabric, parameters: Sequence[nn.Parameter]) -> None:
    """Give every process the mean gradient."""
    if fabric.world_size == 1:
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    joined = mean(fabric, torch.cat([gradient.flatten() for gradient in gradients]))
    means = torch.split(joined, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, means, strict=True):
        gradient.copy_(part.view_as(gradient))


def mean(fabric: Fabric, values: Tensor) -> Tensor:
    """The mean of ``values`` over the processes; they may change in place."""
    if fabric.world_size == 1:
        return values
    found = fabric.all_reduce(values, reduce_op="mean")
    assert isinstance(found, Tensor)
    return found


def anyone(fabric: Fabric, mine: bool) -> bool:
    """Whether any process says so."""
    return bool(together(fabric, float(mine))[0])


def total(fabric: Fabric, *values: float) -> list[float]:
    """The sum of each value over the processes; it waits for all of them."""
    mine = torch.tensor(values, dtype=torch.float64, device=fabric.device)
    found: list[float] = (mean(fabric, mine) * fabric.world_size).tolist()
    return found
