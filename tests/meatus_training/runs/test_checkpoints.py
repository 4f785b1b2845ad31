import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from meatus.engines.onnx_runtime import OnnxRuntimeEngine
from meatus.errors import OutputError, WeightsError
from meatus.spec import ReferenceCrop, SliceNormalisation, Window
from meatus.weights import read_spec
from meatus_training.errors import TrainingError
from meatus_training.export.onnx_export import export_onnx
from meatus_training.networks import ResUNet25d
from meatus_training.runs.checkpoints import (
    check_same_settings,
    import_checkpoint,
    imported_spec,
    load_checkpoint,
    load_mean,
    read_state,
    save_checkpoint,
    write_state,
)
from meatus_training.runs.journal import Journal
from meatus_training.runs.launch import anyone, average_gradients, make_fabric, mean, total
from tests.golden_files import GOLDEN


@pytest.fixture
def state():
    torch.manual_seed(0)
    return ResUNet25d(width=2, blocks=2).state_dict()


def saved(content, folder: Path) -> Path:
    path = folder / "published.pth"
    torch.save(content, path)
    return path


def assert_same_weights(network, state):
    found = network.state_dict()
    assert list(found) == list(state)
    for name, value in state.items():
        assert torch.equal(found[name], value), name


def test_the_mean_of_checkpoints_is_the_mean_of_each_weight(tmp_path):
    files = []
    for seed in (1, 2, 3):
        torch.manual_seed(seed)
        network = ResUNet25d(width=2, blocks=1)
        files.append(tmp_path / f"{seed}.pt")
        save_checkpoint(files[-1], network, imported_spec(network, Path("x.pth")))
    states = [load_checkpoint(file)[0].state_dict() for file in files]

    found = load_mean(files)[0].state_dict()

    for name in found:
        expected = sum(state[name] for state in states) / 3
        torch.testing.assert_close(found[name], expected)
    assert_same_weights(load_mean(files[:1])[0], states[0])


def test_networks_of_two_sizes_have_no_mean(tmp_path):
    for width in (2, 3):
        network = ResUNet25d(width=width, blocks=1)
        spec = imported_spec(network, Path("x.pth"))
        save_checkpoint(tmp_path / f"{width}.pt", network, spec)

    with pytest.raises(WeightsError, match=r"3\.pt and .*2\.pt have no mean"):
        load_mean([tmp_path / "2.pt", tmp_path / "3.pt"])


def test_a_saved_checkpoint_comes_back_with_weights_spec_and_extra_entries(tmp_path):
    network = ResUNet25d(width=2, blocks=1)
    spec = imported_spec(network, Path("x.pth"))
    path = tmp_path / "network.pt"

    save_checkpoint(path, network, spec, step=7, config={"seed": 3})
    loaded, loaded_spec, extra = load_checkpoint(path)

    assert_same_weights(loaded, network.state_dict())
    assert loaded_spec == spec
    assert extra == {"step": 7, "config": {"seed": 3}}
    assert [file.name for file in tmp_path.iterdir()] == ["network.pt"]


def test_a_loaded_network_can_be_trained_on(tmp_path):
    network = ResUNet25d(width=2, blocks=1)
    save_checkpoint(tmp_path / "a.pt", network, imported_spec(network, Path("x")))

    loaded, _, _ = load_checkpoint(tmp_path / "a.pt")

    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_published_weights_load_from_beside_other_entries(state, tmp_path):
    path = saved({"meta": {"epoch": 3}, "state_dict": state, "optimizer": {}}, tmp_path)

    network = import_checkpoint(path)

    assert (network.width, network.blocks, network.classes) == (2, 2, 4)
    assert_same_weights(network, state)


def test_published_weights_load_bare(state, tmp_path):
    assert_same_weights(import_checkpoint(saved(state, tmp_path)), state)


def test_names_of_training_on_several_gpus_are_understood(state, tmp_path):
    prefixed = {f"module.{name}": value for name, value in state.items()}

    network = import_checkpoint(saved({"state_dict": prefixed}, tmp_path))

    assert_same_weights(network, state)


def test_a_missing_tensor_is_named_and_nothing_is_loaded(state, tmp_path):
    del state["head.conv3.bias"]

    with pytest.raises(WeightsError, match=r"1 missing \(head\.conv3\.bias\)"):
        import_checkpoint(saved(state, tmp_path))


def test_a_surplus_tensor_is_named(state, tmp_path):
    state["head.conv9.bias"] = torch.zeros(4)

    with pytest.raises(WeightsError, match=r"1 unexpected \(head\.conv9\.bias\)"):
        import_checkpoint(saved(state, tmp_path))


def test_a_tensor_of_another_shape_is_named_with_both_shapes(state, tmp_path):
    state["head.conv.bias"] = torch.zeros(5)

    with pytest.raises(WeightsError, match=r"head\.conv\.bias \(5,\) instead of \(4,\)"):
        import_checkpoint(saved(state, tmp_path))


def test_of_many_wrong_tensors_three_are_named_and_the_rest_counted(state, tmp_path):
    few = {name: value for name, value in state.items() if "layer2" not in name}

    with pytest.raises(WeightsError, match=r"10 missing \(.*conv1\.weight, .* and 7 more\)"):
        import_checkpoint(saved(few, tmp_path))


def test_weights_of_another_network_are_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"2 tensors \(weight, bias\), but not a 2\.5D ResUNet"):
        import_checkpoint(saved(torch.nn.Linear(2, 2).state_dict(), tmp_path))


@pytest.mark.parametrize("content", [torch.zeros(3), [1, 2], "text"])
def test_a_file_without_a_dictionary_is_refused(content, tmp_path):
    with pytest.raises(WeightsError, match="expected a dictionary of tensors"):
        import_checkpoint(saved(content, tmp_path))


