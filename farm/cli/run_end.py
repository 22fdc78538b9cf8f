"""The end of `farm run`: what was done, what failed, what it took, and what to do next."""

import shlex

from farm.cli.muster import Muster
from farm.cli.screen import duration_text, say
from farm.cli.usage_table import estimated, measured, table
from farm.estimate import CONFIDENCE, Estimate, estimate_from, kept_estimate
from farm.ledger import Ledger
from farm.options import RunOptions
from farm.prices import Prices, Usage
from farm.record import Status
from farm.run import RunReport, RunState
from farm.spec import Job
from farm.storage import redact
from farm.wording import size_text

_MILLION = 1_000_000


def failures(report: RunReport) -> int:
    """Entries that ended without pictures."""
    return report.totals.count(Status.FAILED) + report.totals.count(Status.QUARANTINED)


def say_end(
    ledger: Ledger,
    job: Job,
    report: RunReport,
    *,
    entries: int,
    muster: Muster,
    options: RunOptions,
) -> None:
    """Prints the end; `entries` were settled this time. Keeps the estimate that a sample gives."""
    totals = report.totals
    say(f"{report.state.value}: {report.reason}" if report.reason else report.state.value)
    rate = entries / report.seconds if report.seconds > 0 else 0.0
    figures = {
        "this time": f"{entries:,} entries in {duration_text(report.seconds)}, {rate:,.1f}/s",
        "entries": f"{totals.entries:,}" + "".join(
            f", {count:,} {status}" for status, count in sorted(totals.counts.items())
        ) + (f", {totals.carried:,} done before" if totals.carried else ""),
        "passes": _passes_text(report) if len(totals.passes) > 1 else "",
        "failures": ", ".join(f"{count:,} {code}" for code, count in totals.codes.items()),
        "pictures": f"{totals.pictures:,}, {size_text(totals.bytes_written)}",
        "thumbnails": job.destination or "",
        "ledger": report.ledger,
        "summary": report.summary,
    }  # fmt: skip
    for name, value in figures.items():
        if value:
            say(f"  {name:<11} {value}")
    if report.state is RunState.DONE and not totals.entries and not totals.carried:
        say(f"nothing to do: there is no entry in {redact(job.manifest)}")
    is_sample = options.sample is not None
    estimate = _estimate(ledger, job, report, muster, is_sample)
    for line in usage_lines(report.totals.used, estimate, job.prices, is_sample=is_sample):
        say(f"  {line}")
    for hint in _hints(report):
        say(hint)


def _estimate(
    ledger: Ledger, job: Job, report: RunReport, muster: Muster, is_sample: bool
) -> Estimate | None:
    """That of the sample which has just been run, else the newest one of the same job."""
    used = report.totals.used
    if report.state is RunState.FAILED:
        return None  # the ledger may be out of reach
    if is_sample and muster.workers and used.entries and report.state is RunState.DONE:
        made = estimate_from(
            ledger, job, used, workers=muster.workers, start_seconds=muster.start_seconds
        )
        if made is not None:
            ledger.put_estimate(made.to_fields())
        return made
    return kept_estimate(ledger, job)


def usage_lines(
    used: Usage, estimate: Estimate | None, prices: Prices, *, is_sample: bool
) -> list[str]:
    """What it took; beside it what a sample told of that, or tells of the whole manifest."""
    columns = [measured(f"{used.entries:,.0f} entries", used, prices)] if used.entries else []
    if estimate is not None and is_sample:
        entries = _MILLION if estimate.rows is None else estimate.rows
        title = "a million, estimated" if estimate.rows is None else f"all {entries:,}, estimated"
        columns.append(estimated(title, estimate, entries, prices))
    elif estimate is not None and used.entries:
        columns.append(estimated("estimated before", estimate, int(used.entries), prices))
    if not columns:
        return []
    return [*table(prices, *columns), *(_notes(estimate) if estimate is not None else ())]


def _notes(estimate: Estimate) -> list[str]:
    """What an estimate rests on, and how sure it is."""
    lanes = f"{estimate.workers:,} workers" if estimate.workers > 1 else "1 worker"
    start = duration_text(estimate.start_seconds)
    notes = [
        f"estimated from {estimate.sampled:,} entries, on {lanes} with {estimate.lanes:.3g} lanes "
        f"each, without the {start} that they took to be ready"
    ]
    if estimate.sampled < estimate.least_entries:
        notes.append(
            f"too few entries to tell how sure that is: --sample {estimate.least_entries} or more"
        )
    else:
        notes.append(
            f"in brackets: {CONFIDENCE * 100:.0f} % intervals, as far as it is entries that differ"
        )
    return notes


def _passes_text(report: RunReport) -> str:
    """What each pass gave."""
    return "; ".join(
        f"{each.number} ({each.reason}): "
        + (", ".join(f"{count:,} {status}" for status, count in sorted(each.counts.items())) or "0")
        for each in report.totals.passes
    )


def _hints(report: RunReport) -> list[str]:
    hints = []
    if failures(report):
        has_failed = report.totals.count(Status.FAILED) > 0
        status = Status.FAILED if has_failed else Status.QUARANTINED
        hints.append(f"what failed:  farm ledger {shlex.quote(report.ledger)} --status {status}")
        # Which takes up nothing that is in quarantine.
        if has_failed:
            hints.append("try it again: the same command with --retry-failed")
    if report.state is not RunState.DONE:
        hints.append("to go on:     the same command")
    return hints
