from dataclasses import dataclass, field
from pathlib import Path

import pytest

from meatus.spec import Crop, PhysicalCrop, ReferenceCrop
from meatus_phantom.tissue_maps import tissue_maps
from meatus_training.prepare.settings import PrepareSettings
from meatus_training.reproduce.stage import translations_key
from meatus_training.segmentation.settings import SegmentSettings
from meatus_training.selftraining.retrain import training_key
from meatus_training.settings_files import (
    SettingsError,
    load_settings,
    preset_names,
    save_settings,
    settings_hash,
)
from meatus_training.translation.settings import TranslateSettings


@dataclass(frozen=True)
class Adam:
    rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self):
        if self.rate <= 0:
            raise ValueError("the rate must be positive")


@dataclass(frozen=True)
class Stage:
    epochs: int
    adam: Adam = Adam()
    crop: Crop = field(default_factory=PhysicalCrop)
    rounds: tuple[Adam, ...] = ()
    by_site: dict[str, Adam] = field(default_factory=dict)
    limit: float | None = None


@pytest.fixture
def read(tmp_path):
    def _read(text, model=Stage):
        (tmp_path / "my.yaml").write_text(text)
        return load_settings("stage", str(tmp_path / "my.yaml"), model)

    return _read


@pytest.fixture
def lines(read):
    """What a wrong file is told, without the path."""

    def _lines(text):
        with pytest.raises(SettingsError) as caught:
            read(text)
        told = str(caught.value).splitlines()
        assert all("my.yaml" in line for line in told)
        return [line.partition("my.yaml:")[2].strip() for line in told]

    return _lines


def test_what_a_file_does_not_say_is_the_default(read):
    assert read("epochs: 3\nadam: {betas: [0.5, 0.9]}") == Stage(3, Adam(betas=(0.5, 0.9)))


def test_an_empty_file_is_all_defaults(read):
    assert read("# nothing\n", Adam) == Adam()


def test_an_exponent_without_a_point_is_a_number(read):
    assert read("epochs: 1\nadam: {rate: 2e-4}\nlimit: .inf") == Stage(
        1, Adam(2e-4), limit=float("inf")
    )


def test_a_union_is_told_apart_by_its_literal(read):
    assert read("epochs: 1\ncrop: {rule: reference}").crop == ReferenceCrop()


def test_a_key_too_many_is_refused_at_every_level(lines):
    text = """
epochs: 1
epoch: 2
adam: {beta: 1}
crop: {rule: physical, sise: [1, 2]}
rounds: [{}, {lr: 3}]
by_site: {ldn: {lr: 4}}
"""
    assert lines(text) == [
        "adam.beta: no such key, found 1",
        "crop.physical.sise: no such key, found [1, 2]",
        "rounds.1.lr: no such key, found 3",
        "by_site.ldn.lr: no such key, found 4",
        "epoch: no such key, found 2",
    ]


def test_each_value_of_a_wrong_kind_has_a_line(lines):
    told = lines("epochs: 1.5\nadam: {rate: fast, betas: [1]}\nlimit: true")

    assert [line.split(":")[0] for line in told] == [
        "epochs", "adam.rate", "adam.betas.1", "limit"
    ]  # fmt: skip
    assert told[1] == "adam.rate: Input should be a valid number, found 'fast'"


@pytest.mark.parametrize("number", ["'3'", "true", "2001-01-01", "[3]"])
def test_nothing_is_turned_into_a_number(lines, number):
    assert lines(f"epochs: {number}")[0].startswith("epochs: Input should be a valid integer")


def test_a_required_key_is_asked_for(lines):
    assert lines("") == ["epochs: Field required"]


def test_the_dataclass_itself_may_refuse(lines):
    assert lines("epochs: 1\nadam: {rate: -1}") == ["adam: Value error, the rate must be positive"]


def test_a_union_without_its_literal_says_which_key_decides(lines):
    assert lines("epochs: 1\ncrop: {size: [1, 2]}") == ["crop: say which with 'rule'"]


def test_a_list_is_no_settings_file(lines):
    assert lines("- 1")[0].startswith("the whole file: Input should be an object")


def test_broken_yaml_is_told_with_its_line(lines):
    assert lines("epochs: 1\nadam: [")[0].startswith("2:")


def test_a_key_that_stands_twice_is_refused(lines):
    assert "'epochs' stands twice" in lines("epochs: 1\nadam: {}\nepochs: 2")[0]


def test_a_file_that_would_run_code_is_refused(lines):
    assert "not YAML" in lines("epochs: !!python/object/apply:os.getcwd []")[0]


def test_a_file_of_bytes_is_refused(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"epochs: \xff\xfe")

    with pytest.raises(SettingsError, match=r"x\.yaml: not YAML in UTF-8"):
        load_settings("stage", str(tmp_path / "x.yaml"), Stage)


