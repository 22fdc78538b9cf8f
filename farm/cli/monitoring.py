"""The options by which machines watch a command: a log of JSON lines, and figures on a port."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

    from farm.run import RunReport

_Collected = TypeVar("_Collected", bound="Collector")


class LogForm(StrEnum):
    """How a command tells what happens."""

    BAR = "bar"
    TEXT = "text"
    JSON = "json"


Log = Annotated[
    LogForm | None,
    typer.Option(help="Tell what happens by a bar, text or JSON; default: a bar on a terminal."),
]
LineLog = Annotated[
    Literal["text", "json"] | None, typer.Option(help="Log in text or JSON; default: text.")
]
Metrics = Annotated[
    str | None,
    typer.Option(metavar="[HOST:]PORT", help="Serve figures for Prometheus at /metrics."),
]


@dataclass(frozen=True, slots=True)
class Monitoring:
    """What was asked for; `metrics` is the address that figures are served on."""

    log: LogForm | None = None
    metrics: str | None = None

    def begin(self) -> None:
        """Turns the log on; raises UsageError where the figures could not be served."""
        if self.log in (LogForm.BAR, LogForm.TEXT):
            os.environ.pop("FARM_LOG", None)
        elif self.log is LogForm.JSON or os.environ.get("FARM_LOG") == "json":
            from farm import journal

            journal.turn_on()
        if self.metrics is not None:
            from farm import metrics

            metrics.require()
            from farm.metrics.server import parse_address

            parse_address(self.metrics)

    @property
    def address(self) -> tuple[str, int] | None:
        """The host and port that figures are served on."""
        if self.metrics is None:
            return None
        from farm.metrics.server import parse_address

        return parse_address(self.metrics)

    @contextlib.contextmanager
    def figures(
        self,
        collector: "Callable[[], _Collected]",
        *,
        notice: Callable[[str], object],
        workers: Callable[[], Iterable[str]] = lambda: (),
    ) -> "Iterator[_Collected | None]":
        """Serves what it collects while it lasts, where that was asked for; says where."""
        if self.address is None:
            yield None
            return
        from farm.metrics.server import MetricsServer

        made = collector()
        with MetricsServer(self.address, made, workers=workers) as server:
            notice(f"figures for Prometheus: {server.url}")
            yield made


def tell_end(report: "RunReport", entries: int) -> None:
    """Logs how a run ended, with all of its figures and what this command did of it."""
    from farm import journal
    from farm.run import RunState

    totals = report.totals
    journal.tell(
        "run_ended",
        f"{report.state.value}: {report.reason}" if report.reason else report.state.value,
        level=logging.INFO if report.state is RunState.DONE else logging.WARNING,
        state=report.state.value,
        entries=entries,
        counts=totals.counts,
        codes=totals.codes,
        pictures=totals.pictures,
        bytes_read=totals.bytes_read,
        bytes_written=totals.bytes_written,
        seconds=round(report.seconds, 3),
    )
