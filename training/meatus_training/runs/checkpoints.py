"""Files of PyTorch: this project's checkpoints, the published format, states to go on from.

Every file is read with ``weights_only``: a checkpoint is data, and code in it is not run.
"""

from __future__ import annotations

import io
import pickle
import re
import warnings
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from meatus.atomic import write_whole
from meatus.errors import WeightsError
from meatus.spec import (
    ReferenceCrop,
    SliceNormalisation,
    Spec,
    Window,
    spec_from_json,
    spec_to_json,
)
from meatus.structures import CLASS_NAMES
from meatus_training.errors import TrainingError
from meatus_training.networks import ResUNet25d

STATE, SPEC = "state_dict", "spec"

# What torch puts before each name where the network was trained on several GPUs.
PARALLEL_PREFIX = "module."

# What tells a network's size: a tensor (width, 1, 1, 3, 3), and the numbers of blocks.
FIRST_CONV = "backbone.in_conv.conv.0.weight"
BLOCK = re.compile(r"backbone\.layer1\.(\d+)\.")

NAMED_IN_ERROR = 3  # tensors; a wrong architecture has dozens


def save_checkpoint(path: Path, network: ResUNet25d, spec: Spec, **extra: Any) -> None:
    """Write weights, spec and ``extra`` (tensors, numbers, texts, dicts and lists of them).

    The file appears whole or not at all. Raises ``OutputError`` where it cannot be written.
    """
    content = {**extra, STATE: network.state_dict(), SPEC: spec_to_json(spec)}
    write_state(path, content)


def load_checkpoint(path: Path) -> tuple[ResUNet25d, Spec, dict[str, Any]]:
    """Network, spec and the extra entries of a checkpoint of ``save_checkpoint``.

    Raises ``WeightsError`` where the file is missing, damaged, or not a checkpoint of this
    project.
    """
    content = _read(path)
    text = content.get(SPEC)
    if not isinstance(text, str):
        raise WeightsError(
            f"{path} has no '{SPEC}' entry, so it is not a checkpoint of this project. "
            "Published reference weights are read by 'import-checkpoint'."
        )
    spec = spec_from_json(text, str(path))
    network = _network(_state(content, path), path)
    extra = {name: value for name, value in content.items() if name not in (STATE, SPEC)}
    return network, spec, extra


def load_mean(paths: Sequence[Path]) -> tuple[ResUNet25d, Spec]:
    """The network whose every weight is the mean of those in ``paths``; the first one's spec.

    States of one training, or trainings from one start, lie in one basin, where the mean errs less
    than each (Izmailov et al., UAI 2018; Wortsman et al., ICML 2022). Raises ``WeightsError``
    where a file cannot be used, or two networks differ in size or in the input they know.
    """
    (network, spec), *others = (load_checkpoint(path)[:2] for path in paths)
    states = [network.state_dict()]
    for path, (other, known) in zip(paths[1:], others, strict=True):
        alike = (other.width, other.blocks) == (network.width, network.blocks)
        if not alike or not spec.same_input(known):
            raise WeightsError(
                f"{path} and {paths[0]} have no mean: their networks differ in size or in what "
                "they are shown; name states of one training"
            )
        states.append(other.state_dict())
    mean = {name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]}
    network.load_state_dict(mean)
    return network, spec


def import_checkpoint(path: Path) -> ResUNet25d:
    """The network in a published checkpoint; its size is read from its tensors.

    Weights lie under ``state_dict``, beside entries that do not matter here, or are the file's
    whole dictionary; names may begin with ``module.``. Raises ``WeightsError`` where the file
    is missing, damaged or not such a checkpoint, or where one tensor is missing, is of another
    shape or is not part of the network: weights are loaded whole or not at all.
    """
    return _network(_state(_read(path), path), path)


def imported_spec(network: ResUNet25d, file: Path) -> Spec:
    """How published weights want their input: crop, scaling and window of the publication."""
    return Spec(
        name=f"imported-{file.stem}",
        crop=ReferenceCrop(),
        normalisation=SliceNormalisation(),
        window=Window(depth=40, overlap=8),
        trained_on=f"imported from {file.name}; see its publisher",
        licence="as the checkpoint's publisher states",
        date=datetime.now(UTC).date().isoformat(),
        training_version="imported",
        width=network.width,
        blocks=network.blocks,
    )


