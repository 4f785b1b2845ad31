"""Which files make a model, and what happens when they are not what they should be."""

import hashlib
import json
from dataclasses import replace

import onnx
import pytest

from meatus.errors import WeightsError
from meatus.spec import PhysicalCrop, ReferenceCrop, Window
from meatus.weights import (
    check_same_input,
    find_members,
    find_networks,
    metadata_props,
    read_manifest,
    read_spec,
)
from tests.meatus.onnx_files import tiny_spec, without_metadata, write_network


def write_folder(folder, **changes):
    """Two members and their manifest; ``changes`` go into its first member."""
    members = []
    for name in ("a.onnx", "b.onnx"):
        data = write_network(folder / name, tiny_spec(name=name)).read_bytes()
        members.append({"file": name, "sha256": hashlib.sha256(data).hexdigest()})
    members[0] |= {"trained_on": "drawings", "scores": {"dice": [0.9]}, "unknown": 1} | changes
    (folder / "manifest.json").write_text(
        json.dumps({"format": 1, "members": members, "notice": "not for diagnosis"})
    )
    return folder


def write_set(folder, *looks, **changes):
    """A folder with one network for each of ``looks``; ``changes`` go into scouts' specs."""
    members = []
    for number, look in enumerate(looks):
        spec = tiny_spec(name=str(number), look=look, crop=PhysicalCrop(size=(8, 6)))
        if look == "scout":
            coarse = PhysicalCrop(size=(4, 3), spacing_mm=1.0)
            spec = replace(spec, **{"crop": coarse} | changes)
        data = write_network(folder / f"{number}.onnx", spec).read_bytes()
        members.append({"file": f"{number}.onnx", "sha256": hashlib.sha256(data).hexdigest()})
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "members": members}))
    return folder


def refusal(call, *arguments):
    with pytest.raises(WeightsError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_gives_its_members_in_the_manifests_order(tmp_path):
    (first, member), (second, _) = find_members(write_folder(tmp_path))
    assert (first.name, second.name) == ("a.onnx", "b.onnx")
    assert member.trained_on == "drawings"
    assert member.scores == {"dice": [0.9]}
    assert read_manifest(tmp_path).notice == "not for diagnosis"


def test_a_single_file_needs_no_manifest(tmp_path):
    path = write_network(tmp_path / "alone.onnx")
    assert find_members(path) == [(path, None)]


def test_a_scout_is_no_member_of_the_ensemble(tmp_path):
    networks = find_networks(write_set(tmp_path, "ears", "scout", "ears"))

    assert [file.name for file, _ in networks.members] == ["0.onnx", "2.onnx"]
    assert networks.scout is not None
    assert networks.scout[0].name == "1.onnx"


def test_members_that_learnt_whole_fields_have_no_use_for_a_scout(tmp_path):
    assert find_networks(write_set(tmp_path, "field", "scout")).scout is None


def test_scouts_that_do_not_fit_are_refused(tmp_path):
    assert "a scout alone" in refusal(find_networks, write_set(tmp_path, "scout"))
    assert "2 scouts" in refusal(find_networks, write_set(tmp_path, "ears", "scout", "scout"))
    for crop in (
        PhysicalCrop(size=(4, 4), spacing_mm=1.0),
        PhysicalCrop(size=(4, 3), spacing_mm=0.8),
    ):
        folder = write_set(tmp_path, "ears", "scout", crop=crop)
        assert "the scout of the same set" in refusal(find_networks, folder)
    folder = write_set(tmp_path, "ears", "scout", crop=ReferenceCrop())
    assert "needs physical crops" in refusal(find_networks, folder)


def test_a_missing_folder_and_a_missing_manifest_are_told_apart(tmp_path):
    assert "does not exist" in refusal(find_members, tmp_path / "nowhere")
    assert "holds no manifest.json" in refusal(find_members, tmp_path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "Invalid JSON"),
        ("[]", "whole file"),
        ('{"format": 2, "members": []}', "'format'"),
        ('{"format": 1, "members": []}', "'members'"),
        ('{"format": 1, "members": [{"file": "a.onnx"}]}', "members.0.sha256"),
        ('{"format": 1, "members": [{"file": "a.onnx", "sha256": "12"}]}', "members.0.sha256"),
        (b"\xff\xfe\x00", "Invalid JSON"),
    ],
)
def test_a_damaged_manifest_says_where(tmp_path, text, complaint):
    data = text if isinstance(text, bytes) else text.encode()
    (tmp_path / "manifest.json").write_bytes(data)
    message = refusal(read_manifest, tmp_path)
    assert str(tmp_path / "manifest.json") in message
    assert complaint in message


