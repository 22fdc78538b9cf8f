"""Which GPUs a worker finds, by the words of its environment and of nvidia-smi."""

import sys

import pytest

from farm.isolation.visible import Gpu, visible_gpus


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """An environment that says nothing of GPUs."""
    for name in ("FARM_PRETEND_GPUS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    # In place of the Python that would load torch, where nvidia-smi does not help.
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))


def program(path, script):
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("", []),
        ("0", ["0"]),
        ("2,0", ["2", "0"]),
        (" GPU-8f, MIG-1 ", ["GPU-8f", "MIG-1"]),
        ("-1", []),
        ("1,-1,0", ["1"]),
        ("1,,0", ["1"]),
    ],
)
def test_what_is_granted_is_taken(monkeypatch, words, names):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", words)
    assert visible_gpus() == [Gpu(name, "cuda") for name in names]


def test_nvidia_smi_names_them(tmp_path):
    program(tmp_path / "nvidia-smi", "echo GPU-1; echo GPU-2; echo")
    assert [gpu.name for gpu in visible_gpus()] == ["GPU-1", "GPU-2"]


@pytest.mark.parametrize("script", ["exit 9", "exit 0", None])
def test_where_it_does_not_torch_does(tmp_path, script):
    if script is not None:
        program(tmp_path / "nvidia-smi", script)
    program(tmp_path / "python", "echo 0; echo 1")
    assert [gpu.name for gpu in visible_gpus()] == ["0", "1"]


def test_there_may_be_none():
    assert visible_gpus() == []


def test_they_may_be_pretended(monkeypatch):
    monkeypatch.setenv("FARM_PRETEND_GPUS", "2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert visible_gpus() == [Gpu("pretended-0", "cpu"), Gpu("pretended-1", "cpu")]
