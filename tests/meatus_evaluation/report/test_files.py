import json
import math

import pytest

from meatus.errors import OutputError, UsageError
from meatus.service.destinations import check_writable
from meatus_evaluation.report.files import write_json, write_text


def test_undefined_numbers_become_null_at_any_depth(tmp_path):
    write_json(tmp_path / "new" / "a.json", {"x": math.nan, "y": [1, (math.nan, {"z": math.nan})]})

    told = json.loads((tmp_path / "new" / "a.json").read_text())
    assert told == {"x": None, "y": [1, [None, {"z": None}]]}


def test_what_was_not_asked_for_is_not_written():
    check_writable(None)
    write_text(None, "text")


def test_a_place_that_cannot_be_written_is_told_before_and_after(tmp_path):
    (tmp_path / "file").write_text("")

    check_writable(tmp_path / "new" / "a.csv")
    with pytest.raises(UsageError, match="is a folder"):
        check_writable(tmp_path)
    with pytest.raises(UsageError, match="cannot be written"):
        check_writable(tmp_path / "file" / "a.csv")
    with pytest.raises(OutputError, match="cannot be written"):
        write_text(tmp_path / "file" / "a.csv", "text")
