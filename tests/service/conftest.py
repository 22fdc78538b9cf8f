"""Fixtures of the service's tests: a server in a process, files to fetch, a place to tell."""

from collections.abc import Callable, Iterator
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import pytest

from tests.postgresql import PostgresServer, started_postgresql
from tests.s3 import s3_server
from tests.service.live import FileServer, LiveServer, Receiver

__all__ = ["s3_server"]

VIDEOS = ("h264-720p.mp4", "h264-rotated-90.mp4", "h264-one-frame.mp4", "vp9.webm")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """One server for all tests that leave it running; in its log there must be no traceback."""
    server = LiveServer(tmp_path_factory.mktemp("server"))
    try:
        yield server.start()
        assert "Traceback" not in server.log_text, server.log_text
    finally:
        server.close()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., LiveServer]]:
    """Starts a server of the test's own, with settings over the usual ones."""
    started: list[LiveServer] = []
    numbers = count()

    def start(**settings: Any) -> LiveServer:
        started.append(LiveServer(tmp_path / f"server-{next(numbers)}", **settings))
        return started[-1].start()

    try:
        yield start
    finally:
        for server in started:
            server.close()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileServer]:
    """A web server with some of the sample archive, `text.jpg`, which is none, and `slow.syn`."""
    folder = tmp_path_factory.mktemp("files")
    _make_files(folder)
    server = FileServer(folder)
    yield server
    server.close()


def _make_files(folder: Path) -> None:
    from farm.samples.clip import make_clip
    from farm.samples.pictures import make_pictures
    from farm.samples.videos import RECIPES

    for recipe in RECIPES:
        if recipe.name in VIDEOS:
            (folder / recipe.name).write_bytes(make_clip(recipe))
    # Up to the one that takes a while.
    for sample, data in takewhile(lambda made: "12mp" not in made[0].path, make_pictures()):
        (folder / Path(sample.path).name).write_bytes(data)
    (folder / "text.jpg").write_text("This is no picture.\n")
    # Moving pictures by the engine `synthetic`, each of which takes a second.
    recipe = b'FARMSYN1 {"width": 96, "height": 64, "seconds": 20, "sleep": 1}\n'
    (folder / "slow.syn").write_bytes(recipe)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """A PostgreSQL server of the tests' own."""
    with started_postgresql() as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of what the service tells of jobs."""
    receiver = Receiver()
    yield receiver
    receiver.close()
