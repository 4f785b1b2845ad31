"""What is handed in works where it is unpacked."""

import gzip
import json
import tarfile

import pytest
from click.testing import CliRunner

from meatus.errors import WeightsError
from submission import main, pack_model
from tests.meatus.tiny_runs import run_here, save_scan, write_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


def submission(out, weights, *more):
    return CliRunner().invoke(main, [str(out), "--weights", str(weights), *more])


def fake_tool(folder, name, script):
    """A command of this name, first in the PATH."""
    folder.mkdir(exist_ok=True)
    tool = folder / name
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)


def test_the_model_tarball_runs_as_the_model_folder_of_a_job(tmp_path, weights, monkeypatch):
    done = submission(tmp_path / "handed-in", weights, "--output-slug", "labels")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "no image.tar.gz: build an image and name it" in done.stdout

    with tarfile.open(tmp_path / "handed-in" / "model.tar.gz") as tar:
        tar.extractall(tmp_path / "model", filter="data")
    socket = {"slug": "t2", "relative_path": "images/t2"}
    (tmp_path / "in" / "images" / "t2").mkdir(parents=True)
    save_scan(tmp_path / "in" / "images" / "t2" / "scan.mha")
    (tmp_path / "in" / "inputs.json").write_text(json.dumps([{"socket": socket, "image": {}}]))
    monkeypatch.setenv("MEATUS_MODEL_FOLDER", str(tmp_path / "model"))
    monkeypatch.setenv("MEATUS_OUTPUT_SLUG", "labels")
    job = run_here("predict", tmp_path / "in", tmp_path / "out", "--device", "cpu")

    assert (job.exit_code, job.stderr) == (0, "")
    assert f"weights from the model folder {tmp_path / 'model'}" in job.stdout
    assert "2 member(s)" in job.stdout
    assert (tmp_path / "out" / "images" / "labels" / "scan.mha").exists()


def test_the_description_leaves_nothing_to_fill_in(tmp_path, weights):
    assert submission(tmp_path, weights, "--output-slug", "labels").exit_code == 0

    text = (tmp_path / "DESCRIPTION.md").read_text()

    for part in ("# Meatus 0.", "trained on:\nnothing", "`labels`", "`t2-brain-mri`", "GB"):
        assert part in text
    assert "not for clinical use" in text
    assert "weights a.onnx: SHA-256 as in the manifest" in text
    assert str(tmp_path) not in text
    assert str(weights) not in text
    assert not [word for word in ("TODO", "{", "@") if word in text]


def test_the_same_weights_give_the_same_tarball(tmp_path, weights):
    first, second = (pack_model(weights, tmp_path / name) for name in ("first", "second"))

    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        assert tar.getnames() == ["manifest.json", "a.onnx", "b.onnx"]
        assert {entry.uid for entry in tar} == {0}


def test_one_file_without_a_manifest_is_a_model_too(tmp_path, weights):
    with tarfile.open(pack_model(weights / "a.onnx", tmp_path)) as tar:
        assert tar.getnames() == ["a.onnx"]


def test_damaged_weights_are_not_packed(tmp_path):
    (tmp_path / "weights").mkdir()
    write_weights(tmp_path / "weights")
    with (tmp_path / "weights" / "b.onnx").open("ab") as file:
        file.write(b"!")

    with pytest.raises(WeightsError, match="does not match its SHA-256"):
        pack_model(tmp_path / "weights", tmp_path / "out")
    done = submission(tmp_path / "out", tmp_path / "weights")

    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_the_image_is_saved_by_the_first_tool_that_has_it(tmp_path, weights, monkeypatch):
    tools = tmp_path / "tools"
    fake_tool(tools, "docker", "echo 'cannot connect to the daemon' >&2; exit 1")
    fake_tool(tools, "podman", 'printf "%s" "$*" > "$5"')

    monkeypatch.setenv("PATH", str(tools))
    done = submission(tmp_path / "out", weights, "--image", "meatus:cpu")

    assert (done.exit_code, done.stderr) == (0, "")
    saved = gzip.decompress((tmp_path / "out" / "image.tar.gz").read_bytes()).decode()
    assert saved.startswith("save --format docker-archive --output ")
    assert saved.endswith(" meatus:cpu")
    assert "`image.tar.gz`" in (tmp_path / "out" / "DESCRIPTION.md").read_text()
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"model.tar.gz", "image.tar.gz", "DESCRIPTION.md"}


def test_an_image_that_nobody_has_ends_in_one_line(tmp_path, weights, monkeypatch):
    fake_tool(tmp_path / "tools", "docker", "echo 'reference does not exist' >&2; exit 1")

    monkeypatch.setenv("PATH", str(tmp_path / "tools"))
    done = submission(tmp_path, weights, "--image", "none")

    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert "cannot be saved (docker: reference does not exist)" in line
    assert "make image" in line
    assert not (tmp_path / "image.tar.gz").exists()
