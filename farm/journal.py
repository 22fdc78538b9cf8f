"""The log for machines: one JSON object a line on the standard error, without any secret.

Everything goes through the standard `logging`. What a line is about is said by `extra`: `event`,
and those of `FIELDS` that apply. FARM_LOG=json turns it on in this process and in what it starts.
"""

import json
import logging
import math
import os
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from farm.record import Record
from farm.storage.redaction import redact
from farm.summary import Summary

VARIABLE = "FARM_LOG"
LOG = "log"
"""The event of lines that nobody gave one."""

FIELDS = (
    "run",
    "pass_number",
    "shard",
    "row",
    "id",
    "source",
    "status",
    "code",
    "attempts",
    "worker",
    "state",
    "entries",
    "rows",
    "failures",
    "pictures",
    "bytes_read",
    "bytes_written",
    "counts",
    "codes",
    "entries_per_second",
    "seconds",
    "seconds_left",
    "shards_in_flight",
    "shards_todo",
    "slots",
    "logger",
    "error",
)
"""What a line may tell besides `time`, `level`, `event` and `message`, in this order."""

_logger = logging.getLogger(__name__)
# What all lines of this process tell.
_bound: dict[str, Any] = {}


class JsonFormatter(logging.Formatter):
    """Makes a line of a log record: an object of ASCII, with the secrets of URIs hidden."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        event = getattr(record, "event", None)
        known = _bound | record.__dict__
        line = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "event": event or LOG,
            "message": record.getMessage(),
            **{name: known[name] for name in FIELDS if name in known},
            "logger": None if event else record.name,
            "error": self.formatException(record.exc_info) if record.exc_info else None,
        }
        told = {name: _clean(value) for name, value in line.items() if value is not None}
        return json.dumps(told, default=str)


def is_wanted() -> bool:
    """Whether FARM_LOG asks for it."""
    return os.environ.get(VARIABLE) == "json"


def turn_on() -> None:
    """Asks for it, on behalf of this process and those that it will start."""
    os.environ[VARIABLE] = "json"
    # What Dask says of itself, several lines a minute and the first of them before `set_up`.
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "warning")
    set_up()


def set_up() -> None:
    """Where it is wanted, has all that this process logs become JSON; may be called again.

    To be called when libraries that have handlers of their own, such as Dask, are loaded.
    """
    if not is_wanted():
        return
    logging.captureWarnings(True)
    logging.getLogger("farm").setLevel(logging.INFO)
    # Not the root: libraries that find one there add none of their own and heed no levels.
    for name in ("farm", "py.warnings"):
        if not logging.getLogger(name).hasHandlers():
            logging.getLogger(name).addHandler(logging.StreamHandler())
    formatter = JsonFormatter()
    loggers = [logging.root, *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    for handler in [logging.lastResort, *(each for logger in loggers for each in logger.handlers)]:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr:
            handler.setFormatter(formatter)


def dask_setup(worker: Any) -> None:
    """What `dask worker --preload farm.journal` calls before a worker says anything."""
    set_up()


def bind(**fields: Any) -> None:
    """Has all lines of this process tell some of FIELDS, those too that libraries write."""
    _bound.update(fields)


def is_on() -> bool:
    """Whether anybody would read what `tell` logs below a warning."""
    return _logger.isEnabledFor(logging.INFO)


def tell(event: str, message: str, *, level: int = logging.INFO, **fields: Any) -> None:
    """Logs what happened; `fields` are some of FIELDS."""
    _logger.log(level, "%s", message, extra={"event": event, **fields})


def tell_attempt(summary: Summary, **where: Any) -> None:
    """Logs the end of an attempt at a shard; `where` are its run and pass."""
    if summary.blocked_by is not None:
        event, said = "shard_blocked", summary.blocked_message or summary.blocked_by
    elif summary.was_done:
        event, said = "shard_known", "another attempt had committed it"
    else:
        event, said = "shard_committed", f"{summary.entries} entries"
    tell(
        event,
        said,
        shard=summary.name,
        worker=summary.worker,
        code=summary.blocked_by,
        counts=summary.counts,
        codes=summary.codes,
        pictures=summary.pictures,
        bytes_read=summary.bytes_read,
        bytes_written=summary.bytes_written,
        seconds=round(summary.seconds, 3),
        **where,
    )


def tell_failure(record: Record, **where: Any) -> None:
    """Logs an entry that failed; `where` are its run, pass and shard."""
    tell(
        "entry_failed",
        record.message or record.error_code or "",
        row=record.row,
        id=record.id or None,
        source=record.source or None,
        status=record.status.value,
        code=record.error_code,
        attempts=record.attempts,
        worker=record.worker,
        **where,
    )


def line(event: str, message: str, *, level: int = logging.INFO, **fields: Any) -> str:
    """The line that `tell` would log, for who must write it himself."""
    record = _logger.makeRecord(
        _logger.name, level, "", 0, message, (), None, extra={"event": event, **fields}
    )
    return JsonFormatter().format(record)


def _time(seconds: float) -> str:
    """A moment as RFC 3339 has it, in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _clean(value: Any) -> Any:
    """The value without secrets, and without halves of characters, as names of files may hold."""
    if isinstance(value, str):
        text = redact(value) if "=" in value or "@" in value else value
        return text if text.isascii() else text.encode(errors="replace").decode()
    if isinstance(value, int | float):
        return value if math.isfinite(value) else str(value)  # JSON has no word for infinity
    if isinstance(value, Mapping):
        return {str(_clean(name)): _clean(each) for name, each in value.items()}
    if isinstance(value, Iterable):
        return [_clean(each) for each in value]
    return value