def test_an_unknown_preset_is_told_with_those_there_are():
    with pytest.raises(
        SettingsError, match=r"papr: no preset of 'prepare'; expected .*paper.*smoke"
    ):
        load_settings("prepare", "papr", PrepareSettings)


def test_a_folder_of_ones_own_is_a_preset(tmp_path):
    (tmp_path / "stage.yaml").write_text("epochs: 7")

    assert load_settings("stage", str(tmp_path), Stage) == Stage(7)
    with pytest.raises(SettingsError, match=r"other\.yaml: no such file; expected the settings"):
        load_settings("other", str(tmp_path), Stage)


def test_what_is_saved_loads_as_the_same_settings(read):
    settings = Stage(
        5, Adam(3e-5), ReferenceCrop(size=(8, 9)), (Adam(), Adam(1.0)), {"ldn": Adam(2.0)}
    )

    assert read(save_settings(settings)) == settings


def test_the_hash_changes_with_any_value_and_is_stable():
    assert settings_hash(Stage(5)) == settings_hash(Stage(5, Adam(1e-3), PhysicalCrop()))
    others = [Stage(6), Stage(5, Adam(2e-3)), Stage(5, crop=ReferenceCrop())]
    assert len({settings_hash(settings) for settings in [Stage(5), *others]}) == 4
    assert settings_hash(Adam()) == "771899a94777472f"


@pytest.mark.parametrize("preset", ["paper", "phantom", "published", "smoke"])
def test_every_preset_prepares(preset):
    assert preset in preset_names("prepare")

    settings = load_settings("prepare", preset, PrepareSettings)

    assert settings.whole_tumour == "refuse"
    assert isinstance(settings.crop, ReferenceCrop) == (preset in ("paper", "published"))


def test_the_phantom_preset_is_the_default():
    assert load_settings("prepare", "phantom", PrepareSettings) == PrepareSettings()


def test_keys_by_their_former_names_are_read_and_told_in_one_line(tmp_path, capsys):
    file = tmp_path / "mine.yaml"
    file.write_text("at_once: 2\nnear_structures: 0.5\nwhole_share: 0.1\nwhole_depth: 14\n")

    found = load_settings("segment", str(file), SegmentSettings)

    assert found == SegmentSettings(
        micro_batch=2, foreground_oversampling=0.5, full_field_fraction=0.1, full_field_depth=14
    )
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"note: {file}: rename, before the next version, at_once micro_batch, ")


def test_a_key_by_both_its_names_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text("at_once: 2\nmicro_batch: 1\n")

    with pytest.raises(SettingsError, match="at_once: is micro_batch by its former name"):
        load_settings("segment", str(tmp_path / "mine.yaml"), SegmentSettings)


# Of the version before keys and modules were renamed: stages that it did count as done.
BEFORE = {"phantom": "d72e37e99ef1257f", "smoke": "3d911ce6fc4d7bf4"}


@pytest.mark.parametrize("preset", BEFORE)
def test_stages_done_before_keys_were_renamed_stay_done(preset):
    assert training_key(load_settings("segment", preset, SegmentSettings)) == BEFORE[preset]


def test_translations_done_before_classes_were_renamed_stay_done():
    settings = load_settings("translate", "smoke", TranslateSettings)

    assert translations_key(settings) == "a102918705f5f16d"


def test_tissue_maps_made_before_stay_in_use():
    subjects = SegmentSettings().phantoms.subjects

    assert tissue_maps(Path("maps"), subjects, []).folder == Path("maps/d41f87aa022c636d")


@dataclass(frozen=True)
class Inner:
    one: int = 1
    two: int = 2


@dataclass(frozen=True)
class Outer:
    inner: Inner = Inner()
    three: int = 3


def test_a_file_that_is_based_on_another_says_what_differs(tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "stage.yaml").write_text("inner: {one: 10, two: 20}\nthree: 30")
    (tmp_path / "mine.yaml").write_text(f"based_on: {tmp_path / 'base'}\ninner: {{two: 5}}")

    found = load_settings("stage", str(tmp_path / "mine.yaml"), Outer, {"three": 7})

    assert found == Outer(Inner(one=10, two=5), three=7)


def test_files_that_are_based_on_one_another_are_refused(tmp_path):
    one, other = tmp_path / "one.yaml", tmp_path / "other.yaml"
    one.write_text(f"based_on: {other}")
    other.write_text(f"based_on: {one}")

    with pytest.raises(SettingsError, match=r"other\.yaml: based_on: leads back to .*one\.yaml"):
        load_settings("stage", str(one), Outer)


def test_a_base_that_is_not_there_is_named(tmp_path):
    (tmp_path / "one.yaml").write_text("based_on: nowhere")

    with pytest.raises(SettingsError, match="nowhere: no preset of 'stage'"):
        load_settings("stage", str(tmp_path / "one.yaml"), Outer)
