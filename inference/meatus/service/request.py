"""What the user asked ``predict`` for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from meatus.engines import Device
from meatus.ensemble import Quality
from meatus.grand_challenge import MODEL_FOLDER, OUTPUT_SLUG
from meatus.postprocess import Tumours
from meatus.service.batch import OnError
from meatus.service.results import Kind

Fusion = Literal["mean", "vote"]


@dataclass(frozen=True)
class Part:
    """Every ``of``-th case from number ``number``, which begins with 1."""

    number: int
    of: int
    why: str = ""  # where it was not asked for

    def holds(self, case: int) -> bool:
        """Whether the case of this number, from 1, is of the part."""
        return (case - self.number) % self.of == 0


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    source: Path
    output: Path
    weights: Path | None = None  # None: the shipped ones, or those of the model folder
    device: Device = "auto"
    quality: Quality | None = None
    tumours: Tumours = "ears"
    fusion: Fusion = "mean"
    resume: bool = False
    on_error: OnError = "fail"
    cache: Path | None = None
    threads: int | None = None
    anonymous_log: bool = False
    input_slug: str | None = None
    output_slug: str = OUTPUT_SLUG
    model_folder: Path = MODEL_FOLDER
    report: Path | None = None
    pdf: bool = False
    log_json: bool = False
    quiet: bool = False
    models: Path | None = None  # where sets of weights are installed
    kinds: tuple[Kind, ...] | None = None  # None: what the input gives
    series: str | None = None  # UID of the DICOM series to label
    patient_names: bool = False
    strict: bool = False  # whether scans of another contrast are refused
    keep_doubtful: bool = False  # whether tumours where no ear can be are written
    probabilities: bool = False  # whether soft maps are written
    label_names: bool = False  # whether what NIfTI viewers read of them is written
    recursive: bool = True  # whether sub-folders of ``source`` are searched
    part: Part | None = None  # of the cases; None: all
    jobs: int = 1  # processes that share the cases
    cluster: str | None = None  # of Dask: its address, or local:N
    debug: bool = False
