"""A run on machines behind ssh: by a server on this one where there is sshd, else by a stand-in."""

import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.record import Status
from tests.configs.scene import BIN, CONFIGS, family, free_port, records, write_job, write_program
from tests.lanes import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

RUN = CONFIGS / "ssh/run"
HOSTS = CONFIGS / "ssh/hosts"

# What ssh does with a command, on this machine.
STAND_IN = """#!/usr/bin/env bash
echo "$*" >>{folder}/log
while [[ $1 == -* ]]; do
  [[ $1 != -o ]] || shift
  shift
done
shift
exec sh -c "$*"
"""

CLIENT = """#!/bin/sh
echo "$*" >>{folder}/log
exec {ssh} -F none -p {port} -i {folder}/key -o HostName=127.0.0.1 -o LogLevel=ERROR \\
  -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "$@"
"""

SERVER = """
ListenAddress 127.0.0.1:{port}
HostKey {folder}/key
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
"""

# Programs that tell how they end, in the place of `farm` and `dask`.
LASTING = """#!/usr/bin/env bash
cd "$(dirname "$0")"
trap 'touch ended.{name}; exit 4' TERM
touch began.{name}
while :; do sleep 0.1; done
"""


@pytest.fixture
def ssh(tmp_path: Path) -> Iterator[Path]:
    """A folder with an `ssh` that leads to this machine, whatever host it is given."""
    folder = tmp_path / "ssh"
    folder.mkdir()
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
    client = shutil.which("ssh")
    if sshd is None or client is None:
        write_program(folder / "ssh", STAND_IN.format(folder=folder))
        yield folder
        return
    port = free_port()
    make_key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"]
    subprocess.run(make_key, check=True)
    (folder / "sshd.conf").write_text(SERVER.format(port=port, folder=folder))
    write_program(folder / "ssh", CLIENT.format(ssh=client, port=port, folder=folder))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    with family([sshd, "-D", "-e", "-f", folder / "sshd.conf"], stderr=subprocess.PIPE) as server:
        assert server.stderr is not None
        assert "listening" in server.stderr.readline()
        yield folder


def environment(ssh: Path, programs: Path, scratch: Path) -> dict[str, str]:
    return os.environ | {
        "PATH": f"{ssh}:{os.environ['PATH']}",
        "FARM_BIN": str(programs),
        "FARM_HOST": "127.0.0.1",
        "FARM_PORT": str(free_port()),
        "FARM_SCRATCH": str(scratch),
    }


def write_hosts(folder: Path) -> Path:
    hosts = folder / "hosts"
    hosts.write_text(f"# A comment.\n\n{getpass.getuser()}@one  # the only one\n")
    return hosts


def test_the_run_is_carried_out_there(ssh: Path, tmp_path: Path) -> None:
    words = [RUN, write_hosts(tmp_path), write_job(tmp_path), "--limit", "2"]
    told = tmp_path / "told"
    with (
        told.open("w") as output,
        family(
            words, env=environment(ssh, BIN, tmp_path / "scratch"), stdout=output, stderr=output
        ) as process,
    ):
        assert process.wait(240) == 0, told.read_text()
    assert [record.status for record in records(tmp_path)] == [Status.OK] * 2
    assert f"{getpass.getuser()}@one " in (ssh / "log").read_text()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_all_ends_with_the_script_however_that_ends(
    how: signal.Signals, ssh: Path, tmp_path: Path
) -> None:
    programs = tmp_path / "bin"
    for name in ("farm", "dask"):
        write_program(programs / name, LASTING.format(name="$1"))
    words = [RUN, write_hosts(tmp_path), "job.yaml"]
    with family(words, env=environment(ssh, programs, tmp_path)) as process:
        for name in ("run", "scheduler", "worker"):
            wait_until((programs / f"began.{name}").exists, seconds=60)
        process.send_signal(how)
        assert process.wait(60) == (4 if how is signal.SIGTERM else -how)
        for name in ("run", "scheduler", "worker"):
            wait_until((programs / f"ended.{name}").exists, seconds=60)


def test_the_example_of_hosts_is_read() -> None:
    lines = [line for line in HOSTS.read_text().splitlines() if not line.startswith("#")]
    assert lines == ["worker1.example.org", "worker2.example.org"]


@pytest.mark.parametrize("words", [[], [str(HOSTS)], ["/missing", "job.yaml"]])
def test_it_says_how_it_is_used(words: list[str]) -> None:
    ended = subprocess.run([RUN, *words], capture_output=True, text=True)
    assert ended.returncode == 2
    assert "usage: run HOSTS JOB" in ended.stderr
