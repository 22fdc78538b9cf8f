"""The commands of configs/tls/README.md, one after the other as they stand there."""

import os
import re
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from farm.record import Status
from tests.configs.scene import BIN, CONFIGS, family, free_port, records, write_job
from tests.lanes import wait_until

README = CONFIGS / "tls/README.md"


def commands() -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.cluster
@pytest.mark.timeout(300)
def test_the_commands_make_a_cluster_that_carries_out_a_run(tmp_path: Path) -> None:
    certs, scheduler, worker, run = commands()
    write_job(tmp_path, entries=2)
    variables = {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "CERTS": str(tmp_path / "certs"),
        "SCHEDULER": "127.0.0.1",
        "PORT": str(free_port()),
    }
    where = {"cwd": tmp_path, "env": os.environ | variables}
    subprocess.run(["bash", "-c", certs], check=True, capture_output=True, **where)
    told = tmp_path / "told"
    with told.open("w") as output, ExitStack() as stack:
        for command in (scheduler, worker):
            began = family(["bash", "-c", command], stdout=output, stderr=output, **where)
            stack.enter_context(began)
            # The worker, too, waits for a scheduler, but not for ever.
            wait_until(lambda: "Scheduler at:" in told.read_text(), seconds=60)
        ended = subprocess.run(["bash", "-c", run], capture_output=True, text=True, **where)
    assert ended.returncode == 0, ended.stderr + told.read_text()
    assert "Scheduler at:" in told.read_text()
    assert f"farm worker: joined tls://127.0.0.1:{variables['PORT']}" in told.read_text()
    assert [record.status for record in records(tmp_path)] == [Status.OK] * 2
