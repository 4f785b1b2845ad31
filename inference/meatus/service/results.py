"""What a case leaves: a label map, and of a DICOM series the objects that a PACS or planner takes.

All that a case leaves is made before any of it is put in its place, the label map last.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from meatus.ensemble import Model
from meatus.errors import UsageError
from meatus.io.images import SUFFIXES, write_maps
from meatus.postprocess import Rules
from meatus.restore import class_maps
from meatus.service.cases import Case
from meatus.service.destinations import longest_name
from meatus.service.output_folder import OutputFolder
from meatus.structures import Structure
from meatus.volumes import Labels, Segmented
from meatus.weights import find_networks

Kind = Literal["nifti", "dicom-seg", "dicom-sr", "rtstruct", "probabilities"]
KINDS: tuple[Kind, ...] = ("nifti", "dicom-seg", "dicom-sr", "rtstruct")  # by --output
DEFAULT_OF_DICOM: tuple[Kind, ...] = ("nifti", "dicom-seg")
ENDINGS: dict[Kind, str] = {
    "dicom-seg": ".seg.dcm", "dicom-sr": ".sr.dcm", "rtstruct": ".rtstruct.dcm",
}  # fmt: skip
SOFT_ENDING = "_probabilities.nii.gz"


def parse_kinds(text: str) -> tuple[Kind, ...]:
    """Of ``nifti,dicom-seg``; an SR points at segments, so it brings them. ``ValueError``."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    unknown = [word for word in words if word not in KINDS]
    if unknown or not words:
        raise ValueError(f"{', '.join(unknown) or 'nothing'}; expected some of {', '.join(KINDS)}")
    wanted = {*words, "dicom-seg"} if "dicom-sr" in words else set(words)
    return tuple(kind for kind in KINDS if kind in wanted)


def kinds_of(
    case: Case,
    asked: Sequence[Kind] | None,
    say: Callable[[str], None] = lambda _line: None,
    *,
    probabilities: bool = False,
) -> tuple[Kind, ...]:
    """What ``case`` leaves. ``say`` hears what is left out where nothing was ``asked`` for.

    Raises ``UsageError`` where something was asked for that its scan cannot give.
    """
    kinds = _kinds_of(case, asked, say)
    return (*kinds, "probabilities") if probabilities else kinds


def _kinds_of(
    case: Case, asked: Sequence[Kind] | None, say: Callable[[str], None]
) -> tuple[Kind, ...]:
    """Raises ``UsageError`` where something was asked for that its scan cannot give."""
    dicom = [kind for kind in asked or () if kind != "nifti"]
    if case.series is None:
        if dicom and not case.refused:
            raise UsageError(
                f"--output {','.join(dicom)} refers to the images of a DICOM series, and "
                f"{case.scan} is none. Pass the DICOM study, or --output nifti."
            )
        return tuple(asked) if asked else ("nifti",)
    from meatus.dicom.study import obstacle

    fault = obstacle(case.series)
    if not fault:
        return tuple(asked or DEFAULT_OF_DICOM)
    if dicom:
        raise UsageError(
            f"--output {','.join(dicom)} of {case.name}: {fault}. Pass --output nifti."
        )
    if asked is None:
        say(f"{case.name}: no DICOM-SEG, as {fault}")
    return ("nifti",)


def result_stem(result: Path) -> str:
    """A result's path without its ending."""
    ending = next(end for end in (*ENDINGS.values(), *SUFFIXES) if result.name.endswith(end))
    return str(result).removesuffix(ending)


def paths_of(case: Case, kinds: Sequence[Kind]) -> dict[Kind, Path]:
    """The files that ``case`` leaves."""
    return {kind: _path_of(case, kind) for kind in kinds}


def _path_of(case: Case, kind: Kind) -> Path:
    if kind == "nifti":
        return case.result
    if kind == "probabilities":
        return case.soft or Path(f"{result_stem(case.result)}{SOFT_ENDING}")
    return Path(f"{result_stem(case.result)}{ENDINGS[kind]}")


