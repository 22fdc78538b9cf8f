"""`farm serve`: the HTTP service; `farm key`: who may use it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.monitoring import LineLog, LogForm, Metrics, Monitoring
from farm.cli.scheduler import ClusterPlace, Scheduler, Tls, check_scheduler
from farm.cli.screen import say

if TYPE_CHECKING:
    from farm.cluster.dask import DaskCluster
    from farm.service.config import ServiceConfig
    from farm.service.figures import ServiceMetrics

_Data = Annotated[
    Path | None, typer.Option("--data", metavar="FOLDER", help="Database, files and keys.")
]
_ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="The service's settings (YAML).")
]


def serve(
    data: _Data = None,
    config: _ConfigFile = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 = a free one.")] = 8080,
    public_url: Annotated[
        str | None, typer.Option(metavar="URL", help="How callers reach it; default their Host.")
    ] = None,
    scheduler: Scheduler = None,
    tls: Tls = None,
    workers: Annotated[int, typer.Option(min=1, help="Workers of the embedded cluster.")] = 1,
    log: LineLog = None,
    metrics: Metrics = None,
) -> None:
    """Answer CloudConvert's and Qencode's thumbnail requests over HTTP.

    Make a key first: farm key add NAME --data FOLDER. Ctrl-C ends it; what ran is taken up at the
    next start.
    """
    from farm.service.app import create_app, listen

    monitoring = Monitoring(LogForm(log) if log else None, metrics)
    monitoring.begin()
    read = _config(data, config, public_url=public_url)
    check_scheduler(scheduler, tls)

    place = ClusterPlace(scheduler, tls, workers)
    opened: list[DaskCluster] = []

    def open_cluster() -> "DaskCluster":
        opened.append(place.open(read.settings))
        return opened[0]

    def collector() -> "ServiceMetrics":
        from farm.service.figures import ServiceMetrics

        return ServiceMetrics(lambda: getattr(app.state, "service", None))

    app = create_app(read, open_cluster)
    with monitoring.figures(collector, notice=say, workers=lambda: opened[0].roster.pages):
        listen(app, host=host, port=port, ready=lambda url: say(f"listening on {url}"))


keys = typer.Typer(
    no_args_is_help=True, help="Keys of the HTTP service's callers.", rich_markup_mode=None
)


@keys.command("add")
def add_key(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    data: _Data = None,
    config: _ConfigFile = None,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="One of its scopes; default: all.")
    ] = None,
) -> None:
    """Make a key and show it, for the only time."""
    from farm.errors import InvalidJobError
    from farm.service.database import Database
    from farm.service.keys import KeyStore
    from farm.service.model import Scope
    from farm.service.service import prepare

    known = [each.value for each in Scope]
    for each in scope or ():
        if each not in known:
            allowed = ", ".join(known)
            raise InvalidJobError(f"expected a scope of {allowed}; received {each!r}")
    read = _config(data, config)
    prepare(read)
    say(KeyStore(Database(read.database_url)).add(name, [Scope(_) for _ in scope or known]))


@keys.command("list")
def list_keys(data: _Data = None, config: _ConfigFile = None) -> None:
    """List the keys by id and name; what they are is not kept."""
    from farm.service.database import Database
    from farm.service.keys import KeyStore

    for key in KeyStore(Database(_config(data, config).database_url)).all():
        say(f"{key.id}  {key.name}  {' '.join(sorted(key.scopes))}")


@keys.command("disable")
def disable_key(
    id: Annotated[str, typer.Argument(help="The key's id, as listed.")],
    data: _Data = None,
    config: _ConfigFile = None,
) -> None:
    """Let a key open nothing any more."""
    from farm.errors import InvalidJobError
    from farm.service.database import Database
    from farm.service.keys import KeyStore

    if not KeyStore(Database(_config(data, config).database_url)).disable(id):
        raise InvalidJobError(f"no key has the id {id!r}; see farm key list")


def _config(data: Path | None, config: Path | None, **others: object) -> "ServiceConfig":
    from farm.service.config import read_config

    return read_config(config, data=data, **others)
