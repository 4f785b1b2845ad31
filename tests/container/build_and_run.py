"""Builds an image from the Dockerfile and runs it on two generated scans.

    python -m tests.container.build_and_run [--target cpu|gpu] [--base IMAGE] [--keep]

Needs Docker, or root with buildah, runc and debootstrap. Ends with an error where a promise of
the image does not hold.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np

from meatus import __version__
from meatus.spec import PhysicalCrop, VolumeNormalisation
from tests.container.engines import ROOT, Job, UnavailableError, choose_engine
from tests.meatus.onnx_files import tiny_spec, write_network
from tests.scans.stored import SCANS, SCORES, scores_of

CASES = {"left_T2": (25, 0.6), "right_hrT2": (95, 0.5)}  # a ball's place along x, voxels in mm
USERS = (None, "12345:6789")  # the image's own, and one that exists nowhere
# A case's budget, the published method's seconds, and what `make budget` allows outside the image.
MOST_S, MOST_MIB, DICE_MARGIN = 27.0, 1024.0, 0.03
# Bytes that the cpu image may add to its base; 272e6 are SimpleITK, which reads pixels of DICOM.
BELOW_BASE = 750e6
# Run inside: what there is of networks, capabilities and places to write.
PROBE = """
import json, os, pathlib
def writable(folder):
    try:
        file = pathlib.Path(folder, "probe")
        file.touch()
        file.unlink()
    except OSError:
        return False
    return True
status = dict(line.split(":") for line in open("/proc/self/status") if line.startswith("CapBnd"))
print(json.dumps({
    "uid": os.getuid(),
    "routes": len(open("/proc/net/route").readlines()) - 1,
    "rights": int(status["CapBnd"], 16),
    "writable": [p for p in ("/", "/etc", "/input", "/opt/meatus", "/tmp", "/var") if writable(p)],
}))
"""
INSIDE = {"LICENSE", "venv"}


say = partial(print, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--target", choices=("cpu", "gpu"), default="gpu")
    parser.add_argument("--base", help="base image; default: python:3.11-slim, Debian for buildah")
    parser.add_argument("--keep", action="store_true", help="do not remove the image afterwards")
    arguments = parser.parse_args()
    try:
        build_and_check(arguments.target, arguments.base, arguments.keep)
    except UnavailableError as reason:
        sys.exit(f"error: {reason}")


def build_and_check(target, base=None, keep=False):
    """Raises ``UnavailableError`` where nothing can be built here."""
    engine = choose_engine()
    base = base or engine.base()
    start = time.monotonic()
    image = engine.build(target, base)
    say(f"built {image} on {base} with {engine.name} in {time.monotonic() - start:.0f} s")
    try:
        check(engine, image, target)
    finally:
        if not keep:
            engine.remove(image)


def check(engine, image, target):
    check_contents(engine, image, target)
    check_info(engine, image, target)
    check_cell(engine, image)
    for user in USERS:
        check_run(engine, image, user)
    check_budget(engine, image)


def check_contents(engine, image, target):
    """What is inside, how large it is, who runs it, and the list that says so."""
    settings = engine.settings(image)
    assert settings["Labels"]["org.opencontainers.image.version"] == __version__
    uid, _, gid = settings["User"].partition(":")
    assert int(uid) > 0
    assert int(gid) > 0
    with engine.files(image) as folder:
        program = folder / "opt" / "meatus"
        assert {path.name for path in program.iterdir()} == INSIDE
        size = sum(path.lstat().st_size for path in program.rglob("*") if not path.is_dir())
        listed = json.loads((folder / "usr/share/meatus/sbom.cdx.json").read_text())
        found = {path.name for path in program.rglob("*.dist-info")}
        found.remove(f"meatus-{__version__}.dist-info")  # what the list is about
    names = {component["name"].lower() for component in listed["components"]}
    assert listed["bomFormat"] == "CycloneDX"
    assert len(names) == len(found)
    assert "openvino-telemetry" not in names
    assert ("onnxruntime-gpu" in names) == (target == "gpu")
    assert target == "gpu" or size < BELOW_BASE, f"{size / 1e6:.0f} MB over the base"
    say(f"{size / 1e6:.0f} MB over the base, {len(names)} packages in the SBOM")


def check_info(engine, image, target):
    """The other command answers too, on the shipped weights where there are some."""
    done = engine.run(image, Job(("info",)))
    assert f"meatus {__version__}" in done.stdout, done.stderr
    assert done.returncode == 0 or not (ROOT / "weights" / "manifest.json").exists(), done.stderr
    assert "+ OpenVINO CPU" in done.stdout
    assert ("+ ONNX Runtime CPU" in done.stdout) == (target == "gpu")
    say("\n".join(f"  {line}" for line in done.stdout.splitlines()))


def check_cell(engine, image):
    """The other checks mean something: a run here has no network, no rights, no place to write."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        job = Job(("-c", PROBE), readable={Path(folder): "/input"}, entrypoint="python")
        done = engine.run(image, job)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("uid") > 0
    assert found == {"routes": 0, "rights": 0, "writable": ["/tmp"]}
    say(f"inside: {done.stdout.strip()}")


