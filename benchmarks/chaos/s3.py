"""An S3 server in a process of its own, and a profile that leads to it."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

_PROFILE = "chaos"
_BUCKET = "chaos"
_START_SECONDS = 60.0


@contextlib.contextmanager
def moto_server(log: Path) -> Iterator[str]:
    """The endpoint of a moto server, which keeps everything in memory."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as stream:
        process = subprocess.Popen(words, stdout=stream, stderr=stream)
    try:
        _await(endpoint, process)
        yield endpoint
    finally:
        process.kill()
        process.wait()


def point_profile_at(endpoint: str, profiles: Path, *, bucket_of: str) -> str:
    """Has $FARM_PROFILES lead to an endpoint; returns the URI of a bucket made on a server."""
    request = urllib.request.Request(f"{bucket_of}/{_BUCKET}", method="PUT")
    urllib.request.urlopen(request, timeout=10).close()
    profile = {"key": "AKIAEXAMPLE", "secret": "example", "endpoint_url": endpoint}
    profiles.write_text(json.dumps({"profiles": {_PROFILE: profile}}))
    os.environ["FARM_PROFILES"] = str(profiles)
    return f"s3://{_PROFILE}@{_BUCKET}"


def _await(endpoint: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=1).close()
            return
        time.sleep(0.1)
    raise RuntimeError("the S3 server did not start")