@pytest.mark.parametrize("name", ["../a.onnx", "/etc/passwd", "x/../../a.onnx", "..\\a.onnx", ""])
def test_the_manifest_names_no_file_outside_its_folder(tmp_path, name):
    assert "not inside its folder" in refusal(find_members, write_folder(tmp_path, file=name))


def test_a_member_does_not_count_twice(tmp_path):
    assert "twice" in refusal(find_members, write_folder(tmp_path, file="b.onnx"))


def test_a_members_missing_file_is_named(tmp_path):
    (write_folder(tmp_path) / "b.onnx").unlink()
    assert str(tmp_path / "b.onnx") in refusal(find_members, tmp_path)


def test_another_file_in_a_members_place_is_noticed(tmp_path):
    write_folder(tmp_path)
    expected = hashlib.sha256((tmp_path / "a.onnx").read_bytes()).hexdigest()
    (tmp_path / "a.onnx").write_bytes(b"exchanged")
    found = hashlib.sha256(b"exchanged").hexdigest()
    assert refusal(find_members, tmp_path) == (
        f"{tmp_path / 'a.onnx'} does not match its SHA-256 in manifest.json: "
        f"expected {expected[:12]}…, found {found[:12]}…; "
        "the file is damaged or was exchanged; get it again"
    )


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_spec_comes_back_from_the_file(tmp_path, precision):
    spec = tiny_spec(name="Übung", precision=precision)
    assert read_spec(write_network(tmp_path / "a.onnx", spec)) == spec


def test_metadata_is_what_the_onnx_package_reads(tmp_path):
    path = write_network(tmp_path / "a.onnx")
    expected = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert metadata_props(path.read_bytes(), "a.onnx") == expected
    assert len(expected) == 2


def test_fields_of_every_wire_type_are_passed_over():
    varint, fixed64, fixed32 = b"\x08\x96\x01", b"\x11" + bytes(8), b"\x1d" + bytes(4)
    entry = b"\x0a\x01k\x12\x01v"
    data = varint + fixed64 + fixed32 + b"\x72" + bytes([len(entry)]) + entry
    assert metadata_props(data, "drawn by hand") == {"k": "v"}


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    path = write_network(tmp_path / "a.onnx")
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"a\.onnx"):
            read_spec(path)


@pytest.mark.parametrize(
    "data", [b"version https://", b"\x00", b"\xff" * 20, b"\x72\x03\x0a\x01\xff"]
)
def test_bytes_that_are_no_onnx_file_are_refused(data):
    assert "drawn.onnx is not a whole ONNX file" in refusal(metadata_props, data, "drawn.onnx")


def test_a_network_of_other_origin_is_refused(tmp_path):
    path = without_metadata(write_network(tmp_path / "other.onnx"))
    assert f"{path} has no 'meatus' entry" in refusal(read_spec, path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert str(tmp_path / "a.onnx") in refusal(read_spec, tmp_path / "a.onnx")


def test_members_that_see_different_input_are_not_averaged(tmp_path):
    one, two = tmp_path / "one.onnx", tmp_path / "two.onnx"
    check_same_input([(one, tiny_spec()), (two, tiny_spec(name="other", width=2))])
    other = tiny_spec(window=Window(depth=8))
    message = refusal(check_same_input, [(one, tiny_spec()), (two, other)])
    assert str(one) in message
    assert str(two) in message
    assert "differ in window" in message
