"""What a folder, a zip archive or a file holds of DICOM: one series to label for each study.

Lines say what was chosen and why, and what was left out. They hold nothing of the patient: words
of name and number are taken out of series descriptions, and where ``anonymous``, descriptions,
UIDs and file names are left out altogether.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from meatus.dicom.choice import Verdict, best, described, judge
from meatus.dicom.entries import Entry, entries_in, looks_like_dicom
from meatus.dicom.headers import Image, Traits, read_image
from meatus.dicom.stacks import Stack, stacks_of
from meatus.errors import ScanError, UsageError

LONGEST_NAME = 48  # of a description in a case's name
WHOLE_WORD = 4  # shorter words of a patient's name are looked for as whole words alone
NAME_DIGITS = 8  # of the hash in a case's name


@dataclass(frozen=True)
class StudyCase:
    """The series of one study that is to be labelled; ``refused`` says why there is none."""

    name: str  # for files: <description>-<hash of the series' UID>
    stack: Stack | None
    refused: str = ""


@dataclass(frozen=True)
class Found:
    """What a source holds."""

    cases: tuple[StudyCase, ...]
    lines: tuple[str, ...]  # what a user should see of the choice


def find_series(
    source: Path,
    series: str | None = None,
    *,
    recursive: bool = True,
    anonymous: bool = False,
    patient_names: bool = False,
) -> Found:
    """The hrT2 series of each study in ``source``, or the one with the UID ``series``.

    ``source`` is a folder, searched with all below it where ``recursive``, a .zip archive or a
    file. With ``patient_names`` cases are
    named after the patient. Raises ``UsageError`` where there is nothing to label.
    """
    images, lines = _images(source, recursive, anonymous)
    by_series: dict[str, list[Image]] = {}
    for image in images:
        by_series.setdefault(image.traits.series, []).append(image)
    if series is not None:
        return _one_series(source, by_series, series, lines, anonymous, patient_names)
    studies: dict[str, list[Stack]] = {}
    for members in by_series.values():
        studies.setdefault(members[0].traits.study, []).extend(_stacks(members, lines, anonymous))
    cases = []
    for number, stacks in enumerate(studies.values(), 1):
        title = f"study {number}: " if len(studies) > 1 else ""
        verdicts = [judge(stack) for stack in stacks]
        chosen = best(verdicts)
        if chosen is None and len(studies) == 1:
            raise UsageError(_nothing_found(source, verdicts, anonymous))
        lines += _told(title, chosen, verdicts, anonymous)
        cases.append(_case(chosen, verdicts, anonymous, patient_names))
    return Found(_with_names_apart(cases), tuple(lines))


def _images(source: Path, recursive: bool, anonymous: bool) -> tuple[list[Image], list[str]]:
    """All images of ``source``, each once, and lines about what else is there."""
    images: dict[str, Image] = {}
    other: list[Entry] = []
    damaged: list[str] = []
    twice = 0
    for entry in entries_in(source, recursive=recursive):
        if not looks_like_dicom(entry):
            other.append(entry)
            continue
        try:
            image = read_image(entry)
        except ScanError as error:
            damaged.append(str(error))
            continue
        if image is None:
            continue  # a DICOMDIR, a report, a plan: not an image, and not worth a line
        if image.uid in images:
            twice += 1
        else:
            images[image.uid or str(entry)] = image
    lines = []
    if other:
        example = "" if anonymous else f", such as {other[0]}"
        lines.append(f"left out: {len(other)} file(s) that are not DICOM{example}")
    if damaged:
        example = "" if anonymous else f", such as {damaged[0]}"
        lines.append(f"left out: {len(damaged)} damaged file(s){example}")
    if twice:
        lines.append(f"left out: {twice} file(s) that repeat an image (same SOP Instance UID)")
    if not images:
        raise UsageError(
            f"{source} holds no DICOM images"
            + (f" ({lines[0]})" if lines else "")
            + ". Pass the folder or zip archive of a study, or of one series."
        )
    return list(images.values()), lines


def _stacks(members: Sequence[Image], lines: list[str], anonymous: bool) -> list[Stack]:
    """A series' stacks; what cannot be a volume beside its largest is left out with a line."""
    stacks = stacks_of(members)
    if not stacks:  # images that do not say where they lie: photographs, captured screens
        traits = members[0].traits
        return [Stack(traits, ())]
    (largest, *rest) = stacks
    small = [stack for stack in rest if len(stack.planes) < len(largest.planes) / 2]
    if small:
        count = sum(len(stack.planes) for stack in small)
        title = _title(largest.traits, anonymous)
        lines.append(f"left out: {count} image(s) of {title} that lie otherwise (localisers)")
    return [stack for stack in stacks if stack not in small]


