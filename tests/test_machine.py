"""Cores and memory: by affinity and by the quotas of a control group."""

import os
import subprocess
import sys

import pytest

from farm import machine


@pytest.fixture
def cgroup(tmp_path, monkeypatch):
    """A control group `a/b` below a made root; returns a function that writes one of its files."""
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    real = machine.Path.read_text
    monkeypatch.setattr(
        machine.Path,
        "read_text",
        lambda path: "0::/a/b\n" if str(path) == "/proc/self/cgroup" else real(path),
    )

    def write(folder, name, text):
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    return write


def test_affinity_is_honoured():
    core = min(os.sched_getaffinity(0))
    script = (
        f"import os; os.sched_setaffinity(0, {{{core}}}); "
        "from farm.machine import usable_cores; assert usable_cores() == 1"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_all_cores_without_a_quota(cgroup):
    assert machine.usable_cores() == 16
    cgroup("a/b", "cpu.max", "max 100000\n")
    assert machine.usable_cores() == 16


@pytest.mark.parametrize(
    ("quota", "cores"), [("400000 100000", 4), ("150000 100000", 1), ("50000 100000", 1)]
)
def test_a_quota_is_rounded_down_but_never_to_nothing(cgroup, quota, cores):
    cgroup("a/b", "cpu.max", quota)
    assert machine.usable_cores() == cores


def test_the_smallest_quota_of_all_groups_above_counts(cgroup):
    cgroup("a/b", "cpu.max", "800000 100000")
    cgroup("a", "cpu.max", "300000 100000")
    assert machine.usable_cores() == 3


def test_memory_is_cut_by_the_group(cgroup):
    everything = machine.usable_memory_bytes()
    assert everything == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cgroup("a/b", "memory.max", "max\n")
    assert machine.usable_memory_bytes() == everything
    cgroup("a", "memory.max", str(64 << 20))
    assert machine.usable_memory_bytes() == 64 << 20


def test_a_machine_without_control_groups(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "_CGROUP", tmp_path / "none")
    assert machine.usable_cores() >= 1
    assert machine.usable_memory_bytes() > 0
