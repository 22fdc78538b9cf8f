"""What tests of configs/ share: a small job, checks of commands, and stand-ins for programs."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dask
import typer.main
import yaml
from distributed.cli import dask_scheduler, dask_worker

from farm import storage
from farm.cli import app
from farm.history import final_records
from farm.ledger import Ledger
from tests.recipes import write_source

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
BIN = Path(sys.executable).parent

_DASK = {"scheduler": dask_scheduler.main, "worker": dask_worker.main}
_DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")


def write_job(folder: Path, *, entries: int = 3) -> Path:
    """A job over some recipes, with one small lane for each worker."""
    (folder / "archive").mkdir()
    for number in range(entries):
        write_source(folder / f"archive/{number}.syn", seed=number)
    job = {
        "manifest": "archive",
        "destination": "thumbnails",
        "outputs": [{"width": 16, "format": "png"}],
        "settings": {"lanes": 1, "lane_memory_bytes": 256 << 20},
    }
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job))
    return path


def records(folder: Path) -> list[Any]:
    """The newest records of that job's run."""
    return list(final_records(Ledger(str(folder / "thumbnails/_ledger"), storage)))


def check_command(words: Sequence[str]) -> dict[str, Any]:
    """What the command's own parser reads from the words; raises what it would refuse them by."""
    tool, name, *rest = (str(word) for word in words)
    commands = {"farm": typer.main.get_command(app).commands, "dask": _DASK}
    return dict(commands[Path(tool).name][name].make_context(name, rest).params)


def check_dask_variables(variables: dict[str, str]) -> None:
    """Fails where a variable named DASK_... sets nothing that Dask knows."""
    given = {name: value for name, value in variables.items() if name.startswith("DASK_")}
    assert given
    for name in given:
        key = name.removeprefix("DASK_").lower().replace("__", ".").replace("_", "-")
        assert dask.config.get(key, None) is not None, name


def with_defaults(text: str) -> str:
    """A text with the default for each ${NAME:-default}, as where no such variable is set."""
    return _DEFAULT.sub(lambda found: found[1], text)


def write_program(path: Path, text: str) -> Path:
    """An executable script, for a folder that is put on the PATH."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def family(words: Sequence[str | Path], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own, which ends with the block."""
    process = subprocess.Popen(words, start_new_session=True, text=True, **options)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
