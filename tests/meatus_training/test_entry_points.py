from meatus import __version__
from meatus_training.entry_points import commands
from meatus_training.prepare.settings import PrepareSettings
from meatus_training.reproduce.cli import reproduce
from meatus_training.selftraining.stage import selftrain


def test_one_group_of_commands_is_offered():
    assert [group.name for group in commands] == ["train"]


def test_the_commands_are_called_as_they_are_listed():
    assert (reproduce.name, selftrain.name) == ("reproduce", "selftrain")


def test_weights_bear_the_version_of_the_project():
    assert PrepareSettings().spec().training_version == __version__