def _one_series(
    source: Path,
    by_series: dict[str, list[Image]],
    series: str,
    lines: list[str],
    anonymous: bool,
    patient_names: bool,
) -> Found:
    if series not in by_series:
        known = "" if anonymous else f"; found: {', '.join(by_series)}"
        raise UsageError(
            f"{source} holds no series {series}{known}. Pass one of these to --series."
        )
    stacks = _stacks(by_series[series], lines, anonymous)
    verdicts = [judge(stack) for stack in stacks]
    chosen = best(verdicts) or max(verdicts, key=lambda verdict: len(verdict.stack.planes))
    traits = chosen.stack.traits
    if not chosen.stack.planes or traits.samples != 1:
        why = "colour images" if traits.samples != 1 else "images that do not say where they lie"
        raise UsageError(f"series {series} of {source} holds {why}. Name another with --series.")
    doubt = "" if chosen.grade else f"; it would not have been chosen: {chosen.reason}"
    how = f"chosen by --series: {_title(traits, anonymous)}: {described(chosen.stack)}{doubt}"
    case = StudyCase(case_name(traits, patient_names=patient_names), chosen.stack)
    return Found((case,), (*lines, how))


def _told(
    title: str, chosen: Verdict | None, verdicts: Sequence[Verdict], anonymous: bool
) -> list[str]:
    if chosen is None:
        return []  # the case fails and says why
    lines = [f"{title}chosen: {_title(chosen.stack.traits, anonymous)}: {chosen.reason}"]
    for verdict in verdicts:
        if verdict is not chosen:
            why = verdict.reason if not verdict.grade else f"less fitting: {verdict.reason}"
            lines.append(f"{title}not chosen: {_listed(verdict, anonymous)}: {why}")
    return lines


def _listed(verdict: Verdict, anonymous: bool) -> str:
    traits = verdict.stack.traits
    uid = "" if anonymous else f" ({traits.series})"
    return f"{_title(traits, anonymous)}{uid}"


def _nothing_found(source: Path, verdicts: Sequence[Verdict], anonymous: bool) -> str:
    found = "; ".join(f"{_listed(verdict, anonymous)}: {verdict.reason}" for verdict in verdicts)
    return (
        f"{source}: no series looks like a hrT2 scan of both ears. {found}. "
        "Pass the hrT2 series, or name it with --series UID."
    )


def _case(
    chosen: Verdict | None, verdicts: Sequence[Verdict], anonymous: bool, patient_names: bool
) -> StudyCase:
    if chosen is not None:
        traits = chosen.stack.traits
        return StudyCase(case_name(traits, patient_names=patient_names), chosen.stack)
    traits = verdicts[0].stack.traits
    found = "; ".join(f"{_title(v.stack.traits, anonymous)}: {v.reason}" for v in verdicts)
    refused = (
        f"no series of this study looks like a hrT2 scan of both ears ({found}). "
        "Name it with --series UID."
    )
    return StudyCase(f"study-{_digest(traits.study)}", None, refused)


def _with_names_apart(cases: Sequence[StudyCase]) -> tuple[StudyCase, ...]:
    """``cases`` by name. Raises ``UsageError`` where two would write the same files."""
    twice = [name for name, count in Counter(case.name for case in cases).items() if count > 1]
    if twice:
        raise UsageError(f"two series would both be called {twice[0]}. Pass one study at a time.")
    return tuple(sorted(cases, key=lambda case: case.name))


def case_name(traits: Traits, *, patient_names: bool = False) -> str:
    """A name for files that tells the series and not the patient, unless that is asked for.

    The series' description without the patient's words, and eight digits of the SHA-256 of its
    UID: the same series always gets the same name.
    """
    text = f"{traits.patient_name if patient_names else ''} {plain_description(traits)}"
    slug = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:LONGEST_NAME].rstrip("_")
    return f"{slug or 'series'}-{_digest(traits.series)}"


def plain_description(traits: Traits) -> str:
    """The series' description without words of the patient's name and numbers."""
    text = traits.description
    for word in sorted(traits.patient, key=len, reverse=True):
        if len(word) > 1:
            edge = "" if len(word) >= WHOLE_WORD else r"\b"
            text = re.sub(f"{edge}{re.escape(word)}{edge}", " ", text, flags=re.IGNORECASE)
    return " ".join(text.split())


def _title(traits: Traits, anonymous: bool) -> str:
    number = f"series {traits.number}" if traits.number is not None else "a series"
    description = "" if anonymous else plain_description(traits)
    return f"{number} '{description}'" if description else number


def _digest(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:NAME_DIGITS]


def obstacle(stack: Stack) -> str:
    """Why no DICOM object can refer to the images of ``stack``; empty where one can."""
    traits = stack.traits
    for value, what in (
        (traits.study, "Study Instance UID"),
        (traits.frame_of_reference, "Frame of Reference UID"),
        (
            all(plane.uid and plane.sop_class for plane in stack.planes),
            "SOP Class or Instance UIDs",
        ),
    ):
        if not value:
            return f"the series states no {what}"
    files = {plane.entry for plane in stack.planes}
    if len(files) > 1 and any(plane.frames > 1 for plane in stack.planes):
        return "the series has several files of many frames"
    return ""
