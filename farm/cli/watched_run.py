"""A run before the eyes of a person or a log, from its lease to its last line."""

from farm import storage
from farm.bulletin import Bulletin
from farm.cli.job import ledger_uri
from farm.cli.monitoring import Monitoring, tell_end
from farm.cli.muster import Muster
from farm.cli.run_end import say_end
from farm.cli.run_monitor import RunMonitor
from farm.cli.scheduler import ClusterPlace
from farm.cli.stop_signal import stop_on_signals
from farm.cli.watch import Watcher, watcher_of
from farm.cluster import Cluster
from farm.lease import Lease, Waiting
from farm.ledger import Ledger
from farm.observer import Observers
from farm.options import RunOptions
from farm.prices import cost_fields
from farm.run import RunReport, run_job
from farm.source_list import SourceList
from farm.spec import Job

# What a run takes to end, beside the entries under way: its next heartbeat, commits, its cluster.
_TAKE_OVER_SECONDS = 60.0


def run_watched(
    job: Job, options: RunOptions, place: ClusterPlace, *, take_over: bool, monitoring: Monitoring
) -> RunReport:
    """Carries out a job as its only run, tells how it gets on, and what became of it."""
    ledger = Ledger(ledger_uri(job), storage)
    _check_manifest(job, ledger, options)
    watcher, muster = watcher_of(monitoring.log), Muster()
    patience = job.settings.drain_seconds + _TAKE_OVER_SECONDS
    with stop_on_signals(watcher.leave, watcher.line) as stop, watcher:
        waiting = Waiting(patience, watcher.noticed, stop.is_requested)
        with (
            Lease.take(
                ledger.uri,
                take_over=take_over,
                waiting=waiting,
                lost=lambda: stop.request("another run has taken over"),
            ) as lease,
            Bulletin(
                ledger,
                lease,
                stop,
                notice=watcher.noticed,
                cost=lambda _: cost_fields(muster.used(), job.prices),
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
    say_end(ledger, job, report, entries=watcher.entries, muster=muster, options=options)
    return report


def _check_manifest(job: Job, ledger: Ledger, options: RunOptions) -> None:
    """Raises what makes the job impossible, before anything is stored."""
    sources = SourceList(job.manifest, ledger.uri, job.destination)
    sources.identity([each.manifest for each in ledger.passes()], options.refresh)


def _start_cluster(job: Job, place: ClusterPlace, watcher: Watcher, monitor: RunMonitor) -> Cluster:
    cluster = place.open(job.settings, notice=watcher.noticed, run=monitor.run)
    monitor.opened(cluster)
    if cluster.dashboard:
        watcher.noticed(f"dashboard: {cluster.dashboard}")
    return cluster
