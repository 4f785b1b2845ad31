"""The report of a run, written case by case while the run goes on."""

from __future__ import annotations

import time
from pathlib import Path

from meatus import __version__
from meatus.ensemble import Model
from meatus.postprocess import Rules
from meatus.report.case_table import JSON_NAME, CaseReport, notice, read_report, write_report
from meatus.report.measure import Measures, measure_found
from meatus.service.batch import Outcome
from meatus.service.output_folder import remove_unfinished
from meatus.service.path_scrubbing import without_paths
from meatus.timing import peak_mib
from meatus.volumes import Scan

# The index holds all thumbnails, so that of many cases it is not written after each.
INDEX_EVERY_S = 10.0
PDF = "report.pdf"


def _measured(outcome: Outcome, rules: Rules) -> Measures | None:
    """None where the case failed."""
    if outcome.error is not None or outcome.result is None:
        return None
    return measure_found(outcome.result, rules.between_ears_mm)


class Recorder:
    """Measures the cases of one run and reports on them in ``folder``, where one is named.

    With ``resume``, rows of an earlier run stay. Raises ``OutputError`` where the earlier report is
    damaged.
    """

    def __init__(
        self, folder: Path | None, model: Model, rules: Rules, *, resume: bool, pdf: bool = False
    ) -> None:
        self._folder, self._model, self._rules, self._pdf = folder, model, rules, pdf
        earlier = read_report(folder) if resume and folder else []
        self._reports = {report.case: report for report in earlier}
        self._goes_on = bool(earlier) or (
            resume and folder is not None and (folder / JSON_NAME).exists()
        )
        self._thumbnails: dict[str, str] = {}
        self._index_written = time.monotonic()
        if folder is not None:
            for place in (folder, *folder.glob("*/")):
                remove_unfinished(place)
            write_report(folder, self._all)  # a folder that cannot be written is known at once

    def lacks(self, case: str) -> bool:
        """Whether an earlier report goes on without it: its run ended before it was reported."""
        return self._goes_on and case not in self._reports

    @property
    def _all(self) -> list[CaseReport]:
        return list(self._reports.values())

    def record(self, outcome: Outcome, scan: Scan | None) -> Measures | None:
        """Write the case's row, picture and page. Raises ``OutputError`` where that fails."""
        found = _measured(outcome, self._rules)
        if self._folder is not None:
            self._report(self._folder, outcome, scan, found)
        return found

    def finish(self) -> None:
        """Write the index, and the PDF where asked for. Raises ``OutputError``."""
        if self._folder is None:
            return
        self._write_index(self._folder)
        if self._pdf:
            from meatus.report.pdf import write_pdf  # what PDF takes is loaded for it alone

            write_pdf(self._folder, self._all, self._folder / PDF)

    def _report(
        self, folder: Path, outcome: Outcome, scan: Scan | None, found: Measures | None
    ) -> None:
        report = _case_report(outcome, found, self._model)
        try:
            self._show(folder, outcome, scan, found, report)
        finally:  # the row comes last: what has one is whole, however the run ends
            self._reports[report.case] = report
            write_report(folder, self._all)
        if time.monotonic() - self._index_written > INDEX_EVERY_S:
            self._write_index(folder)

    def _show(
        self,
        folder: Path,
        outcome: Outcome,
        scan: Scan | None,
        found: Measures | None,
        report: CaseReport,
    ) -> None:
        """The case's picture and page."""
        if scan is not None and outcome.result is not None and found is not None:
            from meatus.report.figures import draw_case  # matplotlib only where it is drawn

            draw_case(
                scan,
                outcome.result.labels,
                outcome.case.name,
                folder / f"{outcome.case.name}.png",
                weights=f"{self._model.weights}; trained on {self._model.spec.origin}",
                measures=found,
            )
        self._thumbnails.pop(report.case, None)
        from meatus.report.pages import write_case_page  # jinja2 only where a page is written

        write_case_page(folder, report)

    def _write_index(self, folder: Path) -> None:
        from meatus.report.figures import thumbnail
        from meatus.report.html.page import data_url
        from meatus.report.pages import picture_of, write_index

        for case, report in self._reports.items():
            picture = picture_of(folder, report)
            if case not in self._thumbnails and picture is not None:
                self._thumbnails[case] = data_url(thumbnail(picture), "jpeg")
        write_index(folder, self._all, self._thumbnails)
        self._index_written = time.monotonic()


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
