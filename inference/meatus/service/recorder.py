"""The report of a run, written case by case while the run goes on."""

from __future__ import annotations

from pathlib import Path

from meatus import __version__
from meatus.ensemble import Model
from meatus.postprocess import Rules
from meatus.report.case_files import write_case
from meatus.report.case_table import CaseReport, notice
from meatus.report.measure import Measures, measure_found
from meatus.report.tables import Tables
from meatus.service.batch import Outcome
from meatus.service.path_scrubbing import without_paths
from meatus.timing import peak_mib
from meatus.volumes import Scan


def _measured(outcome: Outcome, rules: Rules) -> Measures | None:
    """None where the case failed."""
    if outcome.error is not None or outcome.result is None:
        return None
    return measure_found(outcome.result, rules.between_ears_mm)


class Recorder:
    """Measures cases and reports on them in ``folder``, where one is named.

    ``tables`` are kept up with the cases, unless another process does that.
    """

    def __init__(
        self, folder: Path | None, model: Model, rules: Rules, tables: Tables | None = None
    ) -> None:
        self._folder, self._model, self._rules, self._tables = folder, model, rules, tables

    def record(self, outcome: Outcome, scan: Scan | None) -> Measures | None:
        """Write the case's file, picture and page. Raises ``OutputError`` where that fails."""
        found = _measured(outcome, self._rules)
        if self._folder is not None:
            self._report(self._folder, outcome, scan, found)
        return found

    def _report(
        self, folder: Path, outcome: Outcome, scan: Scan | None, found: Measures | None
    ) -> None:
        report = _case_report(outcome, found, self._model)
        try:
            self._show(folder, outcome, scan, found, report)
        finally:  # the case's file comes last: what has one is whole, however the run ends
            write_case(folder, report)
        if self._tables is not None:
            self._tables.refresh()

    def _show(
        self,
        folder: Path,
        outcome: Outcome,
        scan: Scan | None,
        found: Measures | None,
        report: CaseReport,
    ) -> None:
        """The case's picture and page."""
        from meatus.report.pages import picture_file, write_case_page  # jinja2 only for pages

        if scan is not None and outcome.result is not None and found is not None:
            from meatus.report.figures import draw_case  # matplotlib only where it is drawn

            draw_case(
                scan,
                outcome.result.labels,
                outcome.case.name,
                picture_file(folder, outcome.case.name),
                weights=f"{self._model.weights}; trained on {self._model.spec.origin}",
                measures=found,
            )
        write_case_page(folder, report)


def _case_report(outcome: Outcome, found: Measures | None, model: Model) -> CaseReport:
    return CaseReport(
        case=outcome.case.name,
        measures=found,
        seconds=outcome.stages,
        peak_mib=peak_mib(),
        engine=model.members[0].name,
        looked=outcome.result.looked if outcome.result else "",
        weights=model.weights,
        version=__version__,
        notice=notice(model.spec.origin),
        warnings=tuple(without_paths(line, outcome.case) for line in outcome.warnings),
        error=without_paths(outcome.error, outcome.case) if outcome.error else None,
    )