def _read(path: Path) -> dict[str, Any]:
    """The dictionary in the file ``path``, on the processor, whatever device it came from."""
    try:
        data = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about foreign pickles, which end in an error below
            content = torch.load(data, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(_refusal(path, str(error))) from error
    except Exception as error:  # torch raises whatever its unpickler stumbles over
        raise WeightsError(
            f"{path} is not a whole PyTorch checkpoint; it is damaged or of another kind: "
            "get it again."
        ) from error
    if not isinstance(content, dict):
        raise WeightsError(
            f"{path} holds a {type(content).__name__}, expected a dictionary of tensors. "
            "Save the network's state_dict() and pass that."
        )
    return content


def _refusal(path: Path, reason: str) -> str:
    """Why torch would not read the file: it names the first object that is not plain data."""
    found = re.search(r"GLOBAL ([\w.]+)", reason)
    if found is None:
        return (
            f"{path} is not a checkpoint that can be read safely; it is damaged or of another "
            "kind: get it again."
        )
    return (
        f"{path} holds more than tensors and plain values ({found[1]}), and reading that would "
        "run code from the file. If you trust it, load it where it was made and save its "
        f"'{STATE}' entry alone."
    )


def _state(content: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """The tensors by their published names."""
    state = content.get(STATE, content)
    if not isinstance(state, Mapping) or not state:
        raise WeightsError(f"{path} has no tensors under '{STATE}'; it is not a checkpoint.")
    odd = [str(name) for name, value in state.items() if not isinstance(value, Tensor)]
    if odd:
        raise WeightsError(
            f"{path} is not a dictionary of tensors ({_some(odd)} are not). "
            f"Pass a file with the network's state_dict(), bare or under '{STATE}'."
        )
    return {str(name).removeprefix(PARALLEL_PREFIX): value for name, value in state.items()}


def _network(state: dict[str, Tensor], path: Path) -> ResUNet25d:
    """A network of the size that ``state`` has, with exactly these weights, in float32."""
    first = state.get(FIRST_CONV)
    blocks = {int(found[1]) for name in state if (found := BLOCK.match(name))}
    if first is None or not first.ndim or not first.numel() or not blocks:
        raise WeightsError(
            f"{path} holds {len(state)} tensors ({_some(list(state))}), but not a 2.5D ResUNet: "
            f"'{FIRST_CONV}' or the blocks of 'backbone.layer1' are missing."
        )
    # Sizes only, no memory: a damaged file may claim any.
    with torch.device("meta"):
        network = ResUNet25d(len(first), len(blocks), len(CLASS_NAMES))
    _check_whole(network, state, path)
    floats = {name: value.float() for name, value in state.items()}
    network.load_state_dict(floats, strict=True, assign=True)
    return network


def _check_whole(network: ResUNet25d, state: dict[str, Tensor], path: Path) -> None:
    """Raise ``WeightsError`` unless ``state`` is the network's, tensor by tensor."""
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    misshapen = [
        f"{name} {tuple(state[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in state and tuple(state[name].shape) != shape
    ]
    wrong = {"missing": missing, "unexpected": unexpected, "of another shape": misshapen}
    found = [f"{len(names)} {what} ({_some(names)})" for what, names in wrong.items() if names]
    if found:
        raise WeightsError(
            f"{path} does not fit the 2.5D ResUNet of width {network.width} with "
            f"{network.blocks} blocks: {'; '.join(found)}. Nothing was loaded; "
            "get a checkpoint of this network."
        )


def _some(names: list[str]) -> str:
    rest = len(names) - NAMED_IN_ERROR
    return ", ".join(names[:NAMED_IN_ERROR]) + (f" and {rest} more" if rest > 0 else "")


def write_state(file: Path, content: Mapping[str, Any]) -> None:
    """Write ``content``; the file appears whole or not at all, also where the power fails.

    Raises ``OutputError`` where the disk refuses.
    """
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    write_whole(file, buffer.getvalue(), durable=True)


def read_state(file: Path) -> dict[str, Any]:
    """What ``write_state`` wrote. Raises ``TrainingError`` where the file is damaged."""
    try:
        content: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # pickle and zip errors of many kinds
        raise TrainingError(
            f"{file} is not a whole checkpoint; delete it to start over."
        ) from error
    return content


def check_same_settings(
    file: Path, then: Mapping[str, Any], now: Mapping[str, Any], free: Collection[str], other: str
) -> None:
    """Raise ``TrainingError`` where settings differ that are not ``free`` to change.

    ``other`` says what a user may take instead of going on.
    """
    changed = [name for name in now if name not in free and then.get(name) != now[name]]
    if changed:
        raise TrainingError(
            f"{file} was trained with other settings ({', '.join(changed)}); "
            f"use those, {other}, or delete its folder to start over."
        )


def check_same_scans(file: Path, then: str, now: str, other: str) -> None:
    """Raise ``TrainingError`` where the fingerprints of the scans differ."""
    if then != now:
        raise TrainingError(
            f"{file} was trained on other scans; use {other}, or delete its folder to start over."
        )
