"""Sets of weights: listed, verified, installed from a file, found by name."""

import json
import re
import zipfile
from pathlib import Path

import pytest

from meatus.cli import default_store
from meatus.errors import WeightsError
from meatus.models.card import CARD, model_card
from meatus.models.store import find_weights, install
from meatus.pipeline import DEFAULT_WEIGHTS
from meatus.weights import read_manifest
from tests.meatus.tiny_runs import ROOT, run_here, write_weights


def write_set(folder, name="tiny", version="1.2", **more):
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(folder)
    content = json.loads((folder / "manifest.json").read_text())
    content |= {"name": name, "version": version} | more
    (folder / "manifest.json").write_text(json.dumps(content))
    return folder


def pack(folder, archive, top=""):
    with zipfile.ZipFile(archive, "w") as packed:
        for file in folder.iterdir():
            packed.write(file, f"{top}{file.name}")
    return archive


def models(store, *arguments):
    command, *rest = arguments
    return run_here("models", command, *rest, "--models", store)


def refused(done, *words):
    assert done.exit_code == 2, done.output
    assert done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in words), done.stderr
    return True


@pytest.mark.parametrize("kind", ["folder", "zip", "zip in a folder"])
def test_a_set_is_installed_whole_with_its_card_and_found_by_name(tmp_path, kind):
    source, store = write_set(tmp_path / "set"), tmp_path / "new" / "store"
    (source / "notes.txt").write_text("stays behind")
    if kind != "folder":
        source = pack(source, tmp_path / "set.zip", "set/" if "in a" in kind else "")

    done = models(store, "install", source)

    place = store / "tiny" / "1.2"
    assert done.exit_code == 0, done.stderr
    assert f"tiny 1.2 installed in {place}" in done.stdout
    assert {file.name for file in place.iterdir()} == {"manifest.json", "a.onnx", "b.onnx", CARD}
    assert [entry.name for entry in store.iterdir()] == ["tiny"]
    assert find_weights(Path("tiny"), store) == place
    assert "was installed already" in models(store, "install", source).stdout


def test_the_newest_version_is_taken_unless_one_is_named(tmp_path):
    for version in ("1.9", "1.10"):
        install(write_set(tmp_path / version, version=version), tmp_path / "store")

    def found(name):
        return find_weights(Path(name), tmp_path / "store")

    assert found("tiny").name == "1.10"
    assert found("tiny@1.9").name == "1.9"
    assert found("shipped") == found("phantoms") == DEFAULT_WEIGHTS
    with pytest.raises(WeightsError, match=r"installed as 1\.10, 1\.9, not as 2"):
        found("tiny@2")
    with pytest.raises(WeightsError, match="models list"):
        found("other")


def test_predict_takes_a_name_and_a_wrong_one_ends_in_one_line(tmp_path):
    install(write_set(tmp_path / "set"), tmp_path / "store")
    scan = tmp_path / "none.nii.gz"
    scan.write_bytes(b"")

    def predict(name):
        options = ("--weights", name, "--models", tmp_path / "store", "--device", "cpu")
        return run_here("predict", scan, tmp_path / "out", *options)

    assert f"weights: {tmp_path / 'store' / 'tiny' / '1.2'}" in predict("tiny").stdout
    assert refused(predict("tinny"), "tinny does not exist", "meatus models list")


