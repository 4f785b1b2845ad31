from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from meatus.geometry import Geometry, largest_share_labels
from meatus.io.images import write_labels
from meatus.spec import PhysicalCrop, SliceNormalisation
from meatus.volumes import Labels
from meatus_training.errors import TrainingError
from meatus_training.export.onnx_export import export_onnx
from meatus_training.networks import ResUNet25d
from meatus_training.prepare.settings import PrepareSettings
from meatus_training.runs.checkpoints import load_checkpoint, save_checkpoint
from meatus_training.segmentation.cli import segment
from meatus_training.segmentation.initial_weights import start_network
from meatus_training.segmentation.member import spec_for
from meatus_training.segmentation.samples import SampleScans
from meatus_training.segmentation.select import select_samples
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.settings_files import load_settings, save_settings
from tests.meatus.specs import make_spec
from tests.meatus_training.segmentation.runs import TINY, toy_work

GRID = Geometry((48, 32, 10), (0.5, 0.5, 1.5), (0, 0, 0))


@pytest.fixture
def work(tmp_path):
    return toy_work(tmp_path / "work")


def run(*arguments):
    result = CliRunner().invoke(segment, [str(a) for a in arguments])
    return result.exit_code, result.output


def test_the_command_trains_a_network_that_export_can_read(work, tmp_path):
    preset = tmp_path / "mine.yaml"
    preset.write_text(save_settings(replace(TINY, steps=2)))

    code, said = run(work, "--preset", preset, "--member", "a", "--seed", 3, "--on", "source")

    assert code == 0, said
    network, spec, extra = load_checkpoint(work / "segment/a/network.pt")
    assert (network.width, spec.name, extra["config"]["seed"]) == (4, "a", 3)
    assert isinstance(spec.crop, PhysicalCrop), "as the scans were prepared"
    assert spec.trained_on == "2 labelled ceT1 scans; not for clinical use"
    assert said.endswith("network.pt: trained\n")


def test_minutes_take_the_place_of_the_presets_steps(work, tmp_path):
    preset = tmp_path / "mine.yaml"
    preset.write_text(save_settings(replace(TINY, steps=10**6)))

    code, said = run(work, "--preset", preset, "--member", "a", "--minutes", 0.01)

    assert code == 0, said
    config = load_checkpoint(work / "segment/a/network.pt")[2]["config"]
    assert (config["steps"], config["epochs"], config["minutes"]) == (0, 0, 0.01)


def test_a_training_goes_on_from_an_exported_file(work, tmp_path):
    begin = start_network(replace(TINY, seed=9))
    spec = replace(make_spec(width=TINY.width), crop=PhysicalCrop())
    export_onnx(begin, spec, tmp_path / "shipped.onnx")
    preset = tmp_path / "mine.yaml"
    preset.write_text(save_settings(replace(TINY, steps=1, learning_rate=1e-9, ema=0.0)))
    start = ("--start", tmp_path / "shipped.onnx")

    code, said = run(work, "--preset", preset, "--member", "a", "--on", "source", *start)

    assert code == 0, said
    network, spec, _ = load_checkpoint(work / "segment/a/network.pt")
    assert spec.trained_on == "2 labelled ceT1 scans; not for clinical use"
    assert spec.history == ("test: nothing: a test",)
    found = network.state_dict()
    for name, value in begin.state_dict().items():
        if name.startswith("backbone") and name.endswith("weight"):
            torch.testing.assert_close(found[name], value, rtol=0, atol=1e-6)


def test_a_start_of_another_size_is_refused_in_one_line(work, tmp_path):
    spec = replace(make_spec(width=8), crop=PhysicalCrop())
    export_onnx(ResUNet25d(8, 1), spec, tmp_path / "other.onnx")
    preset = tmp_path / "mine.yaml"
    preset.write_text(save_settings(TINY))

    code, said = run(work, "--preset", preset, "--member", "a", "--start", tmp_path / "other.onnx")

    assert code == 2
    assert "other.onnx: its network has (width, blocks) (8, 1), the preset says (4, 1)" in said


