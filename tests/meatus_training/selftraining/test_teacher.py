from types import SimpleNamespace

import pytest
import torch

from meatus.errors import DeviceError
from meatus_training.errors import TrainingError
from meatus_training.selftraining import pseudo_labels
from meatus_training.selftraining.pseudo_labels import check_labelling, load_teacher


def process_on(device):
    return SimpleNamespace(device=torch.device(device))


@pytest.fixture
def loaded(monkeypatch):
    """What the pipeline is asked to load, call by call."""
    calls = []
    monkeypatch.setattr(pseudo_labels, "load_model", lambda folder, **how: calls.append(how))
    return calls


def test_each_process_labels_on_the_gpu_that_it_trains_on(loaded, tmp_path):
    for number in range(3):
        load_teacher(tmp_path, "full", process_on(f"cuda:{number}"))

    assert [(how["device"], how["gpu"]) for how in loaded] == [("cuda", n) for n in range(3)]


def test_a_training_on_the_processor_labels_there(loaded, tmp_path):
    load_teacher(tmp_path, "full", process_on("cpu"))

    assert loaded[0]["device"] == "cpu"


def test_a_gpu_that_cannot_label_is_an_error_and_no_processor_takes_its_place(
    monkeypatch, tmp_path
):
    def refuse(_folder, **_how):
        raise DeviceError("libcudnn.so.9 cannot be loaded; install CUDA 13 with cuDNN 9")

    monkeypatch.setattr(pseudo_labels, "load_model", refuse)
    with pytest.raises(TrainingError, match=r"libcudnn.*run selftrain with --accelerator cpu"):
        load_teacher(tmp_path, "full", process_on("cuda:0"))


def test_a_gpu_that_cannot_label_is_told_before_anything_is_trained(monkeypatch):
    def refuse(device, _say):
        raise DeviceError(f"device '{device}' cannot be used: libcudnn.so.9 cannot be loaded")

    monkeypatch.setattr(pseudo_labels, "choose", refuse)
    check_labelling(process_on("cpu"))
    with pytest.raises(TrainingError, match=r"self-training cannot label .*libcudnn.*accelerator"):
        check_labelling(process_on("cuda:0"))
