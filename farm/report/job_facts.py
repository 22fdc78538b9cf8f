"""What a report's head says of the job: what was asked for, by which passes, and how it stands."""

from dataclasses import dataclass
from typing import Any

from farm import storage
from farm.ledger import Ledger, Pass
from farm.lookout import look
from farm.report.words import visible
from farm.run_status import LiveState, read_status


@dataclass(frozen=True, slots=True)
class PassFacts:
    """One pass: why and when it was made, by which version."""

    number: int
    reason: str
    created: str
    version: str


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A job, as its newest pass tells it; `state` is what its run is at, `reason` why."""

    ledger: str
    manifest: str
    destination: str
    outputs: tuple[str, ...]
    passes: tuple[PassFacts, ...]
    state: str
    reason: str


def job_facts(ledger: Ledger) -> JobFacts:
    """The facts of a ledger that has a pass."""
    passes = ledger.passes()
    job = passes[-1].job
    state, reason = _state(ledger, passes[-1])
    return JobFacts(
        ledger=_shown(ledger.uri),
        manifest=_shown(job.get("manifest")),
        destination=_shown(job.get("destination")),
        outputs=tuple(describe_output(output) for output in job.get("outputs") or ()),
        passes=tuple(
            PassFacts(each.number, each.reason.value, each.created, each.farm_version)
            for each in passes
        ),
        state=state,
        reason=_shown(reason),
    )


def describe_output(output: dict[str, Any]) -> str:
    """An output in a few words: `storyboard 160x90 jpg`."""
    width, height = output.get("width") or "", output.get("height") or ""
    size = f"{width}x{height}" if width or height else ""
    words = (output.get("kind") or "thumbnail", size, output.get("fit"), output.get("format"))
    return visible(" ".join(str(word) for word in words if word), most=60)


def _shown(text: object) -> str:
    return visible(storage.redact(str(text or "")))


def _state(ledger: Ledger, last: Pass) -> tuple[str, str]:
    """How the job stands, and what is to be said of that."""
    if read_status(ledger.uri) is None and ledger.deferred(last.number) == 0:
        # A farm that told no status carried it to its end.
        return LiveState.DONE, ""
    status = look(ledger)
    return status.state, status.reason