class Malicious:
    def __reduce__(self):
        return os.mkdir, ("code-has-run",)


def test_code_in_a_checkpoint_is_named_and_never_run(state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = saved({"state_dict": state, "meta": Malicious()}, tmp_path)

    with pytest.raises(WeightsError, match=r"more than tensors and plain values \(\w+\.mkdir\)"):
        import_checkpoint(path)

    assert not Path("code-has-run").exists()


def test_code_in_a_plain_pickle_is_refused_and_never_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pth"
    path.write_bytes(pickle.dumps({"meta": Malicious()}))

    with pytest.raises(WeightsError, match=r"bad\.pth is not a checkpoint .* read safely"):
        import_checkpoint(path)

    assert not Path("code-has-run").exists()


def test_numpy_values_beside_published_weights_are_refused_with_a_way_out(state, tmp_path):
    path = saved({"state_dict": state, "meta": {"loss": np.float64(0.5)}}, tmp_path)

    with pytest.raises(WeightsError, match=r"\(numpy\..*\).* save its 'state_dict' entry alone"):
        import_checkpoint(path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_file_that_lost_its_end_is_refused(share, state, tmp_path):
    path = saved(state, tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])

    with pytest.raises(WeightsError, match=r"published\.pth is not .*get it again"):
        import_checkpoint(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsError, match=r"none\.pth cannot be read: No such file"):
        import_checkpoint(tmp_path / "none.pth")


def test_a_published_checkpoint_is_not_taken_for_one_of_this_project(state, tmp_path):
    with pytest.raises(WeightsError, match=r"no 'spec' entry.*import-checkpoint"):
        load_checkpoint(saved({"state_dict": state}, tmp_path))


def test_imported_weights_ask_for_the_published_input():
    spec = imported_spec(ResUNet25d(width=2, blocks=1), Path("folder/round9.pth"))

    assert (spec.crop, spec.normalisation) == (ReferenceCrop(), SliceNormalisation())
    assert spec.window == Window(depth=40, overlap=8)
    assert (spec.width, spec.blocks) == (2, 1)
    assert "round9.pth" in spec.trained_on
    assert "folder" not in spec.trained_on


def test_published_weights_give_the_published_output_after_import_and_export(tmp_path):
    with np.load(GOLDEN / "resunet25d.npz") as golden:
        prefix = "state/"
        state = {
            f"module.{name.removeprefix(prefix)}": torch.from_numpy(golden[name])
            for name in golden.files
            if name.startswith(prefix)
        }
        window, logits = golden["a/input"][0, 0], golden["a/logits_f64"][0]
    path = saved({"state_dict": state}, tmp_path)
    network = import_checkpoint(path)
    export_onnx(network, imported_spec(network, path), tmp_path / "a.onnx")

    engine = OnnxRuntimeEngine(
        tmp_path / "a.onnx", read_spec(tmp_path / "a.onnx"), "onnxruntime", threads=1
    )

    powers = np.exp(logits)
    np.testing.assert_allclose(engine(window), powers / powers.sum(0), atol=1e-5)


def test_a_state_comes_back_as_it_was(tmp_path):
    write_state(tmp_path / "run/state.pt", {"step": 3, "weights": torch.arange(4)})

    found = read_state(tmp_path / "run/state.pt")

    assert found["step"] == 3
    assert found["weights"].tolist() == [0, 1, 2, 3]
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["state.pt"]


def test_a_state_is_on_the_disk_before_it_takes_the_place_of_the_last_one(tmp_path, monkeypatch):
    file, seen = tmp_path / "state.pt", []
    write_state(file, {"step": 1})
    monkeypatch.setattr("os.fsync", lambda _number: seen.append(read_state(file)["step"]))

    write_state(file, {"step": 2})

    assert seen == [1]
    assert read_state(file)["step"] == 2


def test_a_state_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "state.pt").mkdir()
    (tmp_path / "state.pt/in_the_way").touch()

    with pytest.raises(OutputError, match=r"state\.pt: cannot be written"):
        write_state(tmp_path / "state.pt", {})


def test_only_settings_that_are_free_may_change(tmp_path):
    check_same_settings(
        tmp_path, {"rate": 1, "workers": 1}, {"rate": 1, "workers": 2}, ["workers"], ""
    )

    with pytest.raises(TrainingError, match=r"other settings \(rate\)"):
        check_same_settings(tmp_path, {"rate": 1}, {"rate": 2}, ["workers"], "")


def test_one_process_alone_is_its_own_mean():
    fabric, weight = make_fabric(accelerator="cpu"), torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor([1.0, 3.0])

    average_gradients(fabric, [weight])

    assert weight.grad.tolist() == [1.0, 3.0]
    assert mean(fabric, torch.tensor([2.0])).item() == 2
    assert anyone(fabric, True)
    assert total(fabric, 1.5, 2) == [1.5, 2.0]


def test_a_journal_that_goes_on_forgets_later_lines(tmp_path):
    first = Journal(tmp_path, 0, writes=True)
    for step in (1, 2, 3):
        first.line(step, {"loss": 1 / step})
    first.close()

    again = Journal(tmp_path, 2, writes=True)
    again.line(3, {"loss": 0.25})
    again.picture(3, "grey", np.zeros((4, 4), np.uint8))
    again.close()

    lines = [json.loads(line) for line in (tmp_path / "curve.jsonl").read_text().splitlines()]
    assert [(line["step"], line["loss"]) for line in lines] == [(1, 1.0), (2, 0.5), (3, 0.25)]
    assert (tmp_path / "pictures/step_0000003.png").exists()
