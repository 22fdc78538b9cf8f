"""`farm run`: a whole manifest, on a cluster."""

from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli import option
from farm.cli.exit_code import ExitCode
from farm.cli.monitoring import Log, Metrics, Monitoring
from farm.cli.scheduler import ClusterPlace, Scheduler, Tls, check_scheduler

if TYPE_CHECKING:
    from farm.run import RunReport


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
    isolation: option.LaneIsolation = None,
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
    from farm.cli.watched_run import run_watched
    from farm.options import RunOptions

    monitoring = Monitoring(log, metrics)
    monitoring.begin()
    words = list(settings or ())
    words += [f"lanes={lanes}"] if lanes is not None else []
    words += [f"gpus={gpus}"] if gpus is not None else []
    words += [f"isolation={isolation}"] if isolation is not None else []
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
    report = run_watched(job, options, place, take_over=take_over, monitoring=monitoring)
    raise typer.Exit(_exit_code(report, allow_failures))


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
