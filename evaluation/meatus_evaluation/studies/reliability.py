"""Whether the pipeline knows what it does not know: probabilities and flags beside the truth."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from meatus.atomic import write_whole
from meatus.ensemble import Model
from meatus.geometry import nearest_labels
from meatus.io.images import read_scan
from meatus.pipeline import segment
from meatus.report.measure import measure_found, structure_masks
from meatus.structures import Structure
from meatus_evaluation.scoring.match import Pair
from meatus_evaluation.scoring.measures import dice
from meatus_evaluation.scoring.score import read_labels

BINS = 10
# Below it a structure is out of the question: a scan's plain voxels would hide the rest.
LEAST_P = 0.01
POOR_DICE = 0.7  # of the whole tumour
# Flags that speak of the scan, not of what was found in it.
OF_THE_SCAN = ("unusual spacing", "few slices", "structure at the border")

INCHES, DPI = (5.2, 5.0), 100  # of the curves
FEWEST = 30  # voxels in a bin that is drawn: shares of fewer are noise
TEMPERATURES = (0.25, 8.0)  # of which the best is looked for

CLASSES: dict[str, tuple[Structure, ...]] = {
    "whole_vs": (Structure.EXTRA_MEATAL, Structure.INTRA_MEATAL),
    "extra_meatal": (Structure.EXTRA_MEATAL,),
    "intra_meatal": (Structure.INTRA_MEATAL,),
    "cochlea": (Structure.COCHLEA,),
}


@dataclass(frozen=True)
class Bins:
    """Voxels of one structure by the probability that they were given, in ``BINS`` equal steps."""

    voxels: NDArray[np.int64]
    p: NDArray[np.float64]  # sums of the probabilities
    true: NDArray[np.int64]  # voxels that the reference has

    def __add__(self, other: Bins) -> Bins:
        return Bins(self.voxels + other.voxels, self.p + other.p, self.true + other.true)

    @property
    def expected_error(self) -> float:
        """Expected calibration error: the mean of |p - share of true|, by voxels (Guo 2017)."""
        total = int(self.voxels.sum())
        return float(np.abs(self.p - self.true).sum() / total) if total else float("nan")

    def as_json(self) -> dict[str, Any]:
        return {
            "voxels": self.voxels.tolist(),
            "mean_p": _share(self.p, self.voxels),
            "share_true": _share(self.true, self.voxels),
            "expected_calibration_error": self.expected_error,
        }


@dataclass(frozen=True)
class Answers:
    """Voxels where a structure is possible or true: what was said of each, and what it is."""

    log_p: NDArray[np.float32]  # (N, C)
    true: NDArray[np.uint8]  # (N,)


@dataclass(frozen=True)
class Trial:
    """One case, labelled and compared."""

    case: str
    whole_vs_dice: float
    expected_dice: float | None
    flags: tuple[str, ...]
    bins: dict[str, Bins]
    answers: Answers

    @property
    def alarms(self) -> tuple[str, ...]:
        """The flags on what was found, without those on the scan."""
        return tuple(flag for flag in self.flags if not flag.startswith(OF_THE_SCAN))


@dataclass(frozen=True)
class Alarms:
    """How many of the poor cases are flagged, and how many of the good ones."""

    poor: int  # whole-VS Dice below POOR_DICE
    caught: int
    good: int
    false: int


@dataclass(frozen=True)
class Reliability:
    """What all cases say together."""

    bins: dict[str, Bins]  # by structure
    alarms: Alarms
    temperature: float | None  # the best; None without voxels


def reliability_of(trials: Sequence[Trial]) -> Reliability:
    return Reliability(all_bins(trials), count_alarms(trials), best_temperature(trials))


def try_case(pair: Pair, model: Model) -> Trial:
    """Label the scan ``pair.prediction`` and compare with its reference.

    Probabilities are compared on the network's grid, label maps on the scan's.
    Raises ``ScanError`` where a file cannot be used.
    """
    assert pair.prediction is not None, "the scan"
    scan = read_scan(pair.prediction)
    reference, grid = read_labels(pair.reference, "2023")
    found = segment(scan, model)
    probabilities = found.probabilities
    assert probabilities is not None, "segment gives them"
    truth = structure_masks(nearest_labels(reference, grid, scan.geometry))["whole_vs"]
    labels = nearest_labels(reference, grid, probabilities.geometry)
    near = structure_masks(labels)
    return Trial(
        case=pair.case,
        whole_vs_dice=dice(structure_masks(found.labels.voxels)["whole_vs"], truth),
        expected_dice=found.certainty.expected_dice,
        flags=measure_found(found).flags,
        bins={
            name: fill_bins(probabilities.voxels[list(classes)].sum(axis=0), near[name])
            for name, classes in CLASSES.items()
        },
        answers=answers_of(probabilities.voxels, labels),
    )


def answers_of(p: NDArray[np.floating[Any]], labels: NDArray[np.uint8]) -> Answers:
    """Of ``p`` (C, Z, Y, X) and ``labels`` (Z, Y, X)."""
    counted = (p[Structure.BACKGROUND] <= 1 - LEAST_P) | (labels > 0)
    smallest = np.finfo(np.float32).tiny
    log_p = np.log(np.maximum(p[:, counted].T, smallest), dtype=np.float32)
    return Answers(log_p, labels[counted])


def best_temperature(trials: Sequence[Trial]) -> float | None:
    """What the network's logits are to be divided by for the likeliest truth; None without voxels.

    Above 1 the network is too sure. The logarithms of probabilities are logits but for a constant
    that the softmax takes out again. Source: Guo et al., ICML 2017. Of several passes that were
    averaged it is an estimate.
    """
    log_p = np.concatenate([trial.answers.log_p for trial in trials])
    true = np.concatenate([trial.answers.true for trial in trials])
    if not true.size:
        return None

    def unlikely(log_temperature: float) -> float:
        logits = log_p / np.float32(np.exp(log_temperature))
        chosen = np.take_along_axis(logits, true[:, None].astype(np.intp), axis=1)[:, 0]
        return float((scipy.special.logsumexp(logits, axis=1) - chosen).mean())

    between = np.log(TEMPERATURES)
    found = scipy.optimize.minimize_scalar(unlikely, bounds=between, method="bounded")
    return float(np.exp(found.x))


def fill_bins(p: NDArray[np.floating[Any]], true: NDArray[np.bool_]) -> Bins:
    """Sort the voxels where a structure is possible or true by ``p``, of the same shape."""
    counted = (p >= LEAST_P) | true
    given, is_true = p[counted].astype(np.float64), true[counted]
    place = np.minimum((given * BINS).astype(np.int64), BINS - 1)
    return Bins(
        np.bincount(place, minlength=BINS),
        np.bincount(place, weights=given, minlength=BINS).astype(np.float64),
        np.bincount(place[is_true], minlength=BINS),
    )


def all_bins(trials: Sequence[Trial]) -> dict[str, Bins]:
    """The bins of all cases together, by structure."""
    empty = Bins(np.zeros(BINS, np.int64), np.zeros(BINS), np.zeros(BINS, np.int64))
    return {name: sum((trial.bins[name] for trial in trials), empty) for name in CLASSES}


def count_alarms(trials: Sequence[Trial]) -> Alarms:
    poor = [trial for trial in trials if trial.whole_vs_dice < POOR_DICE]
    good = [trial for trial in trials if trial.whole_vs_dice >= POOR_DICE]
    return Alarms(len(poor), _flagged(poor), len(good), _flagged(good))


def as_json(found: Reliability, trials: Sequence[Trial]) -> dict[str, Any]:
    return {
        "structures": {name: bins.as_json() for name, bins in found.bins.items()},
        "best_temperature": found.temperature,
        "alarms": vars(found.alarms),
        "poor_dice": POOR_DICE,
        "cases": [
            {
                "case": trial.case,
                "whole_vs_dice": trial.whole_vs_dice,
                "expected_dice": trial.expected_dice,
                "flags": list(trial.flags),
            }
            for trial in trials
        ],
    }


def draw_reliability(bins: dict[str, Bins], out: Path) -> None:
    """One curve per structure: the share of true voxels over the mean probability of a bin."""
    from meatus.report.plotting import Figure  # matplotlib only where it is needed

    figure = Figure(figsize=INCHES, dpi=DPI, layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="perfect")
    for name, one in bins.items():
        drawn = one.voxels >= FEWEST
        label = f"{name.replace('_', '-')} (expected error {one.expected_error:.3f})"
        voxels = one.voxels[drawn]
        axes.plot(one.p[drawn] / voxels, one.true[drawn] / voxels, marker="o", ms=4, label=label)
    axes.set(xlabel="probability", ylabel="share of voxels that are so", xlim=(0, 1), ylim=(0, 1))
    axes.set_aspect("equal")
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_whole(out, content.getvalue())


def _flagged(trials: Sequence[Trial]) -> int:
    return sum(bool(trial.alarms) for trial in trials)


def _share(part: NDArray[Any], of: NDArray[np.int64]) -> list[float | None]:
    return [float(a / b) if b else None for a, b in zip(part, of, strict=True)]
