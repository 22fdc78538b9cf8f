"""Looks for bytes that break a target's promise, and makes what it finds small."""

import hashlib
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.fuzz.mutation import mutated
from tests.fuzz.target import Target

CORPUS = Path(__file__).parent / "corpus"
SLOW_SECONDS = 10.0

_SHRINKING_SECONDS = 20.0


class SlowError(AssertionError):
    """A case took longer than any such input should."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Bytes that break a promise, and where: the error's type and the innermost line."""

    target: str
    data: bytes
    place: str
    text: str

    def save(self, folder: Path = CORPUS) -> Path:
        """Keeps the bytes among those that every run of the tests tries."""
        digest = hashlib.sha256(self.data).hexdigest()[:12]
        path = folder / f"{self.target}-{digest}.bin"
        path.write_bytes(self.data)
        return path


def try_one(target: Target, data: bytes) -> Finding | None:
    """What a case breaks, if anything."""
    began = time.process_time()
    try:
        target.check(data)
        if (seconds := time.process_time() - began) > SLOW_SECONDS:
            raise SlowError(f"took {seconds:.1f} s")
    except Exception as error:  # noqa: BLE001 - whatever comes through is what is looked for
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
        return Finding(target.name, data, place, f"{error}"[:300])
    return None


def hunt(target: Target, *, seconds: float, seed: int) -> tuple[int, list[Finding]]:
    """How many cases were tried within the time, and one small finding for each place."""
    random = Random(f"{seed} {target.name}")
    found: dict[str, Finding] = {}
    cases, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        cases += 1
        finding = try_one(target, mutated(random, target.seeds()))
        if finding is not None and finding.place not in found:
            found[finding.place] = shrunk(target, finding)
    return cases, list(found.values())


def shrunk(target: Target, finding: Finding) -> Finding:
    """A finding of the same place with fewer bytes, as far as some seconds go."""
    end = time.monotonic() + _SHRINKING_SECONDS
    step = len(finding.data) // 2
    while step and time.monotonic() < end:
        place = 0
        while place < len(finding.data) and time.monotonic() < end:
            fewer = finding.data[:place] + finding.data[place + step :]
            other = try_one(target, fewer)
            if other is not None and other.place == finding.place:
                finding = other
            else:
                place += step
        step //= 2
    return finding
