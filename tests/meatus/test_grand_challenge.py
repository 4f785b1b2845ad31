"""One job on grand-challenge.org: its folders, its weights, its two streams."""

import json
import shutil

import numpy as np
import pytest
import SimpleITK as sitk

from meatus.errors import UsageError, WeightsError
from meatus.grand_challenge import OUTPUT_SLUG, find_case, model_weights
from tests.meatus.tiny_runs import run, run_here, save_scan, write_weights

NAME = "5b8d6e1c-0f1e-4a53-9c2b-3f6f7f6d1a11"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"))


def entry(slug="t2-brain-mri", key="socket", **changes):
    """An entry of ``inputs.json`` as the platform writes it."""
    socket = {"slug": slug, "relative_path": f"images/{slug}", "kind": "Image", "title": "T2"}
    image = {"name": f"{NAME}.mha"}
    return {key: socket, "value": None, "file": None, "image": image, "pk": 7} | changes


def number(slug="age"):
    socket = {"slug": slug, "relative_path": f"{slug}.json", "kind": "Integer"}
    return {"socket": socket, "value": 61, "file": None, "image": None, "pk": 8}


def job(folder, *entries):
    """The input of a job: each image socket holds one scan."""
    entries = entries or (entry(), number())
    for each in entries:
        socket = each.get("socket") or each["interface"]
        if each["image"]:
            place = folder / socket["relative_path"]
            place.mkdir(parents=True)
            save_scan(place / f"{NAME}.mha")
    (folder / "inputs.json").write_text(json.dumps(entries))
    return folder


def find(source, slug=None):
    return find_case(source, source / "out", input_slug=slug, output_slug="labels")


def predict(source, output, model_folder, *more, **environment):
    arguments = ("predict", source, output, "--model-folder", model_folder, "--device", "cpu")
    return run(*arguments, "--quality", "fast", *more, **environment)


def test_a_job_writes_exactly_one_compressed_label_map(tmp_path, weights):
    source, out = job(tmp_path / "in"), tmp_path / "out"

    done = predict(source, out, weights)

    assert (done.returncode, done.stderr) == (0, "")
    assert f"weights from the model folder {weights}" in done.stdout
    (result,) = (path for path in out.rglob("*") if path.is_file())
    assert result == out / "images" / OUTPUT_SLUG / f"{NAME}.mha"
    header = result.read_bytes()[:600]
    assert b"CompressedData = True" in header
    assert b"ElementType = MET_UCHAR" in header
    labels, scan = (
        sitk.ReadImage(result),
        sitk.ReadImage(source / f"images/t2-brain-mri/{NAME}.mha"),
    )
    assert set(np.unique(sitk.GetArrayFromImage(labels))) == {0, 3}
    for grid in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(labels, grid)() == getattr(scan, grid)()


def test_slugs_come_from_the_environment_too(tmp_path, weights):
    source = job(tmp_path / "in", entry("t1"), entry("t2", "interface"))

    done = predict(
        *(source, tmp_path / "out", tmp_path),
        MEATUS_WEIGHTS=str(weights),
        MEATUS_INPUT_SLUG="t2",
        MEATUS_OUTPUT_SLUG="labels",
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out" / "images" / "labels" / f"{NAME}.mha").exists()
    assert f"weights: {weights}" in done.stdout


def test_a_scan_that_cannot_be_read_ends_in_one_line_on_stderr(tmp_path, weights):
    source = job(tmp_path / "in")
    scan = source / "images" / "t2-brain-mri" / f"{NAME}.mha"
    scan.write_bytes(scan.read_bytes()[:3000])

    for more, code in (((), 1), (("--debug",), 1)):
        done = predict(source, tmp_path / "out", weights, *more)

        assert done.returncode == code
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"error: {NAME}: ")
        assert ("Traceback" in done.stdout) == bool(more)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_what_libraries_write_to_stderr_goes_to_the_log(tmp_path, weights, monkeypatch):
    source = job(tmp_path / "in")
    noisy = tmp_path / "sitecustomize.py"
    noisy.write_text(
        "import os, meatus.service.labelling as r\n"
        "inner = r.load_model\n"
        "def load(*a, **k):\n"
        "    os.write(2, b'a library warns\\n')\n"
        "    return inner(*a, **k)\n"
        "r.load_model = load\n"
    )

    done = predict(source, tmp_path / "out", weights, PYTHONPATH=f"{tmp_path}:.")

    assert (done.returncode, done.stderr) == (0, "")
    assert "a library warns" in done.stdout


