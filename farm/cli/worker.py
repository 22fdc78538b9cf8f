"""`farm worker`: this machine works for a cluster until it is told to leave."""

from pathlib import Path
from typing import Annotated

import typer

from farm.cli.monitoring import LineLog, LogForm, Metrics, Monitoring
from farm.cli.scheduler import Tls, check_scheduler
from farm.cli.screen import say

WORKER_CODES_HELP = """\b
Exit codes:
    0  it left: by a signal, a notice, or because the scheduler is gone
    2  an option is wrong
    3  no scheduler answers, or no worker can be started
  130  stopped at once by a second signal"""


def work_for_cluster(
    scheduler: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="The scheduler, such as tcp://HOST:8786.")
    ],
    name: Annotated[
        str | None, typer.Option(help="What the cluster calls it; default: its address.")
    ] = None,
    lanes: Annotated[
        int | None,
        typer.Option(min=0, help="Lanes, whatever a run says; 0 = one per usable core."),
    ] = None,
    gpus: Annotated[
        str | None,
        typer.Option(metavar="all|none|N", help="GPUs to use, whatever a run says."),
    ] = None,
    local_directory: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where Dask keeps files of the worker.")
    ] = None,
    tls: Tls = None,
    drain_seconds: Annotated[
        float, typer.Option(min=1, help="Time from the request to leave to the end.")
    ] = 25.0,
    spot: Annotated[
        str,
        typer.Option(
            metavar="aws|gcp|none|FILE",
            help="Leave where the cloud announces this machine's end, or FILE appears.",
        ),
    ] = "none",
    log: LineLog = None,
    metrics: Metrics = None,
) -> None:
    """Work for the runs of a Dask cluster, with all cores of this machine.

    The first Ctrl-C or SIGTERM has it leave: it takes nothing more, commits what is done of its
    shards, and hands the rest back. A second one stops it at once. It ends when its scheduler does:
    have a service manager start it again.
    """
    from farm.spot import Watch, notice_of

    monitoring = Monitoring(LogForm(log) if log else None, metrics)
    monitoring.begin()
    check_scheduler(scheduler, tls, role="worker")
    words = _words(lanes=lanes, gpus=gpus)
    notice = notice_of(spot)
    watch = Watch(notice) if notice is not None else None
    if watch is not None:
        watch.await_peace(_tell)

    from farm.cluster.membership import Membership, work

    membership = Membership(
        scheduler,
        name=name,
        words=words,
        local_directory=local_directory,
        tls=tls,
        drain_seconds=drain_seconds,
        pages=monitoring.address,
    )
    reason = work(
        membership, watch=watch.await_notice if watch else lambda leave: None, notice=_tell
    )
    _tell(f"left: {reason}")


def _words(**given: object) -> dict[str, object]:
    """The settings that were given; raises InvalidJobError for what they do not allow."""
    from pydantic import ValidationError

    from farm.errors import InvalidJobError
    from farm.settings import Settings
    from farm.spec import explain

    words = {key: value for key, value in given.items() if value is not None}
    try:
        Settings.model_validate(words)
    except ValidationError as error:
        raise InvalidJobError(f"--{explain(error, Settings)}") from None
    return words


def _tell(message: str) -> None:
    from farm import journal

    if journal.is_wanted():
        journal.tell("notice", message)
    else:
        say(f"farm worker: {message}", to_stderr=True)
