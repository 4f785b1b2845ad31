"""Runs of the commands that take a second: small scans, and a network of four numbers."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from click.testing import CliRunner

from meatus.cli import main
from meatus.spec import PhysicalCrop, VolumeNormalisation
from tests.meatus.onnx_files import tiny_spec, write_network

ROOT = Path(__file__).resolve().parents[2]
SPEC = tiny_spec(
    crop=PhysicalCrop(size=(96, 80), spacing_mm=1.0),
    normalisation=VolumeNormalisation(upper=100, power=1),
)


def write_weights(folder, spec=SPEC):
    """Two networks that call bright voxels cochlea and all others background."""
    members = []
    for name in ("a.onnx", "b.onnx"):
        slopes = (-20.0, -9.0, -9.0, 20.0 if name == "a.onnx" else 21.0)
        write_network(folder / name, spec, slopes=slopes)
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        members.append({"file": name, "sha256": digest, "trained_on": "nothing"})
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "members": members}))
    return folder


def save_scan(path, seed=0):
    """A head of 100 mm with two bright balls, one at each side."""
    z, y, x = np.mgrid[:12, :120, :120]
    head = np.where((x - 60) ** 2 + (y - 60) ** 2 < 55**2, 100, 0)
    head = head + np.random.default_rng(seed).integers(0, 20, head.shape)
    for centre in (25, 95):
        head[(x - centre) ** 2 + (y - 60) ** 2 + 4 * (z - 6) ** 2 < 16] = 1000
    if path.suffix == ".mha":
        image = sitk.GetImageFromArray(head.astype(np.int16))
        image.SetSpacing((1.0, 1.0, 1.5))
        sitk.WriteImage(image, path)
        return path
    affine = np.diag([-1.0, -1.0, 1.5, 1.0])
    nib.save(nib.Nifti1Image(head.transpose(2, 1, 0).astype(np.int16), affine), path)
    return path


def command(*arguments):
    return [sys.executable, "-m", "meatus", *map(str, arguments)]


def run(*arguments, wrapper=(), **environment):
    """The command in a process of its own, as a user starts it."""
    return subprocess.run(
        [*wrapper, *command(*arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def run_here(*arguments):
    """The command in this process, where its steps can be exchanged."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments])
