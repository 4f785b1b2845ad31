"""A batch that takes a moment, and what was started of it."""

import sys

import pytest

from meatus_evaluation.benchmark import batch as batches
from meatus_evaluation.benchmark.batch import Command
from tests.meatus_evaluation.label_maps import save


@pytest.fixture
def scans(tmp_path):
    for case in "ab":
        save(tmp_path / "scans" / f"{case}_T2.nii.gz")
    return tmp_path / "scans"


@pytest.fixture
def batch(monkeypatch):
    """Labelling becomes ``code``; what it was started with is kept."""
    started = []

    def make(code):
        def process(batch, source, out):
            files = (source,) if source.is_file() else sorted(source.iterdir())
            started.append((batch, [file.name for file in files]))
            return Command([sys.executable, "-c", code, str(out)])

        monkeypatch.setattr(batches, "_process", process)
        return started

    return make
