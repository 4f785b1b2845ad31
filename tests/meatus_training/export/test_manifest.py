import hashlib
import json

import pytest
from click.testing import CliRunner

from meatus.errors import WeightsError
from meatus.weights import describe, find_members
from meatus_training.cli import manifest
from meatus_training.errors import TrainingError
from meatus_training.export.manifest import write_manifest
from tests.meatus.onnx_files import tiny_spec, write_network


def test_a_written_manifest_lets_the_weights_load(tmp_path):
    write_network(tmp_path / "b.onnx", tiny_spec(trained_on="twelve phantoms"))
    write_network(tmp_path / "a.onnx")

    write_manifest(tmp_path, {"b.onnx": {"dice": 0.5}, "ensemble": {"dice": 0.6}})

    found = find_members(tmp_path)
    assert [path.name for path, _ in found] == ["a.onnx", "b.onnx"]
    assert found[1][1].scores == {"dice": 0.5}
    assert found[1][1].trained_on == "twelve phantoms"
    digest = hashlib.sha256((tmp_path / "a.onnx").read_bytes()).hexdigest()
    assert found[0][1].sha256 == digest


def test_a_changed_file_no_longer_loads(tmp_path):
    write_network(tmp_path / "a.onnx")
    write_manifest(tmp_path, {})
    write_network(tmp_path / "a.onnx", slopes=(0, 0, 0, 1))

    with pytest.raises(WeightsError, match=r"a\.onnx does not match"):
        find_members(tmp_path)


def test_scores_of_a_file_that_is_not_there_are_refused(tmp_path):
    with pytest.raises(TrainingError, match=r"no \.onnx"):
        write_manifest(tmp_path, {})
    write_network(tmp_path / "a.onnx")
    with pytest.raises(TrainingError, match=r"scores name b\.onnx"):
        write_manifest(tmp_path, {"b.onnx": {}})
    with pytest.raises(TrainingError, match=r"made name c\.onnx"):
        write_manifest(tmp_path, {}, {"c.onnx": {}})


def test_how_a_file_was_made_is_told_to_users(tmp_path):
    write_network(tmp_path / "a.onnx")

    write_manifest(tmp_path, {}, {"a.onnx": {"seed": 71, "command": "segment work/run"}})

    lines = list(describe(tmp_path))
    assert "  seed: 71" in lines
    assert "  command: segment work/run" in lines


def test_the_command_names_a_file_that_is_no_object(tmp_path):
    write_network(tmp_path / "a.onnx")
    (tmp_path / "scores.json").write_text("[1]")
    arguments = [str(tmp_path), "--scores", str(tmp_path / "scores.json")]

    result = CliRunner().invoke(manifest, arguments)

    assert result.exit_code == 2
    assert "scores.json: expected an object" in result.output


def test_the_notice_is_that_of_phantoms_only_where_every_member_says_so(tmp_path):
    phantoms = "9 labelled hrT2 synthetic phantoms, no real scan; not for clinical use"
    write_network(tmp_path / "a.onnx", tiny_spec(trained_on=phantoms))

    def told():
        return json.loads(write_manifest(tmp_path, {}).read_text())["notice"]

    assert told() == "Trained on phantoms only, no real scan. Not for clinical use."
    write_network(tmp_path / "b.onnx", tiny_spec(trained_on="3 labelled hrT2 scans"))
    assert told() == (
        "Trained on 9 labelled hrT2 synthetic phantoms, no real scan; 3 labelled hrT2 scans. "
        "Not for clinical use."
    )
    (tmp_path / "a.onnx").unlink()
    assert told() == "Trained on 3 labelled hrT2 scans. Not for clinical use."