def check_run(engine, image, user):
    """Two scans, one after the other, for ``user``: their labels, and nothing besides."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, weights, output = (folder / part for part in ("in", "weights", "out"))
        for part in (source, weights, output):
            part.mkdir()
        for case in CASES:
            save_scan(source / f"{case}.nii.gz", *CASES[case])
        save_weights(weights)
        for path in (folder, *folder.rglob("*")):  # for a user that the host does not know
            path.chmod(0o777 if path.is_dir() else 0o644)
        before = digests(folder)

        start = time.monotonic()
        done = engine.run(
            image,
            Job(
                readable={source: "/input", weights: "/weights"},
                writable={output: "/output"},
                variables={"MEATUS_WEIGHTS": "/weights"},
                user=user,
            ),
        )
        seconds = time.monotonic() - start

        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == "", done.stderr
        after = digests(folder)
        assert {path: after.get(path) for path in before} == before
        assert {str(path) for path in after.keys() - before.keys()} == {
            "out/left.nii.gz",
            "out/right.nii.gz",
        }
        for case, (centre, _) in CASES.items():
            check_labels(source / f"{case}.nii.gz", output / f"{case.split('_')[0]}.nii.gz", centre)
        owner = (output / "left.nii.gz").stat().st_uid
        assert user is None or owner == int(user.partition(":")[0])
    say(f"user {user or 'of the image'} ({owner}): 2 of 2 cases in {seconds:.1f} s")


def check_budget(engine, image):
    """The shipped weights on the stored scans, inside: seconds, memory, and Dice as when stored."""
    if not (ROOT / "weights" / "manifest.json").exists():
        say("no weights ship: the stored scans are left out")
        return
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        arguments = (
            "predict",
            "/input",
            "/output",
            "--device",
            "cpu",
            "--report",
            "/output/report",
        )
        mounted = {"readable": {SCANS: "/input"}, "writable": {Path(name): "/output"}}
        done = engine.run(image, Job(arguments, **mounted))
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads((Path(name) / "report" / "report.json").read_text())
        found = scores_of(Path(name))
    for case, stored in json.loads(SCORES.read_text()).items():
        assert all(found[case][part] >= dice - DICE_MARGIN for part, dice in stored.items()), found
    seconds = [sum(case["seconds"].values()) for case in report["cases"]]
    peak = max(case["peak_mib"] for case in report["cases"])
    assert max(seconds) <= MOST_S
    assert peak <= MOST_MIB
    say(f"stored scans inside: {max(seconds):.1f} s at most, {peak:.0f} MiB, Dice as stored")


def save_scan(path, centre, spacing_mm):
    """A head of noise with one bright ball, whose centre lies at voxel (centre, 60, 6)."""
    z, y, x = np.mgrid[:12, :120, :120]
    head = np.where((x - 60) ** 2 + (y - 60) ** 2 < 55**2, 100, 0)
    head = head + np.random.default_rng(centre).integers(0, 20, head.shape)
    head[(x - centre) ** 2 + (y - 60) ** 2 + 4 * (z - 6) ** 2 < 16] = 1000
    affine = np.diag([-spacing_mm, -spacing_mm, 1.5, 1.0])
    nib.save(nib.Nifti1Image(head.transpose(2, 1, 0).astype(np.int16), affine), path)


def save_weights(folder):
    """A network that calls bright voxels cochlea and all others background."""
    spec = tiny_spec(
        crop=PhysicalCrop(size=(96, 80), spacing_mm=0.8),
        normalisation=VolumeNormalisation(upper=100, power=1),
    )
    file = write_network(folder / "tiny.onnx", spec, slopes=(-20.0, -9.0, -9.0, 20.0))
    member = {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "members": [member]}))


def check_labels(scan, result, centre):
    """``result`` lies on ``scan``'s grid and has the ball at its place."""
    expected, labels = nib.load(scan), nib.load(result)
    assert labels.shape == expected.shape
    np.testing.assert_allclose(labels.affine, expected.affine, atol=1e-5)
    assert labels.get_data_dtype() == np.uint8
    voxels = np.asarray(labels.dataobj)
    assert voxels[centre, 60, 6] == 3
    assert voxels[60, 60, 6] == 0


def digests(folder):
    """Every file below ``folder`` with its content, to see what a run changed."""
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


if __name__ == "__main__":
    main()
