"""The text that goes with a submission: what it is, what it needs, what comes out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from meatus import __version__
from meatus.weights import describe, find_members, read_spec

# Resources were measured with ``meatus stages`` on the benchmark's large scan, with
# one untrained network of width 32 and 3 blocks, quality "standard": 1763 MiB at the peak and
# 101 s on two cores that other work shared.
TEXT = """\
# Meatus {version}

Labels the vestibular schwannoma and both cochleae in high-resolution T2 MRI (hrT2), without
contrast agent. **Research software, not for clinical use.** Its weights were trained on:
{trained_on}.

## Files

{files}

## Weights

{weights}

## Sockets on grand-challenge.org

- input: image socket `{scan}`, one `.mha` in `/input/images/{scan}/`
- output: image socket `{result}`, one `.mha` in `/output/images/{result}/`: compressed, 8 bit, on
  the scan's own grid
- settings of the container: `MEATUS_OUTPUT_SLUG={result}`, and where a job has several images
  `MEATUS_INPUT_SLUG={scan}`
- model tarball, unpacked at `/opt/ml/model`: used instead of the weights in the image

| value | meaning |
|---|---|
| 0 | background |
| 1 | vestibular schwannoma outside the meatus (extra-meatal) |
| 2 | vestibular schwannoma inside the meatus (intra-meatal) |
| 3 | both cochleae |

## Run by the organisers of crossMoDA

    docker load -i image.tar.gz
    docker run --rm -v IN:/input:ro -v OUT:/output IMAGE

Every `/input/<case>_T2.nii.gz` gives `/output/<case>.nii.gz`. OUT must be writable for the
container's user, or for the one that `--user` names.

## Resources

- memory: ask for 8 GB. On a processor, a scan of 512 x 512 x 256 voxels took 1.8 GB at the peak
  with one network of width 32.
- GPU: none needed; one is used where CUDA works. Its memory was not measured.
- time: under two minutes for that scan on two shared processor cores; a limit of ten minutes
  leaves room for an ensemble.
- network: none. Written to: `/output`, and at most `/tmp`.

## When it fails

Exit code 0: all done. 1: a scan could not be labelled. 2: nothing was started. The reason is one
line on stderr; the log is on stdout. With `MEATUS_ANONYMOUS_LOG=1` neither names a file.
"""


@dataclass(frozen=True)
class Sockets:
    """The slugs that a job's two images have on grand-challenge.org."""

    scan: str
    result: str


def describe_submission(weights: Path, sockets: Sockets, files: tuple[Path, ...]) -> str:
    """The description in Markdown; nothing in it is left to fill in."""
    trained_on = sorted({read_spec(path).trained_on for path, _ in find_members(weights)})
    return TEXT.format(
        version=__version__,
        trained_on="; ".join(trained_on),
        files="\n".join(_file_line(file) for file in files),
        weights="\n".join(f"    {line}" for line in describe(weights)),
        scan=sockets.scan,
        result=sockets.result,
    )


def _file_line(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"- `{path.name}`: {path.stat().st_size:,} bytes, SHA-256 `{digest}`"
