"""The commands of each document, in order, do what they are there for."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farm.__main__ import main
from farm.cli.scheduler import ClusterPlace
from farm.cluster.inline import InlineCluster
from tests.cluster.hand_started import HandStarted
from tests.documented_commands import documented, reason_not_to_run
from tests.documented_world import World, absolute, make_world
from tests.documents import Command
from tests.engines.clips import Clip, make
from tests.inline_run import lanes
from tests.lanes import shared_pool
from tests.s3 import S3Server, s3_server

__all__ = ["lanes", "s3_server"]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

# The archive of the first run has broken files; and no run is under way that could be steered.
SOME_FAIL = r"docs/first-run\.md farm (run|plan) (?!.*--allow-failures).*"
UNHEARD = r"\S+ farm (pause|resume|stop) .*"
# On a cluster that the command starts itself; all others have one worker in this process.
EMBEDDED = "docs/index.md"

# A service takes long to start: one is enough.
RUN = [
    command
    for command in documented()
    if reason_not_to_run(command) is None
    and (command.words[1] != "serve" or command.document == "docs/service.md")
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video that has all the moments that the documents name."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    path.write_bytes(make(Clip(count=25 * 105, gop=250)))
    return path


@pytest.fixture(scope="module")
def cluster(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler and a worker as docs/clusters.md starts them."""
    started = HandStarted(tmp_path_factory.mktemp("cluster"))
    try:
        started.start_scheduler()
        started.join("worker")
        yield started.address
    finally:
        started.end()


@pytest.fixture
def _near(lanes: None, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Commands find their lanes in this process, and leave its signals alone."""
    monkeypatch.setattr("farm.single.LanePool", lambda **_: shared_pool())
    monkeypatch.setattr("farm.cli.thumbnail.signal.signal", lambda *_: None)
    open_place = ClusterPlace.open

    def open_near(place: ClusterPlace, settings: Any, **rest: Any) -> Any:
        if place.scheduler or request.node.callspec.params["document"] == EMBEDDED:
            return open_place(place, settings, **rest)
        return InlineCluster(settings)

    monkeypatch.setattr(ClusterPlace, "open", open_near)


@pytest.mark.parametrize("document", sorted({command.document for command in RUN}))
@pytest.mark.usefixtures("_near")
def test_commands_of(
    document: str,
    tmp_path: Path,
    clip: Path,
    samples: Path,
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    asked = [command for command in RUN if command.document == document]
    world = make_world(tmp_path, document, clip=clip, samples=samples, s3=s3_server)
    monkeypatch.chdir(tmp_path)
    if any("HOST" in command.text for command in asked):
        world.places["tcp://HOST:8786"] = request.getfixturevalue("cluster")
    for command in _completed(asked):
        words = absolute(world.words(command), tmp_path)
        if words[0] == "serve":
            serve(words, tmp_path)
            continue
        with pytest.raises(SystemExit) as ended:
            main(words)
        said = capsys.readouterr()
        told = f"{command.text}\n{said.out}\n{said.err}"
        assert int(ended.value.code or 0) in _codes(command), told
        _remember(command, said.out, world)
    _look(world, asked)


def _completed(asked: list[Command]) -> list[Command]:
    """The commands, and those that a reader has given before or will give behind them."""
    completed = []
    first = next((command for command in asked if "job.yaml" in command.words), None)
    if first and first.words[1] not in ("run", "plan"):
        completed.append(Command(first.document, ("farm", "run", "job.yaml")))
    for command in asked:
        completed.append(command)
        if command.words[1] == "pause":  # else the next run would wait for it
            completed.append(Command(command.document, ("farm", "resume", *command.words[2:])))
    return completed


def _codes(command: Command) -> tuple[int, ...]:
    """The exit codes that a command may have here."""
    where = f"{command.document} {command.text}"
    if re.fullmatch(SOME_FAIL, where):
        return (1,)
    return (0, 1) if re.fullmatch(UNHEARD, where) else (0,)


def _remember(command: Command, said: str, world: World) -> None:
    """Takes the id of a listed key, for the command that names it."""
    if command.text.startswith("farm key list"):
        world.places["ID"] = said.split()[0]


def _look(world: World, asked: list[Command]) -> None:
    """Whether the files are there that commands were to write."""
    for command in asked:
        for option, name in zip(command.words, command.words[1:], strict=False):
            is_written = option in ("-o", "--export") or (
                option == "--manifest" and command.words[1] == "ledger"
            )
            if is_written and "%" not in name:
                assert (world.folder / name).is_file(), command.text
    if any(command.text.startswith("farm run --manifest /archive/") for command in asked):
        assert len(list(world.folder.glob("top/thumbnails/*/*.jpg"))) == 2


def serve(words: list[str], folder: Path) -> None:
    """Starts the service, opens its page, and ends it by a signal."""
    service = subprocess.Popen(
        [sys.executable, "-m", "farm", *words], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    try:
        assert service.stdout is not None
        address = service.stdout.readline().removeprefix("listening on ").strip()
        with urllib.request.urlopen(f"{address}/", timeout=60) as page:
            assert page.status == 200
        os.kill(service.pid, signal.SIGTERM)
        # Its server ends as the signal would have ended it.
        assert service.wait(120) in (0, -signal.SIGTERM)
        service.stdout.close()
    finally:
        service.kill()
        service.wait()
