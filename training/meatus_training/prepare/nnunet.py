"""Raw folders of nnU-Net: dataset.json, imagesTr, labelsTr, imagesTs.

A channel whose name holds T1 is the source, with the label maps; one whose name holds T2 is the
target (of imagesTs: validation), and its label maps are not read. Both may be channels of one
data set, or data sets of their own, side by side in one folder.
"""

from __future__ import annotations

import re
from pathlib import Path

from meatus.io.images import not_read, scan_ending
from meatus_evaluation.scoring.match import site_of
from meatus_training.prepare.description import FILE, Description, describe
from meatus_training.prepare.raw import Found, RawCase, duplicates, shown, skipped_note


def data_sets(data: Path) -> list[Path]:
    """``data``, or the folders in it, that are nnU-Net data sets."""
    folders = [data, *sorted(path for path in data.iterdir() if path.is_dir())]
    return [path for path in folders if (path / FILE).is_file()]


def find_nnunet(data: Path) -> Found:
    """All scans of the data sets in ``data``."""
    cases: list[RawCase] = []
    problems: list[str] = []
    notes: list[str] = []
    for folder in data_sets(data):
        described, wrong = describe(folder)
        problems += [f"{shown(folder / FILE, data)}: {line}" for line in wrong]
        if described is not None:
            cases += _training(described) + _held_out(described)
            problems += _incomplete(described, data)
            notes += _notes(described, data)
    problems += duplicates(cases, data)
    return Found("nnU-Net raw", tuple(cases), tuple(problems), tuple(notes))


def _training(told: Description) -> list[RawCase]:
    images, labels = _files(told, "imagesTr"), _files(told, "labelsTr")
    cases = []
    for name in _names(images):
        for channel, modality in told.channels:
            scan, label = images.get(f"{name}_{channel}"), labels.get(name)
            if scan and modality == "hrT2":
                cases.append(RawCase(name, "target", site_of(name), modality, scan))
            elif scan and label:
                site = site_of(name)
                cases.append(RawCase(name, "source", site, modality, scan, label, told.parts))
    return cases


def _held_out(told: Description) -> list[RawCase]:
    images = _files(told, "imagesTs")
    return [
        RawCase(name, "validation", site_of(name), modality, images[f"{name}_{channel}"])
        for name in _names(images)
        for channel, modality in told.channels
        if modality == "hrT2" and f"{name}_{channel}" in images
    ]


def _incomplete(told: Description, data: Path) -> list[str]:
    """A line for each file that is missing, and for each label map without a scan."""
    images, labels = _files(told, "imagesTr"), _files(told, "labelsTr")
    names = _names(images)
    missing = [
        told.folder / "imagesTr" / f"{name}_{channel}{told.ending}"
        for name in names
        for channel, _ in told.channels
        if f"{name}_{channel}" not in images
    ]
    if any(modality == "ceT1" for _, modality in told.channels):
        unlabelled = (name for name in names if name not in labels)
        missing += [told.folder / "labelsTr" / f"{name}{told.ending}" for name in unlabelled]
    lines = [f"{shown(file, data)}: is missing." for file in missing]
    channels = {channel for channel, _ in told.channels}
    lines += [
        f"{shown(file, data)}: not <case>_<channel>{told.ending} of a channel in {FILE}."
        for stem, file in (images | _files(told, "imagesTs")).items()
        if stem[-4:] not in channels or stem[-5:-4] != "_"
    ]
    lines += [
        f"{shown(file, data)}: its scan in imagesTr is missing."
        for name, file in labels.items()
        if name not in names
    ]
    if told.count is not None and told.count != len(names):
        file = shown(told.folder / FILE, data)
        lines.append(f"{file}: numTraining is {told.count}; imagesTr holds {len(names)} cases.")
    return lines


def _notes(told: Description, data: Path) -> list[str]:
    folders = {modality: told.folder for _, modality in told.channels}
    lines: list[str] = []
    listed = [
        file
        for folder in ("imagesTr", "labelsTr", "imagesTs")
        if (told.folder / folder).is_dir()
        for file in sorted((told.folder / folder).iterdir())
    ]
    lines += skipped_note(not_read(listed, (told.ending.lower(),)), data)
    if "hrT2" in folders and _files(told, "labelsTr"):
        name = shown(told.folder / "labelsTr", data)
        lines.append(f"{name}: not read for hrT2 scans; nothing may learn the target's labels.")
    if "ceT1" in folders and _files(told, "imagesTs"):
        name = shown(told.folder / "imagesTs", data)
        lines.append(f"{name}: ceT1 scans here are left aside; they have no label maps.")
    return lines


def _files(told: Description, folder: str) -> dict[str, Path]:
    """Files by their name without the ending."""
    found = (told.folder / folder).iterdir() if (told.folder / folder).is_dir() else ()
    endings = {file: scan_ending(file.name, (told.ending.lower(),)) for file in sorted(found)}
    return {
        file.name.removesuffix(ending): file
        for file, ending in endings.items()
        if ending and not file.name.startswith(".")
    }


def _names(images: dict[str, Path]) -> list[str]:
    return sorted({re.sub(r"_\d{4}$", "", stem) for stem in images})
