"""A real PostgreSQL server in processes of its own, reached by a socket in its folder."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

_numbers = count()


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server; `new_database` is the URL of an empty database, for SQLAlchemy."""

    folder: Path

    def new_database(self) -> str:
        """Makes a database."""
        import psycopg

        name = f"farm_{next(_numbers)}"
        where = f"host={self.folder} user=postgres dbname=postgres"
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if on_path := shutil.which("initdb"):
        found.append(Path(on_path))
    if not found:
        pytest.skip("needs PostgreSQL: apt-get install postgresql")
    return found[0].parent


@contextmanager
def started_postgresql() -> Iterator[PostgresServer]:
    """A server that ends with the block; the test is skipped where none is installed."""
    pytest.importorskip("psycopg")
    programs = _programs()
    # Not below pytest's folders, which only their owner enters; nor as root, which it refuses.
    folder = Path(tempfile.mkdtemp(prefix="farm-postgresql-"))
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        shutil.chown(folder, "nobody", "nogroup")
    data = folder / "data"
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder, **user}
    control = [programs / "pg_ctl", "-D", data, "-w", "-s"]
    bare = f"-k {folder} -c listen_addresses='' -c fsync=off"
    try:
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N"], **quiet
        )
        subprocess.run([*control, "-l", folder / "log.txt", "-o", bare, "start"], **quiet)
        try:
            yield PostgresServer(folder)
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **quiet)
    finally:
        shutil.rmtree(folder)
