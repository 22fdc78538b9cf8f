"""A trial: one archive made undisturbed and once more under faults, and what distinguishes them."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.chaos import disk
from benchmarks.chaos.archive import Archive, make_archive
from benchmarks.chaos.farmyard import Command, Farmyard, write_job
from benchmarks.chaos.fault import DISK_KINDS, PROCESS_KINDS, STORE_KINDS, Kind, schedule
from benchmarks.chaos.havoc import Havoc, Struck
from benchmarks.chaos.proxy import Proxy
from benchmarks.chaos.result import Result, differences, read_result
from benchmarks.chaos.s3 import moto_server, point_profile_at

_DISK_BYTES = 32 << 20
_DISK_BYTES_AN_ENTRY = 48 << 10
_RETRY = "--retry-failed"


@dataclass(frozen=True, slots=True)
class Course:
    """How one run went; `first` is its result before failed entries were tried again."""

    seconds: float
    commands: list[Command]
    starts: int
    first: Result
    final: Result


@dataclass(frozen=True, slots=True)
class Report:
    """A trial's end; `planned` faults strike only while the run lasts."""

    archive: Archive
    calm: Course
    rough: Course
    struck: list[Struck]
    planned: int
    differences: list[str]
    skipped: str = ""

    @property
    def is_good(self) -> bool:
        """Whether chaos changed nothing but the time."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class Place:
    """Where a trial's archive and results are, and what of their store can be made to fail."""

    root: str
    proxy: Proxy | None = None
    disk: Path | None = None
    skipped: str = ""

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The faults that can strike here."""
        store = STORE_KINDS * 3 if self.proxy is not None else ()
        full = DISK_KINDS * 2 if self.disk is not None else ()
        return PROCESS_KINDS + store + full


def attempt(
    folder: Path,
    samples: Path,
    *,
    seed: int,
    entries: int,
    faults: int,
    s3: bool,
    told: Callable[[str], object],
) -> Report:
    """Carries out a trial in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with _remote(folder, seed) if s3 else _local(folder, entries) as place:
        archive = make_archive(f"{place.root}/archive", samples, entries=entries, seed=seed)
        with Farmyard(folder / "calm-logs").running() as farmyard:
            calm = _run(farmyard, archive, f"{place.root}/calm", folder)
        told(f"undisturbed: {calm.seconds:.1f} s")
        plan = schedule(seed, faults, place.kinds)
        with Farmyard(folder / "rough-logs").running() as farmyard:
            havoc = Havoc(
                farmyard,
                plan,
                proxy=place.proxy,
                disk=place.disk,
                told=lambda struck: told(f"{struck.at_seconds:6.1f} s  {struck.fault}"),
            )
            rough = _run(farmyard, archive, f"{place.root}/rough", folder, havoc)
    found = differences(calm.final, rough.final, entries=entries)
    return Report(archive, calm, rough, havoc.struck, len(plan), found, place.skipped)


def _run(
    farmyard: Farmyard, archive: Archive, at: str, folder: Path, havoc: Havoc | None = None
) -> Course:
    """The job, and once more for what failed by the store's fault: as an operator would do it."""
    job = write_job(folder / f"{at.rpartition('/')[2]}.json", archive.job(at))
    began = time.monotonic()
    with havoc or contextlib.nullcontext():
        commands = farmyard.carry_out(job)
        seconds = time.monotonic() - began
    first = read_result(at)
    commands += farmyard.carry_out(job, _RETRY)
    starts = farmyard.scheduler.starts + sum(each.starts for each in farmyard.machines)
    return Course(seconds, commands, starts, first, read_result(at))


@contextlib.contextmanager
def _local(folder: Path, entries: int) -> Iterator[Place]:
    size = _DISK_BYTES + entries * _DISK_BYTES_AN_ENTRY
    with disk.small_disk(folder / "disk", size_bytes=size) as cause:
        full = None if cause else folder / "disk"
        yield Place(
            str(folder / "disk"),
            disk=full,
            skipped=f"no full disk: {cause}" if cause else "",
        )


@contextlib.contextmanager
def _remote(folder: Path, seed: int) -> Iterator[Place]:
    with moto_server(folder / "s3.log") as endpoint, Proxy(endpoint, seed=seed).running() as proxy:
        before = os.environ.get("FARM_PROFILES")
        bucket = point_profile_at(proxy.endpoint, folder / "profiles.yaml", bucket_of=endpoint)
        try:
            yield Place(bucket, proxy=proxy)
        finally:
            os.environ.pop("FARM_PROFILES", None)
            if before is not None:
                os.environ["FARM_PROFILES"] = before
