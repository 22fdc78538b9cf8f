"""Lets the contestants take turns, case by case and round by round."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.case import Case, Work
from benchmarks.contestant import Contestant, PeerProcess, moments_of
from benchmarks.product import Product
from benchmarks.remote import Traffic, least_bytes, serving
from benchmarks.sample import ContestantError, Sample
from benchmarks.video import Video
from farm.machine import usable_cores

_Say = Callable[[str], None]

# Every lane has made some of each before anything counts.
_WARM_UP_UNITS = 16
_WARM_UP = (
    Case("warm-up", "still", "2mp.jpg", Work.STILL, ()),
    Case("warm-up", "video", "h264-1080p-2s.mp4", Work.KEYFRAME, ()),
    Case("warm-up", "exact", "h264-1080p-2s.mp4", Work.EXACT, ()),
)

_PRODUCT_FACTOR = 2.5
_GOOD_TRIAL_FRACTION = 0.25
_MOST_TRIAL_FACTOR = 16
_LONG_TRIAL_FACTOR = 1.5


@dataclass(frozen=True, slots=True)
class Effort:
    """How long is measured: the working time of one sample, about, and how many rounds.

    The product gets more of it, since its samples begin with empty lanes.
    """

    seconds: float
    rounds: int

    def seconds_for(self, contestant: str) -> float:
        """The working time of a contestant's samples."""
        return self.seconds * (_PRODUCT_FACTOR if contestant == Product.name else 1.0)


@dataclass(slots=True)
class Cell:
    """What one contestant did in one case, or why not; `least_bytes` is of a remote file."""

    case: str
    contestant: str
    samples: list[Sample] = field(default_factory=list)
    error: str | None = None
    least_bytes: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The cell as results keep it."""
        samples = [sample.to_json() for sample in self.samples]
        return {"case": self.case, "contestant": self.contestant, "samples": samples,
                "error": self.error, "least_bytes": self.least_bytes}  # fmt: skip

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Cell":
        """The cell that results hold."""
        samples = [Sample.from_json(sample) for sample in fields["samples"]]
        return cls(**fields | {"samples": samples})


class Contest:
    """All contestants on this machine; a context manager."""

    def __init__(self, folder: Path, videos: Sequence[Video], effort: Effort, say: _Say) -> None:
        self._folder = folder
        self._durations = {video.name: float(video.seconds) for video in videos}
        self.effort = effort
        self._say = say
        self.cores = usable_cores()
        self._stack = ExitStack()
        self._peers: dict[str, PeerProcess] = {}

    def __enter__(self) -> "Contest":
        self._product = self._stack.enter_context(Product(self.cores))
        self._traffic = self._stack.enter_context(serving(self._folder))
        for case in _WARM_UP:
            source = str(self._folder / case.file)
            self._product.measure(case, source, (), _WARM_UP_UNITS * self.cores)
        return self

    def __exit__(self, *_: object) -> None:
        for peer in self._peers.values():
            peer.close()
        self._stack.close()

    @property
    def versions(self) -> dict[str, str]:
        """The versions of all that took part."""
        found = {peer.name: peer.version for peer in self._peers.values() if peer.version}
        return {self._product.name: self._product.version} | found

    def run(self, case: Case) -> list[Cell]:
        """The cells of one case, product first."""
        contestants: list[Contestant] = [self._product, *map(self._peer, case.peers)]
        turns = [_Turn(self, one, case) for one in contestants]
        for number in range(self.effort.rounds):
            # Whoever comes first in one round does not in the next.
            for turn in [*turns[number % len(turns) :], *turns[: number % len(turns)]]:
                turn.take()
        for turn in turns:
            self._say(f"  {turn.describe()}")
        return [turn.cell for turn in turns]

    def measure(self, contestant: Contestant, case: Case, units: int) -> Sample:
        """One sample of one contestant."""
        moments = moments_of(case, self._durations.get(case.file, 0.0))
        if case.work is Work.REMOTE:
            return _measure_remote(contestant, case, moments, self._traffic)
        return contestant.measure(case, str(self._folder / case.file), moments, units)

    def least_bytes(self, case: Case) -> int | None:
        """What must be read of a remote file."""
        if case.work is not Work.REMOTE:
            return None
        moment = moments_of(case, self._durations[case.file])[0]
        return least_bytes(self._folder / case.file, moment)

    def without_folder(self, text: str) -> str:
        """A message without the folder that this machine keeps its files in."""
        return text.replace(f"{self._folder}/", "")

    def _peer(self, name: str) -> PeerProcess:
        return self._peers.setdefault(name, PeerProcess(name, self.cores))


class _Turn:
    """One contestant in one case: the first time finds out how much fills a sample's time."""

    def __init__(self, contest: Contest, contestant: Contestant, case: Case) -> None:
        self.cell = Cell(case.title, contestant.name, least_bytes=contest.least_bytes(case))
        self._contest = contest
        self._contestant = contestant
        self._case = case
        self._seconds = contest.effort.seconds_for(contestant.name)
        self._units = 0

    def take(self) -> None:
        """Adds a sample, unless the contestant failed before."""
        if self.cell.error is not None:
            return
        try:
            self.cell.samples.append(self._first() if not self._units else self._measure())
        except ContestantError as error:
            self.cell.error = self._contest.without_folder(str(error))

    def _measure(self) -> Sample:
        return self._contest.measure(self._contestant, self._case, self._units)

    def _first(self) -> Sample:
        """Trials warm what is to be warm and tell how many units a sample needs."""
        self._units = self._contest.cores
        sample = self._measure()
        if sample.seconds < _GOOD_TRIAL_FRACTION * self._seconds:
            self._units = min(self._units_by(sample), _MOST_TRIAL_FACTOR * self._units)
            sample = self._measure()
        # After so long a trial, warming up no longer matters.
        if sample.seconds > _LONG_TRIAL_FACTOR * self._seconds:
            return sample
        self._units = self._units_by(sample)
        return self._measure()

    def _units_by(self, sample: Sample) -> int:
        """How many units fill the time; full turns for every core."""
        cores = self._contest.cores
        if self._case.work is Work.REMOTE:
            return cores
        wanted = self._seconds / (sample.seconds_each * self._case.count)
        return max(1, round(wanted / cores)) * cores

    def describe(self) -> str:
        """One line for a person who waits."""
        if not self.cell.samples:
            return f"{self.cell.contestant:<20} {self.cell.error}"
        each = sorted(sample.seconds_each for sample in self.cell.samples)
        middle = each[len(each) // 2]
        return f"{self.cell.contestant:<20} {1 / middle:9.1f}/s"


def _measure_remote(
    contestant: Contestant, case: Case, moments: tuple[float, ...], traffic: Traffic
) -> Sample:
    """One picture at a time, requests and bytes as the server counts them."""
    traffic.take()
    sample = contestant.measure(case, f"{traffic.address}/{case.file}", moments, 1)
    requests, bytes_sent = traffic.take()
    return Sample(**sample.to_json() | {"requests": requests, "bytes_read": bytes_sent})
