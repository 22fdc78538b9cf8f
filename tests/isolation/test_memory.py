"""What a lane keeps between entries: nothing that grows."""

import os
from pathlib import Path

from tests.engines import clips
from tests.lanes import request, shared_pool

GROWTH_BYTES = 8 << 20


def held_bytes(pid: int) -> int:
    """The private memory of a process that is in use."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (held,) = (line.split()[1] for line in lines if line.startswith("RssAnon"))
    return int(held) * 1024


def test_frames_are_given_back_after_each_entry(tmp_path) -> None:
    """Ten frames of 3 MB each would show, also where they wait for a collector of cycles."""
    path = tmp_path / "a.mp4"
    path.write_bytes(clips.make(clips.Clip(count=20, gop=2, size=(1920, 1080))))
    asked = request(path.stat().st_size, outputs=({"width": 64, "count": 10},))
    held = []
    with shared_pool().lease(alone=True) as lane:
        for _ in range(12):
            fd = os.open(path, os.O_RDONLY)
            try:
                reply = lane.call(asked, fd=fd, timeout_seconds=60)
            finally:
                os.close(fd)
            assert len(reply.header["files"]) == 10
            held.append(held_bytes(lane.pid))
    assert max(held[4:]) - held[3] < GROWTH_BYTES