def test_a_start_that_knows_other_scans_is_refused_in_one_line(work, tmp_path):
    rules = {"crop": PhysicalCrop(), "normalisation": SliceNormalisation()}
    spec = replace(make_spec(width=TINY.width), **rules)
    export_onnx(start_network(TINY), spec, tmp_path / "other.onnx")
    preset = tmp_path / "mine.yaml"
    preset.write_text(save_settings(TINY))

    code, said = run(work, "--preset", preset, "--member", "a", "--start", tmp_path / "other.onnx")

    assert code == 2
    assert "other.onnx: its network knows scans of another normalisation" in said
    assert not (work / "segment/a/network.pt").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--member", "../a"], "letters, digits"),
        (["--member", "a", "--on", "target"], "name a folder of them with --labels"),
        (["--member", "a", "--on", "translated"], "run the translate command"),
        (
            ["--member", "a", "--preset", "none"],
            "expected first, ladder, meatus, paper, phantom, published, scout, shipped, smoke",
        ),
        (
            ["--member", "a", "--accelerator", "cpu", "--on", "target", "--labels", "."],
            "lacks labels",
        ),
    ],
)
def test_what_a_user_can_put_right_is_one_line(work, arguments, line):
    preset = [] if "--preset" in arguments else ["--preset", "smoke"]

    code, said = run(work, *preset, *arguments)

    assert code == 2
    assert line in said
    assert len(said.strip().splitlines()) == 1


def test_a_folder_that_was_never_prepared_is_named(tmp_path):
    code, said = run(tmp_path, "--preset", "smoke", "--member", "a")

    assert code == 2
    assert "run the prepare command first" in said


def test_every_style_of_a_scan_bears_the_labels_of_the_scan(work):
    folder = work / "translated"
    folder.mkdir()
    for name in ("s0--ldn", "s0--etz", "s1--ldn"):
        np.save(folder / f"{name}.voxels.npy", np.zeros((10, 32, 48), np.float16))

    samples = select_samples(work, "translated", None, work)

    assert [sample.name for sample in samples] == ["s0--etz", "s0--ldn", "s1--ldn"]
    assert [sample.labels.name for sample in samples] == ["s0.labels.npy"] * 2 + ["s1.labels.npy"]
    assert len(SampleScans(samples)) == 3


def test_truth_beside_the_scans_is_brought_onto_the_prepared_grid_once(work, tmp_path):
    finer = Geometry((96, 64, 10), (0.25, 0.25, 1.5), (-0.125, -0.125, 0))
    labels = np.zeros(finer.shape, np.uint8)
    labels[3:6, 20:40, 30:60] = 2
    write_labels(Labels(labels, finer), tmp_path / "s0_Label.nii.gz")

    (sample,) = select_samples(work, "target", tmp_path, tmp_path / "kept")

    found = np.load(sample.labels)
    assert sample.labels.parent == tmp_path / "kept"
    assert found.shape == GRID.shape
    expected = np.zeros(GRID.shape, np.uint8)
    expected[3:6, 10:20, 15:30] = 2
    assert np.array_equal(found, expected)
    np.save(sample.labels, expected * 0 + 3)
    assert (
        np.load(select_samples(work, "target", tmp_path, tmp_path / "kept")[0].labels) == 3
    ).all()


def test_predicted_labels_on_the_prepared_grid_are_taken_as_they_are(work, tmp_path):
    np.save(tmp_path / "s0.labels.npy", np.full(GRID.shape, 255, np.uint8))

    (sample,) = select_samples(work, "target", tmp_path, tmp_path / "kept")

    assert sample.labels == tmp_path / "s0.labels.npy"


def test_of_a_folder_with_corrections_the_corrected_scans_are_taken_as_they_lie(work, tmp_path):
    out = tmp_path / "out"  # as meatus predict and meatus view leave it
    out.mkdir()
    for name, number in (("s0", 1), ("s0_corrected", 2), ("other_corrected", 3)):
        made = Labels(np.full(GRID.shape, number, np.uint8), GRID)
        write_labels(made, out / f"{name}.nii.gz")

    (sample,) = select_samples(work, "target", out, tmp_path / "kept")

    assert sample.name == "s0"
    assert (np.load(sample.labels) == 2).all()


def test_corrections_of_other_scans_are_told(work, tmp_path):
    write_labels(Labels(np.zeros(GRID.shape, np.uint8), GRID), tmp_path / "x_corrected.nii.gz")

    with pytest.raises(TrainingError, match=r"no target scan of .* is corrected there"):
        select_samples(work, "target", tmp_path, tmp_path / "kept")