def is_done(case: Case, kinds: Sequence[Kind]) -> bool:
    """Whether all that ``case`` leaves is there."""
    beside = (path for path, _ in case.sidecars)
    return not case.refused and all(
        path.exists() for path in (*paths_of(case, kinds).values(), *beside)
    )


def with_short_names(kinds: dict[Case, tuple[Kind, ...]]) -> dict[Case, tuple[Kind, ...]]:
    """The same, but cases whose results cannot be named on their disk are refused, each alone."""
    kept = {}
    limits: dict[Path, int | None] = {}
    for case, of_case in kinds.items():
        folder = case.result.parent
        if folder not in limits:
            limits[folder] = longest_name(folder)
        names = [path.name for path in paths_of(case, of_case).values()]
        most, longest = limits[folder], max(names, key=lambda name: len(os.fsencode(name)))
        if most is not None and len(os.fsencode(longest)) > most:
            fault = (
                f"the name of its result, {longest}, has {len(os.fsencode(longest))} bytes; names "
                f"in {folder} have at most {most}. Give the scan a shorter one, or choose another "
                "disk."
            )
            kept[replace(case, refused=case.refused or fault)] = of_case
        else:
            kept[case] = of_case
    return kept


@dataclass(frozen=True)
class Results:
    """Writes what cases leave into one run's output folder."""

    folder: OutputFolder
    kinds: dict[Case, tuple[Kind, ...]]
    weights: Path
    model: Model
    rules: Rules
    named: bool = False  # whether NIfTI label maps tell their labels' names

    def write(self, case: Case, found: Segmented | Labels) -> None:
        """All files of ``case``; of ``Labels`` that stand for a failed one, the map alone.

        Raises ``OutputError`` where a file cannot be written.
        """
        paths = paths_of(case, self.kinds[case])
        labels = found if isinstance(found, Labels) else found.labels
        made = {} if isinstance(found, Labels) else self._objects(case, found)
        with self._soft_maps(found, paths.get("probabilities")):
            for kind, data in made.items():
                self.folder.put_bytes(data, paths[kind])
            for path, data in case.sidecars:
                self.folder.put_bytes(data, path)
        if "nifti" in paths:
            self.folder.put(labels, paths["nifti"], named=self.named)

    @contextmanager
    def _soft_maps(self, found: Segmented | Labels, path: Path | None) -> Iterator[None]:
        """They are made before the block, and put in their place after it."""
        if path is None or isinstance(found, Labels) or found.probabilities is None:
            yield
            return
        maps = class_maps(found.probabilities, found.labels.geometry)
        with self.folder.putting(path) as unfinished:
            write_maps(maps, len(Structure), found.labels, unfinished)
            yield

    def _objects(self, case: Case, found: Segmented) -> dict[Kind, bytes]:
        """The DICOM files of ``case``."""
        kinds = set(self.kinds[case]) & ENDINGS.keys()
        if case.series is None or not kinds:
            return {}
        from meatus.dicom.origin import Algorithm, file_bytes, origin_of
        from meatus.dicom.rtstruct import structure_set
        from meatus.dicom.seg import segmentation
        from meatus.dicom.sr import report
        from meatus.report.measure import measure_found

        algorithm = Algorithm(self._networks, self.model.quality)
        origin = origin_of(found.labels, case.series, algorithm)
        made: dict[Kind, bytes] = {}
        if "dicom-seg" in kinds:
            segments = segmentation(origin)
            made["dicom-seg"] = file_bytes(segments)
            if "dicom-sr" in kinds:
                measures = measure_found(found, self.rules.between_ears_mm)
                made["dicom-sr"] = file_bytes(report(origin, segments, measures))
        if "rtstruct" in kinds:
            made["rtstruct"] = file_bytes(structure_set(origin))
        return made

    @cached_property
    def _networks(self) -> tuple[str, ...]:
        """File name and SHA-256 of each network that is used."""
        members = find_networks(self.weights).members[: len(self.model.members)]
        return tuple(
            f"{file.name} SHA-256 {hashlib.sha256(file.read_bytes()).hexdigest()}"
            for file, _ in members
        )
