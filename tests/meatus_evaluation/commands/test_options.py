import pytest

from meatus.errors import OutputError, UsageError
from meatus_evaluation.benchmark.batch import BatchFailedError
from meatus_evaluation.commands.options import BROKEN, NOTHING_DONE, one_line_errors


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("what\nelse"), NOTHING_DONE),
        (BatchFailedError("broke off"), BROKEN),
        (OutputError("disk is full"), BROKEN),
    ],
)
def test_an_error_ends_in_one_line_and_work_that_was_begun_with_1(capsys, error, code):
    with pytest.raises(SystemExit) as ended, one_line_errors():
        raise error

    assert ended.value.code == code
    assert capsys.readouterr().err.startswith("error: ")
