"""The run that measures what many cases cost goes through every step."""

import pytest

from meatus.cluster.dry_run import PARTS, dry_run
from meatus.report.case_files import case_names


def test_a_dry_run_lists_shares_and_reports_every_case(tmp_path):
    costs = dry_run(9, tmp_path, jobs=1, cluster=None)

    assert [cost.step for cost in costs] == ["list", "schedule", "make tables", "join reports"]
    assert all(cost.wall_ms > 0 for cost in costs)
    assert len(case_names(tmp_path / "report")) == 9
    assert len(case_names(tmp_path / "report-0")) == pytest.approx(9 / PARTS, abs=1)
