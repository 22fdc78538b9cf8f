"""The units for systemd: read strictly, by systemd itself where it is, and their commands checked.

No systemd runs here as the first process, so nothing starts the units.
"""

import re
import shlex
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.configs.scene import CONFIGS, check_command, check_dask_variables

SCHEDULER = "systemd/farm-scheduler.service"
WORKER = "systemd/farm-worker.service"
SERVE = "systemd/farm-serve.service"
UNITS = [SCHEDULER, WORKER, SERVE]

KNOWN = {
    "Unit": "After Description Documentation Wants",
    "Install": "WantedBy",
    "Service": """
        CacheDirectory CapabilityBoundingSet Environment EnvironmentFile ExecStart KillMode
        LimitNOFILE LockPersonality NoNewPrivileges OOMPolicy PrivateDevices PrivateTmp ProtectClock
        ProtectControlGroups ProtectHome ProtectHostname ProtectKernelLogs ProtectKernelModules
        ProtectKernelTunables ProtectSystem ReadWritePaths Restart RestartSec
        RestrictAddressFamilies RestrictNamespaces RestrictRealtime RestrictSUIDSGID StateDirectory
        SystemCallArchitectures SystemCallErrorNumber SystemCallFilter TasksMax TimeoutStopSec UMask
        User WorkingDirectory
        """,
}

# What a run over all kinds of samples called, worker and lanes, as `strace --follow-forks` saw it.
CALLS = """
    accept4 access arch_prctl bind brk chdir clock_gettime clock_nanosleep clone clone3 close
    close_range connect dup2 epoll_create1 epoll_ctl epoll_wait execve fcntl flock fstat fsync futex
    getcwd getdents64 geteuid getpeername getpid getppid getrandom getsockname getsockopt gettid
    getuid ioctl kill landlock_add_rule landlock_create_ruleset landlock_restrict_self link listen
    lseek madvise mbind mkdir mmap mprotect mremap munmap newfstatat open openat pipe2 poll prctl
    pread64 prlimit64 pselect6 read readlink recvfrom recvmsg rename rmdir rseq rt_sigaction
    rt_sigprocmask rt_sigreturn sched_get_priority_max sched_get_priority_min sched_getaffinity
    sched_setaffinity sendmsg sendto set_robust_list set_tid_address setpgid setsid setsockopt
    shutdown socket socketpair stat statx sysinfo umask uname unlink unlinkat vfork wait4 write
    """

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze"
)


def read_unit(name: str) -> dict[str, list[str]]:
    """The values of each directive, in order; fails for what is not known in its section."""
    values = defaultdict(list)
    section = ""
    for line in (CONFIGS / name).read_text().replace("\\\n", " ").splitlines():
        if found := re.fullmatch(r"\[(\w+)\]", line):
            section = found[1]
        elif line and not line.startswith("#"):
            key, equals, value = line.partition("=")
            assert equals, line
            assert key in KNOWN[section].split(), f"[{section}] {key}"
            values[key].append(value)
    return values


def seconds(unit: dict[str, list[str]], key: str) -> float:
    return float(unit[key][0])


@pytest.mark.parametrize("name", UNITS)
def test_each_starts_again_whatever_its_end(name: str) -> None:
    unit = read_unit(name)
    assert unit["Restart"] == ["always"]
    assert seconds(unit, "RestartSec") > 0
    assert unit["User"] == ["thumbfarm"]
    assert unit["NoNewPrivileges"] == ["yes"]


@pytest.mark.parametrize("name", UNITS)
def test_commands_are_as_their_programs_want_them(name: str) -> None:
    unit = read_unit(name)
    line = unit["ExecStart"][0].replace("${FARM_SCHEDULER}", "tcp://scheduler.example.org:8786")
    words = shlex.split(line)
    assert words[0].startswith("/opt/thumbfarm/.venv/bin/")
    assert check_command(words)


def test_the_scheduler_is_configured_as_an_embedded_one() -> None:
    variables = dict(each.split("=", 1) for each in read_unit(SCHEDULER)["Environment"])
    check_dask_variables(variables)


def test_a_worker_has_time_to_drain_and_loses_lanes_alone() -> None:
    unit = read_unit(WORKER)
    drain = re.search(r"--drain-seconds (\d+)", unit["ExecStart"][0])
    assert drain is not None
    assert seconds(unit, "TimeoutStopSec") >= int(drain[1]) + 15
    assert unit["KillMode"] == ["mixed"]
    assert unit["OOMPolicy"] == ["continue"]


def test_the_service_loses_lanes_alone() -> None:
    unit = read_unit(SERVE)
    assert unit["KillMode"] == ["mixed"]
    assert unit["OOMPolicy"] == ["continue"]
    assert "--config /etc/thumbfarm/serve.yaml" in unit["ExecStart"][0]


@needs_systemd
@pytest.mark.parametrize("name", UNITS)
def test_systemd_takes_them(name: str, tmp_path: Path) -> None:
    installed = (CONFIGS / name).read_text().replace("/opt/thumbfarm/.venv", sys.prefix)
    unit = tmp_path / Path(name).name
    unit.write_text(installed)
    verify = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)]
    found = subprocess.run(verify, capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")


@needs_systemd
@pytest.mark.parametrize("name", UNITS)
def test_they_are_exposed_but_little(name: str) -> None:
    """By systemd's own scale, from 0 to 100; what is not confined at all has 96."""
    words = ["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager"]
    found = subprocess.run([*words, CONFIGS / name], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


@needs_systemd
@pytest.mark.parametrize("name", [WORKER, SERVE])
def test_lanes_may_call_what_they_do(name: str) -> None:
    groups: dict[str, list[str]] = {}
    listed = subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True)
    for line in listed.stdout.splitlines():
        if line.startswith("@"):
            groups[line] = []
        elif line.strip() and not line.lstrip().startswith("#"):
            groups[list(groups)[-1]].append(line.strip())

    def expanded(word: str) -> set[str]:
        inner = groups.get(word, [])
        return set().union(*map(expanded, inner)) if inner else {word}

    allowed = set().union(*map(expanded, " ".join(read_unit(name)["SystemCallFilter"]).split()))
    assert set(CALLS.split()) - allowed == set()
    assert "ptrace" not in allowed
