"""The scripts for Slurm, carried out by stand-ins for its commands, and those of dask-jobqueue."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
import yaml
from dask_jobqueue import SLURMCluster

from farm.record import Status
from tests.configs import slurm_stand_in
from tests.configs.scene import BIN, CONFIGS, check_command, records, write_job
from tests.lanes import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

RUN = CONFIGS / "slurm/run.sbatch"
WORKERS = CONFIGS / "slurm/workers.sbatch"
QUEUE = CONFIGS / "slurm/jobqueue.yaml"


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with Slurm's commands, which are found."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, value in slurm_stand_in.install(folder).items():
        monkeypatch.setenv(name, value)
    yield folder
    slurm_stand_in.end_all(folder)


def submit(*words: str | Path, folder: Path, **variables: str) -> str:
    ended = subprocess.run(
        ["sbatch", "--parsable", *words],
        cwd=folder,
        env=os.environ | {"FARM_BIN": str(BIN)} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout.strip()


def test_a_run_finds_its_workers_and_they_end_with_it(slurm: Path, tmp_path: Path) -> None:
    job = write_job(tmp_path)
    run = submit(RUN, job, "--limit", "2", folder=tmp_path, FARM_HOST="127.0.0.1")
    submit(f"--dependency=after:{run}", "--array=0-0", WORKERS, folder=tmp_path)
    contact = tmp_path / "farm-scheduler.json"
    wait_until(contact.exists, seconds=120)
    wait_until(lambda: not contact.exists(), seconds=200)
    said = slurm_stand_in.told(slurm)
    assert [record.status for record in records(tmp_path)] == [Status.OK] * 2, said
    wait_until(lambda: "farm worker: left: " in slurm_stand_in.told(slurm), seconds=60)


def test_a_scheduler_that_does_not_start_is_told_of(slurm: Path, tmp_path: Path) -> None:
    submit(RUN, "job.yaml", folder=tmp_path, FARM_BIN=str(tmp_path))
    wait_until(lambda: "did not start" in slurm_stand_in.told(slurm), seconds=60)


def test_workers_without_a_scheduler_give_up(slurm: Path, tmp_path: Path) -> None:
    submit("--array=0-0", WORKERS, folder=tmp_path, FARM_WAIT_SECONDS="0")
    wait_until(lambda: "is run.sbatch running?" in slurm_stand_in.told(slurm), seconds=60)


@pytest.mark.parametrize("script", [RUN, WORKERS], ids=["run", "workers"])
def test_what_srun_starts_has_all_cores_of_the_job(script: Path) -> None:
    """A later srun than 22.05's takes no number of cores over from sbatch."""
    head = script.read_text().partition("\nbin=")[0].partition("\n# Where `farm`")[0]
    words = ["bash", "-c", f'{head}\necho "${{SRUN_CPUS_PER_TASK-none}}"']
    for variables, said in (({"SLURM_CPUS_PER_TASK": "16"}, "16\n"), ({}, "none\n")):
        given = {"PATH": os.environ["PATH"]} | variables
        assert subprocess.run(words, env=given, capture_output=True, text=True).stdout == said


def test_slurm_tells_workers_in_time_to_drain() -> None:
    told = re.search(r"^#SBATCH --signal=TERM@(\d+)$", WORKERS.read_text(), re.MULTILINE)
    drain = re.search(r"--drain-seconds (\d+)", WORKERS.read_text())
    assert told is not None
    assert drain is not None
    assert int(drain[1]) < 30  # KillWait, unless it is set
    assert int(told[1]) >= int(drain[1]) + 30


@pytest.fixture
def queue(slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SLURMCluster]:
    """A cluster of dask-jobqueue by our settings, but of this environment and on this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    ours = yaml.safe_load(QUEUE.read_text())
    with dask.config.set(dask.config.merge(dask.config.config, ours)):
        options = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
        with SLURMCluster(python=str(BIN / "python"), scheduler_options=options) as cluster:
            yield cluster


def test_jobqueue_starts_a_worker_as_ours_must_be(queue: SLURMCluster, tmp_path: Path) -> None:
    script = tmp_path / "job.sh"
    script.write_text(queue.job_script())
    for words in (["bash", "-n"], [BIN / "shellcheck"]):
        ended = subprocess.run([*words, script], capture_output=True, text=True)
        assert (ended.returncode, ended.stdout) == (0, "")
    command = script.read_text().rstrip().splitlines()[-1].split()
    assert command[1:3] == ["-m", "distributed.cli.dask_worker"]
    read = check_command(["dask", "worker", *command[3:]])
    assert (read["nthreads"], read["memory_limit"]) == (1, "0")
    assert "#SBATCH --cpus-per-task=16\n" in script.read_text()
    assert "#SBATCH --mem=64G\n" in script.read_text()
    assert queue.scheduler.allowed_failures == 0

    queue.scale(jobs=1)
    wait_until(lambda: len(queue.scheduler.workers) == 1, seconds=120)


def test_a_cancelled_worker_leaves_in_order(
    queue: SLURMCluster, slurm: Path, tmp_path: Path
) -> None:
    """All processes of the job are told at once, and some have threads that hold no signal back."""
    (tmp_path / "farm-scheduler.json").write_text(json.dumps({"address": queue.scheduler_address}))
    threads = {"OMP_NUM_THREADS": "2"}
    job = submit("--array=0-0", WORKERS, folder=tmp_path, **threads)
    wait_until(lambda: "farm worker: joined" in slurm_stand_in.told(slurm), seconds=120)
    subprocess.run(["scancel", job], check=True)
    wait_until(lambda: "farm worker: left: SIGTERM" in slurm_stand_in.told(slurm), seconds=60)
    wait_until(lambda: not queue.scheduler.workers, seconds=60)
