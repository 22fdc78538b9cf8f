"""Fixtures that many tests use: real files, made files, and a GPU where there is one."""

import fcntl
import os
from pathlib import Path

import pytest
from hypothesis import settings

# How long one example takes says more of what else the machine does than of the code.
settings.register_profile("farm", deadline=None)
settings.load_profile("farm")

# One thread each, as in lanes: the tests run side by side. Read when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Recipes may fail as they say. Lanes inherit it.
os.environ["FARM_SYNTHETIC_FAULTS"] = "1"

# Kernels of a GPU run on the CPU then, slowly. Read when triton is imported.
if not os.environ.get("FARM_REQUIRE_CUDA"):
    os.environ.setdefault("TRITON_INTERPRET", "1")

ROOT = Path(__file__).resolve().parents[1]


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips what needs a GPU where there is none, or fails it where one was promised."""
    if item.get_closest_marker("needs_cuda") is None:
        return
    import torch

    if not torch.cuda.is_available():
        if os.environ.get("FARM_REQUIRE_CUDA") == "1":
            pytest.fail("FARM_REQUIRE_CUDA=1, but torch finds no GPU", pytrace=False)
        pytest.skip("needs a GPU")


def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Fails a test that leaves this thread at another priority: all later ones would inherit it."""
    if (policy := os.sched_getscheduler(0)) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        pytest.fail(f"the test left scheduling policy {policy}", pytrace=False)


@pytest.fixture(scope="session")
def corpus() -> Path:
    """A folder of real files: $FARM_CORPUS, or `corpus` in a folder beside the checkout."""
    named = os.environ.get("FARM_CORPUS")
    found = [Path(named)] if named else sorted(ROOT.parent.glob("*/corpus"))
    if not found or not found[0].is_dir():
        pytest.skip("needs a corpus of real files: set FARM_CORPUS")
    return found[0]


@pytest.fixture(scope="session")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample archive, made once in a test run; only to be read."""
    from farm.samples import EXPECTED_NAME, make_samples

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        # The folder above is that of the run, which all of its processes have in common.
        shared = shared.parent
    folder = shared / "samples"
    with open(shared / "samples.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / EXPECTED_NAME).exists():  # the file that is written last
            make_samples(folder)
    return folder
