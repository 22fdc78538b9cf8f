"""The options that lead to a Dask scheduler, and what makes sense of them."""

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from farm.errors import InvalidJobError
from farm.manners import Manners

if TYPE_CHECKING:
    from farm.cluster.dask import DaskCluster
    from farm.settings import Settings

Scheduler = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="A Dask scheduler; default: an embedded cluster."),
]
Tls = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="What `farm certs` made, for a scheduler at tls://HOST:PORT."),
]

_logger = logging.getLogger(__name__)

_Role = Literal["client", "worker"]
_NAMES: dict[_Role, str] = {"client": "--scheduler", "worker": "ADDRESS"}


@dataclass(frozen=True, slots=True)
class ClusterPlace:
    """Which cluster a command works on: that of a scheduler, or an embedded one of some workers."""

    scheduler: str | None
    tls: Path | None
    workers: int
    manners: Manners = Manners()

    def open(
        self,
        settings: "Settings",
        *,
        notice: Callable[[str], object] = _logger.warning,
        run: str | None = None,
    ) -> "DaskCluster":
        """Connects to it, or starts it; `notice` is told what a person should know.

        `run` is what workers call the command.
        """
        from farm.cluster.dask import DaskCluster

        return DaskCluster(
            settings,
            scheduler=self.scheduler,
            workers=self.workers,
            tls=self.tls,
            manners=self.manners,
            notice=notice,
            run=run,
        )


def check_scheduler(address: str | None, tls: Path | None, role: _Role = "client") -> None:
    """Raises InvalidJobError where the two make no sense, alone or together."""
    name = _NAMES[role]
    if address is not None and re.fullmatch(r"(\w+://)?[^\s/]+:\d+/?", address) is None:
        raise InvalidJobError(
            f"{name}: expected an address like tcp://HOST:8786, received {address!r}"
        )
    if (tls is not None) is not (address is not None and address.startswith("tls://")):
        raise InvalidJobError(
            f"--tls: expected with {name} tls://HOST:PORT and only with it, received "
            f"{'a folder' if tls is not None else 'none'} with {address or 'no scheduler'}"
        )
    for file in ("ca.pem", f"{role}.pem", f"{role}.key") if tls is not None else ():
        if tls is not None and not (tls / file).is_file():
            raise InvalidJobError(f"--tls: expected {file} in {tls}, as `farm certs` makes it")