def test_what_is_no_whole_set_is_refused_and_leaves_nothing(tmp_path):
    store = tmp_path / "store"
    good = write_set(tmp_path / "good")
    damaged = write_set(tmp_path / "damaged")
    (damaged / "a.onnx").write_bytes(b"other")
    unnamed = write_weights(write_set(tmp_path / "unnamed"))
    (tmp_path / "no.zip").write_bytes(b"PK no archive")
    (tmp_path / "two").mkdir()
    with zipfile.ZipFile(tmp_path / "climbs.zip", "w") as packed:
        content = json.loads((good / "manifest.json").read_text())
        content["members"][0]["file"] = "../a.onnx"
        packed.writestr("manifest.json", json.dumps(content))
        packed.writestr("../a.onnx", b"x")
    with zipfile.ZipFile(tmp_path / "lacks.zip", "w") as packed:
        packed.write(good / "manifest.json", "manifest.json")

    assert refused(models(store, "install", damaged), "a.onnx does not match", str(damaged))
    packed = pack(damaged, tmp_path / "damaged.zip")
    assert refused(models(store, "install", packed), "does not match", str(packed))
    assert refused(models(store, "install", unnamed), "no name and version")
    assert refused(models(store, "install", tmp_path / "no.zip"), "no whole zip archive")
    assert refused(models(store, "install", tmp_path / "two"), "holds no manifest.json")
    assert refused(models(store, "install", tmp_path / "climbs.zip"), "not inside its folder")
    assert refused(models(store, "install", tmp_path / "lacks.zip"), "not in the archive")
    assert refused(models(store, "install", tmp_path / "none.zip"), "does not exist")
    strange = write_set(tmp_path / "strange", version="1/2")
    assert refused(models(store, "install", strange), "'version'")
    assert not store.exists()
    assert not (tmp_path / "a.onnx").exists()


def test_a_version_is_given_once(tmp_path):
    store = tmp_path / "store"
    install(write_set(tmp_path / "one"), store)
    other = write_set(tmp_path / "other")
    content = json.loads((other / "manifest.json").read_text())
    content["members"] = content["members"][:1]
    (other / "manifest.json").write_text(json.dumps(content))

    assert refused(models(store, "install", other), "a version of its own")

    (store / "tiny" / "1.2" / "b.onnx").write_bytes(b"rot")  # a damaged one may be put right
    assert models(store, "install", tmp_path / "one").exit_code == 0
    assert models(store, "verify", "tiny").exit_code == 0


def test_all_sets_are_listed_and_damage_is_named(tmp_path):
    store = tmp_path / "store"
    install(write_set(tmp_path / "set"), store)

    listed = models(store, "list")
    (store / "tiny" / "1.2" / "a.onnx").write_bytes(b"rot")
    verified = models(store, "verify")

    shipped, tiny = listed.stdout.splitlines()[1:3]
    assert listed.exit_code == 0
    manifest = read_manifest(DEFAULT_WEIGHTS)
    version, count = manifest.version, len(manifest.members)
    assert re.split(r"\s{2,}", shipped.strip())[:2] == ["phantoms", version]
    assert "no real scan" in shipped
    assert shipped.endswith("shipped")
    assert re.split(r"\s{2,}", tiny.strip())[:4] == ["tiny", "1.2", "nothing", "Apache-2.0"]
    assert verified.exit_code == 1
    assert f"phantoms {version}: {count} files whole" in verified.stdout
    assert verified.stderr.count("\n") == 1
    assert "a.onnx does not match its SHA-256" in verified.stderr
    assert refused(models(store, "verify", "none"), "none does not exist")


def test_a_store_that_cannot_be_written_ends_in_one_line(tmp_path):
    (tmp_path / "file").touch()

    assert refused(
        models(tmp_path / "file" / "store", "install", write_set(tmp_path / "set")),
        "cannot be written", "MEATUS_MODELS",
    )  # fmt: skip


def test_the_shipped_card_is_what_the_manifest_says_and_the_page_of_weights_too():
    card = (DEFAULT_WEIGHTS / CARD).read_text()

    assert card == model_card(DEFAULT_WEIGHTS), "write it again: python -m tests.model_card"
    assert "Trained on phantoms only, no real scan. Not for clinical use." in card
    told = (ROOT / "docs" / "weights.md").read_text()
    for on_the_page, in_the_card in (
        ("0.73 (0.82)", "mean 0.73, median 0.82"),
        ("17 of 19", "17 of 19"),
        ("0.86, 0.49", "0.86 and 0.49"),
        ("12 of 12", "12 of 12"),
    ):
        assert on_the_page in told
        assert in_the_card in card


def test_a_user_without_a_home_has_a_store_too(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert default_store() == Path("/usr/local/share/meatus/models")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert default_store() == Path("/data/meatus/models")
