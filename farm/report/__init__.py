"""The report: a ledger as pages that any browser shows, from a disk, a bucket or a web server."""

from farm.report.pages import ReportOptions, Written, write_report

__all__ = ["ReportOptions", "Written", "write_report"]
