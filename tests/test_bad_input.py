"""Every bad input ends with its one documented outcome, and harms nothing else."""

import contextlib
import ctypes
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from farm.entry import EntryWork
from farm.record import Record, Status
from farm.row import Row
from tests.bad_inputs import ELSEWHERE, FAULTS, FILES, Bad, Elsewhere, document
from tests.bad_media import Canary, make_jpeg
from tests.bad_texts import TEXTS, Text
from tests.lanes import shared_pool
from tests.recipes import make_job

TESTS = Path(__file__).parent

_IN_OPEN = 0x20
_TIMEOUT_SECONDS = 30.0
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Trap:
    """Canaries, and whether anybody went for them."""

    canary: Canary
    watch: int
    server: socket.socket

    @property
    def is_sprung(self) -> bool:
        return self._is_opened() or self._is_called()

    def _is_opened(self) -> bool:
        try:
            return bool(os.read(self.watch, 4096))
        except BlockingIOError:
            return False

    def _is_called(self) -> bool:
        try:
            self.server.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Trap]:
    """A secret beside the sources, and a server."""
    secret = tmp_path / "canary.png"
    secret.write_bytes(b"secret")
    watch = _LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    assert _LIBC.inotify_add_watch(watch, os.fsencode(secret), _IN_OPEN) > 0
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/canary.png"
        yield Trap(Canary(str(secret), url), watch, server)
    os.close(watch)


def made_of(source: Path, folder: Path, *, timeout: float, **fields: object) -> Record:
    """The record of a file that a real lane works on; `fields` are the first output's."""
    spec = {"width": 64, "height": 64, "format": "png", "timeout": timeout}
    later = spec | {"position": "50%", "accuracy": "exact", "filename": "{id}-later.{ext}"}
    job = make_job(folder, outputs=(spec | fields, later))
    work = EntryWork(shared_pool(), job, "here:1", _unwatched)
    return work.attempt(Row(1, {"source": str(source), "id": "e"}), is_alone=False)[0]


def _unwatched(_: object) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


def outcome_of(record: Record) -> str:
    """The code, or the warnings that are not in a library's own words."""
    if record.status is not Status.OK:
        return record.error_code or ""
    warnings = [f"`{each}`" for each in record.warnings if not each.startswith("decoder: ")]
    return ", ".join(["ok", *warnings])


def check(bad: Bad, source: Path, folder: Path) -> None:
    timeout = 1.0 if bad.outcome == "timeout" else _TIMEOUT_SECONDS
    record = made_of(source, folder, timeout=timeout)
    assert outcome_of(record) == bad.outcome, record.message
    assert (record.error_code in FAULTS) == (bad.outcome in FAULTS)
    if record.status is Status.OK:
        assert [artifact.index for artifact in record.artifacts] == [1, 1]
    else:
        assert record.message
        assert not (folder / "out").exists()


@pytest.mark.parametrize(
    "bad", [bad for bad in FILES if bad.make], ids=lambda bad: f"{bad.number} {bad.name}"
)
def test_what_is_made(bad: Bad, trap: Trap, tmp_path: Path) -> None:
    source = tmp_path / "input.mp4"
    assert bad.make is not None
    source.write_bytes(bad.make(trap.canary))
    check(bad, source, tmp_path)
    assert not trap.is_sprung


@pytest.mark.parametrize(
    "bad", [bad for bad in FILES if bad.files], ids=lambda bad: f"{bad.number} {bad.name}"
)
def test_what_the_corpus_has(bad: Bad, corpus: Path, trap: Trap, tmp_path: Path) -> None:
    for file in bad.files:
        source = corpus / "bad" / file
        if not source.exists():
            pytest.skip(f"the corpus has no {file}")
        check(bad, source, tmp_path)
    assert not trap.is_sprung


def test_whoever_wants_all_or_nothing_gets_it(tmp_path: Path) -> None:
    source = tmp_path / "cut.jpg"
    source.write_bytes(make_jpeg()[:-500])
    made = made_of(source, tmp_path, timeout=_TIMEOUT_SECONDS)
    assert outcome_of(made) == "ok, `salvaged`"
    # One of two outputs asks for it, and they share a pass.
    refused = made_of(source, tmp_path, timeout=_TIMEOUT_SECONDS, damaged="fail")
    assert outcome_of(refused) == "truncated"


def test_the_trap_springs(trap: Trap) -> None:
    Path(trap.canary.path).read_bytes()
    assert trap.is_sprung
    assert not trap.is_sprung
    socket.create_connection(trap.server.getsockname()).close()
    assert trap.is_sprung


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: f"{text.number} {text.name}")
def test_what_is_said_wrongly(text: Text) -> None:
    assert text.check() == text.outcome


@pytest.mark.parametrize("other", ELSEWHERE, ids=lambda other: f"{other.number} {other.name}")
def test_what_other_tests_show_is_tested_there(other: Elsewhere) -> None:
    file, _, function = other.test.partition("::")
    assert f"def {function}(" in (TESTS / file).read_text()


def test_all_kinds_are_there() -> None:
    numbers = {each.number for each in (*FILES, *TEXTS, *ELSEWHERE)}
    assert numbers == set(range(1, 93))


def test_the_page_is_up_to_date() -> None:
    assert (TESTS.parent / "docs/bad-inputs.md").read_text("utf-8") == document()
