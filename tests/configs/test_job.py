"""The example of a job, carried out on an embedded cluster."""

import shutil
import subprocess
from pathlib import Path

import pytest

from farm.record import Status
from tests.configs.scene import BIN, CONFIGS, records

JOB = CONFIGS / "job.yaml"


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_the_job_runs_on_some_of_the_samples(samples: Path, tmp_path: Path) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "demo-output").mkdir()
    (tmp_path / "demo-output/archive").symlink_to(samples)
    job = shutil.copy(JOB, tmp_path / "configs")
    words = [BIN / "farm", "run", job, "--limit", "4", "--lanes", "1"]
    ended = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    # The folder is called as another job's in scene.py.
    (tmp_path / "thumbnails").symlink_to(tmp_path / "demo-output/by-job")
    made = records(tmp_path)
    assert [record.status for record in made] == [Status.OK] * 4
    assert all(len({artifact.output for artifact in record.artifacts}) >= 4 for record in made)
