"""`farm stop`, `farm pause` and `farm resume`: what a run is asked from elsewhere."""

import shlex
import time
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.exit_code import ExitCode
from farm.cli.ledger import name_ledger
from farm.cli.screen import say
from farm.cli.status import state_text

if TYPE_CHECKING:
    from farm.control import Control, Wish
    from farm.ledger import Ledger
    from farm.run_status import RunStatus

# A run looks for wishes every 5 s, and tells at once what it makes of them.
_PATIENCE_SECONDS = 60.0
_SETTLE_SECONDS = 10.0
_POLL_SECONDS = 0.5

# "\b" keeps the lines apart.
CONTROL_CODES_HELP = """\b
Exit codes:
    0  the run has taken note, or with --no-wait: it is asked
    1  no run is under way
    2  an option is wrong
    3  the ledger cannot be read or written, or the run took no note within a minute"""

_Job = Annotated[
    str, typer.Argument(metavar="JOB.yaml|LEDGER", help="A job file or a ledger's folder.")
]
_NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Ask, and do not wait until the run has taken note.")
]


def stop_run(job_or_ledger: _Job, no_wait: _NoWait = False) -> None:
    """Let a run finish what is under way, and end with code 4.

    As its first Ctrl-C or SIGTERM does, but from any machine that reaches its ledger.
    """
    from farm.control import Wish

    raise typer.Exit(_ask(job_or_ledger, Wish.STOP, no_wait=no_wait))


def pause_run(job_or_ledger: _Job, no_wait: _NoWait = False) -> None:
    """Let a run send no further shard until `farm resume`.

    Shards under way are finished; the run stays, and keeps its ledger. A run that begins while it
    is paused waits too.
    """
    from farm.control import Wish

    raise typer.Exit(_ask(job_or_ledger, Wish.PAUSE, no_wait=no_wait))


def resume_run(job_or_ledger: _Job, no_wait: _NoWait = False) -> None:
    """Let a run that was paused go on."""
    from farm.control import Wish

    raise typer.Exit(_ask(job_or_ledger, Wish.RUN, no_wait=no_wait))


def _ask(job_or_ledger: str, wish: "Wish", *, no_wait: bool) -> ExitCode:
    from farm.control import Control, put_control
    from farm.lookout import look

    ledger = name_ledger(job_or_ledger)
    status = look(ledger)
    if not status.state.is_alive:
        _settle_without_run(ledger, wish, status)
        return ExitCode.SOME_FAILED
    control = Control.of(wish, lease=status.lease)
    put_control(ledger.uri, control)
    if no_wait:
        say("the run is asked; `farm status` tells what it does")
        return ExitCode.DONE
    found = _awaited(ledger, control, status.lease)
    if found is None:
        say(f"the run has taken no note within {_PATIENCE_SECONDS:.0f} s; it will when it can")
        return ExitCode.BROKEN
    say(_became(found, job_or_ledger))
    return ExitCode.DONE if found.heard == control.id else ExitCode.SOME_FAILED


def _settle_without_run(ledger: "Ledger", wish: "Wish", status: "RunStatus") -> None:
    """Does what makes sense where nobody listens, and says so."""
    from farm.control import Control, Wish, forget_control, put_control, read_control
    from farm.run_status import LiveState

    standing = read_control(ledger.uri)
    is_paused = standing is not None and standing.wish is Wish.PAUSE
    last = "" if status.state is LiveState.NEW else f"; the last one: {state_text(status)}"
    say(f"no run is under way{last}")
    match wish:
        case Wish.PAUSE:
            put_control(ledger.uri, Control.of(Wish.PAUSE))
            say("the next run begins paused, until `farm resume`")
        case Wish.RUN if standing is not None and is_paused:
            forget_control(ledger.uri, standing)
            say("the pause is lifted for the next run")
        case Wish.STOP if is_paused:
            say("the next run begins paused, until `farm resume`")


def _awaited(ledger: "Ledger", control: "Control", lease: int) -> "RunStatus | None":
    """The status in which the run has taken note, or of its end; None where neither came."""
    from farm.lookout import look
    from farm.run_status import read_status

    give_up = time.monotonic() + _PATIENCE_SECONDS
    heard_at: float | None = None
    while time.monotonic() < give_up:
        time.sleep(_POLL_SECONDS)
        status = read_status(ledger.uri)
        if status is None or status.lease < lease:
            continue  # it has told nothing yet, and there may be what the run before told
        if not status.state.is_alive:
            return status
        if status.heard != control.id:
            continue
        heard_at = heard_at or time.monotonic()
        if _is_met(control.wish, status) or time.monotonic() - heard_at > _SETTLE_SECONDS:
            return status
    status = look(ledger)
    return None if status.state.is_alive else status


def _is_met(wish: "Wish", status: "RunStatus") -> bool:
    """Whether the run does what is wished; one that plans yet does so later."""
    from farm.control import Wish
    from farm.run_status import LiveState

    match wish:
        case Wish.STOP:
            return status.state is LiveState.DRAINING
        case Wish.PAUSE:
            return status.state is LiveState.PAUSED
        case Wish.RUN:
            return status.state is not LiveState.PAUSED


def _became(status: "RunStatus", job: str) -> str:
    """What a run makes of a wish."""
    from farm.run_status import LiveState

    count = status.shards_in_flight
    shards = f"{count:,} shard{'' if count == 1 else 's'} under way"
    match status.state:
        case LiveState.DRAINING:
            return f"draining: of {shards} the entries that have begun are finished"
        case LiveState.PAUSED:
            return f"paused: {shards}; to go on: farm resume {shlex.quote(job)}"
        case state if state.is_alive:
            return f"{state}: {shards}"
        case _:
            return f"the run is over; {state_text(status)}"
