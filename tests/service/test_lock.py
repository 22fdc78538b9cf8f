"""The lock of a folder: one holder, who is named, and none once that is gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from farm.errors import InvalidJobError, RunConflictError
from farm.service.database import Database
from farm.service.lock import FolderLock
from tests.postgresql import PostgresServer

_HOLD = """
import sys
from pathlib import Path
from farm.service.lock import FolderLock
lock = FolderLock.take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_holder_is_told_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "service.lock"
    held = FolderLock.take(path)
    with pytest.raises(RunConflictError, match=f"process {os.getpid()} on "):
        FolderLock.take(path)
    held.close()
    FolderLock.take(path).close()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "service.lock"
    command = [sys.executable, "-c", _HOLD, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RunConflictError, match=f"process {holder.pid} on "):
            FolderLock.take(path)
        holder.kill()
        holder.wait()
        FolderLock.take(path).close()


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidJobError, match="cannot write"):
        FolderLock.take(tmp_path / "missing" / "service.lock")


def test_a_database_serves_one_service(postgresql: PostgresServer) -> None:
    url = postgresql.new_database()
    first, second = Database(url), Database(url)
    first.claim()
    with pytest.raises(RunConflictError, match="another service uses the database"):
        second.claim()
    first.close()
    second.claim()
    second.close()
