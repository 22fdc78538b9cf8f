"""A whole run over S3: sources, pictures and ledger in a real server, keys in no record."""

import os
import subprocess
import sys

import pytest

from farm import storage
from farm.history import final_records
from farm.ledger import Ledger
from farm.record import Status
from tests.recipes import recipe
from tests.s3 import SECRET, S3Server, s3_server

__all__ = ["s3_server"]

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


def farm(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "farm", *words], capture_output=True, text=True, env=os.environ
    )


def test_lists_makes_and_goes_on(s3_server: S3Server) -> None:
    bucket = s3_server.new_bucket()
    for number in range(5):
        storage.put(f"{bucket}/in/{number}.syn", recipe(seed=number))
    storage.put(f"{bucket}/in/note.txt", b"not a picture")
    command = ["run", "--manifest", f"{bucket}/in/", "--destination", f"{bucket}/out"]
    command += ["--output", "32x", "--output", "16x16,fit=crop,format=webp", "--allow-failures"]

    first = farm(*command)
    assert first.returncode == 0, first.stderr
    ledger = Ledger(f"{bucket}/out/_ledger", storage)
    records = list(final_records(ledger))
    assert sorted(record.status for record in records) == [Status.FAILED] + [Status.OK] * 5
    for record in records:
        for artifact in record.artifacts:
            assert len(storage.get(artifact.uri)) == artifact.size_bytes
        if record.status is Status.OK:
            assert record.requests >= 1
            assert record.bytes_read > 0

    again = farm(*command)
    assert again.returncode == 0, again.stderr
    assert len(ledger.passes()) == 1

    storage.put(f"{bucket}/in/5.syn", recipe(seed=5))
    refreshed = farm(*command, "--refresh")
    assert refreshed.returncode == 0, refreshed.stderr
    assert [one.reason.value for one in ledger.passes()] == ["new", "changed"]
    assert ledger.read_seal(2).carried == 5  # type: ignore[union-attr]

    for listed in storage.list_files(f"{bucket}/out/_ledger"):
        assert SECRET.encode() not in storage.get(listed.uri)
    assert SECRET not in first.stdout + first.stderr + again.stderr + refreshed.stderr
