"""A real S3 server in a process of its own, with profiles that lead to it: `s3_server`."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest

PROFILE = "moto"
SECRET = "s3cr3t-value"

_numbers = count()


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running server; its buckets are reached by the profile `moto` of its profiles file."""

    endpoint: str
    profiles: Path

    def new_bucket(self) -> str:
        """The URI of a fresh bucket, with the profile in it."""
        name = f"bucket-{next(_numbers)}"
        request = urllib.request.Request(f"{self.endpoint}/{name}", method="PUT")
        urllib.request.urlopen(request, timeout=10).close()
        return f"s3://{PROFILE}@{name}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=1).close()
        except OSError:
            assert process.poll() is None, "the S3 server died"
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the S3 server did not start")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One server for all tests; $FARM_PROFILES names its profiles while it runs."""
    port = _free_port()
    endpoint = f"http://127.0.0.1:{port}"
    profile = {"key": "AKIAEXAMPLE", "secret": SECRET, "endpoint_url": endpoint}
    profiles = tmp_path_factory.mktemp("profiles") / "profiles.yaml"
    profiles.write_text(json.dumps({"profiles": {PROFILE: profile}, "defaults": {"s3": profile}}))
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    before = os.environ.get("FARM_PROFILES")
    try:
        _wait(endpoint, process)
        os.environ["FARM_PROFILES"] = str(profiles)
        yield S3Server(endpoint, profiles)
    finally:
        if before is None:
            os.environ.pop("FARM_PROFILES", None)
        else:
            os.environ["FARM_PROFILES"] = before
        process.kill()
        process.wait()
