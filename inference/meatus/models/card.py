"""The model card of a set of weights (Mitchell et al., FAT* 2019), from its manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import JsonValue

from meatus.spec import Spec
from meatus.weights import Manifest, find_members, read_manifest, read_spec

CARD = "MODEL_CARD.md"
UNKNOWN = "not stated"


def model_card(folder: Path) -> str:
    """Markdown of the set in ``folder``: origin, judgement, limits, files.

    Raises ``WeightsError`` where a file is missing or damaged.
    """
    manifest = read_manifest(folder)
    specs = [read_spec(path) for path, _ in find_members(folder)]
    return "\n".join(_lines(manifest, specs)) + "\n"


def _lines(manifest: Manifest, specs: Sequence[Spec]) -> Iterator[str]:
    origins = list(dict.fromkeys(spec.origin for spec in specs))
    yield f"# Model card: {title(manifest)}"
    yield ""
    yield f"**{manifest.notice or 'Research software, not for clinical use.'}**"
    yield ""
    yield "| | |"
    yield "|---|---|"
    yield "| finds | vestibular schwannoma outside and inside the meatus, both cochleae |"
    yield "| in | high-resolution T2 MRI (hrT2) without contrast agent |"
    yield f"| trained on | {_cell('; '.join(origins))} |"
    yield f"| licence | {_cell(', '.join(dict.fromkeys(spec.licence for spec in specs)))} |"
    yield f"| members | {len(specs)} |"
    if manifest.purpose:
        yield from ("", "## What it is for", "", manifest.purpose)
    yield from ("", "## What it was judged by", "")
    yield from _listed(manifest.judged_by)
    yield from ("", "## Where it errs", "")
    yield from _listed(manifest.limits)
    yield from ("", "## Files", "")
    for member, spec in zip(manifest.members, specs, strict=True):
        yield f"### {member.file}"
        yield ""
        yield f"- SHA-256: `{member.sha256}`"
        yield f"- {spec.name}: width {spec.width}, {spec.blocks} blocks, {spec.precision}"
        yield f"- made {spec.date} with code {spec.training_version}"
        yield f"- trained on: {spec.trained_on}"
        yield from (f"- fine-tuned from {before}" for before in spec.history)
        for name, value in {**member.made, **member.scores}.items():
            yield f"- {name}: {told(value)}"
        yield ""
    yield "Made from manifest.json, whose SHA-256 are checked on every load."


def title(manifest: Manifest) -> str:
    return f"{manifest.name or 'unnamed'} {manifest.version}".strip()


def told(value: JsonValue) -> str:
    """A value of the manifest in a line."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {told(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(told, value))
    return str(value)


def _listed(sentences: Sequence[str]) -> Iterator[str]:
    yield from (f"- {sentence}" for sentence in sentences or (f"{UNKNOWN.capitalize()}.",))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
