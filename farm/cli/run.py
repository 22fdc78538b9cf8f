"""`farm run`: a whole manifest, on a cluster."""

from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli import option
from farm.cli.exit_code import ExitCode
from farm.cli.monitoring import Log, Metrics, Monitoring, tell_end
from farm.cli.scheduler import ClusterPlace, Scheduler, Tls, check_scheduler

# What a run takes to end, beside the entries under way: its next heartbeat, commits, its cluster.
_TAKE_OVER_SECONDS = 60.0

if TYPE_CHECKING:
    from farm.cli.run_monitor import RunMonitor
    from farm.cli.watch import Watcher
    from farm.cluster import Cluster
    from farm.ledger import Ledger
    from farm.options import RunOptions
    from farm.run import RunReport
    from farm.spec import Job


def run_archive(
    job_file: option.JobFile = None,
    manifest: option.Manifest = None,
    destination: option.Destination = None,
    output: option.Outputs = None,
    damaged: option.DamagedSources = None,
    ledger: option.LedgerFolder = None,
    scheduler: Scheduler = None,
    tls: Tls = None,
    workers: Annotated[int, typer.Option(min=1, help="Workers of the embedded cluster.")] = 1,
    lanes: Annotated[
        int | None, typer.Option(min=0, help="Lanes per worker; 0 = one per usable core.")
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(metavar="all|none|N", help="GPUs that each worker uses too; default none."),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first N entries.")] = None,
    sample: Annotated[int | None, typer.Option(help="Only N random entries.")] = None,
    max_failures: Annotated[
        str | None, typer.Option(metavar="N|P%", help="End the run past so many failures.")
    ] = None,
    passes: Annotated[
        int,
        typer.Option(
            min=0, help="How often to take up by itself what failed and may succeed later."
        ),
    ] = 3,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try failed entries again.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Make everything once more.")] = False,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="List the folder, prefix or glob anew.")
    ] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="End another run of this job and go on for it.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Check all rows before anything is made.")
    ] = False,
    allow_failures: Annotated[
        bool, typer.Option("--allow-failures", help="Exit with 0 though entries failed.")
    ] = False,
    pause_limit: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="The longest wait for a store that does not answer."),
    ] = None,
    settings: option.Settings = None,
    log: Log = None,
    metrics: Metrics = None,
    price: option.Prices = None,
    max_read_rate: option.MaxReadRate = None,
    max_requests_per_host: option.MaxRequestsPerHost = None,
    priority: option.Priority = 0,
) -> None:
    """Make the thumbnails of an archive.

    The same command again goes on where it stopped. The job is a job file (YAML), or --manifest
    with --destination and --output.
    """
    from farm.cli.job import JobOptions, check_work, read_job
    from farm.options import RunOptions

    monitoring = Monitoring(log, metrics)
    monitoring.begin()
    words = list(settings or ())
    words += [f"lanes={lanes}"] if lanes is not None else []
    words += [f"gpus={gpus}"] if gpus is not None else []
    words += [f"pause_seconds={pause_limit}"] if pause_limit is not None else []
    job = read_job(
        JobOptions(
            job_file,
            manifest,
            destination,
            ledger,
            tuple(output or ()),
            settings=tuple(words),
            damaged=damaged,
            prices=tuple(price or ()),
        )
    )
    check_work(job)
    check_scheduler(scheduler, tls)
    options = RunOptions(
        limit=limit,
        sample=sample,
        retry_failed=retry_failed,
        force=force,
        refresh=refresh,
        strict=strict,
        max_failures=max_failures,
        passes=passes,
    )
    manners = option.manners(max_read_rate, max_requests_per_host, priority)
    place = ClusterPlace(scheduler, tls, workers, manners)
    report = _watch(job, options, place, take_over, monitoring)
    raise typer.Exit(_exit_code(report, allow_failures))


def _watch(
    job: "Job",
    options: "RunOptions",
    place: ClusterPlace,
    take_over: bool,
    monitoring: Monitoring,
) -> "RunReport":
    """Runs the job before the eyes of a person or a log."""
    from farm import storage
    from farm.bulletin import Bulletin
    from farm.cli.job import ledger_uri
    from farm.cli.muster import Muster
    from farm.cli.run_end import say_end
    from farm.cli.run_monitor import RunMonitor
    from farm.cli.stop_signal import stop_on_signals
    from farm.cli.watch import watcher_of
    from farm.lease import Lease, Waiting
    from farm.ledger import Ledger
    from farm.observer import Observers
    from farm.prices import cost_fields
    from farm.run import run_job

    ledger = Ledger(ledger_uri(job), storage)
    _check_manifest(job, ledger, options)
    watcher, muster = watcher_of(monitoring.log), Muster()
    patience = job.settings.drain_seconds + _TAKE_OVER_SECONDS
    with stop_on_signals(watcher.leave, watcher.line) as stop, watcher:
        waiting = Waiting(patience, watcher.noticed, stop.is_requested)
        with (
            Lease.take(
                ledger.uri, take_over=take_over, waiting=waiting, lost=stop.request
            ) as lease,
            Bulletin(
                ledger,
                lease,
                stop,
                notice=watcher.noticed,
                cost=lambda status: cost_fields(muster.used(), job.prices),
            ) as bulletin,
            RunMonitor(monitoring, lease, notice=watcher.noticed) as monitor,
        ):
            report = run_job(
                job,
                ledger,
                cluster=lambda: muster.opened(lambda: _start_cluster(job, place, watcher, monitor)),
                options=options,
                observer=Observers(watcher, bulletin, monitor, muster),
                stop=stop,
                lease=lease,
            )
            bulletin.ended(report.state.as_told, report.reason, report.totals)
    tell_end(report, watcher.entries)
    say_end(
        ledger,
        job,
        report,
        entries=watcher.entries,
        muster=muster,
        is_sample=options.sample is not None,
    )
    return report


def _check_manifest(job: "Job", ledger: "Ledger", options: "RunOptions") -> None:
    """Raises what makes the job impossible, before anything is stored."""
    from farm.source_list import SourceList

    sources = SourceList(job.manifest, ledger.uri, job.destination)
    sources.identity([each.manifest for each in ledger.passes()], options.refresh)


def _start_cluster(
    job: "Job", place: ClusterPlace, watcher: "Watcher", monitor: "RunMonitor"
) -> "Cluster":
    cluster = place.open(job.settings, notice=watcher.noticed, run=monitor.run)
    monitor.opened(cluster)
    if cluster.dashboard:
        watcher.noticed(f"dashboard: {cluster.dashboard}")
    return cluster


def _exit_code(report: "RunReport", allow_failures: bool) -> ExitCode:
    from farm.cli.run_end import failures
    from farm.run import RunState

    match report.state:
        case RunState.PAUSED:
            return ExitCode.PAUSED
        case RunState.FAILED:
            return ExitCode.BROKEN
        case RunState.DONE:
            return (
                ExitCode.SOME_FAILED if failures(report) and not allow_failures else ExitCode.DONE
            )
