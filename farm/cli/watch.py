"""Who watches a run: a bar on a terminal, a line now and then in a log, JSON for machines."""

import logging
import sys
import time
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from farm import journal
from farm.cli.monitoring import LogForm
from farm.cli.screen import duration_text, printable, say
from farm.cluster import Outcome
from farm.run import Event, Observer, Progress

_LINE_SECONDS = 5.0
_JSON_SECONDS = 10.0


class Watcher(Observer, Protocol):
    """An observer that is shown while its `with` lasts."""

    @property
    def entries(self) -> int:
        """Entries that were settled while it watched."""

    def leave(self) -> None:
        """Tidies the screen, because the process ends at once."""

    def line(self, message: str) -> str:
        """A message as it would say it, for who has to write it himself."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class _Tally:
    """Entries of all passes: a run counts those of one."""

    def __init__(self) -> None:
        self._by_pass: dict[int, int] = {}

    def note(self, progress: Progress) -> None:
        self._by_pass[progress.pass_number] = progress.entries

    @property
    def entries(self) -> int:
        return sum(self._by_pass.values())


class LineWatcher:
    """Writes a plain line to the standard error at most every few seconds."""

    def __init__(self) -> None:
        self._tally = _Tally()
        self._said_at = time.monotonic()
        self._last: Progress | None = None
        self._last_said: Progress | None = None

    @property
    def entries(self) -> int:
        """Entries that were settled while it watched."""
        return self._tally.entries

    def progressed(self, progress: Progress) -> None:
        """Notes it, and says it where the last line is old enough."""
        self._tally.note(progress)
        self._last = progress
        if time.monotonic() - self._said_at >= _LINE_SECONDS:
            self._say()

    def noticed(self, message: str, *, event: Event = Event.NOTICE, shard: str = "") -> None:
        """Says it."""
        say(message, to_stderr=True)

    def settled(self, outcome: Outcome) -> None:
        """Says nothing: the progress tells of it."""

    def leave(self) -> None:
        """Leaves nothing behind."""

    def line(self, message: str) -> str:
        """The message itself."""
        return message

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._last is not None and self._last is not self._last_said:
            self._say()

    def _say(self) -> None:
        if self._last is not None:
            self._said_at, self._last_said = time.monotonic(), self._last
            say(_line(self._last), to_stderr=True)


def _line(progress: Progress) -> str:
    rows = "?" if progress.rows is None else f"{progress.rows:,}"
    left = "" if progress.seconds_left is None else f", {duration_text(progress.seconds_left)} left"
    return (
        f"pass {progress.pass_number}: {progress.entries:,}/{rows} entries, "
        f"{progress.failures:,} failed, {progress.pictures:,} pictures, "
        f"{progress.entries_per_second:,.1f}/s{left}"
    )


class BarWatcher:
    """Draws a bar on the standard error."""

    def __init__(self, console: Console | None = None) -> None:
        self._tally = _Tally()
        self._console = console or Console(stderr=True)
        self._bars = Bars(
            TextColumn("pass {task.fields[number]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn(
                "{task.fields[rate]:,.1f}/s  {task.fields[failures]:,} failed  {task.fields[left]}"
            ),
            console=self._console,
        )
        self._task = self._bars.add_task(
            "run", total=None, number=1, rate=0.0, failures=0, left="starting"
        )

    @property
    def entries(self) -> int:
        """Entries that were settled while it watched."""
        return self._tally.entries

    def progressed(self, progress: Progress) -> None:
        """Moves the bar."""
        self._tally.note(progress)
        left = progress.seconds_left
        self._bars.update(
            self._task,
            total=progress.rows,
            completed=progress.entries,
            number=progress.pass_number,
            rate=progress.entries_per_second,
            failures=progress.failures,
            left="" if left is None else f"{duration_text(left)} left",
        )

    def noticed(self, message: str, *, event: Event = Event.NOTICE, shard: str = "") -> None:
        """Says it above the bar."""
        self._bars.console.print(Text(printable(message)))

    def settled(self, outcome: Outcome) -> None:
        """Says nothing: the bar moves."""

    def leave(self) -> None:
        """Shows the cursor again, which the bar hides."""
        self._console.show_cursor()

    def line(self, message: str) -> str:
        """The message itself."""
        return message

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


class JsonWatcher:
    """Logs what happens as one JSON object a line; see `journal`."""

    def __init__(self) -> None:
        self._tally = _Tally()
        self._told_at = 0.0

    @property
    def entries(self) -> int:
        """Entries that were settled while it watched."""
        return self._tally.entries

    def progressed(self, progress: Progress) -> None:
        """Logs it, where the last one is old enough."""
        self._tally.note(progress)
        if time.monotonic() - self._told_at < _JSON_SECONDS:
            return
        self._told_at = time.monotonic()
        left = progress.seconds_left
        journal.tell(
            "progress",
            _line(progress),
            pass_number=progress.pass_number,
            entries=progress.entries,
            rows=progress.rows,
            failures=progress.failures,
            pictures=progress.pictures,
            entries_per_second=round(progress.entries_per_second, 3),
            seconds_left=None if left is None else round(left, 1),
            shards_in_flight=progress.shards_in_flight,
            shards_todo=progress.shards_todo,
            slots=progress.slots,
        )

    def noticed(self, message: str, *, event: Event = Event.NOTICE, shard: str = "") -> None:
        """Logs it."""
        is_bad = event in (Event.ATTEMPT_LOST, Event.PAUSED)
        level = logging.WARNING if is_bad else logging.INFO
        journal.tell(event.value, message, level=level, shard=shard or None)

    def settled(self, outcome: Outcome) -> None:
        """Logs nothing: its worker does."""

    def leave(self) -> None:
        """Leaves nothing behind."""

    def line(self, message: str) -> str:
        """The message as a notice in JSON."""
        return journal.line(Event.NOTICE.value, message)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


def watcher_of(form: LogForm | None) -> Watcher:
    """Who watches in that form; by default what suits the standard error."""
    if form is LogForm.JSON or (form is None and journal.is_wanted()):
        return JsonWatcher()
    if form is LogForm.BAR or (form is None and sys.stderr.isatty()):
        return BarWatcher()
    return LineWatcher()
