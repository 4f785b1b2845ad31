"""The scores as one HTML file. Needs jinja2, so import it only where a report is wanted."""

from meatus_evaluation.report.page import write_report

__all__ = ["write_report"]