def test_labels_keep_their_volume_and_place_on_another_grid():
    grid = Geometry((60, 50, 6), (0.7, 0.7, 2.0), (-20, -15, 0))
    labels = np.zeros(grid.shape, np.uint8)
    labels[2:4, 20:30, 25:40] = 1
    labels[2:4, 20:30, 40:45] = 3
    finer = Geometry((220, 220, 10), (0.3, 0.3, 1.0), (-30, -25, 1.3))  # no centre on an edge

    found = largest_share_labels(labels, grid, finer)

    for number, count in ((1, 2 * 10 * 15), (3, 2 * 10 * 5)):
        marked = np.argwhere(found == number)
        volume_mm3 = len(marked) * 0.3 * 0.3 * 1.0
        assert volume_mm3 == pytest.approx(count * 0.7 * 0.7 * 2.0, rel=0.1)
        middle_mm = marked.mean(0)[::-1] * finer.spacing_mm + finer.origin_mm
        wanted_mm = np.argwhere(labels == number).mean(0)[::-1] * grid.spacing_mm + grid.origin_mm
        assert middle_mm == pytest.approx(wanted_mm, abs=0.25)


def test_where_no_label_was_drawn_is_background():
    grid = Geometry((20, 20, 4), (1, 1, 1), (0, 0, 0))
    larger = Geometry((40, 20, 4), (1, 1, 1), (-10, 0, 0))

    found = largest_share_labels(np.ones(grid.shape, np.uint8), grid, larger)

    assert (found[..., 10:30] == 1).all()
    assert not found[..., :10].any()
    assert not found[..., 30:].any()


def test_a_training_goes_on_from_a_narrower_network_and_says_so(work, tmp_path):
    preset, before = tmp_path / "mine.yaml", tmp_path / "before.pt"
    preset.write_text(save_settings(replace(TINY, width=8, steps=1)))
    narrow = replace(TINY, width=4)
    spec = spec_for(narrow, PrepareSettings(), "before", "12 scans, no real scan; x")
    save_checkpoint(before, start_network(narrow), spec)

    code, said = run(work, "--preset", preset, "--member", "a", "--start", before)

    assert code == 0, said
    _, spec, _ = load_checkpoint(work / "segment/a/network.pt")
    assert spec.width == 8
    assert spec.history == ("before: 12 scans, no real scan; x",)


@pytest.mark.parametrize(
    ("preset", "flips"), [("paper", "all"), ("phantom", "all"), ("shipped", "left-right")]
)
def test_weights_say_which_flips_they_have_learnt(preset, flips):
    settings = load_settings("segment", preset, SegmentSettings)

    assert spec_for(settings, PrepareSettings(), "a", "x").flips == flips
    for changed in ({"flip_chance": 0}, {"flips": "left-right"}):
        shape = replace(settings.augmentation.shape, **changed)
        other = replace(settings, augmentation=replace(settings.augmentation, shape=shape))
        assert spec_for(other, PrepareSettings(), "a", "x").flips == "left-right"


@pytest.mark.parametrize("preset", ["paper", "phantom", "smoke", "ladder", "shipped"])
def test_the_presets_fit_their_networks_and_survive_a_round_trip(preset, tmp_path):
    settings = load_settings("segment", preset, SegmentSettings)
    (tmp_path / "again.yaml").write_text(save_settings(settings))

    assert load_settings("segment", str(tmp_path / "again.yaml"), SegmentSettings) == settings


def test_the_paper_preset_is_the_papers():
    settings = load_settings("segment", "paper", SegmentSettings)

    assert (settings.patch, settings.batch, settings.epochs) == ((40, 384, 384), 10, 200)
    assert (settings.learning_rate, settings.weight_decay) == (1e-4, 1e-4)
    assert settings.loss.level_weights == (1, 1 / 2, 1 / 4, 1 / 8)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"patch": (8, 30, 32)}, "multiples of 16"),
        ({"batch": 3, "micro_batch": 2}, "must divide"),
        ({"steps": 0}, "must end the training"),
        ({"workers": -1}, "not be negative"),
        ({"save_every": 0}, "must be positive"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, line):
    with pytest.raises(ValueError, match=line):
        replace(TINY, **changes)
