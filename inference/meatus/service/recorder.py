"""Adds each finished case to the report folder: a row, and a picture where there is a scan."""

from __future__ import annotations

from pathlib import Path

from meatus import __version__
from meatus.ensemble import Model
from meatus.postprocess import Rules
from meatus.report.case_table import CaseReport, notice, read_report, write_report
from meatus.report.measure import measure
from meatus.service.batch import Outcome
from meatus.service.path_scrubbing import without_paths
from meatus.timing import peak_mib
from meatus.volumes import Scan


class Recorder:
    """The report of one run; with ``resume``, rows of an earlier run stay.

    Raises ``OutputError`` where the earlier report is damaged.
    """

    def __init__(self, folder: Path, model: Model, rules: Rules, *, resume: bool) -> None:
        self._folder, self._model, self._rules = folder, model, rules
        self._reports = read_report(folder) if resume else []
        write_report(folder, self._reports)  # a folder that cannot be written is known at once

    def record(self, outcome: Outcome, scan: Scan | None) -> None:
        """Write the case's row and picture. Raises ``OutputError`` where that fails."""
        report = _case_report(outcome, self._model, self._rules)
        self._reports.append(report)
        write_report(self._folder, self._reports)
        if scan is None or outcome.result is None or report.measures is None:
            return
        from meatus.report.figures import draw_case  # matplotlib only where a picture is drawn

        draw_case(
            scan,
            outcome.result.labels,
            outcome.case.name,
            self._folder / f"{outcome.case.name}.png",
            weights=f"{self._model.weights}; trained on {self._model.spec.trained_on}",
            measures=report.measures,
        )


def _case_report(outcome: Outcome, model: Model, rules: Rules) -> CaseReport:
    done = outcome.error is None and outcome.result is not None
    result, measures = outcome.result, None
    if done and result is not None:
        measures = measure(result.labels, result.certainty, rules.between_ears_mm)
    return CaseReport(
        case=outcome.case.name,
        measures=measures,
        seconds=outcome.stages,
        peak_mib=peak_mib(),
        engine=model.members[0].name,
        weights=model.weights,
        version=__version__,
        notice=notice(model.spec.trained_on),
        warnings=tuple(without_paths(line, outcome.case) for line in outcome.warnings),
        error=without_paths(outcome.error, outcome.case) if outcome.error else None,
    )
