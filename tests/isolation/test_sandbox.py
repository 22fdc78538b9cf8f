"""The sandbox: a lane that a hostile file took over can do next to nothing."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from farm.doctor import State, sandbox_findings
from farm.isolation import landlock, sandbox, seccomp
from farm.isolation import pool as pool_module
from farm.isolation.parent import Zygote as ZygoteProcess
from tests.conftest import ROOT
from tests.lanes import RULES

ALLOWED = {
    "read what it was given",
    "start a thread",
    "use memory files",
    "import a module",
    "limit itself",
}
LANDLOCKS = (
    "read a file",
    "read the password file",
    "list a folder",
    "read another process",
    "write its own memory",
    "write a new file",
    "write to a file",
    "remove a file",
    "make a folder",
    "truncate a file",
    "connect",
    "run a program",
)
SECCOMPS = (
    "change a file's mode",
    "remove a file",
    "rename a file",
    "truncate a file",
    "make a folder",
    "make a link",
    "connect",
    "open a socket",
    "run a program",
    "spawn a program",
    "fork",
    "signal its parent",
    "limit its parent",
    "trace its parent",
    "use io_uring",
    "unshare",
)


def attempted(tmp_path: Path, lacking: set[str], *names: str) -> tuple[dict[str, str], int]:
    """How each attempt ended, of all or some, and the exit code."""
    canary = tmp_path / "canary"
    canary.write_bytes(b"secret")
    given = os.open(canary, os.O_RDONLY)
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "tests.isolation.attempts", str(canary)),
                *(str(server.getsockname()[1]), str(given), ",".join(sorted(lacking))),
                *names,
            ],
            capture_output=True,
            cwd=ROOT,
            pass_fds=(given,),
            timeout=60,
        )
    os.close(given)
    assert done.stdout, done.stderr.decode()
    return json.loads(done.stdout), done.returncode


def needs(*parts: str) -> None:
    lacking = sandbox.missing()
    for part in parts:
        if part in lacking:
            pytest.skip(f"{part}: {lacking[part]}")


def test_it_refuses_all_that_decoding_does_not_need(tmp_path: Path) -> None:
    needs("landlock", "seccomp")
    told, exit_code = attempted(tmp_path, set(sandbox.missing()))
    done = {name for name, outcome in told.items() if outcome == "done"}
    assert done == ALLOWED
    assert {told[name] for name in told.keys() - ALLOWED} <= {"EACCES", "EPERM"}
    assert (tmp_path / "canary").read_bytes() == b"secret"
    assert os.listdir(tmp_path) == ["canary"]
    # A decoder that aborts must still be seen to do so.
    assert exit_code == -signal.SIGABRT


def test_each_part_guards_on_its_own(tmp_path: Path) -> None:
    needs("landlock", "seccomp")
    absent = set(sandbox.missing()) | {"own user"}
    told, _ = attempted(tmp_path, absent | {"seccomp"}, *LANDLOCKS)
    assert set(told.values()) <= {"EACCES", "EPERM"}, told
    told, _ = attempted(tmp_path, absent | {"landlock"}, "read a file", *SECCOMPS)
    assert told.pop("read a file") == "done"
    assert set(told.values()) <= {"EACCES", "EPERM"}, told


def test_a_root_becomes_nobody_where_code_can_still_be_read(monkeypatch, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    for folder in (open_to_all, *open_to_all.parents):
        if folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o755)
    assert sandbox._user_missing([open_to_all]) is None
    open_to_all.chmod(0o700)
    assert str(open_to_all) in (sandbox._user_missing([open_to_all]) or "")
    program = (
        "import os; from farm.isolation import sandbox as s; s._become_nobody();"
        "print(os.getresuid(), os.getresgid(), os.getgroups())"
    )
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert told.stdout.split("\n")[0] == "(65534, 65534, 65534) (65534, 65534, 65534) []"


def test_a_worker_says_what_its_lanes_lack(monkeypatch, caplog) -> None:
    class Zygote(ZygoteProcess):
        def await_ready(self) -> None:
            super().await_ready()
            self.lacking = {"landlock": "the kernel has none", "own user": "a closed home"}

    monkeypatch.setattr(pool_module, "Zygote", Zygote)
    with caplog.at_level("INFO"):
        pool_module.LanePool(lanes=1, rules=RULES).close()
    told = {record.levelname: record.getMessage() for record in caplog.records}
    assert "landlock: the kernel has none" in told["ERROR"]
    assert "own user: a closed home" in told["INFO"]


def test_doctor_tells_each_part_and_its_cure() -> None:
    found = {each.name: each for each in sandbox_findings({"landlock": "none here"})}
    assert found["seccomp"].state is State.OK
    assert found["landlock"].state is State.MISSING
    assert "none here" in found["landlock"].value
    assert "5.13" in found["landlock"].cure


def test_what_the_kernel_lacks_is_said(monkeypatch) -> None:
    monkeypatch.setattr(landlock, "version", lambda: 0)
    monkeypatch.setattr(seccomp.platform, "machine", lambda: "mips")
    lacking = sandbox.missing()
    assert "Landlock" in lacking["landlock"]
    assert "mips" in lacking["seccomp"]


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_is_a_program_whose_jumps_end_inside(machine: str) -> None:
    program = seccomp.filter_for(machine, pid=7)
    instructions = list(struct.iter_unpack("=HBBI", program))
    assert len(instructions) < 4096  # the kernel's bound
    for at, (code, on_true, on_false, _) in enumerate(instructions):
        if code & 7 == 5:  # a jump
            assert at + 1 + max(on_true, on_false) < len(instructions)
    assert instructions[-1][0] == 0x06


def test_no_rule_opens_everything() -> None:
    folders = landlock.library_folders()
    assert Path("/") not in folders
    assert Path.home() not in folders or Path.home() == Path("/")
    assert not any(folder == ROOT for folder in folders)