def test_an_older_job_calls_its_sockets_interfaces(tmp_path):
    case = find(job(tmp_path, number(), entry(key="interface")))

    assert case.scan == tmp_path / "images" / "t2-brain-mri" / f"{NAME}.mha"
    assert case.result == tmp_path / "out" / "images" / "labels" / f"{NAME}.mha"


def test_of_several_images_the_named_socket_is_taken(tmp_path):
    source = job(tmp_path, entry("t1"), entry("t2"))

    assert find(source, "t2").scan.parent.name == "t2"
    with pytest.raises(UsageError, match=r"found: t1, t2\. Name .* MEATUS_INPUT_SLUG"):
        find(source)
    with pytest.raises(UsageError, match="no image socket 't3'; image sockets found: t1, t2"):
        find(source, "t3")


NO_PATH = {"socket": {"slug": "t2"}, "image": {}}
OUTSIDE = {"slug": "t2", "relative_path": "../images/t2"}
WRONG_INPUTS = {
    "broken JSON": ("[{", "the whole file.*JSON"),
    "empty": ("", "the whole file"),
    "no list": ('{"socket": 1}', "the whole file"),
    "no socket": ('[{"value": 1}]', "'0.socket"),
    "socket without a path": (json.dumps([NO_PATH]), r"'0.socket.relative_path'"),
    "slug that is a number": ('[{"socket": {"slug": 1, "relative_path": ""}}]', "'0.socket.slug'"),
    "no image socket": (json.dumps([number()]), "0 image sockets.*found: none"),
    "nothing": ("[]", "0 image sockets"),
    "outside": (json.dumps([entry(socket=OUTSIDE)]), "outside the input"),
    "folder missing": (json.dumps([entry("t3")]), "t3 cannot be read"),
    "no file": (json.dumps([entry("empty")]), "holds 0 images"),
    "two files": (json.dumps([entry("two")]), "holds 2 images"),
    "TIFF": (json.dumps([entry("flat")]), "TIFF image, .*slice spacing"),
}


@pytest.mark.parametrize("name", WRONG_INPUTS)
def test_a_job_that_is_not_as_it_should_be_ends_in_one_line(tmp_path, weights, name):
    text, reason = WRONG_INPUTS[name]
    for file in ("empty/.hidden.mha", "two/a.mha", "two/b.tif", "flat/a.tiff"):
        path = tmp_path / "images" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    (tmp_path / "inputs.json").write_text(text)

    with pytest.raises(UsageError, match=reason):
        find(tmp_path)
    done = run_here("predict", tmp_path, tmp_path / "out", "--weights", weights)
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("slug", ["", "..", "a/b", "Labels", "-a"])
def test_an_output_slug_is_one_folder_name(tmp_path, slug):
    with pytest.raises(UsageError, match="no slug"):
        find_case(job(tmp_path), tmp_path, input_slug=None, output_slug=slug)


def test_the_model_folder_is_used_where_it_holds_weights(tmp_path, weights):
    shipped, one = tmp_path / "shipped", tmp_path / "one"
    one.mkdir()

    assert model_weights(weights, shipped)[0] == weights
    assert model_weights(tmp_path / "none", shipped) == (
        shipped,
        f"the model folder {tmp_path / 'none'} is not there: the weights shipped are used",
    )
    assert model_weights(one, shipped)[0] == shipped
    assert "holds no weights" in model_weights(one, shipped)[1]
    shutil.copy(weights / "a.onnx", one)
    assert model_weights(one, shipped)[0] == one / "a.onnx"
    shutil.copy(weights / "b.onnx", one)
    with pytest.raises(WeightsError, match=r"holds 2 \.onnx files and no manifest\.json"):
        model_weights(one, shipped)


def test_weights_that_are_named_win_over_the_model_folder(tmp_path, weights):
    done = run_here(
        *("predict", job(tmp_path / "in"), tmp_path / "out", "--weights", weights / "a.onnx"),
        *("--model-folder", weights, "--device", "cpu"),
    )

    assert done.exit_code == 0
    assert f"weights: {weights / 'a.onnx'}" in done.stdout
